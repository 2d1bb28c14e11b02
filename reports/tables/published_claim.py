"""What OpenMIC-2018's labels alone say about the published claim.

Every number in a sentence, and every comparison it draws, comes from the audit's results.
"""

import numpy as np
import pandas as pd

from benchmark.analysis.audits.protocol_audit import (
    ALWAYS_VOICE,
    ALWAYS_YES,
    CLASS_PRIOR,
    FILTER_CLASS,
    LabelAudit,
)
from reports.tables.declaration import Content, Table, number_columns
from reports.tables.protocol_audit import (
    CORRECTED,
    CORRECTED_COLUMNS,
    PUBLISHED,
    PUBLISHED_COLUMNS,
    figures,
)
from reports.tables.words import count, listed, percent

COMMAND = "audit --labels labels.npz"


def _compared(value: float, other: float) -> str:
    """Say by how many points `value` is above or below `other`, both shares."""
    points = 100 * (value - other)
    if abs(points) < 0.05:
        return "the same as"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'less'} than"


def _yes_precision(audit: LabelAudit) -> tuple[np.ndarray, np.ndarray]:
    """Precision of "yes" for every clip, as published and on the observed labels of all."""
    known = np.maximum(audit.all_present + audit.all_absent, 1)
    return (audit.present + audit.missing) / audit.n_kept, audit.all_present / known


def _labels(audit: LabelAudit) -> Content:
    published, corrected = _yes_precision(audit)
    columns = {
        "class": audit.classes,
        "called present": audit.present + audit.missing,
        "observed present": audit.present,
        "not observed": audit.missing,
        "observed absent": audit.absent,
        "precision of yes": published,
        "on all observed": corrected,
    }
    facts = {"n_kept": int(audit.n_kept), "n_test": int(audit.n_test)}
    return Content(pd.DataFrame(columns), tuple(label_sentences(audit)), facts)


LABELS = Table(
    name="labels",
    title="labels of the test clips that the published protocol keeps",
    about="What the published claim takes as present, beside what listeners heard.",
    keys=("class",),
    derive=_labels,
    columns={
        "called present": "by the published protocol",
        "observed present": "of these, those that listeners heard",
        "not observed": "of these, those that nobody was asked about",
        "observed absent": "by listeners",
        "precision of yes": "share called present among the kept clips",
        "on all observed": "share of positives among all observed labels of the class",
    },
    command=COMMAND,
    source="claim",
    rests_on="nothing",
    order=30,
    holds=number_columns("observed present", "not observed", "observed absent"),
    facts={"n_kept": int, "n_test": int},
)


def _strategies(audit: LabelAudit) -> Content:
    claim = audit.claim
    rows = [
        {
            "scored": "published network",
            "accuracy": claim.accuracy,
            "w. precision": claim.precision,
            "w. recall": claim.recall,
        },
        *({"scored": row.label, **figures(row)} for row in audit.strategies),
    ]
    columns = ["scored", *PUBLISHED, *(f"{name}*" for name in CORRECTED)]
    return Content(pd.DataFrame(rows)[columns])


STRATEGIES = Table(
    name="strategies",
    title="what never hears a clip, as published and (*) corrected",
    about="What the published protocol gives to an answer that never hears a clip.",
    keys=("scored",),
    derive=_strategies,
    columns={**PUBLISHED_COLUMNS, **CORRECTED_COLUMNS},
    command=COMMAND,
    source="claim",
    rests_on="nothing",
    order=31,
    holds=number_columns("w. precision", "w. recall", "mAP*", gaps=True),
)


def _precision(audit: LabelAudit) -> Content:
    published, corrected = _yes_precision(audit)
    claim = audit.claim
    indices = [audit.classes.index(name) for name in claim.network]
    columns = {
        "class": list(claim.network),
        "published network": list(claim.network.values()),
        "yes, as published": published[indices],
        "yes, corrected": corrected[indices],
        "published forest": [claim.forest[name] for name in claim.network],
        "forest, positive class": [claim.forest_positive[name] for name in claim.network],
    }
    return Content(pd.DataFrame(columns))


PRECISION = Table(
    name="precision",
    title="precision by class, beside the published figures",
    about="Precision in each class by the published protocol, beside the figures in print.",
    keys=("class",),
    derive=_precision,
    columns={
        "yes, as published": "precision of saying yes to every clip, missing labels as present",
        "yes, corrected": "the same on observed labels alone",
        "published forest": "a mean of both classes, weighted by support",
        "forest, positive class": "the same forest's precision of the positive class",
    },
    command=COMMAND,
    source="claim",
    rests_on="nothing",
    order=32,
    holds=number_columns("published network", "yes, as published", "yes, corrected"),
)


def _totals(audit: LabelAudit) -> Content:
    present, missing = int(audit.present.sum()), int(audit.missing.sum())
    labels = present + missing + int(audit.absent.sum())
    values = {
        "clips": audit.n_test,
        "clips kept": audit.n_kept,
        "labels": labels,
        "labels called present": present + missing,
        "labels never observed": missing,
        "share called present": (present + missing) / labels,
        "share never observed": missing / (present + missing),
    }
    return Content(
        pd.DataFrame({"quantity": list(values), "value": [float(v) for v in values.values()]})
    )


TOTALS = Table(
    name="totals",
    title="labels of OpenMIC-2018's test partition under the published protocol",
    about="How many clips and labels the published claim rests on.",
    keys=("quantity",),
    derive=_totals,
    columns={"value": "a number of clips or labels, or a share of the labels"},
    command=COMMAND,
    source="claim",
    rests_on="nothing",
    order=33,
)


def label_sentences(audit: LabelAudit) -> list[str]:
    """Say what follows from the labels."""
    claim, yes = audit.claim, audit.strategy(ALWAYS_YES)
    prior, voice = audit.strategy(CLASS_PRIOR), audit.strategy(ALWAYS_VOICE)
    present, missing = audit.present.sum(), audit.missing.sum()
    n_labels = present + missing + audit.absent.sum()
    said = present + missing
    return [
        f"The published protocol keeps {audit.n_kept:,} of the {audit.n_test:,} test clips, those "
        f"whose {FILTER_CLASS} label was observed, and calls {said:,} of their {n_labels:,} labels "
        f"present ({percent(said / n_labels)}); {missing:,} of these ({percent(missing / said)}) "
        f"were never observed, {present:,} were observed as present.",
        f"Saying yes to everything then scores a weighted precision of "
        f"{percent(yes.published['precision'])} and a recall of "
        f"{percent(yes.published['recall'])}; {percent(claim.precision, 0)} and "
        f"{percent(claim.recall, 0)} were published for the network.",
        f"Its accuracy is {percent(yes.published['accuracy'])}, "
        f"{_compared(yes.published['accuracy'], claim.accuracy)} the published "
        f"{percent(claim.accuracy, 2)}: it counts how often the highest score stands at the "
        f"first class that is called present, and {audit.classes[0]}, the first of all, is called "
        f"present in {percent((audit.present + audit.missing)[0] / audit.n_kept)} of the clips.",
        _by_class(audit),
        f"The forest's column is another figure: its published "
        f"{listed([f'{v:.2f} ({c})' for c, v in claim.forest.items()])} average both classes, "
        f"weighted by support; its precision of the positive class is "
        f"{listed([f'{claim.forest_positive[c]:.2f}' for c in claim.forest])}.",
        f"Scored on observed labels alone, saying yes reaches a macro precision of "
        f"{percent(yes.corrected['precision'])} and a mAP of {yes.corrected['mAP']:.3f}, which "
        "is what any score that is the same for all clips reaches.",
        f"The class prior scores a precision of {percent(prior.published['precision'])} and an "
        f"accuracy of {percent(prior.published['accuracy'])} as published; saying "
        f"{FILTER_CLASS} alone is right in "
        f"{percent(audit.present[audit.classes.index(FILTER_CLASS)] / audit.n_kept)} of the "
        f"clips, and its accuracy is {percent(voice.published['accuracy'])}.",
    ]


def _by_class(audit: LabelAudit) -> str:
    published, corrected = _yes_precision(audit)
    claim, index = audit.claim, audit.classes.index
    precisions = {name: f"{published[index(name)]:.2f}" for name in claim.network}
    same = sum(precisions[name] == f"{value:.2f}" for name, value in claim.network.items())
    return (
        f"By class, the precision of saying yes is "
        f"{listed([f'{value} ({name})' for name, value in precisions.items()])}, the network's "
        f"published one {listed([f'{v:.2f}' for v in claim.network.values()])}: equal to two "
        f"decimals for {same} of {count(len(precisions), 'class')}. On observed labels saying yes "
        f"has {listed([f'{corrected[index(name)]:.2f}' for name in precisions])}."
    )
