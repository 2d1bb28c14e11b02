"""Tables of comparisons and runs, for the terminal, Markdown, CSV and JSON."""

import json
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from benchmark.analysis.comparison import Comparison
from benchmark.errors import UnknownNameError

FORMATS = ("table", "markdown", "csv", "json")

#: Columns of the comparison: heading, name of the macro value.
METRICS = {
    "mAP": "mAP",
    "F1": "f1_global",
    "F1 per class": "f1_per_class",
    "F1 at 0.5": "f1_half",
    "two-class F1": "two_class_f1_global",
    "ROC-AUC": "roc_auc",
}


def comparison(result: Comparison) -> pd.DataFrame:
    """Return one row a model: macro metrics as means over seeds, spread, times.

    ``mAP sd`` is the standard deviation over seeds; ``fit (s)`` and ``predict (ms/clip)``
    are means over seeds.
    """
    rows = []
    for entry in result.entries:
        row: dict[str, Any] = {"model": entry.label, "seeds": len(entry.records)}
        for heading, name in METRICS.items():
            row[heading] = entry.mean(name)
            if heading == "mAP":
                row["mAP sd"] = entry.spread("mAP")
        row["fit (s)"] = entry.seconds("fit")
        row["predict (ms/clip)"] = entry.milliseconds_per_clip()
        rows.append(row)
    return pd.DataFrame(rows)


def per_class(result: Comparison) -> pd.DataFrame:
    """Return average precision, one row a class and one column a model, best model first."""
    columns = {entry.label: entry.average_precision for entry in result.entries}
    labels = result.labels
    counts = {
        "positives": labels.y_positive.sum(axis=0),
        "observed": labels.y_mask.sum(axis=0),
    }
    return pd.DataFrame({"class": result.classes, **counts, **columns})


def title(result: Comparison) -> str:
    """Return what is compared, with another split than the official one marked."""
    split = "" if result.official else f", split {result.split}, NOT OFFICIAL"
    return f"{result.dataset}{split}, {result.part} part, {len(result.labels)} clips"


def cell(value: Any, heading: str = "") -> str:
    """Format one value: three decimals for metrics, a dash for what is not there."""
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        return f"{value:.1f}" if heading == "fit (s)" else f"{value:.3f}"
    return str(value)


def text(frame: pd.DataFrame, fmt: str, heading: str, notes: list[str]) -> str | Table:
    """Render a table in one of `FORMATS`.

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
    if fmt == "markdown":
        return _markdown(frame, heading, notes)
    if fmt != "table":
        raise UnknownNameError("format", fmt, FORMATS)
    table = Table(title=heading, caption="\n".join(notes) or None, title_justify="left")
    table.caption_justify = "left"
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(name, justify="right" if numeric else "left", no_wrap=not numeric)
    for row in frame.itertuples(index=False):
        table.add_row(*(cell(v, n) for v, n in zip(row, frame.columns, strict=True)))
    return table


def _markdown(frame: pd.DataFrame, heading: str, notes: list[str]) -> str:
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    rows = [
        " | ".join(frame.columns),
        " | ".join("---:" if right else "---" for right in numeric),
        *(
            " | ".join(cell(v, n) for v, n in zip(row, frame.columns, strict=True))
            for row in frame.itertuples(index=False)
        ),
    ]
    lines = [f"**{heading}**", "", *(f"| {row} |" for row in rows)]
    return "\n".join(lines + [f"\n{note}" for note in notes])
