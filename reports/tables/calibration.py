"""Calibration as tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.analysis.calibration import Calibration


def calibration(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model: expected calibration error and Brier score, means over seeds."""
    return pd.DataFrame(
        {
            "model": [one.label for one in found],
            "seeds": [len(one.runs) for one in found],
            "ECE": [one.ece for one in found],
            "pooled ECE": [one.pooled_ece for one in found],
            "Brier": [one.brier for one in found],
        }
    )


def calibration_per_class(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model and class: expected calibration error and Brier score."""
    columns = [
        {"model": one.label, "class": one.classes, "ECE": one.class_ece, "Brier": one.class_brier}
        for one in found
    ]
    return pd.concat([pd.DataFrame(c) for c in columns], ignore_index=True)


def reliability(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model, class and bin that holds labels, all seeds together.

    The class ``"all"`` pools the labels of every class.
    """
    frames = []
    for one in found:
        together = one.together
        frames += [
            _bins(one.label, "all", together.pooled, 0),
            *(_bins(one.label, name, together, c) for c, name in enumerate(one.classes)),
        ]
    return pd.concat(frames, ignore_index=True)


def _bins(label: str, name: str, found: Any, row: int) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "model": label,
            "class": name,
            "lower edge": found.edges[:-1],
            "upper edge": found.edges[1:],
            "mean score": found.mean_score[row],
            "share of positives": found.positive_share[row],
            "labels": found.count[row],
        }
    )
    return frame[frame["labels"] > 0]
