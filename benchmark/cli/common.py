"""Options and helpers that the commands share."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.errors import DataError, UnknownNameError

if TYPE_CHECKING:  # imported where they are used: `--help` has to be quick
    import pandas as pd

    from benchmark.runs.reading import Runs
    from benchmark.runs.request import DataRequest
    from benchmark.runs.store import Store
    from benchmark.runs.suite import Unit
    from reports.tables.declaration import Result, Table


#: Seeds of one command: every run of them is planned before the first is computed.
MOST_SEEDS = 1000
LARGEST_SEED = 2**32 - 1
#: Processes of one command; more than any machine has cores.
MOST_WORKERS = 4096


def check_name(kind: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that isn't known, with advice."""
    if name not in known:
        raise UnknownNameError(kind, name, known)


def _check_format(name: str) -> str:
    from reports.tables.text import FORMATS

    check_name("format", name, FORMATS)
    return name


def _check_part(name: str) -> str:
    from benchmark.protocol import PARTS

    check_name("part", name, PARTS)
    return name


def _check_methods(names: list[str] | None) -> list[str] | None:
    if names:  # else what takes a second is imported to look at nothing
        from benchmark.analysis.ensembles import METHODS

        for name in names:
            check_name("ensemble method", name, METHODS)
    return names


def _once(values: list | None) -> list | None:
    return list(dict.fromkeys(values)) if values else values


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FOLDER",
        help="Folder of the runs. [default: what `polytimbre info` prints]",
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(help="Stored or published run, may be shortened; see `list runs`."),
]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Data set; see `list datasets`.")]
StoredOption = Annotated[
    str | None, typer.Option("--dataset", help="Data set; needed where runs on several are stored.")
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="FOLDER",
        help="Where a data set that isn't embedded lies.",
    ),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Another split than the official one, by name.")
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="NAME|FILE|A+B",
        help="Front end, or file of embeddings (.npz, .parquet, folder of .npy); A+B joins two."
        " [default: the data set's own]",
    ),
]
LayerOption = Annotated[
    int | None,
    typer.Option("--layer", min=0, help="Layer of a file of embeddings with several, from 0."),
]
OnFeaturesOption = Annotated[
    str | None,
    typer.Option("--features", help="Only runs on these features. [default: all]"),
]
FormatOption = Annotated[
    str,
    typer.Option("--format", help="table, markdown, csv or json.", callback=_check_format),
]
PartOption = Annotated[
    str, typer.Option("--part", help="fit, stop, select or test.", callback=_check_part)
]
MethodsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        callback=_check_methods,
        help="average, selected or stacked; repeat. [default: all]",
    ),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        callback=_once,
        help="Model, or model:preset; repeat for several. [default: all]",
    ),
]
SeedOption = Annotated[
    list[int] | None,
    typer.Option(
        "--seed", min=0, max=LARGEST_SEED, callback=_once, help="One seed; repeat for several."
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option("--seeds", min=1, max=MOST_SEEDS, help="The seeds 0 to N-1. [default: 3]"),
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the models named; repeat."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        max=MOST_WORKERS,
        help="Processes at a time; 0: in this process, for a debugger. [default: the cores]",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Address of a Dask scheduler; its workers must see the store and the data.",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        help="Name of it. [default: DATASET-MODEL, as in rendered-cnn]",
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL|FILE",
        help="Where studies are: a database, or a file. [default: beside the runs]",
    ),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FOLDER",
        help="Folder of published sets. [default: the checkout's]",
    ),
]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=39, max=1_000_000, help="Resamples of the bootstrap.")
]


def warn(sentence: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {sentence}", file=sys.stderr)


def open_store(path: Path | None) -> "Store":
    """Open the store that was named, or the default one, to compute into."""
    from benchmark.runs.store import Store, default_path

    return Store(path or default_path(), warn=warn)


def read_runs(path: Path | None) -> "Runs":
    """Open a store or a published set to read from; without a path, the default store."""
    from benchmark.runs.published import open_runs
    from benchmark.runs.store import default_path

    return open_runs(path or default_path(), warn=warn)


def published_at(path: Path | None) -> Path:
    """Return the folder of published sets that was named, or the checkout's."""
    from benchmark.runs.published import DEFAULT

    return path or DEFAULT


def data_of(
    dataset: str,
    data_root: Path | None,
    split: str | None,
    features: str | None,
    layer: int | None,
) -> "DataRequest":
    """Return the request for the data set that a command's options name."""
    from benchmark.runs.features import parse
    from benchmark.runs.request import DataRequest

    root = data_root.resolve() if data_root else None
    return DataRequest(dataset, root, split, parse(features), layer)


def seeds_of(seed: list[int] | None, seeds: int | None) -> Sequence[int]:
    """Return the seeds that --seed names, or as many as --seeds says, 3 if neither does."""
    if seed and seeds:
        raise typer.BadParameter(
            "it stands beside --seed: name seeds one by one, or say how many", param_hint="--seeds"
        )
    return seed or range(seeds or 3)


def parse_params(pairs: list[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value that is no JSON is text."""
    import json

    params = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--param")
        if name in params:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--param")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def print_table(
    frame: "pd.DataFrame",
    fmt: str,
    title: str,
    notes: Sequence[str] = (),
    meanings: Mapping[str, str] | None = None,
    first: Sequence[str] = (),
) -> None:
    """Print a table in the format that was asked for.

    `meanings` are those of its columns; `first` stay to the last where a terminal is narrow.
    """
    from benchmark.cli.screen import console
    from benchmark.cli.visible import visible
    from reports.tables import text

    out = console()
    if fmt == "table":  # before columns are measured: what is spelled out is longer
        frame = frame.map(lambda value: visible(value) if isinstance(value, str) else value)
    shown = text.text(frame, fmt, title, list(notes), out.width, meanings or {}, first)
    if isinstance(shown, str):
        print(shown)
        return
    # apart from the table, or they would be wrapped to its width
    title, notes_below, shown.title, shown.caption = shown.title, shown.caption, None, None
    out.print(title, style="bold")
    out.print(shown)
    if notes_below:
        out.print(notes_below, style="dim")


def print_result(table: "Table", result: "Result", fmt: str) -> None:
    """Print a declared table, with what its columns mean; CSV and JSON hold it as published.

    A note whose first word is a hidden column is left out with it.
    """
    frame = result.frame
    notes = list(result.notes)
    if fmt in ("table", "markdown"):
        frame = result.shown if result.shown is not None else frame
    if fmt == "table":
        frame = table.for_a_terminal(frame)
        notes = [note for note in notes if note.split()[0] not in table.hidden]
    meanings = {name: meaning for name in frame.columns if (meaning := table.meaning(name))}
    print_table(frame, fmt, result.title, notes, meanings, table.first)


def compute(
    units: "Sequence[Unit]",
    store: "Store",
    workers: int | None,
    scheduler: str | None,
    force: bool,
) -> None:
    """Run what isn't stored, showing it; end the command where runs failed or Ctrl-C came."""
    from contextlib import closing

    from benchmark.cli.screen import console, follow
    from benchmark.errors import PolytimbreError
    from benchmark.runs import suite
    from benchmark.workers.connect import connect

    try:
        with (
            connect(workers, scheduler) as executor,
            closing(suite.run(units, store.path, executor=executor, force=force)) as events,
        ):
            failures = follow(units, events, console())
    except KeyboardInterrupt:
        warn("interrupted; finished runs are kept, the same command goes on from here")
        raise typer.Exit(130) from None
    if failures:
        # what finished before and failed now, by --force, is stored as it finished
        records = {one.run_id: store.usable(one.run_id) for one in failures if one.stored}
        stored = [run_id for run_id, record in records.items() if record and not record.finished]
        advice = "Nothing is stored of what failed: mend the cause and give the same command again"
        if stored:
            advice = f"`polytimbre show {stored[0]}` shows the traceback"
        raise PolytimbreError(
            f"{len(failures)} of {len(units)} runs failed: {failures[0].sentence}. {advice}"
        )


def check_output(target: Path, *read: Path) -> None:
    """Refuse to write over a file that the command reads, over a folder, or where nobody can."""
    place = Path(os.path.realpath(target))
    if not place.parent.is_dir():
        folder = place.parent if target.is_symlink() else target.parent
        raise DataError(f"{target} can't be written: there is no folder {folder}")
    if target.is_dir():
        raise DataError(f"{target} can't be written: it is a folder; name a file in it")
    device = target.exists() and not target.is_file()  # which is written as it is, nothing beside
    if not os.access(target if device else place.parent, os.W_OK):
        raise DataError(
            f"{target} can't be written: there is no right to, or its disk is read-only; name"
            " another place"
        )
    for one in read:
        if is_same(target, one):
            raise DataError(f"{target} would be written over, and is what is read: name another")


def is_same(one: Path, other: Path) -> bool:
    """Whether two names are one file's, by whatever links, or would be."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with suppress(OSError):
        return one.samefile(other)
    return False


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Let the error of a disk name the place that is written to, where it names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(place)
        raise
