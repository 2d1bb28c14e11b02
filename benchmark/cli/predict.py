"""The command that points a stored run at recordings."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    ResultsOption,
    StoreOption,
    check_name,
    check_output,
    is_same,
    warn,
    writing,
)
from benchmark.cli.hearing import (
    DataOption,
    FeaturesOption,
    HopOption,
    ModelOption,
    RunOption,
    WindowOption,
    bar,
    open_run,
)
from benchmark.errors import DataError, ProtocolError

if TYPE_CHECKING:
    from benchmark.predict.choosing import HearingRun
    from benchmark.predict.recogniser import Heard

#: Characters of a bar at score 1, and in a terminal that is narrow.
BAR, SHORT_BAR = 20, 14
#: Characters of a terminal that has room for bars; a wide one also says why a class is not known.
ROOMY = 80


def predict(
    path: Annotated[
        list[Path], typer.Argument(help="Audio files, folders, or text files that list them.")
    ],
    run: RunOption = None,
    model: ModelOption = None,
    dataset: DataOption = None,
    features: FeaturesOption = None,
    window: WindowOption = None,
    hop: HopOption = None,
    fmt: Annotated[str, typer.Option("--format", help="table, json, csv or audacity.")] = "table",
    per: Annotated[
        str, typer.Option(help="A row of csv or json: window, or clip (a row a file).")
    ] = "window",
    out: Annotated[
        Path | None,
        typer.Option(help="Write there what would be printed; a folder for many label tracks."),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page that plays the file.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw scores over time; or svg, pdf.")
    ] = None,
    results: ResultsOption = None,
    store: StoreOption = None,
) -> None:
    """Tell which instruments sound in recordings, and when.

    A recording is cut into windows as long as the clips that the model has learnt from. A class
    is present where its score reaches the run's threshold, which was chosen on training
    clips that were held out.
    """
    from benchmark.predict.recogniser import check_hop, check_window

    files = _files(path)
    check_hop(hop)
    check_window(window)
    _check(path, files, fmt, per, out, timeline, figure)
    tracks = _are_tracks(files, fmt, out)  # before anything is written
    heard_by = open_run(run, model, dataset, features, store, results)
    if window is not None:
        changed = heard_by.recogniser.with_window(window)
        heard_by = replace(heard_by, recogniser=changed)
    unreadable: list[str] = []
    told = fmt == "table" and out is None
    if told:
        print(_head(heard_by))
    heard, stopped = [], False
    try:
        for one in _hear(heard_by, files, hop, unreadable, bar=not told):
            heard.append(one)
            if told:
                _print_table(heard_by, one)
    except KeyboardInterrupt:
        if not (out and heard):  # a table is printed as it is heard, a pipe takes all or nothing
            raise
        stopped = True
    if not told:
        _write(heard_by, heard, fmt, per, out, tracks)
        if out:
            print(_head(heard_by).partition("\n")[0], file=sys.stderr)
    _draw(heard_by, heard, timeline, figure)
    if unreadable:
        warn(f"{len(unreadable)} of {len(files)} files can't be read:")
        for sentence in unreadable:
            print(f"  {sentence}", file=sys.stderr)
    if stopped:
        warn(f"interrupted; {out} holds the {len(heard)} of {len(files)} files that were heard")
        raise typer.Exit(130)
    if unreadable:
        raise typer.Exit(1)


def _files(paths: Sequence[Path]) -> list[Path]:
    from benchmark.audio.files import find_recordings

    return list(dict.fromkeys(file for path in paths for file in find_recordings(path)))


def _check(
    given: Sequence[Path],
    files: Sequence[Path],
    fmt: str,
    per: str,
    out: Path | None,
    timeline: Path | None,
    figure: Path | None,
) -> None:
    """Refuse what can't be read or written before a model is loaded."""
    from benchmark.audio.files import open_recording
    from reports.hearing.text import FORMATS

    check_name("format", fmt, FORMATS)
    check_name("--per", per, ("window", "clip"))
    if per == "clip" and fmt not in ("csv", "json"):
        raise ProtocolError("--per clip is for --format csv and json, whose rows are windows")
    if len(files) > 1 and (timeline or figure):
        raise ProtocolError("--timeline and --figure show one recording: name one file with them")
    if len(files) > 1 and fmt == "audacity" and (out is None or out.is_file()):
        raise ProtocolError("each file has a label track of its own: name a folder with --out")
    tracks = _are_tracks(files, fmt, out)
    if out and tracks:
        _check_tracks(given, files, out)
    targets = [*filter(None, (None if tracks else out, timeline, figure))]
    for target in targets:
        check_output(target, *given, *files)
        if sum(is_same(target, one) for one in targets) > 1:
            raise ProtocolError(f"{target} is named for two outputs: name another for one of them")
    if len(files) == 1:  # of several, those that can't be read are named at the end
        open_recording(files[0])
    if figure:
        from reports.hearing.figure import check

        check(figure)


def _are_tracks(files: Sequence[Path], fmt: str, out: Path | None) -> bool:
    """Whether `out` is a folder, in which each file gets a label track of its own."""
    return fmt == "audacity" and out is not None and (len(files) > 1 or out.is_dir())


def _check_tracks(given: Sequence[Path], files: Sequence[Path], folder: Path) -> None:
    """Refuse a folder that can't be made, and two files whose label tracks are called alike."""
    check_output(_track(folder, files[0]) if folder.is_dir() else folder)
    read = {os.path.realpath(one) for one in (*given, *files)}
    track_of: dict[Path, Path] = {}
    for file in files:
        target = _track(folder, file)
        if target in track_of:
            raise DataError(
                f"{track_of[target]} and {file} would both be written to {target}: name them one"
                " by one"
            )
        track_of[target] = file
        if os.path.realpath(target) in read:
            raise DataError(
                f"{target} would be written over, and is what is read: name another folder"
            )


def _track(folder: Path, file: Path) -> Path:
    return folder / f"{file.stem}.txt"


def _hear(
    run: "HearingRun",
    files: Sequence[Path],
    hop: float | None,
    unreadable: list[str],
    bar: bool,
) -> "Iterator[Heard]":
    """Give what is heard in each file; put a sentence into `unreadable` for each that can't be.

    Tables that are printed one by one tell how far it is: they need no `bar`, which would stand
    among them.
    """
    from contextlib import nullcontext

    from benchmark.cli.screen import busy

    with busy("files") if bar and len(files) > 1 else nullcontext(iter) as follow:
        for file in follow(files):
            try:
                heard = run.recogniser.hear(file, hop)
            except DataError as error:
                if len(files) == 1:
                    raise
                unreadable.append(str(error))
                continue
            for sentence in heard.warnings:
                warn(sentence)
            yield heard


def _write(
    run: "HearingRun",
    results: "Sequence[Heard]",
    fmt: str,
    per: str,
    out: Path | None,
    tracks: bool,
) -> None:
    """Print, or write into a file, what a program reads; label tracks, each into one of its own."""
    from reports.hearing import text

    windows = per == "window"
    if out and tracks:
        out.mkdir(exist_ok=True)
        for heard in results:
            _put(_track(out, heard.file), text.as_labels(run, heard))
        return
    if fmt == "audacity":
        content = "".join(text.as_labels(run, heard) for heard in results)
    elif fmt == "csv":
        content = text.as_csv(run, results, windows)
    elif fmt == "json":
        content = text.as_json(run, results, windows) + "\n"
    else:
        content = _table_text(run, results)
    if out is None:
        sys.stdout.write(content)
    else:
        _put(out, content)


def _draw(
    run: "HearingRun", results: "Sequence[Heard]", timeline: Path | None, figure: Path | None
) -> None:
    for heard in results:  # one at most
        if timeline:
            from reports.hearing.timeline import page

            _put(timeline, page(run, heard))
        if figure:
            from reports.hearing.figure import content

            _put(figure, content(run, heard, figure.suffix))


def _put(target: Path, content: str | bytes) -> None:
    from benchmark.runs.files import put

    with writing(target):
        # of names of files, what is no UTF-8 is spelled out
        written = content.encode(errors="backslashreplace") if isinstance(content, str) else content
        put(target, written)
    print(f"wrote {target}", file=sys.stderr)


def _table_text(run: "HearingRun", results: "Sequence[Heard]") -> str:
    """Return the tables as plain text."""
    import io

    from rich.console import Console

    out = io.StringIO()
    screen = Console(file=out, width=120, highlight=False)
    out.write(f"{_head(run)}\n")
    for heard in results:
        out.write(f"\n{_title(heard)}\n")
        screen.print(_table(run, heard, screen.width))
    return out.getvalue()


def _head(run: "HearingRun") -> str:
    return (
        f"run {run.record.run_id}: {run.title}; "
        f"threshold (│) {run.thresholds.min():.2f}\n"
        f"AP: the run's average precision on the test part of {run.record.spec.dataset}; chance: "
        "that of guessing;\n"
        "grey: a class that the run can't tell from chance; times are to the nearest second"
    )


def _print_table(run: "HearingRun", heard: "Heard") -> None:
    from benchmark.cli.screen import console

    out = console()
    print(f"\n{_title(heard)}")
    out.print(_table(run, heard, out.width))


def _title(heard: "Heard") -> str:
    from reports.hearing.text import clock

    return f"{heard.file} ({clock(heard.seconds)})"


def _table(run: "HearingRun", heard: "Heard", width: int) -> object:
    """Return the classes by score, with a bar, when they sound, and how well the run knows them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from benchmark.cli.screen import WIDE
    from reports.hearing.text import clock

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    length = BAR if width >= WIDE else SHORT_BAR
    room = {"bar": ROOMY, "why": WIDE}  # when something sounds is told to the last
    names = ("instrument", "score", "bar", "AP", "chance", "when", "why")
    names = [name for name in names if width >= room.get(name, 0)]
    for name in names:
        side = "right" if name in ("score", "AP", "chance") else "left"
        head = "" if name in room else name
        table.add_column(head, justify=side, no_wrap=name != "when", overflow="fold")
    known = run.knowledge
    for c in sorted(range(len(run.classes)), key=lambda c: -heard.clip[c]):
        stretches = heard.stretches(c, run.thresholds[c])
        when = ", ".join(f"{clock(start)}–{clock(end)}" for start, end in stretches)
        ap, chance = (
            "–" if value != value else f"{value:.2f}"
            for value in (known.average_precision[c], known.prior[c])
        )
        style = "dim" if not known.known[c] else "bold" if stretches else None
        row = {
            "instrument": run.classes[c],
            "score": f"{heard.clip[c]:.2f}",
            "bar": bar(float(heard.clip[c]), float(run.thresholds[c]), length),
            "AP": ap,
            "chance": chance,
            "when": when,
            "why": known.why_not(c),
        }
        table.add_row(*map(row.get, names), style=style)
    return table
