"""The command that scores a run on labelled recordings."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.common import (
    FormatOption,
    ResamplesOption,
    ResultsOption,
    StoreOption,
    print_table,
    warn,
)
from benchmark.cli.hearing import (
    DataOption,
    FeaturesOption,
    HopOption,
    ModelOption,
    RunOption,
    open_run,
)
from benchmark.errors import DataError


def evaluate(
    audio: Annotated[Path, typer.Option(help="Folder of the recordings.")],
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV: a column `clip`, `file`, `key` or `name`, and one a class; empty: not "
            "observed."
        ),
    ],
    run: RunOption = None,
    model: ModelOption = None,
    dataset: DataOption = None,
    features: FeaturesOption = None,
    hop: HopOption = None,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    results: ResultsOption = None,
    store: StoreOption = None,
) -> None:
    """Score a run on recordings that you have labelled.

    mAP and each class's average precision stand beside those of the run's own test part.
    """
    import numpy as np

    from benchmark.cli.screen import busy
    from benchmark.contracts.dataset import Labels
    from benchmark.predict.labelled import read_labels
    from benchmark.predict.recogniser import check_hop
    from reports.tables import recordings

    check_hop(hop)
    heard_by = open_run(run, model, dataset, features, store, results)
    found = read_labels(labels, audio, heard_by.classes)
    if found.ignored:
        ignored = ", ".join(_with_advice(name, heard_by.classes) for name in found.ignored)
        print(f"columns that are no class of this run are left out: {ignored}", file=sys.stderr)
    if found.missing:
        n, of = len(found.missing), len(found.missing) + len(found.files)
        warn(
            f"{n} of {of} names have no audio in {audio}, and are left out: {found.missing[0]} ..."
        )
    # too few resamples for these labels are refused before anything is heard
    recordings.result(heard_by, found.labels, np.zeros_like(found.labels.y_true), resamples)
    scores, unreadable = [], []
    with busy("files") as follow:
        for file in follow(found.files):
            try:
                scores.append(heard_by.recogniser.hear(file, hop).clip)
            except DataError as error:
                scores.append(None)
                unreadable.append(str(error))
    kept = [i for i, row in enumerate(scores) if row is not None]
    if not kept:
        raise DataError(f"no file can be read: {unreadable[0]}")
    known = Labels(found.labels.y_true[kept], found.labels.y_mask[kept], classes=heard_by.classes)
    rows = np.stack([scores[i] for i in kept])
    frame, notes = recordings.result(heard_by, known, rows, resamples)
    print_table(frame, fmt, f"{audio} and the run's own test part", notes)
    if unreadable:
        warn(f"{len(unreadable)} of {len(found.files)} files can't be read, and are left out:")
        for sentence in unreadable:
            print(f"  {sentence}", file=sys.stderr)
        raise typer.Exit(1)


def _with_advice(column: str, classes: Sequence[str]) -> str:
    """Return a column's name, and the class that may have been meant."""
    near = get_close_matches(column.casefold(), classes, n=1, cutoff=0.8)
    return f"{column} (did you mean {near[0]!r}?)" if near else column
