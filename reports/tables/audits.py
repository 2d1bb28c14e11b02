"""Tables and plain sentences of the protocol audit and the mask audit.

Every number in a sentence, and every comparison it draws, comes from the audit's results.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.analysis.audits.mask_audit import (
    METRICS,
    TRUSTED_DRAWS,
    TRUSTED_TAU,
    Level,
    MaskAudit,
)
from benchmark.analysis.audits.protocol_audit import (
    ALWAYS_VOICE,
    ALWAYS_YES,
    CLASS_PRIOR,
    FILTER_CLASS,
    LabelAudit,
    ModelAudit,
    Row,
)

Tables = list[tuple[str, pd.DataFrame]]

#: A metric's level on observed labels is comparable where no model shifts by more.
COMPARABLE = 0.01

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


def _percent(value: float, decimals: int = 1) -> str:
    return f"{100 * value:.{decimals}f} %"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _count(n: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n} {noun if n == 1 else plural}"


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


def label_tables(audit: LabelAudit) -> Tables:
    """Return what OpenMIC's labels alone give: titles and tables.

    Returns
    -------
    list of (str, pandas.DataFrame)
        By class, by strategy, and the published figures by class. Shares are in [0, 1].
    """
    published, corrected = _yes_precision(audit)
    by_class = {
        "class": audit.classes,
        "called present": audit.present + audit.missing,
        "observed present": audit.present,
        "not observed": audit.missing,
        "observed absent": audit.absent,
        "precision of yes": published,
        "on all observed": corrected,
    }
    claim = audit.claim
    rows = [
        {
            "scored": "published network",
            "accuracy": claim.accuracy,
            "w. precision": claim.precision,
            "w. recall": claim.recall,
        },
        *({"scored": row.label, **_figures(row)} for row in audit.strategies),
    ]
    columns = ["scored", *PUBLISHED, *(f"{name}*" for name in CORRECTED)]
    indices = [audit.classes.index(name) for name in claim.network]
    by_claim = {
        "class": list(claim.network),
        "published network": list(claim.network.values()),
        "yes, as published": published[indices],
        "yes, corrected": corrected[indices],
        "published forest": [claim.forest[name] for name in claim.network],
        "forest, positive class": [claim.forest_positive[name] for name in claim.network],
    }
    kept = f"the {audit.n_kept} of {audit.n_test} test clips the published protocol keeps"
    return [
        (f"Labels of {kept}", pd.DataFrame(by_class)),
        ("What never hears a clip, as published and (*) corrected", pd.DataFrame(rows)[columns]),
        ("Precision by class, beside the published figures", pd.DataFrame(by_claim)),
    ]


def _figures(row: Row) -> dict[str, float]:
    return {
        **{heading: row.published[name] for heading, name in PUBLISHED.items()},
        **{f"{heading}*": row.corrected[name] for heading, name in CORRECTED.items()},
    }


def label_sentences(audit: LabelAudit) -> list[str]:
    """Say what follows from :func:`label_tables`."""
    claim, yes = audit.claim, audit.strategy(ALWAYS_YES)
    prior, voice = audit.strategy(CLASS_PRIOR), audit.strategy(ALWAYS_VOICE)
    present, missing = audit.present.sum(), audit.missing.sum()
    n_labels = present + missing + audit.absent.sum()
    said = present + missing
    return [
        f"The published protocol keeps {audit.n_kept} of the {audit.n_test} test clips, those "
        f"whose {FILTER_CLASS} label was observed, and calls {said} of their {n_labels} labels "
        f"present ({_percent(said / n_labels)}); {missing} of these ({_percent(missing / said)}) "
        f"were never observed, {present} were observed as present.",
        f"Saying yes to everything then scores a weighted precision of "
        f"{_percent(yes.published['precision'])} and a recall of "
        f"{_percent(yes.published['recall'])}; {_percent(claim.precision, 0)} and "
        f"{_percent(claim.recall, 0)} were published for the network.",
        f"Its accuracy is {_percent(yes.published['accuracy'])}, "
        f"{_compared(yes.published['accuracy'], claim.accuracy)} the published "
        f"{_percent(claim.accuracy, 2)}: it counts how often the highest score stands at the "
        f"first class that is called present, and {audit.classes[0]}, the first of all, is called "
        f"present in {_percent((audit.present + audit.missing)[0] / audit.n_kept)} of the clips.",
        _by_class(audit),
        f"The forest's column is another figure: its published "
        f"{_listed([f'{v:.2f} ({c})' for c, v in claim.forest.items()])} average both classes, "
        f"weighted by support; its precision of the positive class is "
        f"{_listed([f'{claim.forest_positive[c]:.2f}' for c in claim.forest])}.",
        f"Scored on observed labels alone, saying yes reaches a macro precision of "
        f"{_percent(yes.corrected['precision'])} and a mAP of {yes.corrected['mAP']:.3f}, which "
        "is what any score that is the same for all clips reaches.",
        f"The class prior scores a precision of {_percent(prior.published['precision'])} and an "
        f"accuracy of {_percent(prior.published['accuracy'])} as published; saying "
        f"{FILTER_CLASS} alone is right in "
        f"{_percent(audit.present[audit.classes.index(FILTER_CLASS)] / audit.n_kept)} of the "
        f"clips, and its accuracy is {_percent(voice.published['accuracy'])}.",
    ]


def _by_class(audit: LabelAudit) -> str:
    published, corrected = _yes_precision(audit)
    claim, index = audit.claim, audit.classes.index
    found = {name: f"{published[index(name)]:.2f}" for name in claim.network}
    same = sum(found[name] == f"{value:.2f}" for name, value in claim.network.items())
    return (
        f"By class, the precision of saying yes is "
        f"{_listed([f'{value} ({name})' for name, value in found.items()])}, the network's "
        f"published one {_listed([f'{v:.2f}' for v in claim.network.values()])}: equal to two "
        f"decimals for {same} of {_count(len(found), 'class')}. On observed labels saying yes has "
        f"{_listed([f'{corrected[index(name)]:.2f}' for name in found])}."
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank from 1, the best; equal values share the best rank."""
    return np.array([1 + int((values > value).sum()) for value in values])


def _name(row: Row) -> str:
    return f"{row.label} (trained as published)" if row.as_published else row.label


def model_tables(audit: ModelAudit) -> Tables:
    """Return models under both protocols, and one set of decisions averaged in three ways.

    Returns
    -------
    list of (str, pandas.DataFrame)
        Figures are means over seeds. The last row says yes to everything and has no rank.
    """
    rows = [{"model": _name(row), **_figures(row)} for row in (*audit.rows, audit.yes)]
    frame = pd.DataFrame(rows)
    for heading, protocol, name in (
        ("accuracy rank", "published", "accuracy"),
        ("F1 rank", "published", "f1"),
        ("mAP rank*", "corrected", "mAP"),
    ):
        frame[heading] = [*map(str, _ranks(audit.values(protocol, name))), "–"]
    mixed = [
        {"model": _name(row), **{h: row.corrected[name] for h, name in AVERAGES.items()}}
        for row in (*audit.rows, audit.yes)
    ]
    where = f"{audit.dataset}{', OpenMIC-like mask' if audit.drawn else ''}, {audit.part} part"
    return [
        (f"{where}: as published and (*) corrected", frame),
        (f"{where}: the same decisions, averaged in three ways", pd.DataFrame(mixed)),
    ]


def model_sentences(audit: ModelAudit) -> list[str]:
    """Say what follows from :func:`model_tables`."""
    mAP, f1 = audit.values("corrected", "mAP"), audit.values("published", "f1")
    accuracy = audit.values("published", "accuracy")
    n = len(audit.rows)
    behind = [
        f"{int((audit.values('published', key) <= audit.yes.published[key] + 1e-12).sum())} of "
        f"{_count(n, 'model')} in {name}"
        for name, key in (("accuracy", "accuracy"), ("weighted F1", "f1"))
    ]
    sentences = [
        f"On {audit.dataset} the published protocol keeps {audit.n_kept} of {audit.n_clips} "
        f"clips and calls {_percent(audit.present)} of their labels present; "
        f"{_percent(audit.observed)} were observed to be.",
        f"Saying yes to everything scores a weighted precision of "
        f"{_percent(audit.yes.published['precision'])} and a recall of "
        f"{_percent(audit.yes.published['recall'])} there. No better than that: "
        f"{_listed(behind)}.",
        f"Models that differ by {np.ptp(mAP):.3f} in mAP differ by {np.ptp(f1):.3f} in the "
        f"published weighted F1.",
    ]
    best = int(np.argmax(mAP))
    sentences.append(
        f"The best model by mAP, {_name(audit.rows[best])}, has rank {_ranks(accuracy)[best]} of "
        f"{n} by published accuracy and rank {_ranks(f1)[best]} by published weighted F1; "
        + _listed(
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
            f"{_percent(row.published['accuracy'])}, a precision of "
            f"{_percent(row.published['precision'])} and a recall of "
            f"{_percent(row.published['recall'])}; corrected, a mAP of "
            f"{row.corrected['mAP']:.3f}{''.join(beside[:1])}."
        )
    return sentences


def _mixing(audit: ModelAudit) -> list[str]:
    """Set the forest's and the network's figures side by side as published, and alike."""
    first = {row.model: row for row in reversed(audit.rows) if not row.as_published}
    forest, network = first.get("random_forest"), first.get("cnn")
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
    return [f"Precision of {forest.label} against {network.label}: {_listed(told)}."]


def _ahead(difference: float) -> str:
    if abs(difference) < 0.0005:
        return "level"
    return f"{abs(difference):.3f} {'ahead' if difference > 0 else 'behind'}"


def mask_tables(audit: MaskAudit) -> Tables:
    """Return metrics and rankings under masks, beside those on all labels.

    Returns
    -------
    list of (str, pandas.DataFrame)
        By model and metric under the given mask or at OpenMIC's rates; by level of observation
        and metric. ``x OpenMIC`` is the multiple of OpenMIC's rates; ``positives`` and
        ``labels`` are observed ones per class.
    """
    level = audit.reference
    masked, bias, spread = level.masked(), audit.bias(level), level.spread()
    by_model = [
        {
            "metric": metric, "model": model, "all labels": audit.full[i, j],
            "observed": masked[i, j], "bias": bias[i, j], "sd": spread[i, j],
        }
        for i, metric in enumerate(METRICS)
        for j, model in enumerate(audit.models)
    ]  # fmt: skip
    by_level = []
    for level in audit.levels:
        tau, low, agreeing = level.mean_tau(), level.low_tau(), level.agreeing()
        for i, metric in enumerate(METRICS):
            row = {} if level.share is None else {"x OpenMIC": f"{level.share:g}"}
            by_level.append(
                {
                    **row, "positives": round(level.present), "labels": round(level.labels),
                    "metric": metric, "bias": audit.bias(level)[i].mean(), "tau": tau[i],
                    "tau 5 %": low[i], f"tau ≥ {TRUSTED_TAU:g}": agreeing[i],
                }
            )  # fmt: skip
    return [
        (f"The same runs on all labels and {_kind(audit)}", pd.DataFrame(by_model)),
        ("Agreement of the ranking with the one on all labels", pd.DataFrame(by_level)),
    ]


def _kind(audit: MaskAudit) -> str:
    share = audit.reference.share
    if share is None:
        return "on the observed ones"
    times = "OpenMIC's rates" if share == 1 else f"{share:g} times OpenMIC's rates"
    return f"under {_count(len(audit.reference.tau), 'mask')} drawn at {times}"


def mask_sentences(audit: MaskAudit) -> list[str]:
    """Say what follows from :func:`mask_tables`."""
    level = audit.reference
    n = len(audit.models)
    pairs = n * (n - 1) // 2
    sentences = [
        f"{_count(n, 'model')} are scored on all labels ({audit.present:.0f} positives among "
        f"{audit.labels:.0f} labels a class) and {_kind(audit)} ({level.present:.0f} among "
        f"{level.labels:.0f}): positives are {_percent(audit.prevalence)} of all labels and "
        f"{_percent(level.prevalence)} of the observed ones.",
        *(_level_sentence(audit, level, i) for i in range(len(METRICS))),
        f"With {_count(n, 'model')} there are {_count(pairs, 'pair')}: one swapped pair gives a "
        f"tau of {1 - 2 / pairs:.2f}.",
    ]
    if level.capped:
        sentences.append(
            f"{_count(level.capped, 'class')} has" if level.capped == 1
            else f"{_count(level.capped, 'class')} have"
        )  # fmt: skip
        sentences[-1] += (
            " fewer positives, or fewer negatives, than these rates ask for: all of them are "
            "observed, so these masks are milder there than OpenMIC's."
        )
    if level.share is not None:
        sentences += [_enough(audit, metric) for metric in METRICS]
    return sentences


def _level_sentence(audit: MaskAudit, level: Level, i: int) -> str:
    bias, spread, tau, low = (
        audit.bias(level)[i],
        level.spread()[i],
        level.mean_tau(),
        level.low_tau(),
    )
    comparable = "is" if np.abs(bias).max() <= COMPARABLE else "is not"
    ranking = (
        "has no defined agreement" if np.isnan(tau[i]) else f"agrees with a tau of {tau[i]:.2f}"
    )
    if not np.isnan(low[i]) and len(level.tau) > 1:
        ranking += f" on average, {low[i]:.2f} at the 5 % quantile of the masks"
    noise = "" if np.isnan(spread).any() else f", its sd over masks up to {spread.max():.3f}"
    return (
        f"{METRICS[i]}: observed labels alone shift it by {bias.min():+.3f} to {bias.max():+.3f}"
        f"{noise}, so its level {comparable} comparable with complete labels (a shift of at most "
        f"{COMPARABLE:g} would be), while its ranking {ranking}."
    )


def _enough(audit: MaskAudit, metric: str) -> str:
    found = audit.enough(metric)
    bound = f"a tau of {TRUSTED_TAU:g} in {_percent(TRUSTED_DRAWS, 0)} of the masks"
    if found is None:
        top = audit.levels[-1]
        return (
            f"{metric}: no level that was tried, up to {top.present:.0f} observed positives and "
            f"{top.labels:.0f} labels a class, keeps {bound}."
        )
    least = ", the least that was tried" if found is audit.levels[0] else ""
    return (
        f"{metric}: the ranking keeps {bound} from {found.present:.0f} observed positives and "
        f"{found.labels:.0f} labels a class on ({found.share:g} times OpenMIC's rates{least})."
    )
