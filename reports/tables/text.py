"""Tables as text: for the terminal, Markdown, CSV and JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from benchmark.errors import UnknownNameError
from benchmark.reading.spreadsheets import inert

FORMATS = ("table", "markdown", "csv", "json")


#: Suffixes of the columns that hold an interval's ends.
LOW, HIGH = " low", " high"
#: Suffix of the column that says where a p-value is the least that the resamples can show.
FLOOR = " at floor"
#: Columns of these suffixes are told in the cells of another one.
BESIDE = (LOW, HIGH, FLOOR)


#: Columns that are shown with one decimal.
ONE_DECIMAL = ("fit (s)", "seconds", "effective groups")

#: From here on a whole number is a count, and has no decimals.
WHOLE = 100

#: Characters of a word of text beyond which it may be broken, but for one that names a row.
LONGEST_WORD = 24


class Cell(NamedTuple):
    """One cell as text: a value, and its interval where it has one."""

    value: str
    interval: str = ""


def cell(value: Any, heading: str = "") -> str:
    """Format one value: three decimals for metrics, a dash for what is not there."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        if value.is_integer() and abs(value) >= WHOLE:
            return f"{value:,.0f}"
        return f"{value:.1f}" if heading in ONE_DECIMAL else f"{value:z.3f}"
    return str(value)


def p_value(p: float, at_floor: bool) -> str:
    """Format a p-value: with "<" where it is the least that can be shown, or rounds to 0."""
    if p < 1 and (at_floor or p < 0.0005):
        return f"<{max(1, np.ceil(1000 * p - 1e-6)) / 1000:.3f}"
    return cell(p)


def cells(frame: pd.DataFrame) -> dict[str, list[Cell]]:
    """Return a table's columns as text, the ends of an interval in their value's cell."""
    shown = {}
    for name in frame.columns:
        if name.endswith(BESIDE):
            continue
        values = [cell(value, name) for value in frame[name]]
        if name + FLOOR in frame.columns:
            values = list(map(p_value, frame[name], frame[name + FLOOR]))
        intervals = [""] * len(values)
        if name + LOW in frame.columns:
            ends = zip(frame[name + LOW], frame[name + HIGH], strict=True)
            intervals = [_ends(low, high) for low, high in ends]
        shown[name] = list(map(Cell, values, intervals))
    return shown


def _ends(low: float, high: float) -> str:
    """Write the ends of an interval; a dash before a minus sign is hard to read."""
    if np.isnan(low):
        return ""
    ends = cell(low), cell(high)
    return (" to " if any(end.startswith("-") for end in ends) else "–").join(ends)


def joined(frame: pd.DataFrame, between: str) -> pd.DataFrame:
    """Return a table as text, each interval put into `between` behind its value."""
    columns = {
        name: [one.value + (between.format(one.interval) if one.interval else "") for one in column]
        for name, column in cells(frame).items()
    }
    return pd.DataFrame(columns)


def text(
    frame: pd.DataFrame,
    fmt: str,
    heading: str,
    notes: list[str],
    width: int = 160,
    meanings: Mapping[str, str] | None = None,
    first: Sequence[str] = (),
) -> str | Table:
    """Render a table in one of `FORMATS`.

    A ``"table"`` that is wider than `width` characters is wrapped; columns that have no room even
    so are left out and named, those in `first` last. What the columns that it shows mean, by
    `meanings`, stands below the notes.

    Returns
    -------
    str or rich.table.Table
        The latter for ``"table"``.

    Raises
    ------
    UnknownNameError
    """
    if fmt == "csv":
        return csv(frame).rstrip("\n")
    if fmt == "json":
        rows = json.loads(frame.to_json(orient="records", double_precision=15))
        return json.dumps({"title": heading, "rows": rows, "notes": notes}, indent=1)
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}
    if fmt == "markdown":
        shown = joined(frame, " ({})")
        return _markdown(shown, numeric, heading, notes + _glossary(shown, meanings))
    if fmt != "table":
        raise UnknownNameError("format", fmt, FORMATS)
    shown = joined(frame, "\n{}")
    return _fitting(shown, numeric, _by_importance(frame, first), heading, notes, width, meanings)


def csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV, in which no cell is a formula."""
    safe = frame.rename(columns=inert)
    texts = [name for name in safe.columns if not pd.api.types.is_numeric_dtype(safe[name])]
    safe = safe.assign(**{name: safe[name].map(inert) for name in texts})
    return safe.to_csv(index=False, lineterminator="\n")


def _glossary(shown: pd.DataFrame, meanings: Mapping[str, str] | None) -> list[str]:
    return [f"{name}: {meanings[name]}" for name in shown.columns if name in (meanings or {})]


def _by_importance(frame: pd.DataFrame, kept: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that stay to the last, and those that go first.

    Where a table doesn't say what is kept, text stays before numbers, and those numbers go first
    that are neither estimates nor tests, where it has such.
    """
    if kept:
        return [n for n in kept if n in frame], [n for n in frame.columns if n not in kept]
    first, *names = frame.columns
    tested = {n for n in names if n + LOW in frame or n.split()[-1:] == ["p"]}
    if not tested:
        return [first, *names], []
    tested |= {n for n in names if pd.api.types.is_bool_dtype(frame[n])}
    texts = [n for n in names if not pd.api.types.is_numeric_dtype(frame[n])]
    numbers = [n for n in names if n not in texts]
    spare = [n for n in numbers if n not in tested]
    return [first, *texts, *(n for n in numbers if n in tested)], spare


def _fitting(
    shown: pd.DataFrame,
    numeric: dict[str, bool],
    importance: Sequence[list[str]],
    heading: str,
    notes: list[str],
    width: int,
    meanings: Mapping[str, str] | None,
) -> Table:
    """Wrap what is long, and leave out what has no room even so."""
    full, least = {}, {}
    for name in shown.columns:
        lines = "\n".join(shown[name]).split("\n")
        full[name] = max(map(len, (name, *lines)))
        if not numeric[name]:
            lines = [word for line in lines for word in line.split()]
        least[name] = max(map(len, (*name.split(), *lines)), default=0)
        if not numeric[name] and name != shown.columns[0]:  # which names the row
            least[name] = min(least[name], LONGEST_WORD)
    widths: dict[str, int] = {}
    room = width - 1  # a column takes two blanks and a rule, the last one another rule
    for names in importance:  # the first are widened before the others have room
        for name in (name for name in names if name in shown.columns):
            if not widths or least[name] + 3 <= room:
                widths[name] = least[name]
                room -= least[name] + 3
        while room > 0 and (narrow := [name for name in widths if widths[name] < full[name]]):
            widths[min(narrow, key=lambda name: (numeric[name], widths[name]))] += 1
            room -= 1
    gone = "; ".join(name for name in shown.columns if name not in widths)
    told = f"left out, too wide for here: {gone} (a wider terminal or --format csv shows all)"
    kept = shown[[name for name in shown.columns if name in widths]]
    said = [*([told] if gone else []), *notes, *_glossary(kept, meanings)]
    return _table(kept, numeric, widths, heading, said)


def _table(
    shown: pd.DataFrame,
    numeric: dict[str, bool],
    widths: dict[str, int],
    heading: str,
    notes: list[str],
) -> Table:
    table = Table(title=escape(heading), title_justify="left", title_style="bold")
    table.caption, table.caption_justify = escape("\n".join(notes)) or None, "left"
    for name in shown.columns:
        justify = "right" if numeric[name] else "left"
        table.add_column(escape(name), justify=justify, width=widths[name], overflow="fold")
    for row in shown.itertuples(index=False):
        table.add_row(*map(_marked, row, map(numeric.get, shown.columns)))
    return table


def _marked(cell: str, is_number: bool) -> str:
    """Return a cell as markup, in which a number stands out from its interval."""
    value, line, interval = cell.partition("\n") if is_number else (cell, "", "")
    return escape(value) + (f"\n[dim]{escape(interval)}[/]" if line else "")


def _markdown(shown: pd.DataFrame, numeric: dict[str, bool], heading: str, notes: list[str]) -> str:
    rows = [
        " | ".join(shown.columns),
        " | ".join("---:" if numeric[name] else "---" for name in shown.columns),
        *(" | ".join(row) for row in shown.itertuples(index=False)),
    ]
    lines = [f"**{heading}**", "", *(f"| {row} |" for row in rows)]
    return "\n".join(lines + [f"\n{note}" for note in notes])


def with_interval(value: float, lower: float, upper: float) -> str:
    """Return a value with its interval in brackets, as it stands in a sentence."""
    return "–" if np.isnan(value) else f"{cell(value)} ({cell(lower)} to {cell(upper)})"
