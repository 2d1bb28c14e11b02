"""Stored models under the published protocol and under the corrected one."""

import numpy as np
import pandas as pd

from benchmark.analysis.audits.protocol_audit import CLAIM, ModelAudit, UnderBothProtocols
from benchmark.analysis.derivation import Analysis
from reports.tables.declaration import Content, Table, number_columns
from reports.tables.words import count, listed, percent

#: What all tables of an audit follow from.
AUDITED = "OpenMIC-2018's classes, complete labels, and the runs of two models at least"

#: Figures under the published protocol: heading, name.
PUBLISHED = {
    "accuracy": "accuracy",
    "w. precision": "precision",
    "w. recall": "recall",
    "w. F1": "f1",
}
#: Figures under the corrected protocol: heading, name.
CORRECTED = {"mAP": "mAP", "F1": "f1", "precision": "precision", "recall": "recall"}
#: One set of decisions, averaged in three ways: heading, name.
AVERAGES = {
    "positive P": "precision",
    "positive R": "recall",
    "positive F1": "f1",
    "two-class F1": "two_class_f1",
    "both-class P": "weighted_precision",
    "both-class R": "weighted_recall",
    "both-class F1": "weighted_f1",
}

PUBLISHED_COLUMNS = {
    "accuracy": "how often the highest score stands at the first class called present",
    "w. precision": "precision of the positive class, weighted by class, missing labels as present",
    "w. recall": "recall, likewise",
    "w. F1": "F1, likewise",
}
CORRECTED_COLUMNS = {
    "mAP*": "mean of the classes' average precision over observed labels",
    "F1*": "macro F1 of the positive class over observed labels, one global threshold",
    "precision*": "macro precision, likewise",
    "recall*": "macro recall, likewise",
}


def figures(row: UnderBothProtocols) -> dict[str, float]:
    """Return one row's figures by heading; those under the corrected protocol bear a star."""
    return {
        **{heading: row.published[name] for heading, name in PUBLISHED.items()},
        **{f"{heading}*": row.corrected[name] for heading, name in CORRECTED.items()},
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank from 1, the best; equal values share the best rank."""
    return np.array([1 + int((values > value).sum()) for value in values])


def _name(row: UnderBothProtocols) -> str:
    return f"{row.label} (trained as published)" if row.as_published else row.label


def _facts(analysis: Analysis) -> dict:
    """Say which runs are behind each row; none are behind saying yes to everything."""
    audit = analysis.protocol_audit
    entries = [
        *((entry, False) for entry in analysis.comparison.entries),
        *((entry, True) for entry in analysis.trained_as_published),
    ]
    runs = {
        _name(row): [
            record.run_id
            for entry, as_published in entries
            if (entry.label, as_published) == (row.label, row.as_published)
            for record in entry.records
        ]
        for row in audit.rows
    }
    return {"runs": runs | {audit.yes.label: []}, "yes": audit.yes.label, **_mask(audit)}


def _mask(audit: ModelAudit) -> dict[str, str]:
    return {"mask": "OpenMIC-like mask"} if audit.drawn else {}


def model_table(audit: ModelAudit) -> pd.DataFrame:
    """Return one row a model, means over seeds; the last says yes and has no rank."""
    rows = [{"model": _name(row), **figures(row)} for row in (*audit.rows, audit.yes)]
    frame = pd.DataFrame(rows)
    for heading, protocol, name in (
        ("accuracy rank", "published", "accuracy"),
        ("F1 rank", "published", "f1"),
        ("mAP rank*", "corrected", "mAP"),
    ):
        frame[heading] = [*map(str, _ranks(audit.values(protocol, name))), "–"]
    return frame


def _protocol_audit(analysis: Analysis) -> Content | None:
    audit = analysis.protocol_audit
    if audit is None:
        return None
    return Content(model_table(audit), tuple(model_sentences(audit)), _facts(analysis))


PROTOCOL_AUDIT = Table(
    name="protocol_audit",
    title="as published and (*) corrected",
    about="Models scored as a published project did, beside the corrected protocol.",
    keys=("model",),
    derive=_protocol_audit,
    columns={
        **PUBLISHED_COLUMNS,
        **CORRECTED_COLUMNS,
        "accuracy rank": "by accuracy, as published",
        "F1 rank": "by w. F1, as published",
        "mAP rank*": "by mAP",
    },
    command="audit --dataset {}",
    takes=AUDITED,
    order=20,
    holds={
        **number_columns("accuracy", "w. F1", "mAP*"),
        **dict.fromkeys(("accuracy rank", "F1 rank", "mAP rank*"), str),
    },
    facts={"yes": str, "runs": dict[str, list[str]]},
)


def _averages(analysis: Analysis) -> Content | None:
    audit = analysis.protocol_audit
    return audit and Content(averages_table(audit), facts=_facts(analysis))


def averages_table(audit: ModelAudit) -> pd.DataFrame:
    """Return one row a model: one set of decisions, averaged in three ways."""
    return pd.DataFrame(
        {"model": _name(row), **{h: row.corrected[name] for h, name in AVERAGES.items()}}
        for row in (*audit.rows, audit.yes)
    )


PROTOCOL_AVERAGES = Table(
    name="protocol_averages",
    title="the same decisions, averaged in three ways",
    about="Precision, recall and F1 of the same decisions, averaged in three ways.",
    keys=("model",),
    derive=_averages,
    columns={
        "positive P": "precision of the positive class, mean over classes",
        "positive R": "recall of the positive class, mean over classes",
        "positive F1": "F1 of the positive class, mean over classes",
        "two-class F1": "mean of the F1 of presence and of absence",
        "both-class P": "precision of presence and absence, weighted by their labels",
        "both-class R": "recall of presence and absence, weighted by their labels",
        "both-class F1": "F1 of presence and absence, weighted by their labels",
    },
    command="audit --dataset {}",
    takes=AUDITED,
    order=21,
    facts={"runs": dict[str, list[str]]},
)


def _kept(analysis: Analysis) -> Content | None:
    audit = analysis.protocol_audit
    if audit is None:
        return None
    values = {
        "clips": audit.n_clips,
        "clips kept": audit.n_kept,
        "labels called present": audit.present,
        "labels observed present": audit.observed,
    }
    columns = {"quantity": list(values), "value": [float(v) for v in values.values()]}
    return Content(pd.DataFrame(columns), facts=_mask(audit))


KEPT = Table(
    name="kept",
    title="what the published protocol keeps",
    about="Which clips and labels the published protocol keeps.",
    keys=("quantity",),
    derive=_kept,
    columns={"value": "a number of clips, or a share of the kept clips' labels"},
    command="audit --dataset {}",
    takes=AUDITED,
    rests_on="nothing",
    order=22,
)


def model_sentences(audit: ModelAudit) -> list[str]:
    """Say what follows from the table."""
    mAP, f1 = audit.values("corrected", "mAP"), audit.values("published", "f1")
    accuracy = audit.values("published", "accuracy")
    n = len(audit.rows)
    behind = [
        f"{int((audit.values('published', key) <= audit.yes.published[key] + 1e-12).sum())} of "
        f"{count(n, 'model')} in {name}"
        for name, key in (("accuracy", "accuracy"), ("weighted F1", "f1"))
    ]
    sentences = [
        f"On {audit.dataset} the published protocol keeps {audit.n_kept:,} of {audit.n_clips:,} "
        f"clips and calls {percent(audit.present)} of their labels present; "
        f"{percent(audit.observed)} were observed to be.",
        f"Saying yes to everything scores a weighted precision of "
        f"{percent(audit.yes.published['precision'])} and a recall of "
        f"{percent(audit.yes.published['recall'])} there. No better than that: "
        f"{listed(behind)}.",
        f"Models that differ by {np.ptp(mAP):.3f} in mAP differ by {np.ptp(f1):.3f} in the "
        f"published weighted F1.",
    ]
    best = int(np.argmax(mAP))
    sentences.append(
        f"The best model by mAP, {_name(audit.rows[best])}, has rank {_ranks(accuracy)[best]} of "
        f"{n} by published accuracy and rank {_ranks(f1)[best]} by published weighted F1; "
        + listed(
            [
                f"Kendall's tau between mAP and published {name} is {_tau(audit.tau(key))}"
                for name, key in (("accuracy", "accuracy"), ("weighted F1", "f1"))
            ]
        )
        + "."
    )
    return [*sentences, *_trained_as_published(audit), *_mixing(audit)]


def _tau(value: float) -> str:
    return "not defined (all are equal)" if np.isnan(value) else f"{value:.2f}"


def _trained_as_published(audit: ModelAudit) -> list[str]:
    by_f1, by_map = (
        _ranks(audit.values(*figure)) for figure in (("published", "f1"), ("corrected", "mAP"))
    )
    sentences = []
    for i, row in enumerate(audit.rows):
        if not row.as_published:
            continue
        twins = [r for r in audit.rows if r.model == row.model and not r.as_published]
        twins.sort(key=lambda r: r.label != row.label)  # of its own parameters, or the best
        beside = [
            f"; {r.label}, trained on observed labels, has {r.corrected['mAP']:.3f}" for r in twins
        ]
        sentences.append(
            f"{row.label} trained as published has rank {by_f1[i]} of {len(audit.rows)} by "
            f"published weighted F1 and rank {by_map[i]} by mAP: as published, an accuracy of "
            f"{percent(row.published['accuracy'])}, a precision of "
            f"{percent(row.published['precision'])} and a recall of "
            f"{percent(row.published['recall'])}; corrected, a mAP of "
            f"{row.corrected['mAP']:.3f}{''.join(beside[:1])}."
        )
    return sentences


def _mixing(audit: ModelAudit) -> list[str]:
    """Set the forest's and the network's figures side by side as published, and alike."""
    first = {row.model: row for row in reversed(audit.rows) if not row.as_published}
    network, forest = map(first.get, CLAIM.models)
    if forest is None or network is None:
        return []
    pairs = {
        "as published, both classes weighted against the positive class": (
            forest.corrected["weighted_precision"],
            network.corrected["precision"],
        ),
        "the positive class of both": (
            forest.corrected["precision"],
            network.corrected["precision"],
        ),
        "both classes weighted": (
            forest.corrected["weighted_precision"],
            network.corrected["weighted_precision"],
        ),
    }
    told = [
        f"{a:.3f} against {b:.3f} ({kind}; the network {_ahead(b - a)})"
        for kind, (a, b) in pairs.items()
    ]
    return [f"Precision of {forest.label} against {network.label}: {listed(told)}."]


def _ahead(difference: float) -> str:
    if abs(difference) < 0.0005:
        return "level"
    return f"{abs(difference):.3f} {'ahead' if difference > 0 else 'behind'}"
