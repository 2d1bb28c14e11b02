"""What the terminal shows while runs are computed."""

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from benchmark.cli.visible import Visible, visible
from benchmark.contracts.model import Stage
from benchmark.runs.suite import Unit
from benchmark.tuning.studies import Study
from benchmark.workers.jobs import Event

#: Characters of a terminal that has room for a bar beside what is said of a run.
WIDE = 100
#: And of one that is drawn for: a narrower one, or one that calls itself 0 wide, breaks lines.
NARROWEST = 52
#: And of what is no terminal, unless COLUMNS says more or less.
IN_A_PIPE = 160
#: How often a line says how far long work is, where there is no terminal.
SECONDS_BETWEEN_LINES = 10.0
#: Characters of a run's label, where there is no room for more.
LABEL = 32
MARKS = {
    "done": "[green]✔[/]",
    "cached": "[cyan]=[/]",
    "pruned": "[yellow]✂[/]",
    "failed": "[red]✘[/]",
    "waits": "[dim]·[/]",
}


class Screen(Console):
    """A console that spells out control characters of the texts that it prints."""

    def render(self, *args: Any, **settings: Any) -> Iterator[Segment]:
        """Render text with its control characters spelled out."""
        for segment in super().render(*args, **settings):
            text, style, control = segment
            yield segment if control else Segment(visible(text), style)


def console(*, stderr: bool = False) -> Console:
    """Return a console, as wide as its terminal or COLUMNS says, else wide enough for a table."""
    stream = sys.stderr if stderr else sys.stdout
    stream = getattr(stream, "rich_proxied_file", stream)  # below a bar that is being drawn
    file = stream.inner if isinstance(stream, Visible) else stream
    out = Screen(file=file, highlight=False)
    known = _has_width(out)
    if known and out.width >= NARROWEST:
        return out
    return Screen(file=file, highlight=False, width=NARROWEST if known else IN_A_PIPE)


def _has_width(out: Console) -> bool:
    return out.is_terminal or os.environ.get("COLUMNS", "").isdecimal()


def wrapped(text: str, indent: int) -> str:
    """Break a line at words where a terminal would break it, further lines indented."""
    out = console()
    if not _has_width(out):
        return text
    return textwrap.fill(text, out.width, subsequent_indent=" " * indent)


def tell(out: Console, kind: str, label: str, detail: str = "") -> None:
    """Print what became of a run or a trial; a terminal gets a long label cut short, to one line.

    `detail` is markup, `label` is not.
    """
    rest = f"{kind:<7} {detail}".rstrip()
    if out.is_terminal:
        label = shortened(label, max(LABEL, out.width - len(Text.from_markup(rest)) - 3))
    label = escape(label) + " " * (LABEL - len(label))
    out.print(f"{MARKS[kind]} {label} {rest}", soft_wrap=not out.is_terminal)


def shortened(label: str, length: int) -> str:
    """Cut a label short in its middle: it begins with a model, and ends with a seed."""
    if len(label) <= length:
        return label
    left = length // 2
    return f"{label[:left]}…{label[left + 1 - length :]}"


def show_plan(units: Sequence[Unit], out: Console) -> None:
    """Print each unit, cached or waiting."""
    for unit in units:
        kind = "cached" if unit.cached else "waits"
        tell(out, kind, unit.label, f"[dim]{unit.run_id}[/]")


@contextmanager
def counted(doing: str) -> Iterator[Callable[..., None]]:
    """Show what is being computed, and for how long; yield what shows how far it is.

    That takes how much is done, how much there is, and a word on it. Where there is no terminal to
    draw on, a line now and then says the same.
    """
    out, told = console(stderr=True), time.monotonic()
    with _progress(out) as progress:
        task = progress.add_task(doing, total=None, detail="")

        def show(done: int, total: int, detail: str = "") -> None:
            nonlocal told
            progress.update(task, completed=done, total=total, detail=detail)
            late = time.monotonic() > told + SECONDS_BETWEEN_LINES
            if late and done < total and not out.is_terminal:
                said = ", ".join(filter(None, (f"{doing}: {done:,} of {total:,}", detail)))
                out.print(escape(said), soft_wrap=True)
                told = time.monotonic()

        yield show


@contextmanager
def busy(doing: str) -> Iterator[Callable[[Sequence[Any]], Iterator[Any]]]:
    """Show what is being computed; yield what shows its steps, texts or things with a name."""
    with counted(doing) as show:

        def follow(steps: Sequence[Any]) -> Iterator[Any]:
            for done, step in enumerate(steps):
                show(done, len(steps), getattr(step, "name", step))
                yield step
            show(len(steps), len(steps))

        yield follow


def _progress(out: Console) -> Progress:
    wide = out.width >= WIDE
    columns = (
        TextColumn("{task.description:<34}" if wide else "{task.description:<29}"),
        *([BarColumn(bar_width=24)] if wide else []),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)


def _show_stage(progress: Progress, task: Any, stage: Stage) -> None:
    detail = f"stage {stage.number}, mAP {stage.stop_mAP:.3f} on stop"
    progress.update(task, completed=stage.number, detail=detail)


@dataclass(frozen=True)
class Failure:
    """A run that failed.

    Attributes
    ----------
    run_id : str
    sentence : str
        Which run it was, and why.
    stored : bool
        Whether there is a record of it.
    """

    run_id: str
    sentence: str
    stored: bool


def follow(units: Sequence[Unit], events: Iterable[Event], out: Console) -> list[Failure]:
    """Show the suite's events as they come, and return what failed."""
    labels = {unit.run_id: unit.label for unit in units}
    unlabelled = {unit.run_id for unit in units if unit.unlabelled}
    failures: list[Failure] = []
    if not out.is_terminal and (waiting := sum(not unit.cached for unit in units)):
        out.print(f"{waiting} of {len(units)} runs are computed; each is told when it ends")
    with _progress(out) as progress:
        overall = progress.add_task("runs", total=len(units), detail="")
        for unit in units:
            if unit.cached:
                progress.advance(overall)
                tell(out, "cached", unit.label, f"[dim]{unit.run_id}[/]")
        tasks = {}
        for event in events:
            if event.kind == "started":
                label = shortened(labels[event.key], LABEL)
                tasks[event.key] = progress.add_task(label, total=None, detail="")
            elif event.kind == "stage":
                _show_stage(progress, tasks[event.key], event.value)
            else:
                progress.remove_task(tasks.pop(event.key))
                progress.advance(overall)
                if event.kind == "done" and event.key in unlabelled:
                    tell(out, "cached", labels[event.key], "its labels are stored again")
                else:
                    failures += _finish(event, labels[event.key], out)
    return failures


def follow_study(study: Study, events: Iterable[Event], out: Console) -> None:
    """Show a study's trials as they come: each one's end, the best so far, the time left."""
    total, before = study.planned, study.planned - study.unfinished()
    best, started = study.best_value(), time.monotonic()
    out.print(f"[bold]{escape(study.name)}[/]: {before} of {total} trials have ended")
    with _progress(out) as progress:
        overall = progress.add_task("trials", total=total, completed=before, detail="")
        tasks: dict[str, Any] = {}
        for event in events:
            if event.kind == "started":
                tasks[event.key] = progress.add_task(f"trial {event.key}", total=None, detail="")
            elif event.kind == "stage":
                _show_stage(progress, tasks[event.key], event.value)
            elif event.kind == "done":
                progress.remove_task(tasks.pop(event.key))
                best = max(best, _print_trial(event.value, best, out))
            if event.kind == "stage":
                continue
            done = total - study.unfinished()
            left = _time_left(time.monotonic() - started, done - before, total - done)
            so_far = f"best {best:.3f}" if best > 0 else "none complete"
            others = ", waiting for other processes" if event.kind == "waiting" else ""
            progress.update(overall, completed=done, detail=f"{so_far}, {left}{others}")


def follow_comparison(fits: Iterable[tuple[int, int]], out: Console) -> None:
    """Show how far the comparison of a study's best trials is."""
    started, before = time.monotonic(), None
    with _progress(out) as progress:
        task = progress.add_task("the best trials again", visible=False, detail="")
        for ended, total in fits:
            if not total:  # they were compared before
                continue
            if before is None:
                before = ended
                out.print(f"the best trials are compared again: {ended} of {total} fits have ended")
            left = _time_left(time.monotonic() - started, ended - before, total - ended)
            progress.update(task, completed=ended, total=total, detail=left, visible=True)


def _time_left(elapsed: float, done: int, left: int) -> str:
    if not done:
        return "time left: not known yet"
    seconds = elapsed / done * left
    return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


def _print_trial(trial: Any, best: float, out: Console) -> float:
    """Print the end of one trial; return its value, 0 if it is not complete."""
    attrs, state = trial.user_attrs, trial.state.name
    label = f"trial {trial.number}"
    if not trial.state.is_finished():
        tell(out, "waits", label, "another process has taken it over")
        return 0.0
    seconds = f"{attrs['seconds']:.0f} s"
    if state == "COMPLETE":
        capped = ", stopped by the cap" if attrs["capped"] else ""
        mark = "; [bold green]best so far[/]" if trial.value > best else ""
        tell(out, "done", label, f"mAP {trial.value:.3f} on select, {seconds}{capped}{mark}")
        return trial.value
    kind = "pruned" if state == "PRUNED" else "failed"
    tell(out, kind, label, escape(f"{attrs.get('reason', '')}, {seconds}"))
    return 0.0


def _finish(event: Event, label: str, out: Console) -> list[Failure]:
    """Print the end of one run; return its failure, if it failed."""
    if event.kind == "done" and event.value.finished:
        kept = event.value.stage_at_best()
        reached = f", mAP {kept['stop_mAP']:.3f} on stop" if kept else ""
        tell(out, "done", label, f"fit {event.value.seconds['fit']:.1f} s{reached}")
        return []
    stored = event.kind == "done"
    reason = event.value.error if stored else event.value
    tell(out, "failed", label, f"[red]{escape(reason)}[/]")
    return [Failure(event.key, f"{label}: {reason}", stored)]
