"""Slices of the clips: how far each model falls, or rises, against all other clips."""

import pandas as pd

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results, where
from reports.tables.slices import explained

#: Models in one figure.
MOST_MODELS = 4


def slices(tables: Results) -> Drawing:
    """Draw the difference in ROC-AUC between each slice and the other clips."""
    result = tables["slices"]
    frame = result.frame
    sliced = dict.fromkeys(frame["model"])
    best = tables["comparison"].frame["model"] if "comparison" in tables else sliced
    order = [model for model in best if model in sliced] or list(sliced)
    models = order[:MOST_MODELS]
    rows = list(dict.fromkeys(zip(frame["attribute"], frame["slice"], strict=True)))
    drawn, axes = style.canvas(style.COLUMN, 2.2 + (0.28 + 0.16 * len(models)) * len(rows))
    ax = axes[0, 0]
    cells = frame.set_index(["attribute", "slice", "model"])
    name = "ROC-AUC difference"
    for i, row in enumerate(rows):
        for m, model in enumerate(models):
            one, shift = cells.loc[(*row, model)], (m - (len(models) - 1) / 2) * 0.18
            span = one[name], one[f"{name} low"], one[f"{name} high"]
            style.interval(ax, *span, i + shift, style.look(model), markersize=3)
    ax.axvline(0, color=style.MIDDLE, linewidth=0.7, zorder=1)
    style.rows(ax, [f"{attribute}: {value}" for attribute, value in rows])
    counts = [cells.loc[(*row, models[0])]["positives"] for row in rows]
    style.beside(ax, (f"{n:,.0f}" for n in counts), "positives", 34)
    ax.set_xlabel("difference in ROC-AUC, 95 % interval")
    style.legend(drawn, style.handles(models), 2)
    caption = (
        f"Each slice of the clips minus all others: {where(result.facts)}. ROC-AUC is pooled over "
        "classes, the other clips have the slice's mixture of classes; lines are paired 95 % "
        f"bootstrap intervals. Of {len(order)} models the {len(models)} of highest mAP are drawn."
    )
    if said := explained(frame["attribute"]):
        caption = f"{caption} What is said of a clip: {said}."
    return Drawing(drawn, "Slices of the clips", caption, _told(frame, models[0], name))


def _told(frame: pd.DataFrame, model: str, name: str) -> str:
    of_model = frame[frame["model"] == model].sort_values(name, kind="stable")
    told = [
        f"{row['attribute']} {row['slice']} "
        + style.numbers(row[name], row[name + " low"], row[name + " high"])
        for row in of_model.to_dict("records")
    ]
    said = f"Difference in ROC-AUC of {model}, slice minus other clips, lowest first"
    return f"{said}: {style.first(told, 'slice')}"


SLICES = Plot("slices", ("slices",), slices)
