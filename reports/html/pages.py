"""Write the pages of the report."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.runs.published import PublishedSet
from reports.html import content, shown, subjects
from reports.html.answers import answers
from reports.html.notebooks import NOTEBOOKS, Executed
from reports.tables.text import csv

HERE = Path(__file__).parent
#: Files that every page loads.
FILES = ("report.css", "report.js")

#: What a page may load and run, whatever is written in it: this report's own script and style,
#: images beside it or within it. Styles may stand in it, as those of the bars of intervals do.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


def environment(links: shown.Links):
    """Return the templates' environment: what is missing is an error, text is escaped.

    Parameters
    ----------
    links : mapping
        Pages about what stands in tables; see :func:`reports.html.subjects.links`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["cells"] = lambda rows, caption: Markup(shown.cells(rows, caption, links))
    made.filters["linked"] = lambda text, column: Markup(shown.link(text, column, links))
    made.globals["policy"] = POLICY
    made.filters["coded"] = lambda text: Markup(shown.coded(text))
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
        Those of each set, with ``name``, ``title``, ``caption``, ``alt`` and ``command``; of
        networks under "".
    executed : sequence of Executed
        The notebooks.
    """
    for name in FILES:
        shutil.copyfile(HERE / name, folder / name)
    described = [content.dataset(one) for one in sets.values()]
    # comparisons before audits of labels, and before all that of the front page
    described.sort(key=lambda one: (one["headline"] is None, one["name"] != content.FRONT))
    compared = {one["name"]: one["tables"] for one in described if one["headline"]}
    about = subjects.subjects(compared)
    answered = answers([one["source"] for one in described])
    for one in described:
        place = folder / "tables" / one["name"]
        place.mkdir(parents=True)
        for name, result in one.pop("tables").items():
            (place / f"{name}.csv").write_text(csv(result.frame), encoding="utf-8")
    placed = {
        name: [placing(one, folder / "figures") for one in some] for name, some in figures.items()
    }
    made = environment(subjects.links(about, compared))

    def render(template: str, file: str, page: str, **content_: Any) -> None:
        text = made.get_template(template).render(notebooks=NOTEBOOKS, page=page, **content_)
        text = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
        (folder / file).write_text(text, encoding="utf-8")

    render(
        "index.html", "index.html", "index",
        sets=described, figures=placed, answers=answered, subjects=about,
    )  # fmt: skip
    for one in executed:
        render("notebook.html", f"{one.name}.html", one.name, notebook=one)
    for one in about:
        render("subject.html", one.file, "subject", subject=one, subjects=about)


def placing(one: Any, folder: Path) -> dict[str, Any]:
    """Return a figure's words, the files it has, and whether it takes the whole width."""
    endings = [e for e in ("svg", "pdf", "png") if (folder / f"{one.name}.{e}").is_file()]
    wide = True
    if "svg" in endings:
        head = (folder / f"{one.name}.svg").read_text(encoding="utf-8")[:2000]
        width = re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', head)
        wide = width is None or float(width[1]) > shown.WIDE
    return {
        "name": one.name, "title": one.title, "caption": one.caption, "alt": one.alt,
        "command": one.command, "endings": endings, "wide": wide,
    }  # fmt: skip
