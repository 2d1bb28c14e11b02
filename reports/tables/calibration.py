"""Whether scores can be read as probabilities: calibration errors, reliability diagrams."""

import pandas as pd

from benchmark.analysis.calibration import Reliability
from benchmark.analysis.derivation import Analysis
from reports.tables.declaration import Content, Table, number_columns

COLUMNS = {
    "ECE": "expected calibration error: mean distance between scores and share of positives, "
    "15 bins, mean over classes",
    "pooled ECE": "the same with the labels of all classes in common bins",
    "Brier": "mean squared error of the scores, mean over classes; lower is better",
}


def _calibration(analysis: Analysis) -> Content:
    models = analysis.calibrations
    frame = pd.DataFrame(
        {
            "model": [one.label for one in models],
            "seeds": [len(one.runs) for one in models],
            "ECE": [one.ece for one in models],
            "pooled ECE": [one.pooled_ece for one in models],
            "Brier": [one.brier for one in models],
        }
    )
    return Content(frame, tuple(analysis.comparison.notes))


CALIBRATION = Table(
    name="calibration",
    title="calibration",
    about="How far a model's scores can be read as probabilities.",
    keys=("model",),
    derive=_calibration,
    columns=COLUMNS,
    command="calibration --dataset {}",
    order=12,
    holds=number_columns("pooled ECE"),
)


def _calibration_per_class(analysis: Analysis) -> Content:
    frames = [
        pd.DataFrame(
            {
                "model": one.label, "class": one.classes, "ECE": one.class_ece,
                "Brier": one.class_brier,
            }
        )
        for one in analysis.calibrations
    ]  # fmt: skip
    return Content(pd.concat(frames, ignore_index=True), tuple(analysis.comparison.notes))


CALIBRATION_PER_CLASS = Table(
    name="calibration_per_class",
    title="calibration by class",
    about="How far a model's scores can be read as probabilities, in each class.",
    keys=("model", "class"),
    derive=_calibration_per_class,
    columns={
        "ECE": "expected calibration error, 15 bins",
        "Brier": "mean squared error of the scores; lower is better",
    },
    command="calibration --dataset {} --per-class",
    published=False,
    order=12,
)

BINS = {
    "upper edge": "of the bin of scores, which it belongs to",
    "mean score": "of the labels in the bin",
    "share of positives": "among them: equal to the mean score of a calibrated model",
    "labels": "observed labels in the bin, all seeds together",
}


def _reliability(analysis: Analysis) -> Content:
    frames = [_bins(one.label, "all", one.together.pooled, 0) for one in analysis.calibrations]
    return Content(pd.concat(frames), tuple(analysis.comparison.notes))


RELIABILITY = Table(
    name="reliability",
    title="reliability",
    about="The share of positives among labels of like scores: the data of reliability diagrams.",
    keys=("model", "class", "upper edge"),
    derive=_reliability,
    columns=BINS,
    command="calibration --dataset {} --bins",
    order=13,
    holds=number_columns("upper edge", "mean score", "share of positives", "labels"),
)


def _reliability_per_class(analysis: Analysis) -> Content:
    frames = [
        _bins(one.label, name, one.together, c)
        for one in analysis.calibrations
        for c, name in enumerate(one.classes)
    ]
    return Content(pd.concat(frames, ignore_index=True), tuple(analysis.comparison.notes))


RELIABILITY_PER_CLASS = Table(
    name="reliability_per_class",
    title="reliability by class",
    about="The share of positives among labels of like scores, in each class.",
    keys=("model", "class", "upper edge"),
    derive=_reliability_per_class,
    columns=BINS,
    command="calibration --dataset {} --bins --per-class",
    published=False,
    order=13,
)


def _bins(model: str, name: str, bins: Reliability, row: int) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "model": model,
            "class": name,
            "lower edge": bins.edges[:-1],
            "upper edge": bins.edges[1:],
            "mean score": bins.mean_score[row],
            "share of positives": bins.positive_share[row],
            "labels": bins.count[row],
        }
    )
    return frame[frame["labels"] > 0]
