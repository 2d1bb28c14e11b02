"""Which classes sound together, and which are heard where they are not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.runs.reading import StoredLabels


def cooccurrence(labels: StoredLabels) -> pd.DataFrame:
    """Return one row an ordered pair of classes: how often the second sounds with the first.

    ``share`` is that of the clips with the second class, among those with the first where the
    second was observed (``clips``).
    """
    positive, observed = labels.y_positive.astype(int), labels.y_mask.astype(int)
    return _pairs(labels.classes, positive.T @ positive, positive.T @ observed)


def confusions(result: Comparison) -> pd.DataFrame:
    """Return one row a model and ordered pair: how often the second class is heard wrongly.

    ``share`` is that of the clips for which a model says yes to the second class, at one global
    threshold, among those with the first where the second was observed to be absent (``clips``);
    means over seeds.
    """
    labels = result.labels
    present = labels.y_positive.astype(int)
    absent = (labels.y_mask & ~labels.y_positive).astype(int)
    clips = present.T @ absent
    return pd.concat(
        [
            _pairs(labels.classes, _wrong(entry, present, absent), clips).assign(model=entry.label)
            for entry in result.entries
        ],
        ignore_index=True,
    )


def _wrong(entry: Entry, present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Count false alarms, shape (n_classes, n_classes): which is present, which is heard."""
    counts = []
    for evaluation, scores in zip(entry.evaluations, entry.scores, strict=True):
        said = scores >= evaluation.thresholds["global"].astype(scores.dtype)
        counts.append(present.T @ (said * absent))
    return np.mean(counts, axis=0)


def _pairs(classes: Sequence[str], counts: np.ndarray, clips: np.ndarray) -> pd.DataFrame:
    first, second = np.nonzero(~np.eye(len(classes), dtype=bool))
    known = clips[first, second]
    share = np.full(len(known), np.nan)
    np.divide(counts[first, second], known, out=share, where=known > 0)
    names = np.array(classes)
    columns = {"class": names[first], "with": names[second], "share": share, "clips": known}
    return pd.DataFrame(columns)
