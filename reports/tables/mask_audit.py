"""What comparisons on partly observed labels are worth: metrics and rankings under masks."""

from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.audits.mask_audit import (
    METRICS,
    TRUSTED_DRAWS,
    TRUSTED_TAU,
    Level,
    MaskAudit,
    Preselected,
)
from benchmark.analysis.derivation import Analysis
from reports.tables.declaration import Content, Table, number_columns
from reports.tables.protocol_audit import AUDITED
from reports.tables.words import count, percent

#: What is told of the ranking under masks, and what it means.
AGREEMENT = {
    "tau": "Kendall's tau between both rankings, mean over masks",
    "tau 5 %": "its 5 % quantile over masks",
    f"tau ≥ {TRUSTED_TAU:g}": "share of the masks that keep the ranking that well",
    "same winner": "share of the masks under which the model that is best on all labels is best",
}

#: A metric's level on observed labels is comparable where no model shifts by more.
COMPARABLE = 0.01


def models_under_masks(audit: MaskAudit) -> pd.DataFrame:
    """Return one row a metric and model, under the given mask or at OpenMIC's rates."""
    level = audit.reference
    masked, bias, spread = level.masked(), audit.bias(level), level.spread()
    rows = [
        {
            "metric": metric, "model": model, "all labels": audit.full[i, j],
            "observed": masked[i, j], "bias": bias[i, j], "sd": spread[i, j],
        }
        for i, metric in enumerate(METRICS)
        for j, model in enumerate(audit.models)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _mask_audit(analysis: Analysis) -> Content | None:
    audit = analysis.mask_audit
    if audit is None:
        return None
    facts = {"masks": _kind(audit)}
    return Content(models_under_masks(audit), tuple(mask_sentences(audit)), facts)


MASK_AUDIT = Table(
    name="mask_audit",
    title="the same runs on all labels and on observed ones alone",
    about="How far scores shift where only some labels were observed.",
    keys=("metric", "model"),
    derive=_mask_audit,
    columns={
        "all labels": "value on all labels, of the runs that the notes name",
        "observed": "value on the observed labels alone, mean over masks where there are several",
        "bias": "the second minus the first",
        "sd": "standard deviation over masks, – for one",
    },
    command="audit --dataset {}",
    takes=AUDITED,
    order=23,
    holds={**number_columns("all labels", "observed", "bias"), **number_columns("sd", gaps=True)},
    facts={"masks": str},
    even=True,
)


def levels_table(audit: MaskAudit) -> pd.DataFrame:
    """Return one row a level of observation and metric."""
    rows: list[dict[str, Any]] = []
    for level in audit.levels:
        agreement = _agreement(audit, level)
        for i, metric in enumerate(METRICS):
            share = {} if level.share is None else {"x OpenMIC": float(level.share)}
            rows.append(
                {
                    **share, "positives": round(level.present), "labels": round(level.labels),
                    "metric": metric, "bias": audit.bias(level)[i].mean(), **agreement[i],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _agreement(audit: MaskAudit, level: Level) -> list[dict[str, float]]:
    """Return what is told of the ranking under one level's masks, by metric."""
    rows = level.mean_tau(), level.low_tau(), level.agreeing(), audit.same_winner(level)
    return [dict(zip(AGREEMENT, column, strict=True)) for column in zip(*rows, strict=True)]


def _mask_levels(analysis: Analysis) -> Content | None:
    audit = analysis.mask_audit
    return None if audit is None else Content(levels_table(audit), facts={"masks": _kind(audit)})


MASK_LEVELS = Table(
    name="mask_levels",
    title="agreement of the ranking with the one on all labels",
    about="How many observed labels it takes for models to keep their ranks.",
    keys=("metric", "positives"),
    derive=_mask_levels,
    columns={
        "x OpenMIC": "multiple of the rates at which OpenMIC's labels were observed",
        "positives": "observed positives a class",
        "labels": "observed labels a class",
        "bias": "mean over models of the shift from the value on all labels",
        **AGREEMENT,
    },
    command="audit --dataset {}",
    takes=AUDITED,
    rests_on="pool",
    order=24,
    holds={"positives": int, **number_columns("x OpenMIC", "bias", "tau", "tau 5 %", "labels")},
    sometimes=("x OpenMIC",),
)


def preselection_table(audit: MaskAudit) -> pd.DataFrame:
    """Return one row a metric: the ranking under masks whose clips a model chose."""
    level = audit.preselected.level
    agreement = _agreement(audit, level)
    rows = [
        {
            "metric": metric, "positives": round(level.present), "labels": round(level.labels),
            **agreement[i], "rank change": audit.preselected.rank_change[i],
        }
        for i, metric in enumerate(METRICS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _mask_preselection(analysis: Analysis) -> Content | None:
    audit = analysis.mask_audit
    if audit is None or audit.preselected is None:
        return None
    facts = {"masks": f"under {_masks(audit.preselected.level)} whose clips a model chose"}
    return Content(preselection_table(audit), facts=facts)


MASK_PRESELECTION = Table(
    name="mask_preselection",
    title="agreement of the ranking where a model's scores chose the clips that are labelled",
    about="Whether models keep their ranks where one model chose the clips to label.",
    keys=("metric",),
    derive=_mask_preselection,
    takes=AUDITED,
    columns={
        "positives": "observed positives a class",
        "labels": "observed labels a class",
        **AGREEMENT,
        "rank change": "ranks by which the model that chose falls behind, mean over masks; below "
        "0 where it gets ahead",
    },
    rests_on="pool",
    order=25,
)


def _masks(level: Level) -> str:
    return count(len(level.tau), "mask")


def _kind(audit: MaskAudit) -> str:
    share = audit.reference.share
    if share is None:
        return "on the observed ones"
    times = "OpenMIC's rates" if share == 1 else f"{share:g} times OpenMIC's rates"
    return f"under {_masks(audit.reference)} drawn at {times}"


def mask_sentences(audit: MaskAudit) -> list[str]:
    """Say what follows from the tables."""
    level = audit.reference
    n = len(audit.models)
    pairs = n * (n - 1) // 2
    sentences = [
        f"{count(n, 'model')} are scored on all labels ({audit.present:,.0f} positives among "
        f"{audit.labels:,.0f} labels a class) and {_kind(audit)} ({level.present:,.0f} among "
        f"{level.labels:,.0f}): positives are {percent(audit.prevalence)} of all labels and "
        f"{percent(level.prevalence)} of the observed ones.",
        *(["Scored is one run a model, that of the first seed."] if level.share is None else []),
        *(_level_sentence(audit, level, i) for i in range(len(METRICS))),
        f"With {count(n, 'model')} there are {count(pairs, 'pair')}: one swapped pair gives a "
        f"tau of {1 - 2 / pairs:.3f}.",
    ]
    if level.capped:
        sentences.append(
            f"{count(level.capped, 'class')} has" if level.capped == 1
            else f"{count(level.capped, 'class')} have"
        )  # fmt: skip
        sentences[-1] += (
            " fewer positives, or fewer negatives, than these rates ask for: all of them are "
            "observed, so these masks are milder there than OpenMIC's."
        )
    if level.share is not None:
        sentences += [_enough(audit, metric) for metric in METRICS]
    if audit.preselected is not None:
        sentences += [_preselected(audit, audit.preselected, i) for i in range(len(METRICS))]
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
        same = percent(audit.same_winner(level)[i], 0)
        ranking += f", and the same model is best under {same} of them"
    noise = "" if np.isnan(spread).any() else f", its sd over masks up to {spread.max():.3f}"
    return (
        f"{METRICS[i]}: observed labels alone shift it by {bias.min():+.3f} to {bias.max():+.3f}"
        f"{noise}, so its level {comparable} comparable with complete labels (a shift of at most "
        f"{COMPARABLE:g} would be), while its ranking {ranking}."
    )


def _preselected(audit: MaskAudit, chosen: Preselected, i: int) -> str:
    tau, change = chosen.level.mean_tau()[i], chosen.rank_change[i]
    if np.isnan(tau):
        return f"{METRICS[i]}: no mask whose clips a model chose leaves a ranking to compare."
    same = percent(audit.same_winner(chosen.level)[i], 0)
    return (
        f"{METRICS[i]}: where one of the models chooses by its scores which clips are labelled, "
        f"the ranking agrees with a tau of {tau:.2f} on average, the same model is best under "
        f"{same} of {_masks(chosen.level)}, and the rank of the model that chose changes by "
        f"{change:+z.1f} on average (above 0: it falls behind)."
    )


def _enough(audit: MaskAudit, metric: str) -> str:
    least = audit.enough(metric)
    bound = f"a tau of {TRUSTED_TAU:g} in {percent(TRUSTED_DRAWS, 0)} of the masks"
    if least is None:
        top = audit.levels[-1]
        return (
            f"{metric}: no level that was tried, up to {top.present:,.0f} observed positives and "
            f"{top.labels:,.0f} labels a class, keeps {bound}."
        )
    first = ", the least that was tried" if least is audit.levels[0] else ""
    return (
        f"{metric}: the ranking keeps {bound} from {least.present:,.0f} observed positives and "
        f"{least.labels:,.0f} labels a class on ({least.share:g} times OpenMIC's rates{first})."
    )
