"""Which classes sound together, and which a model hears where they are absent."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.analysis.comparison import Entry
from benchmark.analysis.derivation import Analysis
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.thresholds import decide
from reports.tables.declaration import Content, Table, number_columns


def _cooccurrence(labels_by_part: Mapping[str, StoredLabels]) -> Content:
    labels = labels_by_part["test"]
    positive, observed = labels.y_positive.astype(int), labels.y_mask.astype(int)
    return Content(_pairs(labels.classes, positive.T @ positive, positive.T @ observed))


COOCCURRENCE = Table(
    name="cooccurrence",
    title="classes that sound together",
    keys=("class", "with"),
    derive=_cooccurrence,
    columns={
        "share": "of these clips, those that hold the second class",
        "clips": "that hold the first class and in which the second was observed",
    },
    source="labels",
    rests_on="nothing",
    order=5,
    holds={**number_columns("share", gaps=True), **number_columns("clips")},
)


def _confusions(analysis: Analysis) -> Content:
    labels = analysis.comparison.labels
    present = labels.y_positive.astype(int)
    absent = (labels.y_mask & ~labels.y_positive).astype(int)
    clips = present.T @ absent
    frames = [
        _pairs(labels.classes, _wrong(entry, present, absent), clips).assign(model=entry.label)
        for entry in analysis.comparison.entries
    ]
    return Content(pd.concat(frames, ignore_index=True))


CONFUSIONS = Table(
    name="confusions",
    title="classes heard where they are absent",
    keys=("class", "with", "model"),
    derive=_confusions,
    columns={
        "share": "of these clips, those for which the model says yes to the second class, at one "
        "global threshold, mean over seeds",
        "clips": "that hold the first class and in which the second was observed to be absent",
    },
    order=6,
    holds={**number_columns("share", gaps=True), **number_columns("clips")},
    even=True,
)


def _wrong(entry: Entry, present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Count false alarms, shape (n_classes, n_classes): which is present, which is heard."""
    counts = []
    for evaluation, scores in zip(entry.evaluations, entry.scores, strict=True):
        said = decide(scores, evaluation.thresholds["global"])
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
