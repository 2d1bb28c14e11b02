"""Tables as text: for the terminal, Markdown, CSV and JSON."""

import json
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from benchmark.errors import UnknownNameError

FORMATS = ("table", "markdown", "csv", "json")


#: Suffixes of the columns that hold an interval's ends.
LOW, HIGH = " low", " high"


def cell(value: Any, heading: str = "") -> str:
    """Format one value: three decimals for metrics, a dash for what is not there."""
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        return f"{value:.1f}" if heading == "fit (s)" else f"{value:z.3f}"
    return str(value)


def cells(frame: pd.DataFrame, between: str) -> pd.DataFrame:
    """Format a table as text, each interval in its value's cell, put into `between`."""
    shown = {}
    for name in frame.columns:
        if name.endswith((LOW, HIGH)):
            continue
        column = [cell(value, name) for value in frame[name]]
        if name + LOW in frame.columns:
            ends = zip(column, frame[name + LOW], frame[name + HIGH], strict=True)
            column = [
                value if np.isnan(low) else f"{value}{between.format(f'{cell(low)}–{cell(high)}')}"
                for value, low, high in ends
            ]
        shown[name] = column
    return pd.DataFrame(shown)


def text(
    frame: pd.DataFrame, fmt: str, heading: str, notes: list[str], width: int = 160
) -> str | Table:
    """Render a table in one of `FORMATS`.

    A ``"table"`` that is wider than `width` characters leaves out its last columns and says so.

    Returns
    -------
    str or rich.table.Table
        The latter for ``"table"``.

    Raises
    ------
    UnknownNameError
    """
    if fmt == "csv":
        return frame.to_csv(index=False).rstrip("\n")
    if fmt == "json":
        rows = json.loads(frame.to_json(orient="records", double_precision=15))
        return json.dumps({"title": heading, "rows": rows, "notes": notes}, indent=1)
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}
    if fmt == "markdown":
        return _markdown(cells(frame, " ({})"), numeric, heading, notes)
    if fmt != "table":
        raise UnknownNameError("format", fmt, FORMATS)
    return _fitting(cells(frame, "\n{}"), numeric, heading, notes, width)


def _fitting(
    shown: pd.DataFrame, numeric: dict[str, bool], heading: str, notes: list[str], width: int
) -> Table:
    for n in range(len(shown.columns), 1, -1):
        gone = ", ".join(shown.columns[n:])
        left_out = [f"too narrow here for: {gone}"] if gone else []
        table = _table(shown.iloc[:, :n], numeric, heading, notes + left_out)
        if sum(_column_width(name, shown[name]) for name in shown.columns[:n]) < width:
            break
    return table


def _column_width(name: str, column: pd.Series) -> int:
    """Return the characters a column takes, its rule and padding included."""
    return 3 + max(len(part) for value in (name, *column) for part in value.split("\n"))


def _table(shown: pd.DataFrame, numeric: dict[str, bool], heading: str, notes: list[str]) -> Table:
    table = Table(title=escape(heading), title_justify="left", title_style="bold")
    table.caption, table.caption_justify = escape("\n".join(notes)) or None, "left"
    for name in shown.columns:
        justify = "right" if numeric[name] else "left"
        table.add_column(name, justify=justify, no_wrap=True)
    for row in shown.itertuples(index=False):
        table.add_row(*map(escape, row))
    return table


def _markdown(shown: pd.DataFrame, numeric: dict[str, bool], heading: str, notes: list[str]) -> str:
    rows = [
        " | ".join(shown.columns),
        " | ".join("---:" if numeric[name] else "---" for name in shown.columns),
        *(" | ".join(row) for row in shown.itertuples(index=False)),
    ]
    lines = [f"**{heading}**", "", *(f"| {row} |" for row in rows)]
    return "\n".join(lines + [f"\n{note}" for note in notes])


def _with_interval(value: float, lower: float, upper: float) -> str:
    return "–" if np.isnan(value) else f"{cell(value)} ({cell(lower)} to {cell(upper)})"
