"""How tuning went: trials, and which parameters mattered."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results

#: Parameters shown a model.
N_SHOWN = 8


def trials(tables: Results) -> Drawing:
    """Draw one panel a study: select mAP in the order in which trials ended."""
    result = tables["trials"]
    models = list(dict.fromkeys(result.frame["model"]))
    drawn, axes = style.panels(len(models), 4, 4.6, extra=1.3)
    for ax, model in zip(axes, models, strict=True):
        _study(ax, result.frame[result.frame["model"] == model].reset_index(drop=True), model)
    drawn.supylabel("select mAP", fontsize=7)
    point = {"linestyle": "none", "color": style.DARK}
    entries = [
        Line2D([], [], **point, marker="o", label="complete"),
        Line2D([], [], **point, marker="o", markerfacecolor="white", label="complete, time up"),
        Line2D([], [], **point, marker="|", markersize=5, label="pruned, no select mAP"),
        Line2D([], [], **point, marker="x", label="failed"),
        Line2D([], [], **point, marker="*", markersize=7, label="trial 0, the default"),
        Line2D([], [], color=style.DARK, linewidth=1, label="best so far"),
    ]
    style.legend(drawn, entries, 6 if len(models) > 1 else 2)
    caption = (
        f"Tuning history{_on(tables)}: select mAP of each trial in the order of ending, the best "
        "so far as a line, trial 0 (the model's default) as a star. Strokes at the bottom are "
        "pruned trials, which have no select mAP."
    )
    told = []
    for model in models:
        of_model = result.frame[result.frame["model"] == model]
        text = f"{model}: {len(of_model)} trials, best {of_model['best so far'].max():.3f}"
        default = of_model.loc[of_model["trial"] == 0, "select mAP"].dropna()
        told.append(text + (f", default {default.iloc[0]:.3f}" if len(default) else ""))
    return Drawing(drawn, "Tuning history", caption, f"{'; '.join(told)}.")


def _study(ax: Axes, frame: pd.DataFrame, model: str) -> None:
    seen = style.look(model)
    at = frame.index + 1
    ax.step(at, frame["best so far"], where="post", color=seen.colour, linewidth=1)
    complete, capped = frame["state"] == "complete", frame["capped"].astype(bool)
    point = {"linestyle": "none", "marker": "o", "color": seen.colour, "markersize": 3.5}
    ax.plot(at[complete & ~capped], frame["select mAP"][complete & ~capped], **point)
    ax.plot(at[complete & capped], frame["select mAP"][complete & capped], **point,
            markerfacecolor="white")  # fmt: skip
    ax.margins(y=0.14)
    ax.autoscale_view()
    foot = {"transform": ax.get_xaxis_transform(), "linestyle": "none", "color": style.DARK}
    for state, marker in (("pruned", "|"), ("failed", "x")):
        there = at[frame["state"] == state]
        ax.plot(there, [0.035] * len(there), marker=marker, markersize=4, **foot)
    default = frame[(frame["trial"] == 0) & complete]
    ax.plot(default.index + 1, default["select mAP"], linestyle="none", marker="*",
            markersize=7.5, color=style.DARK, markeredgecolor="white", markeredgewidth=0.4,
            zorder=5)  # fmt: skip
    ax.set_title(style.wrapped(model))
    ax.set_xlabel("trials ended")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5))


def _on(tables: Results) -> str:
    """Name the data set, where a table says which it is."""
    named = tables["comparison"].facts.get("dataset") if "comparison" in tables else None
    return f" on {named}" if named else ""


def importances(tables: Results) -> Drawing:
    """Draw one panel a study: the share of variance that each parameter explains alone."""
    result = tables["importances"]
    models = list(dict.fromkeys(result.frame["model"]))
    largest = {
        model: result.frame[result.frame["model"] == model].nlargest(N_SHOWN, "importance")
        for model in models
    }
    most = max(map(len, largest.values()))
    drawn, axes = style.panels(len(models), 3, 0.8 + 0.36 * most, extra=0.6, sharex=True)
    for ax, (model, frame) in zip(axes, largest.items(), strict=True):
        ax.barh(range(len(frame)), frame["importance"], height=0.7,
                color=style.look(model).colour)  # fmt: skip
        style.rows(ax, list(frame["parameter"]))
        ax.set_ylim(most - 0.4, -0.6)
        ax.set_title(style.wrapped(model))
    axes[0].set_xlim(left=0)
    drawn.supxlabel("share of the variance of select mAP that a parameter explains", fontsize=7)
    caption = (
        f"Importance of the tuned parameters{_on(tables)}: share of the variance of select mAP "
        f"over trials that each explains alone, the {most} largest of each study."
    )
    told = [
        f"{model}: "
        + ", ".join(
            f"{p} {v:.2f}"
            for p, v in zip(frame["parameter"][:3], frame["importance"][:3], strict=True)
        )
        for model, frame in largest.items()
    ]
    return Drawing(drawn, "Importance of parameters", caption, f"{'; '.join(told)}.")


TRIALS = Plot("trials", ("trials",), trials)
IMPORTANCES = Plot("importances", ("importances",), importances)
