"""What the commands that hear recordings share: which run is asked, and how it is told."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import warn

if TYPE_CHECKING:
    from benchmark.predict.choosing import HearingRun

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN_ID",
        help="A stored or published run. [default: the best of --store, if given, else the best "
        "shipped one]",
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="Instead: the best run of this model.")
]
DataOption = Annotated[
    str | None, typer.Option("--dataset", help="Instead: the best run on this data set.")
]
FeaturesOption = Annotated[
    str | None, typer.Option("--features", help="Instead: the best run on these front ends.")
]
WindowOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="What is scored at once. [default: as long as the run's clips]"
    ),
]
HopOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", min=0.01, help="From window to window. [default: a window's length]"
    ),
]


def bar(score: float, threshold: float, length: int) -> str:
    """Draw a score as a bar that passes the threshold's mark just where the score reaches it."""
    mark, filled = min(int(length * min(threshold, 1.0)), length - 1), round(length * score)
    filled = max(filled, mark + 1) if score >= threshold else min(filled, mark)
    blocks = f"{'█' * filled:<{length}}"
    return f"{blocks[:mark]}│{blocks[mark:]}"


def open_run(
    run: str | None,
    model: str | None,
    dataset: str | None,
    features: str | None,
    store: Path | None,
    results: Path | None,
) -> "HearingRun":
    """Load the run that was asked for, and warn of what is to be known of it."""
    from benchmark.workers.threads import SINGLE_THREAD

    os.environ.update(SINGLE_THREAD)  # as in a run; libraries read it when they are imported
    from benchmark.predict import choosing

    wanted = {"model": model, "dataset": dataset, "features": features}
    asked = any(one is not None for one in (run, *wanted.values()))
    places = choosing.sources(store, results, asked=asked)
    loaded = choosing.load_run(*choosing.choose_run(places, run, **wanted))
    for caution in loaded.cautions:
        warn(caution)
    return loaded
