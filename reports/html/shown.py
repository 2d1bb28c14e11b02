"""Tables and figures as HTML: what a notebook shows, and the report's pages."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports.figures import style
from reports.html import content
from reports.tables.declaration import Results

#: Notes below a table that are in sight.
MOST_NOTES = 8


def table(frame: pd.DataFrame, caption: str, notes: Sequence[str] = ()) -> str:
    """Return a table, each interval beside its value, with its notes below, many of them folded."""
    first, rest = notes[:MOST_NOTES], notes[MOST_NOTES:]
    folded = f"<details><summary>{len(rest)} more</summary>{_list(rest)}</details>" if rest else ""
    return f"{cells(content.rows(frame), caption)}{_list(first)}{folded}"


def _list(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{coded(one)}</li>" for one in notes)
    return f"<ul>{items}</ul>" if items else ""


def coded(text: str) -> str:
    """Return a sentence, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


#: Characters from which on a cell is given room, so that its row does not get high.
LONG = 24

#: Points from which on a figure takes the whole width of a page, and scrolls on a phone.
WIDE = 360

#: Addresses of pages: by a column's heading, by what stands in its cells.
Links = Mapping[str, Mapping[str, str]]


def cells(
    rows: Sequence[Mapping[str, Mapping[str, Any]]], caption: str, links: Links | None = None
) -> str:
    """Return a table of cells that :func:`reports.html.content.rows` made.

    The first column that tells its rows apart names them, and stays in sight on a phone.
    """
    if not rows:
        return f"<p>{escape(caption)}: nothing</p>"
    number, name_ = ' class="number"', ' class="name"'
    named = _naming(rows)
    heads = "".join(
        f'<th scope="col"{number * cell["numeric"] or name_ * (name == named)}>{escape(name)}</th>'
        for name, cell in rows[0].items()
    )
    lines = []
    for row in rows:
        line = ""
        for name, cell in row.items():
            kind = "th" if name == named else "td"
            scope, side = ' scope="row"' * (kind == "th"), number * cell["numeric"]
            if not side and len(cell["text"]) > LONG and kind == "td":
                side = f' class="long" style="--letters:{len(cell["text"])}"'
            interval = f' <span class="interval">{escape(cell["interval"])}</span>'
            text = link(cell["text"], name, links or {}) + interval * bool(cell["interval"])
            line += f"<{kind}{scope}{side}>{text}</{kind}>"
        lines.append(f"<tr>{line}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table>\n'
        f"<caption><span>{escape(caption)}</span></caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table>\n</div>\n"
    )


def _naming(rows: Sequence[Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the column that names a table's rows: of text, or the number of a trial."""
    columns = [name for name, cell in rows[0].items() if not cell["numeric"] or name == "trial"]
    apart = (name for name in columns if len({row[name]["text"] for row in rows}) == len(rows))
    return next(apart, columns[0] if columns else "")


def link(text: str, column: str, links: Links) -> str:
    """Return a cell's text, as a link where there is a page about it; it may break after "_"."""
    href, shown = links.get(column, {}).get(text), escape(text).replace("_", "_<wbr>")
    return f'<a href="{escape(href)}">{shown}</a>' if href else shown


def draw(plot: style.Plot, tables: Results) -> Figure | None:
    """Draw a figure that shows itself in a notebook, with caption and description.

    Returns
    -------
    matplotlib.figure.Figure, or None where the tables hold nothing to draw
    """
    with style.applied():
        drawing = plot.draw(tables)
        if drawing is None:
            return None
        style.settle(drawing.figure)
    drawing.figure._repr_html_ = partial(figure, drawing)
    drawing.figure.savefig = partial(_save, drawing.figure.savefig)
    return drawing.figure


def _save(savefig: Callable[..., None], *args: Any, **keywords: Any) -> None:
    """Save a figure in the style that its layout was made for: other fonts are wider."""
    with style.applied():
        savefig(*args, **keywords)


def figure(drawing: style.Drawing) -> str:
    """Return a drawing as a figure with its caption, as SVG within the page."""
    made = io.BytesIO()
    with style.applied():
        drawing.figure.savefig(made, format="svg", metadata=style.FORMATS["svg"])
    source = f"data:image/svg+xml;base64,{base64.b64encode(made.getvalue()).decode()}"
    kind = ' class="wide"' if 72 * drawing.figure.get_figwidth() > WIDE else ""
    image = f'<img src="{source}" alt="{escape(drawing.alt)}">'
    title, caption = drawing.title, drawing.caption
    rest = caption.removeprefix(title) if caption.startswith(title) else f". {caption}"
    return (
        f'<figure{kind}>\n<div class="card">{image}</div>\n'
        f"<figcaption><strong>{escape(title)}</strong>{escape(rest)}</figcaption>\n</figure>\n"
    )
