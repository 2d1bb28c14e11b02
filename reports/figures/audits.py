"""The published claim, and what partial labels do to metrics."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results, where

BAR = {"marker": "|", "markersize": 7, "markeredgewidth": 1.8}

#: Figures under both protocols: column, wording, column of the rank.
FIGURES = (
    ("w. F1", "weighted F1, as published", "F1 rank"),
    ("accuracy", "accuracy, as published", "accuracy rank"),
    ("mAP*", "mAP, observed labels alone", "mAP rank*"),
)

#: Labels by what is known of them: wording, colour, hatching.
KNOWN = {
    "observed present": ("observed to be present", "#0072B2", ""),
    "not observed": ("not observed, called present", "#F0E442", "////"),
    "observed absent": ("observed to be absent", style.MIDDLE, ""),
}

#: Columns of the precision table that are drawn: wording, colour, hatching.
PRECISIONS = {
    "published network": ("network, as published", "#D55E00", ""),
    "yes, as published": ("saying yes, as published", "#F0E442", "////"),
    "yes, corrected": ("saying yes, observed labels", "#0072B2", ""),
}


def protocol(tables: Results) -> Drawing:
    """Draw every model under the published and the corrected protocol, beside saying yes."""
    result = tables["protocol_audit"]
    is_yes = result.frame["model"] == result.facts["yes"]
    frame, yes = result.frame[~is_yes], result.frame[is_yes]
    frame = frame.sort_values("mAP*", ascending=False, kind="stable")
    drawn, axes = style.canvas(style.PAGE, 2.1 + 0.42 * len(frame), 1, 3, sharey=True)
    for ax, (column, wording, rank) in zip(axes[0], FIGURES, strict=True):
        for value in yes[column]:
            ax.axvline(value, color=style.DARK, linewidth=1, linestyle=(0, (4, 2)))
        for i, (model, value) in enumerate(zip(frame["model"], frame[column], strict=True)):
            ax.plot([0, value], [i, i], color=style.LIGHT, linewidth=0.8, zorder=1)
            ax.plot([value], [i], **style.look(model).point, zorder=3)
        ax.set_xlim(-0.03, 1.03)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_xlabel(wording)
        style.beside(ax, map(str, frame[rank]), "rank", 18)
        ax.grid(axis="y", visible=False)
    style.rows(axes[0, 0], list(frame["model"]))
    drawn.get_layout_engine().set(wspace=0.06)
    line = Line2D([], [], color=style.DARK, linewidth=1, linestyle=(0, (4, 2)),
                  label="saying yes to every label")  # fmt: skip
    style.legend(drawn, [line], 1)
    caption = (
        "The protocol of a student project on OpenMIC-2018 against the corrected one: "
        f"{where(result.facts)}. Published weighted F1 and accuracy count labels that nobody "
        "observed as present; mAP counts observed labels alone. Means over seeds; the dashed line "
        "says yes to every label."
    )
    told = [
        f"{row['model']}: weighted F1 {row['w. F1']:.3f}, accuracy {row['accuracy']:.3f}, mAP "
        f"{row['mAP*']:.3f}"
        for row in pd.concat([yes, frame]).to_dict("records")
    ]
    return Drawing(drawn, "Protocol audit", caption, style.first(told, "model"))


def labels(tables: Results) -> Drawing:
    """Draw what is known of the labels that the published protocol scores."""
    result = tables["labels"]
    frame = result.frame
    drawn, axes = style.canvas(style.COLUMN, 2.2 + 0.36 * len(frame))
    ax = axes[0, 0]
    start = np.zeros(len(frame))
    for column, (wording, colour, hatch) in KNOWN.items():
        ax.barh(range(len(frame)), frame[column], left=start, height=0.78, color=colour,
                hatch=hatch, edgecolor="white" if not hatch else style.MIDDLE, linewidth=0.3,
                label=wording)  # fmt: skip
        start += frame[column].to_numpy(dtype=float)
    style.rows(ax, list(frame["class"]))
    ax.set_xlim(0, start.max())
    ax.set_xlabel("clips")
    drawn.legend(loc="outside lower center", ncols=1)
    known = frame[list(KNOWN)].sum()
    kept = f"{result.facts['n_kept']:,} of {result.facts['n_test']:,} test clips"
    caption = (
        f"Labels of the {kept} of OpenMIC-2018 that a student project's protocol keeps, by class: "
        "observed as present, not observed but called present, and observed as absent."
    )
    share = known["not observed"] / (known["not observed"] + known["observed present"])
    alt = (
        f"Of {known.sum():,.0f} labels {known['observed present']:,.0f} were observed as present, "
        f"{known['not observed']:,.0f} not observed and {known['observed absent']:,.0f} observed "
        f"as absent; {100 * share:.1f} % of the labels called present were not observed."
    )
    return Drawing(drawn, "Labels of the published protocol", caption, alt)


def precision(tables: Results) -> Drawing:
    """Draw the published precision by class beside that of saying yes."""
    result = tables["precision"]
    frame = result.frame
    drawn, axes = style.canvas(style.COLUMN, 6.4)
    ax = axes[0, 0]
    at = np.arange(len(frame))
    for i, (column, (wording, colour, hatch)) in enumerate(PRECISIONS.items()):
        bars = ax.bar(at + (i - 1) * 0.29, frame[column], 0.26, color=colour, hatch=hatch,
                      edgecolor=style.MIDDLE if hatch else "white", linewidth=0.3,
                      label=wording)  # fmt: skip
        ax.bar_label(bars, fmt="%.2f", fontsize=6.5, padding=1.5)
    ax.set_xticks(at, frame["class"])
    ax.set_ylim(0, 1.05)
    ax.set_ylabel("precision")
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="x", visible=False)
    drawn.legend(loc="outside lower center", ncols=1)
    caption = (
        "The precision by class that a student project published of its network, beside that of "
        "saying yes to every label, scored as published (labels that were not observed count as "
        "present) and on observed labels alone."
    )
    told = [
        f"{row['class']}: "
        + ", ".join(f"{text} {row[column]:.2f}" for column, (text, *_) in PRECISIONS.items())
        for row in frame.to_dict("records")
    ]
    return Drawing(drawn, "Published precision and saying yes", caption, f"{'; '.join(told)}.")


def masks(tables: Results) -> Drawing:
    """Draw each metric on all labels and on the observed ones."""
    result = tables["mask_audit"]
    metrics = list(dict.fromkeys(result.frame["metric"]))
    models = list(dict.fromkeys(result.frame["model"]))
    drawn, axes = style.canvas(style.PAGE, 2.0 + 0.42 * len(models), 1, len(metrics), sharey=True)
    for ax, metric in zip(axes[0], metrics, strict=True):
        of_metric = result.frame[result.frame["metric"] == metric].set_index("model")
        for i, model in enumerate(models):
            row, seen = of_metric.loc[model], style.look(model)
            ax.plot([row["all labels"], row["observed"]], [i, i], color=seen.colour, linewidth=0.9)
            if not np.isnan(row["sd"]):
                ends = row["observed"] + row["sd"] * np.array([-1, 1])
                ax.plot(ends, [i, i], color=seen.colour, linewidth=2.6, solid_capstyle="butt")
            point = seen.point | {"marker": "o", "fillstyle": "full"}
            ax.plot([row["all labels"]], [i], **(point | BAR), zorder=3)
            ax.plot([row["observed"]], [i], **(point | {"markerfacecolor": "white"}), zorder=3)
        ax.set_xlabel(metric)
        ax.grid(axis="y", visible=False)
    style.rows(axes[0, 0], models)
    point = {"marker": "o", "linestyle": "none", "color": style.DARK}
    entries = [
        Line2D([], [], **(point | BAR), label="all labels"),
        Line2D([], [], **point, markerfacecolor="white", label="observed labels alone"),
    ]
    style.legend(drawn, entries, 2)
    spread = (
        "; thick lines are one standard deviation over masks"
        if result.frame["sd"].notna().any()
        else ""
    )
    caption = (
        f"The same runs on all labels and {result.facts['masks']}, {where(result.facts)}: each "
        "model's metrics on all labels (bars) and on "
        f"the observed ones (circles){spread}."
    )
    told = []
    for metric in metrics:
        bias = result.frame.loc[result.frame["metric"] == metric, "bias"]
        told.append(f"{metric} shifts by {bias.min():+z.3f} to {bias.max():+z.3f}")
    alt = f"On observed labels alone {'; '.join(told)}."
    return Drawing(drawn, "Mask audit", caption, alt)


def levels(tables: Results) -> Drawing | None:
    """Draw how well rankings on partial labels agree with the one on all labels."""
    result = tables["mask_levels"]
    frame = result.frame
    if "x OpenMIC" not in frame.columns:
        return None  # one given mask has no levels
    metrics = list(dict.fromkeys(frame["metric"]))
    looks = dict(zip(metrics, (("#0072B2", "o", "-"), ("#D55E00", "s", "--"),
                               ("#009E73", "^", ":")), strict=False))  # fmt: skip
    drawn, axes = style.canvas(style.PAGE, 6.2, 1, 2)
    for metric in metrics:
        of_metric = frame[frame["metric"] == metric]
        at = of_metric["x OpenMIC"]
        colour, marker, line = looks[metric]
        keywords = {"color": colour, "marker": marker, "linestyle": line, "label": metric}
        axes[0, 0].plot(at, of_metric["tau"], **keywords)
        low, mean = of_metric["tau 5 %"], of_metric["tau"]
        axes[0, 0].fill_between(at, low, mean, color=colour, alpha=0.15, linewidth=0)
        axes[0, 1].plot(at, of_metric["bias"], **keywords)
    axes[0, 0].axhline(0.9, color=style.MIDDLE, linewidth=0.8, linestyle=(0, (4, 2)))
    axes[0, 0].set_ylabel("tau with the full ranking")
    axes[0, 1].set_ylabel("mean shift of the metric")
    ticks = frame.drop_duplicates("x OpenMIC")
    texts = [f"{share:g}\n{count}" for share, count in zip(ticks["x OpenMIC"], ticks["labels"],
                                                         strict=True)]  # fmt: skip
    for ax in axes[0]:
        ax.set_xscale("log")
        ax.set_xticks(list(ticks["x OpenMIC"]), texts)
        ax.minorticks_off()
        ax.set_xlabel("rate of observation (× OpenMIC's), and labels a class")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    style.legend(drawn, handles, 3)
    caption = (
        f"Rankings under masks and on all labels, {where(result.facts)}. Left: Kendall's tau, "
        "mean over masks, shaded down to their 5 % "
        "quantile; a tau above "
        "the dashed line (0.9) is trusted. Right: by how much observed labels alone shift each "
        "metric, mean over models."
    )
    told = [
        f"{row['metric']} at {row['x OpenMIC']:g} times OpenMIC's rates: tau {row['tau']:.2f}, "
        f"shift {row['bias']:+.3f}"
        for row in frame.to_dict("records")
    ]
    return Drawing(drawn, "Rankings on partial labels", caption, style.first(told, "level"))


PROTOCOL_AUDIT = Plot("protocol-audit", ("protocol_audit",), protocol)
LABELS = Plot("labels", ("labels",), labels)
PRECISION = Plot("precision", ("precision",), precision)
MASK_AUDIT = Plot("mask-audit", ("mask_audit",), masks)
MASK_LEVELS = Plot("mask-levels", ("mask_levels",), levels)
