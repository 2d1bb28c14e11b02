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
    about="How often one class sounds where another does.",
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
    clips, frames = present.T @ absent, []
    for entry in analysis.comparison.entries:
        wrong = _wrong(entry, absent)
        frame = _pairs(labels.classes, present.T @ wrong, clips)
        chance = pd.Series(_shares(wrong.sum(axis=0), absent.sum(axis=0)), labels.classes)
        frames.append(frame.assign(chance=frame["with"].map(chance), model=entry.label))
    return Content(pd.concat(frames, ignore_index=True))


CONFUSIONS = Table(
    name="confusions",
    title="classes heard where they are absent",
    about="What models hear where it is absent, by what sounds instead.",
    keys=("class", "with", "model"),
    derive=_confusions,
    columns={
        "share": "of these clips, those for which the model says yes to the second class, at one "
        "global threshold, mean over seeds",
        "clips": "that hold the first class and in which the second was observed to be absent",
        "chance": "of all clips in which the second class was observed to be absent, those for "
        "which the model says yes to it: the share, if it did not depend on the first class",
    },
    order=6,
    holds={**number_columns("share", "chance", gaps=True), **number_columns("clips")},
    sometimes=("chance",),
    even=True,
)


def above_chance(frame: pd.DataFrame) -> pd.Series:
    """Return by how much the share of false alarms beside a class exceeds chance.

    0 where a model hears the second class as often beside the first one as in all clips without
    the second. Sets that were published before chance was stored have an estimate of it: the
    share beside all other classes together, which counts a clip once for each class it holds.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of the table of confusions.
    """
    if "chance" in frame.columns:
        return frame["share"] - frame["chance"]
    sums = frame.assign(wrong=frame["share"] * frame["clips"])
    sums = sums.groupby(["model", "with"])[["wrong", "clips"]].transform("sum")
    return frame["share"] - sums["wrong"] / sums["clips"].where(sums["clips"] > 0)


def _wrong(entry: Entry, absent: np.ndarray) -> np.ndarray:
    """Return the share of seeds that raise a false alarm, shape (n_clips, n_classes)."""
    said = [
        decide(scores, evaluation.thresholds["global"])
        for evaluation, scores in zip(entry.evaluations, entry.scores, strict=True)
    ]
    return np.mean(said, axis=0) * absent


def _pairs(classes: Sequence[str], counts: np.ndarray, clips: np.ndarray) -> pd.DataFrame:
    first, second = np.nonzero(~np.eye(len(classes), dtype=bool))
    known = clips[first, second]
    share = _shares(counts[first, second], known)
    names = np.array(classes)
    columns = {"class": names[first], "with": names[second], "share": share, "clips": known}
    return pd.DataFrame(columns)


def _shares(counts: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Divide counts by others, NaN where there is nothing to count."""
    return np.divide(counts, of, out=np.full(len(of), np.nan), where=of > 0)
