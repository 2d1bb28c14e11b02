"""The command that builds the HTML report."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.common import ResultsOption, published_at, writing
from benchmark.errors import PolytimbreError


def report(
    results: ResultsOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the report; replaced.")] = Path(
        "build/report"
    ),
) -> None:
    """Build the HTML report from the published runs.

    It opens from disk, without a network.
    """
    from benchmark.cli.screen import busy
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
    with writing(out), busy("report") as follow:
        index = html.build(sets, out, follow=follow)
    print(index)
