"""Scores and decisions: threshold policies, reliability."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results, where

#: How policies are called; a calibration may follow.
POLICIES = {
    "half": "0.5",
    "per_class": "one a class",
    "shrunk": "shrunk",
    "global": "global",
    "tuned": "tuned: best of all",
}
CALIBRATIONS = {"platt": "Platt", "isotonic": "isotonic"}

#: Colours of a gain on held-out clips of select, and on test.
GAINS = {"held-out gain": ("#0072B2", "D"), "test gain": ("#D55E00", "o")}
ENDS = ("", " low", " high")


def _policy(name: str) -> str:
    rule, _, calibration = name.partition(" + ")
    text = POLICIES.get(rule, rule)
    return f"{text}, {CALIBRATIONS.get(calibration, calibration)}" if calibration else text


def thresholds(tables: Results) -> Drawing | None:
    """Draw what each policy gains over one global threshold, on held-out clips and on test."""
    result = tables["thresholds"]
    frame = result.frame.dropna(subset=[f"{one}{end}" for one in GAINS for end in ENDS])
    if not len(frame):
        return None
    mean = result.facts["mean"]
    subject = mean if (frame["model"] == mean).any() else frame["model"].iloc[0]
    front = frame[frame["model"] == subject]
    front = front.sort_values("test gain", ascending=False, kind="stable")
    single = frame[frame["model"] != subject]
    near = 1.15 * _near(front)
    drawn, axes = style.canvas(
        style.PAGE, 2.1 + 0.52 * len(front), 1, 2, sharey=True, width_ratios=(1, 1.25)
    )
    for ax in axes[0]:
        ax.axvline(0, color=style.MIDDLE, linewidth=0.8)
        for shift, (column, (colour, marker)) in zip((-0.17, 0.17), GAINS.items(), strict=True):
            for i, row in enumerate(front.to_dict("records")):
                others = single[single["policy"] == row["policy"]][column]
                ax.plot(others, [i + shift] * len(others), linestyle="none", marker="|",
                        color=colour, alpha=0.45, markersize=4, zorder=1)  # fmt: skip
                seen = style.Look(colour, marker, "full")
                span = (row[column], row[f"{column} low"], row[f"{column} high"])
                style.interval(ax, *span, i + shift, seen)
        ax.grid(axis="y", visible=False)
    axes[0, 0].set_xlabel("gain in macro F1, all policies")
    axes[0, 1].set_xlabel("the same, enlarged about 0")
    near = near or 0.01  # where no policy changes anything
    axes[0, 1].set_xlim(-near, near)
    axes[0, 1].xaxis.set_major_locator(MaxNLocator(5))
    ends = front[[f"{column} {end}" for column in GAINS for end in ("low", "high")]].to_numpy()
    margin = 0.06 * float(np.ptp(ends)) or near
    axes[0, 0].set_xlim(min(0.0, ends.min()) - margin, max(0.0, ends.max()) + margin)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(5))
    style.rows(axes[0, 0], [_policy(name) for name in front["policy"]])
    entries = [
        Line2D([], [], color=colour, marker=marker, linestyle="-",
               label=f"{'held-out clips of select' if 'held' in name else 'test part'}, {subject}")
        for name, (colour, marker) in GAINS.items()
    ]  # fmt: skip
    entries.append(
        Line2D([], [], color=style.MIDDLE, marker="|", linestyle="none", label="single models")
    )
    style.legend(drawn, entries, 3)
    caption = (
        f"What threshold policies gain over one global threshold: {where(result.facts)}. "
        "Points are the "
        f"{subject}, lines 95 % bootstrap intervals, strokes single models; each policy was "
        "chosen on the select part. Panels cut off what lies further out."
    )
    columns = ["policy", "test gain", "test gain low", "test gain high"]
    told = [
        f"{_policy(name)} {style.numbers(*span)}"
        for name, *span in front[columns].itertuples(index=False)
    ]
    alt = f"Gain in F1 on test, {subject}: {'; '.join(told)}."
    return Drawing(drawn, "Threshold policies", caption, alt)


def _near(front: pd.DataFrame) -> float:
    """Return how far the smaller half of all gains reach, with intervals."""
    ends = front[[f"{column} {end}" for column in GAINS for end in ("low", "high")]].abs()
    reach = ends.max(axis=1)
    return float(reach[front["test gain"].abs() <= front["test gain"].abs().quantile(0.65)].max())


def reliability(tables: Results) -> Drawing | None:
    """Draw one panel a model: share of positives against mean score."""
    result = tables["reliability"]
    frame = result.frame[result.frame["class"] == "all"]
    ece = tables["calibration"].frame.set_index("model")["pooled ECE"]
    counts = frame.groupby("model", sort=False).size()
    models = [model for model in counts.index if counts[model] > 2]
    if not models:
        return None
    drawn, axes = style.panels(len(models), 5, 3.7, extra=0.7, sharex=True, sharey=True)
    most = float(frame["labels"].max())
    for ax, model in zip(axes, models, strict=True):
        of_model, seen = frame[frame["model"] == model], style.look(model)
        ax.plot([0, 1], [0, 1], color=style.MIDDLE, linewidth=0.7, linestyle=(0, (4, 2)))
        at, share = of_model["mean score"], of_model["share of positives"]
        ax.plot(at, share, color=seen.colour, linewidth=1)
        ax.scatter(at, share, s=3 + 37 * np.sqrt(of_model["labels"] / most), color=seen.colour,
                   marker="o", linewidths=0.4, edgecolors="white", zorder=3)  # fmt: skip
        ax.set_title(style.wrapped(model, 19))
        ax.text(0.03, 0.97, f"ECE {ece.get(model, np.nan):.3f}", transform=ax.transAxes, va="top",
                fontsize=6.5)  # fmt: skip
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    drawn.supxlabel("mean score of the labels in a bin", fontsize=7)
    drawn.supylabel("share of positives among them", fontsize=7)
    left = [model for model in counts.index if counts[model] <= 2]
    caption = (
        f"Reliability: {where(result.facts)}. Observed labels of all classes and seeds "
        "together, in 15 "
        "bins of the score; the area of a point grows with the root of its labels, and a "
        "calibrated model lies on the dashed line. ECE: expected calibration error of the same "
        "bins."
        + (f" Too few different scores for a diagram: {style.listed(left)}." if left else "")
    )
    told = [f"{model} {ece.get(model, np.nan):.3f}" for model in models]
    alt = f"Expected calibration error: {style.first(told, 'model')}"
    return Drawing(drawn, "Reliability", caption, alt)


THRESHOLDS = Plot("thresholds", ("thresholds",), thresholds)
RELIABILITY = Plot("reliability", ("reliability", "calibration"), reliability)
