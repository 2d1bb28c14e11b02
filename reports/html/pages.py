"""Write the pages of the report."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.runs.published import PublishedSet
from reports.html import content, shown
from reports.html.notebooks import NOTEBOOKS, Executed
from reports.tables.text import csv

HERE = Path(__file__).parent

#: What a page may load and run, whatever is written in it: this report's own script and style,
#: images beside it or within it. Styles may stand in it, as those of the bars of intervals do.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


def environment():
    """Return the templates' environment: what is missing is an error, text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["cells"] = shown.cells
    made.globals["policy"] = POLICY
    made.filters["metric"] = lambda value: f"{value:.3f}"
    return made


def write(
    sets: dict[str, PublishedSet],
    folder: Path,
    figures: dict[str, Sequence[Any]],
    executed: Sequence[Executed],
) -> None:
    """Write all pages, their style and script, and the tables as CSV.

    Parameters
    ----------
    sets : dict of str to PublishedSet
    folder : Path
        Holds the figures already.
    figures : dict of str to sequence
        Those of each set, with ``name``, ``title``, ``caption`` and ``alt``; of networks under "".
    executed : sequence of Executed
        The notebooks.
    """
    for name in ("report.css", "report.js"):
        shutil.copyfile(HERE / name, folder / name)
    shown = [content.dataset(one) for one in sets.values()]
    shown.sort(key=lambda one: one["headline"] is None)  # comparisons before audits of labels
    for one in shown:
        place = folder / "tables" / one["name"]
        place.mkdir(parents=True)
        for name, result in one.pop("tables").items():
            (place / f"{name}.csv").write_text(csv(result.frame), encoding="utf-8")
    placed = {
        name: [placing(one, folder / "figures") for one in some] for name, some in figures.items()
    }
    made = environment()
    common = {"notebooks": NOTEBOOKS}
    index = made.get_template("index.html").render(
        **common, page="index", sets=shown, figures=placed
    )
    (folder / "index.html").write_text(index, encoding="utf-8")
    template = made.get_template("notebook.html")
    for one in executed:
        page = template.render(**common, page=one.name, notebook=one)
        (folder / f"{one.name}.html").write_text(page, encoding="utf-8")


def placing(one: Any, folder: Path) -> dict[str, Any]:
    """Return a figure's words, the files it has, and whether it takes the whole width."""
    endings = [e for e in ("svg", "pdf", "png") if (folder / f"{one.name}.{e}").is_file()]
    width = None
    if "svg" in endings:
        head = (folder / f"{one.name}.svg").read_text(encoding="utf-8")[:2000]
        width = re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', head)
    return {
        "name": one.name, "title": one.title, "caption": one.caption, "alt": one.alt,
        "endings": endings, "wide": width is None or float(width[1]) > 360,
    }  # fmt: skip
