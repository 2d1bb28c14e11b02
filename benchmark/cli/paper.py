"""The command that builds the paper and checks what it rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import ResultsOption, published_at, writing
from benchmark.errors import PolytimbreError

if TYPE_CHECKING:
    from reports.paper import Checked

#: What is said of blocks on tables and rows that no set holds.
LEFT_OUT = "blocks of the paper left out, as no published set holds what they are about"
PAPER = Path(__file__).resolve().parent.parent.parent / "paper"


def paper(
    results: ResultsOption = None,
    source: Annotated[Path, typer.Option("--source", help="The paper.")] = PAPER / "paper.typ",
    out: Annotated[Path, typer.Option("--out", help="The PDF.")] = Path("build/paper.pdf"),
    check: Annotated[
        bool, typer.Option("--check", help="List every bound number and where it comes from.")
    ] = False,
    bind: Annotated[
        bool, typer.Option("--bind", help="Write the ids that numbers rest on into the source.")
    ] = False,
    word: Annotated[
        str | None,
        typer.Argument(help="With --check: list places that hold it alone: a name, a run."),
    ] = None,
) -> None:
    """Build the paper, or list where its numbers come from.

    Every number must be that of the published runs it is bound to.
    """
    from reports import paper as papers

    if word and not check:
        raise PolytimbreError(f"{word!r} chooses places to list: add --check")
    sets = published_at(results)
    if bind:
        changes, problems = papers.bind(sets, source)
        for change in changes:
            print(change)
        print(f"{len(changes)} place(s) bound anew")
        if problems and not check:
            raise papers.PaperError(problems)
    if check:
        _list(papers.check(sets, source), word or "")
    if not bind and not check:
        with writing(out):
            checked = papers.build(sets, source, out)
        print(f"{out}: {len(checked.places)} places are bound to published runs")
        if checked.left_out:
            print(f"{len(checked.left_out)} {LEFT_OUT}: `polytimbre paper --check` names them")


def _list(checked: "Checked", word: str) -> None:
    """Print the bound places that hold a word; raise if any place at all does not stand."""
    from rich.markup import escape
    from rich.table import Table

    from benchmark.cli.screen import console
    from reports.paper import PaperError

    rows = []
    for place in checked.places:
        runs = " ".join(run[:8] for run in place.runs) or place.expected or "the whole set"
        row = (str(place.line), place.what, place.name, place.shown or "–", runs)
        texts = (*row, *place.runs, place.sentence)
        if any(word.casefold() in text.casefold() for text in texts):
            rows.append((*row, checked.origin(place)))
    if word and not rows:
        raise PolytimbreError(f"no bound place of the paper holds {word!r}")
    shown = f"{len(rows)} of " if word else ""
    title = f"{shown}{len(checked.places)} bound places"
    table = Table(title=title, title_justify="left", leading=1)
    for heading in ("line", "what"):
        table.add_column(heading, no_wrap=True)
    for heading in ("name", "value", "rests on", "from"):
        table.add_column(heading, overflow="fold", ratio=1)
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)
    if checked.left_out and not word:
        print(f"{len(checked.left_out)} {LEFT_OUT}:", *checked.left_out, sep="\n  ")
    if checked.problems:
        raise PaperError(checked.problems)
