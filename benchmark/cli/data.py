"""Commands about data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import RootOption, SplitOption, check_output
from benchmark.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from benchmark.contracts.dataset import Dataset

#: Sets of clips with the same features that `data verify` names.
MOST_SETS = 20

data_app = typer.Typer(help="Download, check and render data sets.", no_args_is_help=True)


@data_app.command("list")
def data_list() -> None:
    """List the data sets with licence and citation."""
    from benchmark.cli.screen import wrapped
    from benchmark.plugins import registry

    for name in registry.datasets().names():
        cls = registry.datasets().get(name)
        print(name)
        for told in (cls.description, f"licence: {cls.licence}", f"cite: {cls.citation}"):
            print(wrapped(f"  {told}", 4))


@data_app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="Data set; see `list datasets`.")],
    data_root: Annotated[Path, typer.Option(help="Folder to download into.")] = Path("data"),
) -> None:
    """Download a data set; an interrupted download goes on where it stopped."""
    from benchmark.plugins import registry

    path = registry.datasets().get(name)().download(data_root)
    print(f"{name} is at {path}; pass it as --data-root")


@data_app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="Data set; see `list datasets`.")] = "rendered",
    data_root: RootOption = None,
    split: SplitOption = None,
) -> None:
    """Load a data set, check it, print what it holds, and name clips with the same features."""
    from benchmark.protocol import PARTS, divide
    from benchmark.runs.request import DataRequest, load
    from reports.tables.words import count, percent

    data = load(DataRequest(name, data_root, split))
    division = divide(data)
    marked = "" if data.official else ", NOT OFFICIAL"
    print(f"{data.name}, split {data.split}{marked}, holds to its contract")
    print(f"fingerprint  {data.fingerprint}\ndivision     {division.id}")
    shape = f"{data.X.shape[1]} frames x {data.X.shape[2]}"
    print(f"features     {data.features}, {shape}, {data.X.dtype}")
    print(f"observed     {percent(data.y_mask.mean())} of the labels")
    for attribute, values in data.attributes.items():
        print(f"attribute    {attribute}: {count(len(set(values.tolist()) - {''}), 'value')}")
    for line in _identical(data, division.rows):
        print(line)
    for part in PARTS:
        labels = division.part(part)
        positive, negative = labels.y_positive, labels.y_mask & ~labels.y_positive
        n_scorable = (positive.any(axis=0) & negative.any(axis=0)).sum()
        print(
            f"{part:<12} {_aligned(len(labels), 'clip')}, "
            f"{_aligned(int(positive.sum()), 'observed positive')}, "
            f"{n_scorable} of {count(len(data.classes), 'class')} can be scored"
        )


def _aligned(n: int, noun: str) -> str:
    return f"{n:>7,} {noun + ('' if n == 1 else 's'):<{len(noun) + 1}}"


def _identical(data: "Dataset", rows_of: "dict[str, np.ndarray]") -> list[str]:
    """Tell of clips with the same features, those in several parts first."""
    part_of = {row: part for part, rows in rows_of.items() for row in rows.tolist()}
    told = []
    for rows in data.identical():
        parts = [part_of[row] for row in rows.tolist()]
        names = [f"{data.keys[r]} ({part})" for r, part in zip(rows, parts, strict=True)]
        told.append((len(set(parts)) == 1, " = ".join(names)))
    told.sort()
    lines = [f"identical    {names}" for _, names in told[:MOST_SETS]]
    if len(told) > MOST_SETS:
        lines.append(f"identical    {len(told) - MOST_SETS} more sets of clips")
    return lines


@data_app.command("render")
def data_render(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("rendered.npz"),
    clips: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    musicnn: Annotated[
        bool, typer.Option("--musicnn", help="Compute musicnn's features too.")
    ] = False,
) -> None:
    """Render the embedded data set again and compare it bit for bit (extra `render`)."""
    from benchmark.cli.screen import counted
    from benchmark.datasets import rendering
    from benchmark.datasets.rendered import FILE, MUSICNN, differing_clips
    from benchmark.workers.settings import starting

    check_output(out, FILE, MUSICNN)  # before hours are spent on rendering
    with starting(), counted("rendering") as show:
        rendering.build(out, clips=clips, musicnn=musicnn, workers=workers, progress=show)
    if different := differing_clips(out):
        raise DataError(
            f"{len(different)} clip(s) of {out} differ from the embedded data, first "
            f"{different[0]!r}; check that the extra `render` is installed at its exact pins"
        )
    print(f"{out} is the embedded data, bit for bit")
