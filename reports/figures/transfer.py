"""Few positives a class: mAP of models that know other classes, and of those that know none."""

from reports.figures import style
from reports.figures.style import Drawing, Plot
from reports.tables.declaration import Results, where


def transfer(tables: Results) -> Drawing:
    """Draw each model's mAP against the positives a class that it was shown."""
    result = tables["transfer"]
    frame = result.frame
    models, shown = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["positives"]))
    drawn, axes = style.canvas(style.COLUMN, 5.6 + 0.38 * len(models))
    ax = axes[0, 0]
    told = []
    for m, model in enumerate(models):
        of_model = frame[frame["model"] == model]
        seen, shift = style.look(model), (m - (len(models) - 1) / 2) * 0.08
        at = [shown.index(number) + shift for number in of_model["positives"]]
        ax.plot(at, of_model["mAP"], **(seen.point | {"linestyle": seen.line}), zorder=3)
        ax.vlines(at, of_model["mAP low"], of_model["mAP high"], color=seen.colour, linewidth=1)
        values = zip(of_model["positives"], of_model["mAP"], strict=True)
        told.append(
            f"{model} {', '.join(f'{value:.3f} with {number}' for number, value in values)}"
        )
    ax.set_xticks(range(len(shown)), shown)
    ax.set_xlabel("positives a class, by group")
    ax.set_ylabel("mAP")
    style.legend(drawn, style.handles(models), 1)
    caption = (
        f"How many positives does a class take? {where(result.facts)}: mAP of models that were "
        "shown few, means over seeds and over the groups that were taken; lines are 95 % bootstrap "
        "intervals."
    )
    return Drawing(drawn, "Few positives a class", caption, f"mAP: {'; '.join(told)}.")


TRANSFER = Plot("transfer", ("transfer",), transfer)
