"""The command that builds the HTML report."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import ResultsOption, published_at, writing
from benchmark.errors import PolytimbreError

if TYPE_CHECKING:
    from reports.html import BuildStep


def report(
    results: ResultsOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the report; replaced.")] = Path(
        "build/report"
    ),
) -> None:
    """Build the HTML report from the published runs.

    It opens from disk, without a network.
    """
    from benchmark.runs import published

    try:
        import jinja2  # noqa: F401
        import nbclient  # noqa: F401
        import nbconvert  # noqa: F401
        import pdoc  # noqa: F401
    except ImportError as error:
        raise PolytimbreError(
            f"the report needs {error.name}; install the extra: pip install 'polytimbre[report]'"
        ) from error
    from reports import html

    sets = published.sets(published_at(results))
    with writing(out):
        index = html.build(sets, out, follow=_follow)
    print(index)


def _follow(steps: "list[BuildStep]") -> "Iterator[BuildStep]":
    """Show on a terminal which step is under way."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from benchmark.cli.screen import console

    out = console(stderr=True)
    columns = (
        TextColumn("{task.description:<28}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("report", total=len(steps))
        for step in steps:
            progress.update(task, description=step.label)
            yield step
            progress.advance(task)
