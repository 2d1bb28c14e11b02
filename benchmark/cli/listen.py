"""The command that hears instruments live."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import ResultsOption, StoreOption, check_name, warn
from benchmark.cli.hearing import (
    DataOption,
    FeaturesOption,
    ModelOption,
    RunOption,
    WindowOption,
    bar,
    open_run,
)
from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.audio.live import Live
    from benchmark.predict.choosing import HearingRun
    from benchmark.predict.listening import Update

BAR = 30
FORMATS = ("table", "json")


def listen(
    source: Annotated[
        str | None,
        typer.Argument(help="A file, in real time; - for raw samples. [default: the microphone]"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Sample rate of raw samples (32-bit floats, f32le)."),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of raw samples. [default: 1]")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Input device: its number, or a part of its name.")
    ] = None,
    hop: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.01, help="From update to update.")
    ] = 0.96,
    window: WindowOption = None,
    fmt: Annotated[
        str, typer.Option("--format", help="table, or json: a line an update.")
    ] = "table",
    run: RunOption = None,
    model: ModelOption = None,
    dataset: DataOption = None,
    features: FeaturesOption = None,
    results: ResultsOption = None,
    store: StoreOption = None,
) -> None:
    """Tell which instruments sound right now.

    One line each time, until Ctrl-C or the sound's end. Scored are the last seconds, as many as
    `predict` has in a window, by the same code.
    """
    from dataclasses import replace

    from benchmark.predict.listening import listen as updates_of
    from benchmark.predict.recogniser import check_hop, check_window

    check_name("format", fmt, FORMATS)
    _check(source, rate, channels, device)
    check_hop(hop)
    check_window(window)
    heard_by = open_run(run, model, dataset, features, store, results)
    recogniser = heard_by.recogniser
    if window is not None:
        recogniser = recogniser.with_window(window)
        heard_by = replace(heard_by, recogniser=recogniser)
    _warm_up(heard_by)
    latencies: list[float] = []
    try:
        with _opened(source, rate, channels or 1, device) as live:
            seconds = recogniser.window_seconds
            print(f"hears {live.name}; scores after {seconds:.1f} s", file=sys.stderr)
            with ExitStack() as stack:
                show = stack.enter_context(_shown(heard_by, fmt))
                for update in updates_of(recogniser, live, hop):
                    latencies.append(update.latency)
                    show(update)
    except KeyboardInterrupt:
        if not latencies:
            warn("nothing was scored yet")
    finally:
        _say_latency(latencies)


def _check(
    source: str | None, rate: float | None, channels: int | None, device: str | None
) -> None:
    if source == "-" and rate is None:
        raise DataError("raw samples don't tell their rate: say it, as in --rate 48000")
    if source != "-" and rate is not None:
        raise DataError("--rate is that of raw samples: give - as the source, or leave it out")
    if source != "-" and channels is not None:
        raise DataError(
            "--channels are those of raw samples: give - as the source, or leave it out"
        )
    if source is not None and device is not None:
        raise DataError("--device names a microphone: leave out the source, or the device")


@contextmanager
def _opened(
    source: str | None, rate: float | None, channels: int, device: str | None
) -> "Iterator[Live]":
    from benchmark.audio import live
    from benchmark.audio.files import open_recording

    if source is None:
        with live.microphone(device) as found:
            yield found
    elif source == "-":
        import io
        import os

        if sys.stdin is None:
            raise DataError("standard input is closed: pipe samples into `polytimbre listen -`")
        with io.FileIO(os.dup(sys.stdin.fileno())) as stream:
            yield live.raw(stream, rate or 0, channels)
    else:
        yield live.in_real_time(open_recording(Path(source)))


def _warm_up(run: "HearingRun") -> None:
    """Score silence, so that what the first scores need is loaded before there is sound."""
    import numpy as np

    list(run.recogniser.windows([np.zeros(48_000, np.float32)], 48_000))


@contextmanager
def _shown(run: "HearingRun", fmt: str) -> "Iterator":
    """Give a function that shows an update: as JSON, in place on a terminal, or line by line."""
    from benchmark.cli.screen import console

    screen = console()
    if fmt == "json":
        yield lambda update: print(json.dumps(_content(run, update)), flush=True)
    elif not screen.is_terminal:
        yield lambda update: print(_line(run, update), flush=True)
    else:
        from rich.live import Live

        with Live(console=screen, auto_refresh=False) as live:
            yield lambda update: live.update(_table(run, update), refresh=True)


def _content(run: "HearingRun", update: "Update") -> dict:
    from reports.hearing.text import scores_by_class

    return {
        "start": round(update.start, 3),
        "end": round(update.end, 3),
        "latency": round(update.latency, 4),
        "silent": update.silent,
        "present": [run.classes[c] for c in _present(run, update)],
        "scores": scores_by_class(run.classes, update.scores),
    }


def _present(run: "HearingRun", update: "Update") -> list[int]:
    """Return the classes that reach their thresholds, highest score first; none of silence."""
    if update.silent:
        return []
    classes = range(len(run.classes))
    found = [c for c in classes if update.scores[c] >= run.thresholds[c]]
    return sorted(found, key=lambda c: -update.scores[c])


def _line(run: "HearingRun", update: "Update") -> str:
    from reports.hearing.text import clock

    found = [f"{run.classes[c]} {update.scores[c]:.2f}" for c in _present(run, update)]
    return f"{clock(update.end)}  {', '.join(found) or ('silence' if update.silent else '–')}"


def _table(run: "HearingRun", update: "Update") -> object:
    """Return one line an instrument, in an order that stays, and the latency below."""
    from rich.table import Table

    from reports.hearing.text import clock

    present = _present(run, update)
    table = Table.grid(padding=(0, 1))
    for c, name in enumerate(run.classes):
        style = "bold" if c in present else "" if run.knowledge.known[c] else "dim"
        score = float(update.scores[c])
        mark = "[green]●[/]" if c in present else " "
        table.add_row(
            mark, name, f"{score:.2f}", bar(score, float(run.thresholds[c]), BAR), style=style
        )
    told = f"{clock(update.end)}, latency {1000 * update.latency:.0f} ms"
    told += ", silence: the scores say nothing" if update.silent else ""
    table.add_row("", told, style="dim")
    return table


def _say_latency(latencies: Sequence[float]) -> None:
    if not latencies:
        return
    import numpy as np

    from reports.tables.words import count

    middle, most = np.median(latencies), max(latencies)
    print(
        f"{count(len(latencies), 'update')}; latency beyond the window:"
        f" median {1000 * middle:.0f} ms, at most {1000 * most:.0f} ms",
        file=sys.stderr,
    )
