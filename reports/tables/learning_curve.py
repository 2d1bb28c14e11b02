"""Learning curves as a table and sentences."""

from collections.abc import Sequence

import pandas as pd

from benchmark.analysis.learning_curve import LearningCurve
from reports.tables.text import HIGH, LOW, _with_interval


def learning_curve(found: Sequence[LearningCurve]) -> pd.DataFrame:
    """Return one row a model and fraction: clips trained on, mAP there and on select, its gain."""
    frames = [
        pd.DataFrame(
            {
                "model": one.label,
                "fraction": [f"{100 * share:g} %" for share in one.fractions],
                "clips": one.clips,
                "seeds": one.seeds,
                "training mAP": one.training_mAP,
                "select mAP": one.mAP,
                "select mAP" + LOW: one.lower,
                "select mAP" + HIGH: one.upper,
                "gain": one.gain.value,
                "gain" + LOW: one.gain.lower,
                "gain" + HIGH: one.gain.upper,
            }
        )
        for one in found
    ]
    return pd.concat(frames, ignore_index=True)


def learning_curve_sentences(found: Sequence[LearningCurve]) -> list[str]:
    """Return one sentence a model: what would pay, and what says so."""
    return [_learning_curve_sentence(one) for one in found]


def _learning_curve_sentence(one: LearningCurve) -> str:
    gain = _with_interval(*(a[-1] for a in (one.gain.value, one.gain.lower, one.gain.upper)))
    step = f"from {100 * one.fractions[-2]:g} to 100 % of the training groups select mAP"
    fitted = f"training mAP of {one.training_mAP[-1]:.3f} against {one.mAP[-1]:.3f} on select"
    if one.verdict == "more data":
        return f"{one.label}: more data would pay; {step} rose by {gain}."
    return f"{one.label}: more data is not shown to pay; {step} changed by {gain}, at a {fitted}."
