"""What happened in training: curves, the gap to unseen clips, the value of more data."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results, where

#: Filling of the markers for the three parts between which the gap lies.
PARTS = {"fit": "none", "select": "left", "test": "full"}

MEASURES = {"loss": "loss (nats a label)", "mAP": "mAP"}


def curves(tables: Results) -> Drawing | None:
    """Draw loss and mAP of fit and stop part over the stages of training, a column a model."""
    result = tables["curves"]
    stages = result.frame.groupby("model", sort=False)["number"].nunique()
    models = [model for model in stages.index if stages[model] > 1]
    if not models:
        return None
    columns = style.balanced(len(models), 4)
    blocks = -(-len(models) // columns)
    drawn, axes = style.canvas(
        style.PAGE, blocks * 5.9 + 0.8, 2 * blocks, columns, sharex=False, sharey=False
    )
    for ax in axes.flat:
        ax.set_visible(False)
    limits = {measure: _limits(result.frame, models, measure) for measure in MEASURES}
    for i, model in enumerate(models):
        block, column = divmod(i, columns)
        frame = result.frame[result.frame["model"] == model]
        for offset, (measure, text) in enumerate(MEASURES.items()):
            ax = axes[2 * block + offset, column]
            ax.set_visible(True)
            _curve(ax, frame, measure, style.look(model).colour)
            ax.set_ylim(*limits[measure])
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(4))
            if column == 0:
                ax.set_ylabel(text)
            else:
                ax.tick_params(labelleft=False)
        axes[2 * block, column].tick_params(labelbottom=False)
        axes[2 * block, column].set_title(style.wrapped(model, 20))
        axes[2 * block + 1, column].set_xlabel(frame["unit"].iloc[0])
    entries = [
        Line2D([], [], color=style.DARK, linestyle="--", label="fit part"),
        Line2D([], [], color=style.MIDDLE, linewidth=1.6, label="stop part (model's colour)"),
    ]
    style.legend(drawn, entries, 2)
    left = [model for model in stages.index if stages[model] == 1]
    caption = (
        f"Training and stopping curves on {result.facts['dataset']}. Lines are means over seeds, "
        "bands one "
        "standard deviation; where not all seeds came that far, lines are thin; the largest "
        "losses, of "
        "the first stages, lie outside."
        + (f" Fitted in one stage, no curve: {style.listed(left)}." if left else "")
    )
    return Drawing(drawn, "Training curves", caption, _curve_words(result.frame, models))


def _limits(frame: pd.DataFrame, models: list[str], measure: str) -> tuple[float, float]:
    """Return common limits; the first stages' losses, far above all others, may leave the panel."""
    shown = frame[frame["model"].isin(models)]
    values = shown[[f"fit_{measure}", f"stop_{measure}"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if measure == "loss":
        high = min(high, 1.25 * float(np.nanquantile(values, 0.97)))
    margin = 0.06 * (high - low or 1)
    return low - margin, high + margin


def _curve(ax: Axes, frame: pd.DataFrame, measure: str, colour: str) -> None:
    whole = frame["seeds"] == frame["seeds"].max()
    for part, look in (("fit", ("--", style.DARK)), ("stop", ("-", colour))):
        values, spread = frame[f"{part}_{measure}"], frame[f"{part}_{measure} sd"]
        at = frame["number"]
        ax.plot(at, values, look[0], color=look[1], linewidth=0.6, alpha=0.7)
        ax.plot(at[whole], values[whole], look[0], color=look[1], linewidth=1.2)
        ax.fill_between(at, values - spread.fillna(0), values + spread.fillna(0), color=look[1],
                        alpha=0.22, linewidth=0)  # fmt: skip


def _curve_words(frame: pd.DataFrame, models: list[str]) -> str:
    told = []
    for model in models:
        of_model = frame[frame["model"] == model]
        best = of_model.loc[of_model["stop_loss"].idxmin()]
        told.append(
            f"{model}: lowest stopping loss {best['stop_loss']:.3f} at {best['unit']} "
            f"{best['number']:.0f} of {of_model['number'].max():.0f}, stop mAP "
            f"{best['stop_mAP']:.3f}, fit mAP {best['fit_mAP']:.3f}"
        )
    return style.first(told, "model")


def gap(tables: Results) -> Drawing:
    """Draw mAP on fit, select and test, and the two steps between them with intervals."""
    result = tables["gap"]
    frame = result.frame
    n = len(frame)
    drawn, axes = style.canvas(
        style.PAGE, 2.0 + 0.42 * n, 1, 3, sharey=True, width_ratios=(1.25, 1, 1)
    )
    for i, row in enumerate(frame.to_dict("records")):
        seen = style.look(row["model"])
        at = [row[f"{part} mAP"] for part in PARTS]
        axes[0, 0].plot(at, [i] * 3, color=seen.colour, linewidth=0.9)
        for value, filling in zip(at, PARTS.values(), strict=True):
            axes[0, 0].plot([value], [i], **(seen.point | {
                "marker": "o", "fillstyle": filling, "markerfacecoloralt": "white",
                "zorder": 4 - len(filling) / 10, "markersize": 5 if filling == "none" else 4,
            } | ({"markerfacecolor": "white"} if filling == "none" else {})))  # fmt: skip
        for ax, step in zip(axes[0, 1:], ("optimism", "shift"), strict=True):
            style.interval(ax, row[step], row[f"{step} low"], row[f"{step} high"], i, seen)
    style.rows(axes[0, 0], list(frame["model"]))
    axes[0, 0].set_xlabel("mAP")
    axes[0, 1].set_xlabel("optimism: fit − select mAP")
    axes[0, 2].set_xlabel("shift: select − test mAP")
    for ax in axes[0]:
        ax.grid(axis="y", visible=False)
    for ax in axes[0, 1:]:
        ax.axvline(0, color=style.MIDDLE, linewidth=0.8)
    entries = [
        Line2D([], [], marker="o", color=style.DARK, fillstyle=filling, linestyle="none",
               markerfacecoloralt="white", label=f"{part} part")
        for part, filling in PARTS.items()
    ]  # fmt: skip
    style.legend(drawn, entries, 3)
    caption = (
        f"From clips seen to clips unseen: {where(result.facts)}. Left: mAP on the three "
        "parts, means "
        "over seeds. Middle and right: its two steps with 95 % bootstrap intervals, optimism "
        "(lost because the clips were fitted) and shift (lost from select to test)."
    )
    told = [
        f"{row['model']} {row['verdict']}: fit {row['fit mAP']:.3f}, select "
        f"{row['select mAP']:.3f}, test {row['test mAP']:.3f}"
        for row in frame.to_dict("records")
    ]
    return Drawing(drawn, "Training gap", caption, style.first(told, "model"))


def gap_per_class(tables: Results) -> Drawing | None:
    """Draw the two steps of the gap class by class, for the best network and the best tree."""
    result, frame = tables["gap_per_class"], tables["gap"].frame
    models = []
    for family in ("networks", "trees"):
        known = frame[[style.family(model) == family for model in frame["model"]]]
        if len(known):
            models.append(known.loc[known["select mAP"].idxmax(), "model"])
    if not models:
        return None
    by_model = {m: result.frame[result.frame["model"] == m].set_index("class") for m in models}
    first = by_model[models[0]].dropna(subset=["optimism", "shift"])
    names = list(first.sort_values("optimism", ascending=False, kind="stable").index)
    names = [name for name in names if all(name in frame.index for frame in by_model.values())]
    if not names:
        return None
    drawn, axes = style.canvas(style.PAGE, 2.1 + 0.44 * len(names), 1, 2, sharey=True)
    shifts = np.linspace(-0.17, 0.17, len(models)) if len(models) > 1 else [0.0]
    for ax, step in zip(axes[0], ("optimism", "shift"), strict=True):
        ax.axvline(0, color=style.MIDDLE, linewidth=0.8)
        for model, shift in zip(models, shifts, strict=True):
            for i, name in enumerate(names):
                row = by_model[model].loc[name]
                span = row[step], row[f"{step} low"], row[f"{step} high"]
                style.interval(ax, *span, i + shift, style.look(model), markersize=3.4)
    style.rows(axes[0, 0], names)
    axes[0, 1].grid(axis="y", visible=False)
    axes[0, 0].set_xlabel("optimism: fit − select AP, 95 % interval")
    axes[0, 1].set_xlabel("shift: select − test AP, 95 % interval")
    style.legend(drawn, style.handles(models), 2)
    caption = (
        f"The gap class by class: {where(result.facts)}. The network and the trees with "
        "the highest "
        "select mAP; differences of average precision with 95 % bootstrap intervals, sorted by "
        f"the optimism of {models[0]}."
    )
    told = [
        f"{model}: "
        + ", ".join(
            f"{step} from {by_model[model].loc[names, step].min():.3f} to "
            f"{by_model[model].loc[names, step].max():.3f}"
            for step in ("optimism", "shift")
        )
        for model in models
    ]
    return Drawing(drawn, "Training gap by class", caption, f"Over classes, {'; '.join(told)}.")


def learning_curve(tables: Results) -> Drawing:
    """Draw select mAP, and training mAP, against the number of training clips."""
    result = tables["learning_curve"]
    frame = result.frame
    models = list(dict.fromkeys(frame["model"]))
    drawn, axes = style.canvas(style.COLUMN, 6.0 + 0.38 * (len(models) + 1))
    ax = axes[0, 0]
    for model in models:
        of_model = frame[frame["model"] == model]
        seen, at = style.look(model), of_model["clips"]
        ax.plot(at, of_model["training mAP"], color=seen.colour, linestyle=":", linewidth=1)
        ax.plot(at, of_model["select mAP"], **(seen.point | {"linestyle": seen.line}), zorder=3)
        low, high = of_model["select mAP low"], of_model["select mAP high"]
        ax.fill_between(at, low, high, color=seen.colour, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    first = frame.drop_duplicates("fraction")
    texts = [f"{clips:,}\n{share}" for clips, share in zip(first["clips"], first["fraction"],
                                                           strict=True)]  # fmt: skip
    ax.set_xticks(list(first["clips"]), texts)
    ax.minorticks_off()
    ax.set_xlabel("clips trained on (number, and share of the groups)")
    ax.set_ylabel("mAP")
    select = {"color": style.DARK, "linestyle": "-", "label": "select part, 95 % interval"}
    train = {"color": style.DARK, "linestyle": ":", "label": "clips trained on"}
    entries = [*style.handles(models), Line2D([], [], **select), Line2D([], [], **train)]
    style.legend(drawn, entries, 2)
    caption = (
        f"Would more data pay? {where(result.facts)}: mAP against the "
        "number of clips trained on, means over seeds, bands 95 % bootstrap intervals; dotted, "
        "mAP on the clips trained on."
    )
    told = []
    for model in models:
        of_model = frame[frame["model"] == model]
        ends = (of_model["select mAP"].iloc[0], of_model["select mAP"].iloc[-1])
        shares = (of_model["fraction"].iloc[0], of_model["fraction"].iloc[-1])
        told.append(
            f"{model} select mAP {ends[0]:.3f} at {shares[0]} and {ends[1]:.3f} at {shares[1]}"
        )
    return Drawing(drawn, "Learning curve", caption, f"{'; '.join(told)}.")


CURVES = Plot("curves", ("curves",), curves)
GAP = Plot("gap", ("gap",), gap)
GAP_PER_CLASS = Plot("gap-per-class", ("gap_per_class", "gap"), gap_per_class)
LEARNING_CURVE = Plot("learning-curve", ("learning_curve",), learning_curve)
