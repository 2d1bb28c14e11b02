"""Tables of a comparison: models, ranks, classes."""

from typing import Any

import pandas as pd

from benchmark.analysis.comparison import Comparison
from benchmark.analysis.inference import Inference
from reports.tables.text import HIGH, LOW

#: Columns with an interval: heading, name of the macro value.
METRICS = {
    "mAP": "mAP",
    "F1": "f1_global",
    "F1 per class": "f1_per_class",
    "F1 at 0.5": "f1_half",
}


def comparison(result: Comparison, found: Inference) -> pd.DataFrame:
    """Return one row a model: rank, macro metrics with intervals, distance to the best.

    Metrics are means over seeds; ``clip se`` is mAP's standard error from clips alone,
    ``seed sd`` its standard deviation between seeds; ``behind`` is the best model's mAP minus
    this one's, ``p`` its p-value, corrected over all pairs; ``fit (s)`` and ``ms/clip`` are
    means over seeds.
    """
    ends = {name: found.resampled[name].interval(found.level) for name in METRICS.values()}
    rows = []
    for i, entry in enumerate(result.entries):
        row: dict[str, Any] = {"rank": int(found.pairs.rank[i]) if found.pairs else 1}
        row |= {"model": entry.label, "seeds": len(entry.evaluations)}
        for heading, name in METRICS.items():
            low, high = ends[name]
            row |= {heading: entry.mean(name), heading + LOW: low[i], heading + HIGH: high[i]}
            if name == "mAP":
                row["clip se"] = found.resampled[name].sampling_sd[i]
                row["seed sd"] = entry.spread("mAP")
                row |= _behind_best(found, i)
        row["fit (s)"] = entry.seconds("fit")
        row["ms/clip"] = entry.milliseconds_per_clip()
        rows.append(row)
    return pd.DataFrame(rows)


def _behind_best(found: Inference, i: int) -> dict[str, float]:
    pairs, name = found.pairs, "behind"
    if pairs is None or i == 0:
        nothing = float("nan")
        return {name: nothing, name + LOW: nothing, name + HIGH: nothing, "p": nothing}
    return {
        name: pairs.difference[0, i],
        name + LOW: pairs.lower[0, i],
        name + HIGH: pairs.upper[0, i],
        "p": pairs.p_holm[0, i],
    }


def comparison_notes(result: Comparison, found: Inference) -> list[str]:
    """Return how the table is to be read, and what was left out."""
    drawn = found.resampled["mAP"]
    notes = [
        f"below or beside a value: {found.level:.0%} basic bootstrap interval, "
        f"{found.n_resamples:,} resamples by group, paired, seeds resampled too; "
        f"{drawn.n_dropped} dropped",
    ]
    if found.pairs is not None:
        notes.append(
            "rank: 1 + number of models significantly better in mAP; behind: mAP behind the "
            f"best, p of it; rank and p Holm over all pairs, at {1 - found.level:.0%}"
        )
    if result.unscored:
        notes.append(f"left out, nothing to score: {', '.join(result.unscored)}")
    return notes + result.notes


def ranks(result: Comparison, found: Inference) -> pd.DataFrame:
    """Return average ranks over classes, and class wins, ties and losses against the best."""
    conventional, counts = found.critical_difference(), found.win_tie_loss().counts
    rows = []
    for i, entry in enumerate(result.entries):
        wins, ties, losses = counts[i, 0] if i else ("–", "–", "–")
        bars = [n + 1 for n, bar in enumerate(conventional.groups) if i in bar]
        rows.append(
            {
                "rank": int(found.pairs.rank[i]),
                "model": entry.label,
                "average rank": float(conventional.average_rank[i]),
                "not told apart (Nemenyi)": ", ".join(f"group {n}" for n in bars) or "–",
                "wins": wins,
                "ties": ties,
                "losses": losses,
            }
        )
    return pd.DataFrame(rows)


def rank_notes(result: Comparison, found: Inference) -> list[str]:
    """Return the tests behind :func:`ranks`."""
    conventional = found.critical_difference()
    return [
        f"average rank over {found.resampled['mAP'].scored.sum()} classes; Friedman "
        f"chi-squared {conventional.statistic:.1f}, p {conventional.p_friedman:.2g}; Nemenyi's "
        f"critical difference {conventional.critical_difference:.2f} ranks",
        f"wins, ties, losses: classes against {result.entries[0].label}, paired bootstrap, "
        "Holm over classes",
        "classes share their clips: the average ranks describe, the bootstrap ranks test",
    ]


def per_class(result: Comparison, found: Inference) -> pd.DataFrame:
    """Return average precision with intervals, one row a class, best model first."""
    low, high = found.resampled["mAP"].class_interval(found.level)
    columns: dict[str, Any] = {
        "class": result.classes,
        "positives": result.labels.y_positive.sum(axis=0),
        "observed": result.labels.y_mask.sum(axis=0),
    }
    for i, entry in enumerate(result.entries):
        columns[entry.label] = entry.average_precision
        columns[entry.label + LOW], columns[entry.label + HIGH] = low[i], high[i]
    return pd.DataFrame(columns)


def title(result: Comparison) -> str:
    """Return what is compared, with another split than the official one marked."""
    split = "" if result.official else f", split {result.split}, NOT OFFICIAL"
    return f"{result.dataset}{split}, {result.part} part, {len(result.labels):,} clips"
