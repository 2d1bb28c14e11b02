"""Models against each other: mAP and F1, ranks, what tuning gained, what it costs."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Result, Results, where
from reports.tables.words import count

#: Costs that are drawn against mAP.
COSTS = {
    "fit (s)": "time to fit (s)",
    "ms/clip": "time to predict (ms a clip)",
    "model (bytes)": "size of the model (bytes)",
}

#: Least width of the scale of average ranks, in centimetres, with labels on both sides of it.
LEAST_SCALE = 5.5


def comparison(tables: Results) -> Drawing:
    """Draw mAP and F1 of every model, best mAP first, with ranks."""
    return _compared(tables["comparison"], "Comparison of the models")


def ensembles(tables: Results) -> Drawing:
    """Draw the same for ensembles beside single models."""
    return _compared(tables["ensembles"], "Ensembles beside single models")


def _compared(result: Result, title: str) -> Drawing:
    frame = result.frame
    n = len(frame)
    drawn, axes = style.canvas(style.PAGE, 1.6 + 0.4 * n, 1, 2, sharey=True)
    for ax, metric in zip(axes[0], ("mAP", "F1"), strict=True):
        columns = (frame[metric], frame[f"{metric} low"], frame[f"{metric} high"])
        for i, row in enumerate(zip(frame["model"], *columns, strict=True)):
            style.interval(ax, *row[1:], i, style.look(row[0]))
        ax.set_xlabel(f"{metric}, 95 % interval")
        style.beside(ax, (f"{value:.3f}" for value in frame[metric]), metric)
    style.rows(axes[0, 0], list(frame["model"]))
    style.beside(axes[0, 0], map(str, frame["rank"]), "rank", 56)
    drawn.get_layout_engine().set(wspace=0.07)
    caption = (
        f"{title}: {where(result.facts)}. Points are means over seeds, lines 95 % bootstrap "
        "intervals over groups of clips and seeds. Rank: 1 + the number of models that are "
        "significantly better in mAP (Holm over all pairs, 5 %)."
    )
    if len({style.split(model)[1] for model in frame["model"]}) > 1:
        caption += " Black edges and dashed lines: other features than most models."
    told = [
        f"{row['model']} rank {row['rank']}, mAP "
        f"{style.numbers(row['mAP'], row['mAP low'], row['mAP high'])}, F1 {row['F1']:.3f}"
        for _, row in frame.iterrows()
    ]
    alt = f"mAP and F1 of {count(n, 'model')}, highest mAP first: {style.first(told, 'model')}"
    return Drawing(drawn, title, caption, alt)


def critical_difference(tables: Results) -> Drawing:
    """Draw average ranks over classes, and which do not differ significantly by Nemenyi's test.

    References
    ----------
    J. Demšar, "Statistical comparisons of classifiers over multiple data sets", *Journal of
    Machine Learning Research* 7, 1-30, 2006.
    """
    result = tables["ranks"]
    critical = result.facts["critical_difference"]
    frame = result.frame.sort_values("average rank", kind="stable", ignore_index=True)
    at = frame.set_index("model")["average rank"]
    members = [at[at.index.isin(one)] for one in result.facts["groups"]]
    groups = [(one.min(), one.max()) for one in members if len(one)]
    n = len(frame)
    labels = list(frame["model"])
    side = -(-n // 2)  # so many models stand on the left, the others on the right
    if style.PAGE - sum(_room(labels[:side], labels[side:])) < LEAST_SCALE:
        side = n
    bottom = 0.55 + 0.3 * len(groups) + 0.5 * side
    drawn, axes = style.canvas(style.PAGE, (bottom + 1.4) * 0.82)
    drawn.set_layout_engine("none")
    ax = axes[0, 0]
    ax.set_position((0, 0, 1, 1))
    ax.axis("off")
    room = _room(labels[:side], labels[side:])
    ranks_a_centimetre = (n - 1) / (style.PAGE - sum(room))
    ax.set_xlim(1 - room[0] * ranks_a_centimetre, n + room[1] * ranks_a_centimetre)
    ax.set_ylim(bottom, -1.35)
    _scale(ax, n, critical, ranks_a_centimetre)
    beyond = 0.1 * ranks_a_centimetre
    for i, (first, last) in enumerate(groups):
        ax.plot([first - beyond, last + beyond], [0.4 + 0.3 * i] * 2, color=style.DARK,
                linewidth=2.6, solid_capstyle="butt", zorder=3)  # fmt: skip
    start = 0.55 + 0.3 * len(groups)
    for i, (label, rank) in enumerate(zip(labels, frame["average rank"], strict=True)):
        left = i < side
        at = start + 0.5 * (i if left else n - 1 - i)
        end = 1 - 0.5 * ranks_a_centimetre if left else n + 0.5 * ranks_a_centimetre
        seen = style.look(label)
        ax.plot([rank, rank, end], [0, at, at], color=style.MIDDLE, linewidth=0.7, zorder=1)
        ax.plot([end], [at], **seen.point, clip_on=False, zorder=4)
        text = f"{label}  {rank:.2f}" if left else f"{rank:.2f}  {label}"
        beside = end + (-0.2 if left else 0.2) * ranks_a_centimetre
        side_of_text = "right" if left else "left"
        ax.text(beside, at, text, va="center", ha=side_of_text, fontsize=6.5)
    caption = (
        f"Critical-difference diagram ({where(result.facts)}): each model's rank by "
        "average precision, "
        "averaged over classes, 1 being best. A thick bar joins models that do not differ "
        "significantly by Nemenyi's test at 5 %: their average ranks differ by less than CD = "
        f"{critical:.2f}."
    )
    told = [f"{m} {r:.2f}" for m, r in zip(labels, frame["average rank"], strict=True)]
    alt = f"Critical difference {critical:.2f}; average ranks: {style.first(told, 'model')}"
    return Drawing(drawn, "Critical-difference diagram", caption, alt)


def _room(*sides: list[str]) -> list[float]:
    """Return the centimetres that the labels on each side take: nothing else sets them."""
    return [1.9 + 0.142 * max(map(len, labels)) if labels else 0.5 for labels in sides]


def _scale(ax: Axes, n: int, critical: float, ranks_a_centimetre: float) -> None:
    ax.plot([1, n], [0, 0], color=style.DARK, linewidth=0.8)
    step = math.ceil(0.4 * ranks_a_centimetre)  # two digits take that many centimetres
    for rank in range(1, n + 1):
        ax.plot([rank, rank], [0, -0.14], color=style.DARK, linewidth=0.8)
        if (rank - 1) % step == 0:
            ax.text(rank, -0.2, str(rank), ha="center", va="bottom", fontsize=6.5)
    ax.plot([1, 1 + critical], [-1.0, -1.0], color=style.DARK, linewidth=1.2)
    for end in (1, 1 + critical):
        ax.plot([end, end], [-1.1, -0.9], color=style.DARK, linewidth=1.2)
    ax.text(
        1 + critical + 0.15 * ranks_a_centimetre,
        -1.0,
        f"CD = {critical:.2f}",
        va="center",
        fontsize=6.5,
    )
    ax.text(
        1 - 0.25 * ranks_a_centimetre, -0.1, "average rank", ha="right", va="center", fontsize=6.5
    )


def tuned(tables: Results) -> Drawing | None:
    """Draw what tuning, and fitting once more on all clips, did to each model's mAP."""
    differences = {}
    for row in tables["pairs"].frame.to_dict("records"):
        span = row["difference"], row["difference low"], row["difference high"]
        differences[row["model"], row["against"]] = span
        differences[row["against"], row["model"]] = (-span[0], -span[2], -span[1])
    shown = []
    for label in dict.fromkeys(label for label, _ in differences):
        name, features = style.split(label)
        on = f" on {features}" if features else ""
        for ending, step in ((" refit", "refitted"), (" tuned", "tuned")):
            before = name.removesuffix(ending)
            if before != name and (label, before + on) in differences:
                wording = f"{step} against {'tuned' if before.endswith(' tuned') else 'default'}"
                subject = style.base(label) + on
                shown.append((subject, wording, label, differences[label, before + on]))
    if not shown:
        return None
    shown.sort(key=lambda one: (one[0], one[1] != "tuned against default"))
    drawn, axes = style.canvas(style.COLUMN, 1.5 + 0.68 * len(shown))
    ax = axes[0, 0]
    ax.axvline(0, color=style.MIDDLE, linewidth=0.8)
    for i, (_, _, label, span) in enumerate(shown):
        style.interval(ax, *span, i, style.look(label))
    style.rows(ax, [f"{name}\n{wording}" for name, wording, *_ in shown])
    style.beside(ax, (f"{span[0]:+z.3f}" for *_, span in shown), "", 34)
    ax.set_xlabel("difference in mAP, 95 % interval")
    caption = (
        f"What tuning gained: {where(tables['pairs'].facts)}. Points are differences in "
        "mAP on the same "
        "clips, positive where the later step is better; lines are paired 95 % bootstrap "
        "intervals."
    )
    largest = sorted(shown, key=lambda one: one[3][0], reverse=True)
    told = [f"{name} {wording} {style.numbers(*span)}" for name, wording, _, span in largest]
    alt = f"Largest differences in mAP: {style.first(told, 'step')}"
    return Drawing(drawn, "Tuned against default", caption, alt)


def cost(tables: Results) -> Drawing | None:
    """Draw mAP against the time to fit and to predict and the model's size."""
    frame = tables["comparison"].frame
    costs = {name: text for name, text in COSTS.items() if name in frame.columns}
    shown = frame[(frame[list(costs)] > 0).all(axis=1)]
    if not len(shown) or not costs:
        return None
    lines = -(-len(shown) // 4)
    drawn, axes = style.canvas(style.PAGE, 6.0 + 0.34 * lines, 1, len(costs), sharey=True)
    for ax, (name, text) in zip(axes[0], costs.items(), strict=True):
        for row in shown.to_dict("records"):
            seen = style.look(row["model"])
            line = {"linestyle": seen.line, "color": seen.colour}
            ax.plot([row[name]] * 2, [row["mAP low"], row["mAP high"]], **line)
            ax.plot([row[name]], [row["mAP"]], **seen.point, zorder=3)
        ax.set_xscale("log")
        ax.margins(x=0.12)
        ax.set_xlabel(text)
        _decades(ax, shown[name])
    axes[0, 0].set_ylabel("mAP, 95 % interval")
    style.legend(drawn, style.handles(shown["model"]), 4)
    left = [m for m in frame["model"] if m not in set(shown["model"])]
    caption = (
        f"Cost against quality: {where(tables['comparison'].facts)}. mAP with its 95 % bootstrap "
        "interval over the time to fit and to predict (one thread) and the size on disk, means "
        "over seeds; all costs on logarithmic axes."
        + (f" Not shown, as it takes no measurable time: {style.listed(left)}." if left else "")
    )
    told = [
        f"{row['model']} mAP {row['mAP']:.3f}, " + ", ".join(f"{row[c]:.3g} {c}" for c in costs)
        for row in shown.to_dict("records")
    ]
    return Drawing(drawn, "Cost against quality", caption, style.first(told, "model"))


def _decades(ax: Axes, values: pd.Series) -> None:
    """Label powers of ten, or where these are too few, what lies between them."""
    low, high = np.log10(values.min() / 1.5), np.log10(values.max() * 1.5)
    steps = (1, 2, 5) if high - low < 1.3 else (1, 3) if high - low < 2.5 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(int(np.floor(low)), int(np.ceil(high)) + 1)
        for step in steps
    ]
    ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(10**low, 10**high)


def _short(value: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


COMPARISON = Plot("comparison", ("comparison",), comparison)
ENSEMBLES = Plot("ensembles", ("ensembles",), ensembles)
CRITICAL_DIFFERENCE = Plot("critical-difference", ("ranks",), critical_difference)
TUNED = Plot("tuned", ("pairs",), tuned)
COST = Plot("cost", ("comparison",), cost)
