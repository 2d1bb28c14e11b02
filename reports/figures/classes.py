"""Single classes: average precision, classes that sound together, and that are confused."""

import numpy as np
import pandas as pd

from benchmark.analysis.audits.protocol_audit import CLAIM
from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.confusion import above_chance
from reports.tables.declaration import Results, where

#: The network and the forest whose per-instrument table the published project shows.
PAIR = CLAIM.models


def pair(tables: Results) -> Drawing | None:
    """Draw the network's and the forest's average precision class by class."""
    result = tables["per_class"]
    there = dict.fromkeys(result.frame["model"])
    endings = dict.fromkeys(label.removeprefix(style.split(label)[0]) for label in there)
    both = [[name + on for name in PAIR] for on in endings if {n + on for n in PAIR} <= {*there}]
    if not both:
        return None
    named = both[0]  # on the features that come first, where there are several
    frames = [result.frame[result.frame["model"] == name].set_index("class") for name in named]
    difference = (frames[0]["AP"] - frames[1]["AP"]).dropna()
    difference = difference.sort_values(ascending=False, kind="stable")
    n = len(difference)
    drawn, axes = style.canvas(style.COLUMN, 2.0 + 0.44 * n)
    ax = axes[0, 0]
    for name, frame, shift in zip(named, frames, (-0.17, 0.17), strict=True):
        shown = frame.loc[difference.index]
        for i, row in enumerate(zip(shown["AP"], shown["AP low"], shown["AP high"], strict=True)):
            style.interval(ax, *row, i + shift, style.look(name), markersize=3.4)
    style.rows(ax, list(difference.index))
    style.beside(ax, (f"{value:+z.3f}" for value in difference), "difference", 36)
    ax.set_xlabel("average precision, 95 % interval")
    style.legend(drawn, style.handles(named), 2)
    left = sorted(set(frames[0].index) - set(difference.index))
    caption = (
        f"The network and the forest on every instrument: {where(result.facts)}. Lines are "
        "95 % "
        "bootstrap intervals; classes are sorted by the difference, network minus forest."
        + _left_out(left)
    )
    told = [
        f"{name}: {frames[0]['AP'][name]:.3f} against {frames[1]['AP'][name]:.3f}"
        for name in difference.index
    ]
    alt = f"Average precision of {named[0]} against {named[1]}: {style.first(told, 'class')}"
    return Drawing(drawn, "Network and forest by instrument", caption, alt)


def _left_out(names: list[str]) -> str:
    return f" Left out, nothing to score: {style.listed(names)}." if names else ""


def all_models(tables: Results) -> Drawing | None:
    """Draw one panel a class: average precision of every model."""
    result = tables["per_class"]
    frame = result.frame.dropna(subset=["AP"])
    if not len(frame):
        return None
    models = [m for m in tables["comparison"].frame["model"] if m in set(frame["model"])]
    names = list(dict.fromkeys(frame["class"]))
    height = 0.75 + 0.27 * len(models)
    drawn, axes = style.panels(len(names), 5, height, extra=0.6, sharex=True, sharey=True)
    for ax, name in zip(axes, names, strict=True):
        of_class = frame[frame["class"] == name].set_index("model")
        for i, model in enumerate(models):
            if model in of_class.index:
                row = of_class.loc[model]
                seen = style.look(model)
                style.interval(ax, row["AP"], row["AP low"], row["AP high"], i, seen, markersize=3)
        heading = f"{name} ({of_class['positives'].iloc[0]:,.0f})"
        ax.set_title(style.wrapped(heading, 20), fontsize=6.5)
        ax.set_xlim(-0.03, 1.03)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    style.rows(axes[0], models)
    for ax in axes:
        ax.tick_params(axis="y", length=0, labelsize=5.8)
        ax.grid(axis="y", visible=False)
    drawn.supxlabel("average precision, 95 % interval", fontsize=7)
    left = sorted(set(result.frame["class"]) - set(names))
    caption = (
        f"Every model on every class: {where(result.facts)}. Points are means over seeds, "
        "lines 95 % "
        "bootstrap intervals; the number of observed positives stands behind each class, models "
        "are in the order of their mAP." + _left_out(left)
    )
    best = frame.loc[frame.groupby("class", sort=False)["AP"].idxmax()]
    told = [
        f"{row['class']}: best is {row['model']} with {row['AP']:.3f}"
        for row in best.to_dict("records")
    ]
    return Drawing(drawn, "Average precision by class", caption, style.first(told, "class"))


def cooccurrence(tables: Results) -> Drawing:
    """Draw which classes sound together."""
    result = tables["cooccurrence"]
    label = "share of clips in which the second sounds"
    drawn = _heatmap(result.frame, "share", "sounding class", "second class", label)
    caption = (
        f"Which classes sound together: {where(result.facts)}. Each cell is the share of "
        "clips with the "
        "column's class among those with the row's class where the former was observed; hatched "
        "cells have none."
    )
    return Drawing(drawn, "Classes that sound together", caption, _largest(result.frame))


def confusions(tables: Results) -> Drawing:
    """Draw what the best model hears wrongly beside which class; select chooses the model."""
    result = tables["confusions"]
    gap = tables["gap"].frame
    known = gap[gap["model"].isin(set(result.frame["model"]))]
    best = known.loc[known["select mAP"].idxmax(), "model"]
    frame = result.frame[result.frame["model"] == best]
    frame = frame.assign(above=above_chance(frame))
    drawn = _heatmap(
        frame, "above", "class that sounds", "class heard wrongly",
        "false alarms above chance, difference of shares", "RdBu_r",
    )  # fmt: skip
    chance = (
        "in all clips without it"
        if "chance" in frame.columns
        else "beside all other classes together"
    )
    caption = (
        f"What {best}, the best model on the select part, mistakes for what: "
        f"{where(result.facts)}. Each cell is the share of false alarms for the column's class "
        f"in clips with the row's class, minus that {chance}. Red: the column's class is heard "
        "wrongly more often where the row's class sounds, it may be mistaken for it; white: as "
        "often as anywhere; blue: less often. Clips in which the column's class was observed to "
        "be absent, one global threshold, means over seeds; hatched cells have no such clip."
    )
    alt = _largest(frame, "above")
    return Drawing(drawn, f"Classes heard wrongly by {best}, above chance", caption, alt)


def _largest(frame: pd.DataFrame, values: str = "share") -> str:
    top, told = frame.dropna(subset=[values]).nlargest(5, values), []
    for row in top.to_dict("records"):
        above = f" ({100 * row['above']:+.0f} points)" if "above" in row else ""
        told.append(
            f"{row['with']} with {row['class']}, {100 * row['share']:.0f} %{above} of "
            f"{row['clips']:,.0f} clips"
        )
    return f"Largest {'differences' if values == 'above' else 'shares'}: {'; '.join(told)}."


def _heatmap(
    frame: pd.DataFrame, cells: str, rows: str, columns: str, label: str, colours: str = "Blues"
) -> style.figure.Figure:
    """Draw one column of a table of pairs, from 0 or with both signs about it."""
    table = frame.pivot(index="class", columns="with", values=cells)
    table = table.reindex(columns=table.index)
    names = [n for n in table.index if table.loc[n].notna().any() or table[n].notna().any()]
    values = table.loc[names, names].to_numpy(dtype=float)
    n, most = len(names), max(0.1, float(np.nanmax(np.abs(values), initial=0.0)))
    drawn, axes = style.canvas(style.COLUMN, 9.6)
    ax = axes[0, 0]
    drawn_cells = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=colours, vmin=0 if cells == "share" else -most,
        vmax=most, edgecolors="white", linewidth=0.3,
    )  # fmt: skip
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.grid(False)
    ax.patch.set(hatch="/////", edgecolor=style.LIGHT, linewidth=0)
    ticks = np.arange(n) + 0.5
    ax.set_xticks(ticks, names, rotation=90, fontsize=5.8)
    ax.set_yticks(ticks, names, fontsize=5.8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel(columns)
    ax.set_ylabel(rows)
    bar = drawn.colorbar(drawn_cells, ax=ax, location="top", shrink=0.75, aspect=35, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return drawn


PER_CLASS_PAIR = Plot("per-class-pair", ("per_class",), pair)
PER_CLASS = Plot("per-class", ("per_class", "comparison"), all_models)
COOCCURRENCE = Plot("cooccurrence", ("cooccurrence",), cooccurrence)
CONFUSIONS = Plot("confusions", ("confusions", "gap"), confusions)
