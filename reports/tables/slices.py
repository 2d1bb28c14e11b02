"""How models fare on slices of the clips, each against all others."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.slices import (
    LEAST_A_CLASS,
    LEAST_CLASSES,
    LEAST_CLIPS,
    LEAST_POSITIVES,
    Slices,
)
from benchmark.scoring.ranking import LEVEL
from reports.tables.declaration import Content, Table, interval_columns, number_columns
from reports.tables.text import BESIDE, FLOOR, HIGH, LOW, with_interval
from reports.tables.words import count, percent

#: What attributes of the data sets that come along say of a clip.
ATTRIBUTES = {
    "instruments": "how many of the classes are labelled",
    "region": "where its music comes from, by its genre labels",
    "style": "of its music, by its genre labels",
    "genre": "of its track",
    "tags": "unusual where its labels of genre, mood and role seldom go with its instruments",
    "timbre": "unheard where its sounds are of sources that no training clip has",
    "codec": "what it was compressed by",
    "room": "whose reverberation was added",
}

#: What a terminal shows of one attribute's slices; first what a narrow one has room for.
_SHOWN = ("slice", "model", "mAP", "difference", "p", "clips", "ROC-AUC", "ROC-AUC difference",
          "ROC-AUC p", "positives", "classes")  # fmt: skip


def explained(attributes: Iterable[str]) -> str:
    """Say what attributes are of a clip, each once, but for those that are not known here."""
    known = [name for name in dict.fromkeys(attributes) if name in ATTRIBUTES]
    return "; ".join(f"{name}: {ATTRIBUTES[name]}" for name in known)


def _slices(analysis: Analysis) -> Content | None:
    measured = analysis.slices
    if not measured:
        return None
    frame = pd.DataFrame([row for one in measured for row in _rows(one)])
    notes = [
        *(_finding(frame[frame["attribute"] == one.attribute], one) for one in measured),
        *(note for one in measured for note in _said(one)),
    ]
    n_resamples = measured[0].slices[0].measured.values.shape[1]
    notes += [
        "mAP is over the classes with at least "
        f"{LEAST_A_CLASS} positives and negatives both in the slice and in the other clips, and "
        f"left out where these are fewer than {LEAST_CLASSES} classes and not all of the data "
        "set's; ROC-AUC is pooled over all "
        "classes, mean over the slice's positives",
        "differences: the slice minus all other clips whose attribute is known, on the same "
        "classes; of mAP at equal shares of positives, of ROC-AUC with the slice's own mixture of "
        f"classes; {percent(LEVEL, 0)} basic bootstrap intervals, {n_resamples:,} resamples by "
        "group, paired, seeds resampled too; p: Holm's correction over the slices of a model",
    ]
    facts = {
        "significant": _significant(frame),
        "left_out": {one.attribute: one.left_out for one in measured},
    }
    columns = [name + end for name in _SHOWN for end in ("", *BESIDE) if name + end in frame]
    shown = frame[columns] if len(measured) == 1 else None
    return Content(frame, tuple(notes + analysis.comparison.notes), facts, shown)


def _rows(measured: Slices) -> list[dict[str, Any]]:
    """Return one row a slice and model."""
    quantities = {
        "mAP": "mAP", "equal-share mAP": "equal-share mAP", "difference": "mAP difference",
        "ROC-AUC": "ROC-AUC", "ROC-AUC difference": "ROC-AUC difference",
    }  # fmt: skip
    spans = {name: measured.interval(one) for name, one in quantities.items()}
    tests = {name: measured.tests(quantities[name]) for name in quantities if "diff" in name}
    rows = []
    for s, one in enumerate(measured.slices):
        for m, model in enumerate(measured.models):
            row: dict[str, Any] = {
                "attribute": measured.attribute, "slice": one.value, "model": model,
                "clips": one.clips, "positives": one.positives, "classes": len(one.classes),
            }  # fmt: skip
            for name, spanned in spans.items():
                row |= dict(zip((name, name + LOW, name + HIGH), _at(spanned, s, m), strict=True))
                if name in tests:
                    p = "p" if name == "difference" else "ROC-AUC p"
                    row |= dict(zip((p, p + FLOOR), _at(tests[name], s, m), strict=True))
            rows.append(row)
    return rows


def _at(arrays: Sequence[np.ndarray], s: int, m: int) -> list[Any]:
    return [array[s, m].item() for array in arrays]


def _finding(frame: pd.DataFrame, measured: Slices) -> str:
    """Say on which slices of an attribute the best model differs from the other clips."""
    best, told = measured.models[0], []
    for row in frame[frame["model"] == best].to_dict("records"):
        if row["ROC-AUC p"] <= 1 - LEVEL + 1e-12:
            span = with_interval(*(row["ROC-AUC difference" + end] for end in ("", LOW, HIGH)))
            told.append(f"{row['slice']} {span}")
    shown = "; ".join(told) or "no slice is shown to differ from the other clips"
    return f"{measured.attribute}, ROC-AUC of {best}: {shown}"


def _said(measured: Slices) -> list[str]:
    """Say which slices are left out of an attribute, and how many clips it knows nothing of."""
    notes = []
    if measured.left_out:
        told = "; ".join(f"{value}, {why}" for value, why in measured.left_out.items())
        notes.append(
            f"too small for a slice of {measured.attribute!r} ({LEAST_CLIPS} clips and "
            f"{LEAST_POSITIVES} positives are needed): {told}"
        )
    if measured.unknown:
        notes.append(
            f"{measured.attribute!r} is not known of {count(measured.unknown, 'clip')}: they are "
            "in no slice, and not among the other clips"
        )
    return notes


def _significant(frame: pd.DataFrame) -> list[list[str]]:
    """Return the attribute, slice, model and quantity of each significant difference."""
    found = []
    for quantity, p in (("mAP", "p"), ("ROC-AUC", "ROC-AUC p")):
        rows = frame[frame[p] <= 1 - LEVEL + 1e-12]
        found += [[*key, quantity] for key in rows[["attribute", "slice", "model"]].to_numpy()]
    return found


def _per_class(analysis: Analysis) -> Content | None:
    if not analysis.slices:
        return None
    model, measured = analysis.slices_by_class
    if not measured:
        return None
    rows = [
        {
            "attribute": one.attribute, "slice": one.value, "class": one.name, "model": model,
            "positives": one.positives,
            **dict(zip(("ROC-AUC", "ROC-AUC" + LOW, "ROC-AUC" + HIGH), one.area, strict=True)),
            **{
                f"ROC-AUC difference{end}": value
                for end, value in zip(("", LOW, HIGH), one.difference, strict=True)
            },
        }
        for one in measured
    ]  # fmt: skip
    notes = (
        f"{model}, the best model on select; a class stands with the slices in which, and in the "
        f"clips outside which, it has at least {LEAST_A_CLASS} positives and negatives",
        f"{percent(LEVEL, 0)} basic bootstrap intervals by group, each for itself: of "
        f"{len(rows):,} of them some miss by luck",
    )
    return Content(pd.DataFrame(rows), notes)


SLICES_PER_CLASS = Table(
    name="slices_per_class",
    title="classes on slices of the clips",
    about="On which classes, in which slices of the clips, the best model fails.",
    keys=("attribute", "slice", "class", "model"),
    derive=_per_class,
    takes="a data set with attributes of its clips, whose slices are large enough",
    columns={
        "positives": "of the class, observed in the slice",
        "ROC-AUC": "how often a positive of the slice is ranked above a negative of it",
        "ROC-AUC difference": "the slice minus all other clips",
    },
    optional=True,
    order=14,
    holds={
        **number_columns("positives", "ROC-AUC"),
        **interval_columns("ROC-AUC difference"),
    },
)


SLICES = Table(
    name="slices",
    title="models on slices of the clips",
    about="How models fare on clips of one kind, as of a genre, against all other clips.",
    keys=("attribute", "slice", "model"),
    derive=_slices,
    takes="a data set with attributes of its clips, whose slices are large enough",
    columns={
        "attribute": "what is known of the clips",
        "slice": "its value, of the clips of this slice",
        "clips": "of the slice",
        "positives": "observed positives of all classes in the slice",
        "classes": "that count into mAP there",
        "equal-share mAP": "the same if each class had the share of positives that it has among "
        "all clips whose attribute is known",
        "difference": "of mAP, at equal shares of positives: the slice minus all other clips",
        "p": "p-value of that difference",
        "ROC-AUC": "how often a positive is ranked above a negative of the same class",
        "ROC-AUC difference": "the slice minus all other clips, with the slice's mixture of "
        "classes",
        "ROC-AUC p": "p-value of that difference",
    },
    command="slices --dataset {} --by ATTRIBUTE",
    optional=True,
    order=14,
    holds={
        **number_columns("positives"),
        **number_columns("ROC-AUC", gaps=True),
        **interval_columns("ROC-AUC difference", gaps=True),
    },
    even=True,
)
