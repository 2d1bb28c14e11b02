"""What the notebooks show: tables, figures and sentences of the published sets."""

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display

from benchmark.runs import published
from reports.figures import plots, style
from reports.html import content, pages
from reports.tables import results
from reports.tables.declaration import Result, Results


def read() -> dict[str, Results]:
    """Return the tables of every published set, by data set.

    They are read from the folder ``$POLYTIMBRE_RESULTS``, or from the repository.
    """
    folder = Path(os.environ.get("POLYTIMBRE_RESULTS", published.DEFAULT))
    return {name: results.read(one.results()) for name, one in published.sets(folder).items()}


def having(sets: dict[str, Results], table: str) -> dict[str, Results]:
    """Return the tables of the data sets that have a certain one."""
    return {name: tables for name, tables in sets.items() if table in tables}


def heading(text: str) -> None:
    """Show a heading of the third level."""
    display(Markdown(f"### {text}"))


def say(sentences: str | Iterable[str]) -> None:
    """Show a sentence, or several as a list."""
    if isinstance(sentences, str):
        display(Markdown(_plain(sentences)))
    else:
        display(Markdown("\n".join(f"- {_plain(sentence)}" for sentence in sentences)))


def _plain(sentence: str) -> str:
    """Keep Markdown from reading names such as ``random_forest`` as emphasis."""
    for character in "_*":
        sentence = sentence.replace(character, f"\\{character}")
    return sentence


def table(result: Result | pd.DataFrame, caption: str = "", columns: Sequence[str] = ()) -> None:
    """Show a table, each interval below its value.

    Parameters
    ----------
    result : Result or DataFrame
    caption : str
        The result's title, if none is given.
    columns : sequence of str
        These alone, in this order; those with an interval bring it along.
    """
    frame = result if isinstance(result, pd.DataFrame) else result.frame
    caption = caption or (result.title if isinstance(result, Result) else "")
    if columns:
        ends = [n + end for n in columns for end in ("", " low", " high")]
        frame = frame[[name for name in ends if name in frame.columns]]
    made = pages.environment().get_template("macros.html").module
    display(HTML(str(made.table(content.rows(frame), caption))))


def figures(tables: Results, *names: str) -> None:
    """Draw and show some of the figures of the data set, by name.

    One whose tables are missing is left out.
    """
    made = pages.environment().get_template("macros.html").module
    for plot in plots():
        if plot.name not in names or not all(name in tables for name in plot.tables):
            continue
        with style.applied():
            drawing, picture = plot.draw(tables), io.BytesIO()
            if drawing is None:
                continue
            style.settle(drawing.figure)
            drawing.figure.savefig(picture, format="svg", metadata=style.FORMATS["svg"])
        display(HTML(str(made.inline(picture.getvalue(), drawing))))
