"""Would more data pay? Learning curves over shares of the training groups."""

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.learning_curve import RULE, LearningCurve
from reports.tables.declaration import Content, Table, interval_columns, number_columns
from reports.tables.text import FLOOR, HIGH, LOW, p_value, with_interval


def _learning_curve(analysis: Analysis) -> Content:
    curves = analysis.learning_curves
    frames, runs = [], {}
    for one in curves:
        shares = [f"{100 * share:g} %" for share in one.fractions]
        columns = {
            "model": one.label,
            "fraction": shares,
            "clips": one.clips,
            "seeds": one.seeds,
            "orders": one.orders,
            "training mAP": one.training_mAP,
            "select mAP": one.mAP,
            "select mAP" + LOW: one.lower,
            "select mAP" + HIGH: one.upper,
            "gain": one.gain.value,
            "gain" + LOW: one.gain.lower,
            "gain" + HIGH: one.gain.upper,
            "p": [np.nan] * (len(shares) - 1) + [one.p],
            "p" + FLOOR: [False] * (len(shares) - 1) + [one.at_floor],
        }
        frames.append(pd.DataFrame(columns))
        runs |= {f"{one.label} + {s}": ids for s, ids in zip(shares, one.runs, strict=True)}
    notes = (*map(sentence, curves), *_one_order(curves), RULE)
    facts = {"part": "select", "n_clips": len(analysis.labels["select"]), "runs": runs}
    return Content(pd.concat(frames, ignore_index=True), notes, facts)


def _one_order(curves: list[LearningCurve]) -> list[str]:
    """Name the models whose runs all trained on the same groups: no interval covers that choice."""
    labels = [one.label for one in curves if one.one_order]
    told = (
        "groups were taken in one order alone, whose luck is not in the intervals; "
        "`polytimbre learning-curve` adds others"
    )
    return [f"{', '.join(labels)}: {told}"] if labels else []


LEARNING_CURVE = Table(
    name="learning_curve",
    title="learning curve",
    about="What models gain from 10, 20, 50 and 100 % of the training clips.",
    keys=("model", "fraction"),
    derive=_learning_curve,
    columns={
        "fraction": "of the training groups",
        "clips": "trained on",
        "orders": "random orders in which the groups were taken; clips are their mean",
        "training mAP": "on the clips trained on",
        "select mAP": "on the select part, mean over seeds",
        "gain": "select mAP minus that of the fraction before",
        "p": "p-value of the last gain, Holm's correction over the models",
    },
    command="learning-curve --dataset {}",
    optional=True,
    order=14,
    holds={
        **number_columns("training mAP"),
        **interval_columns("select mAP"),
        **interval_columns("gain", gaps=True),
        "clips": int,
    },
    facts={"runs": dict[str, list[str]]},
)


def sentence(one: LearningCurve) -> str:
    """Return what would pay for one model, and what says so."""
    gain = with_interval(*(a[-1] for a in (one.gain.value, one.gain.lower, one.gain.upper)))
    step = f"from {100 * one.fractions[-2]:g} to 100 % of the training groups select mAP"
    fitted = f"training mAP of {one.training_mAP[-1]:.3f} against {one.mAP[-1]:.3f} on select"
    p = f"p {p_value(one.p, one.at_floor)}"
    if one.verdict == "more data":
        return f"{one.label}: more data would pay; {step} rose by {gain}, {p}."
    return (
        f"{one.label}: more data is not shown to pay; {step} changed by {gain}, {p}, at a {fitted}."
    )
