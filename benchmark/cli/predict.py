"""The command that points a stored run at recordings."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.common import StoreOption, check_name, read_runs, warn
from benchmark.reading.spreadsheets import inert

if TYPE_CHECKING:
    import numpy as np

    from benchmark.predict import Heard

FORMATS = ("table", "json", "csv")
BAR = 20


def predict(
    path: Annotated[list[Path], typer.Argument(help="Audio files, or folders of them.")],
    run: Annotated[str, typer.Option("--run", help="Id of a stored run; see `list runs`.")],
    hop: Annotated[
        float | None,
        typer.Option(min=0.01, help="Seconds from window to window. [default: a window's length]"),
    ] = None,
    fmt: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
    store: StoreOption = None,
) -> None:
    """Tell which instruments sound in recordings, and when, by a stored run's model.

    A recording is cut into windows as long as the clips that the model has learnt from. A class
    is present where its score reaches the run's threshold, which was chosen on *select*.
    """
    from benchmark import predict as engine
    from benchmark.errors import DataError

    check_name("format", fmt, FORMATS)
    source = read_runs(store)
    recogniser, record = engine.recogniser(source, run)
    thresholds = engine.thresholds(source, record)
    classes = source.labels(record.spec.division_id)["select"].classes
    features = "+".join(front_end.name for front_end in recogniser.front_ends)
    files, unreadable = _files(path), []
    results: list[tuple[Path, Heard]] = []
    for file in files:
        try:
            heard = recogniser.hear(file, hop)
        except DataError as error:
            if len(files) == 1:
                raise
            unreadable.append(str(error))
            continue
        _warn(file, heard)
        results.append((file, heard))
        if fmt == "table":
            _print_table(file, heard, classes, thresholds)
    if fmt == "json":
        about = {"run": record.run_id, "features": features}
        print(json.dumps([_json(f, h, classes, thresholds, about) for f, h in results], indent=1))
    elif fmt == "csv":
        _print_csv(results, classes)
    if unreadable:
        warn(f"{len(unreadable)} of {len(files)} files can't be read:")
        for sentence in unreadable:
            print(f"  {sentence}", file=sys.stderr)
        raise typer.Exit(1)


def _files(paths: Sequence[Path]) -> list[Path]:
    from benchmark.audio.files import find_recordings

    return [file for path in paths for file in find_recordings(path)]


def _warn(file: Path, heard: "Heard") -> None:
    if heard.repeated:
        warn(f"{file} is {heard.seconds:.2f} s long, less than a window: it was repeated")
    if heard.silent:
        warn(f"{file} is silent: its scores say nothing")


def _print_table(
    file: Path, heard: "Heard", classes: Sequence[str], thresholds: "np.ndarray"
) -> None:
    from rich.table import Table

    from benchmark.cli.screen import console

    table = Table()
    for name, side in (("instrument", "left"), ("score", "right"), ("", "left"), ("when", "left")):
        table.add_column(name, justify=side)
    for i in sorted(range(len(classes)), key=lambda i: -heard.clip[i]):
        present = heard.clip[i] >= thresholds[i]
        bar = "█" * round(BAR * float(heard.clip[i]))
        when = ", ".join(_times(heard, heard.scores[:, i] >= thresholds[i]))
        row = (classes[i], f"{heard.clip[i]:.2f}", bar, when)
        table.add_row(*row, style=None if present else "dim")
    print(f"{file} ({_clock(heard.seconds)})")
    console().print(table)


def _times(heard: "Heard", sounds: "np.ndarray") -> list[str]:
    """Put the windows in which a class sounds into stretches, as in ``0:00-0:19``."""
    stretches: list[list[float]] = []
    for start, end in zip(heard.starts[sounds], heard.ends[sounds], strict=True):
        if stretches and start <= stretches[-1][1] + 0.01:
            stretches[-1][1] = end
        else:
            stretches.append([start, end])
    return [f"{_clock(start)}-{_clock(end)}" for start, end in stretches]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _json(
    file: Path,
    heard: "Heard",
    classes: Sequence[str],
    thresholds: "np.ndarray",
    about: dict[str, str],
) -> dict[str, Any]:
    """Return what is printed of one file; scores as the shortest numbers that are the same."""

    def scores(row: "np.ndarray") -> dict[str, float]:
        return {name: float(str(value)) for name, value in zip(classes, row, strict=True)}

    clip = {
        name: {"score": score, "threshold": float(threshold), "present": bool(at_least)}
        for (name, score), threshold, at_least in zip(
            scores(heard.clip).items(),
            thresholds,
            heard.clip >= thresholds.astype(heard.clip.dtype),
            strict=True,
        )
    }
    windows = [
        {"start": round(float(start), 3), "end": round(float(end), 3), "scores": scores(row)}
        for start, end, row in zip(heard.starts, heard.ends, heard.scores, strict=True)
    ]
    return {
        "file": str(file),
        **about,
        "duration": round(heard.seconds, 3),
        "clip": clip,
        "windows": windows,
    }


def _print_csv(results: "Sequence[tuple[Path, Heard]]", classes: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "start", "end", *map(inert, classes)])
    for file, heard in results:
        for start, end, row in zip(heard.starts, heard.ends, heard.scores, strict=True):
            writer.writerow(
                [inert(str(file)), f"{start:.3f}", f"{end:.3f}", *(str(value) for value in row)]
            )
