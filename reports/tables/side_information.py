"""What side information, such as the genre, adds to what a model hears."""

import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.side_information import Gain
from reports.tables.declaration import Content, Table
from reports.tables.text import FLOOR, HIGH, LOW, p_value, with_interval


def _side_information(analysis: Analysis) -> Content | None:
    gains = analysis.side_information
    if not gains:
        return None
    notes = (
        *_sentences(gains),
        "gain: with the further features minus without, paired by clips, seeds resampled too; p: "
        "Holm's correction over the rows of classes, and over the others",
    )
    frame = pd.DataFrame(
        {
            "model": one.label, "added": one.added, "on": one.on, "clips": one.clips,
            "classes": one.classes, "without": one.without, "with": one.more,
            "gain": one.gain.value, "gain" + LOW: one.gain.lower, "gain" + HIGH: one.gain.upper,
            "p": one.p, "p" + FLOOR: one.at_floor,
        }
        for one in gains
    )  # fmt: skip
    runs = {
        f"{pair.label} + {pair.added} + {on}": [
            r.run_id for entry in (pair.without, pair.more) for r in entry.records
        ]
        for pair in analysis.enriched
        for on in frame["on"].unique()
    }
    return Content(frame, notes + tuple(analysis.comparison.notes), {"runs": runs})


def _sentences(gains: list[Gain]) -> list[str]:
    """Say what each model gains, and in which classes significantly."""
    said = []
    for one in gains:
        if one.on.startswith("class: "):
            continue
        span = with_interval(one.gain.value, one.gain.lower, one.gain.upper)
        told = f"{one.label}, {one.on}: {one.added} change mAP by {span}, "
        said.append(f"{told}p {p_value(one.p, one.at_floor)}")
    for label in dict.fromkeys(one.label for one in gains):
        classes = [g for g in gains if g.label == label and g.on.startswith("class: ")]
        clear = [f"{g.on[7:]} {g.gain.value:+.3f}" for g in classes if g.p <= 0.05]
        names = ", ".join(clear)
        said.append(f"{label}: classes with a significant change: {names or 'none'}")
    return said


SIDE_INFORMATION = Table(
    name="side_information",
    title="with and without side information",
    about="What further features, as tags of genres, add to a model.",
    keys=("model", "added", "on"),
    derive=_side_information,
    columns={
        "model": "and the features that it has without",
        "added": "the further features",
        "on": "all clips, those of a slice, or one class over all clips",
        "clips": "that count",
        "classes": "that count; on a slice those with 10 positives and 10 negatives there",
        "without": "mAP, or average precision of the class",
        "with": "the same with the further features",
        "gain": "with minus without",
        "p": "p-value of the gain",
    },
    takes="a model on some features, and on these joined with others (`run --features A+B`)",
    optional=True,
    order=14,
)
