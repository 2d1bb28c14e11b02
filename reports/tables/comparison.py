"""Models against each other: the headline, paired differences, ranks, classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.derivation import Analysis
from benchmark.analysis.inference import Inference
from benchmark.scoring.bootstrap import Bootstrap
from benchmark.scoring.evaluation import METRICS
from reports.tables.declaration import Content, Table
from reports.tables.text import HIGH, LOW

#: Of a comparison's columns, what those mean that are no metrics.
COLUMNS = {
    "rank": "1 + the number of models that are significantly better in mAP",
    "model": "model, and how it was trained",
    "seeds": "runs that are averaged",
    "clip se": "standard error of mAP from the choice of test clips alone",
    "seed sd": "standard deviation of mAP between training seeds",
    "behind": "mAP of the best model minus this one's",
    "p": "p-value of that difference, Holm's correction over all pairs of models",
    "fit (s)": "processor seconds of training, mean over seeds",
    "ms/clip": "processor milliseconds to score one clip",
    "model (bytes)": "size of what the model saved",
}


def models_table(result: Comparison, inferred: Inference) -> pd.DataFrame:
    """Return one row a model: rank, metrics with intervals, distance to the best, cost.

    Metrics are means over seeds; what the columns mean is told by `COLUMNS` and `METRICS`.
    """
    headings = {n: m.heading for n, m in METRICS.items() if n in inferred.resampled}
    ends = {name: inferred.resampled[name].interval(inferred.level) for name in headings}
    rows = []
    for i, entry in enumerate(result.entries):
        row: dict[str, Any] = {"rank": int(inferred.pairs.rank[i]) if inferred.pairs else 1}
        row |= {"model": entry.label, "seeds": len(entry.evaluations)}
        for name, heading in headings.items():
            low, high = ends[name]
            row |= {heading: entry.mean(name), heading + LOW: low[i], heading + HIGH: high[i]}
            if name == "mAP":
                row["clip se"] = inferred.resampled[name].sampling_sd[i]
                row["seed sd"] = entry.spread("mAP")
                row |= _behind_best(inferred, i)
        row["fit (s)"] = entry.seconds("fit")
        row["ms/clip"] = entry.milliseconds_per_clip()
        rows.append(row)
    return pd.DataFrame(rows)


def _behind_best(inferred: Inference, i: int) -> dict[str, float]:
    pairs, name = inferred.pairs, "behind"
    if pairs is None or i == 0:
        nothing = float("nan")
        return {name: nothing, name + LOW: nothing, name + HIGH: nothing, "p": nothing}
    return {
        name: pairs.difference[0, i],
        name + LOW: pairs.lower[0, i],
        name + HIGH: pairs.upper[0, i],
        "p": pairs.p_holm[0, i],
    }


def comparison_notes(result: Comparison, inferred: Inference) -> list[str]:
    """Return how the table is to be read, and what was left out."""
    notes = [interval_note(inferred.resampled["mAP"], inferred.level)]
    if inferred.n_resamples > inferred.asked:
        notes.append(
            f"{inferred.asked:,} resamples were asked for: too few for Holm's correction, "
            f"{inferred.n_resamples:,} were drawn"
        )
    if inferred.pairs is not None:
        notes.append(
            f"rank and p: paired bootstrap, Holm's correction over all pairs of models, at "
            f"{1 - inferred.level:.0%}; behind: mAP behind the best"
        )
    if result.unscored:
        notes.append(f"left out, nothing to score: {', '.join(result.unscored)}")
    return notes + result.notes


def interval_note(drawn: Bootstrap, level: float) -> str:
    """Say what the intervals of a bootstrap are."""
    return (
        f"below or beside a value: {level:.0%} basic bootstrap interval, "
        f"{len(drawn.class_values):,} resamples by group, paired, seeds resampled too; "
        f"{_dropped(drawn.n_dropped)}"
    )


def _dropped(n: int) -> str:
    if not n:
        return "no resample lacked a scorable class"
    return f"{n:,} resamples lacked a scorable class and were left out"


def _comparison(analysis: Analysis) -> Content:
    result, inferred = analysis.comparison, analysis.inference
    frame = models_table(result, inferred)
    plain = [m for n, m in METRICS.items() if m.compared and n not in inferred.resampled]
    for metric in plain:
        frame.insert(
            frame.columns.get_loc("F1"),
            metric.heading,
            [entry.mean(metric.name) for entry in result.entries],
        )
    frame["model (bytes)"] = [_bytes(entry) for entry in result.entries]
    return Content(frame, tuple(comparison_notes(result, inferred)))


def _bytes(entry: Entry) -> float:
    """Return the mean size of what a model saved, NaN where no run stands behind the scores."""
    sizes = [record.model_bytes for record in entry.records]
    return float(np.mean(sizes)) if sizes else float("nan")


COMPARISON = Table(
    name="comparison",
    title="",
    keys=("model",),
    derive=_comparison,
    columns=COLUMNS,
    command="compare --dataset {}",
    order=3,
)


def _per_class(analysis: Analysis) -> Content:
    result, inferred = analysis.comparison, analysis.inference
    low, high = inferred.resampled["mAP"].class_interval(inferred.level)
    positives = result.labels.y_positive.sum(axis=0)
    wide: dict[str, Any] = {
        "class": result.classes,
        "positives": positives,
        "observed": result.labels.y_mask.sum(axis=0),
    }
    frames = []
    for i, entry in enumerate(result.entries):
        spanned = {"": entry.average_precision, LOW: low[i], HIGH: high[i]}
        columns = {"class": result.classes, "model": entry.label, "positives": positives}
        frames.append(pd.DataFrame(columns | {f"AP{end}": v for end, v in spanned.items()}))
        wide |= {entry.label + end: values for end, values in spanned.items()}
    notes = tuple(comparison_notes(result, inferred))
    return Content(pd.concat(frames, ignore_index=True), notes, shown=pd.DataFrame(wide))


PER_CLASS = Table(
    name="per_class",
    title="average precision by class",
    keys=("class", "model"),
    derive=_per_class,
    columns={
        "positives": "observed positives in the part",
        "observed": "observed labels of the class in the part",
        "AP": "average precision over observed labels, mean over seeds",
    },
    command="compare --dataset {} --per-class",
    order=4,
)


def _pairs(analysis: Analysis) -> Content | None:
    result, inferred = analysis.comparison, analysis.inference
    names, test = [entry.label for entry in result.entries], inferred.pairs
    if test is None:
        return None
    rows = [
        {
            "model": names[i],
            "against": names[j],
            "difference": test.difference[i, j],
            "difference low": test.lower[i, j],
            "difference high": test.upper[i, j],
            "p": test.p_holm[i, j],
            "better": bool(test.better[i, j]),
        }
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    return Content(pd.DataFrame(rows), tuple(comparison_notes(result, inferred)))


PAIRS = Table(
    name="pairs",
    title="paired differences of mAP",
    keys=("model", "against"),
    derive=_pairs,
    columns={
        "model": "the one of higher mAP",
        "difference": "its mAP minus the other one's, on the same clips",
        "p": "p-value of the difference, Holm's correction over all pairs",
        "better": "whether it differs significantly",
    },
    order=7,
)


def _ranks(analysis: Analysis) -> Content | None:
    """Rank models over classes; Friedman's test knows no fewer than three."""
    result, inferred = analysis.comparison, analysis.inference
    conventional, counts = inferred.critical_difference(), inferred.win_tie_loss().counts
    rows = []
    for i, entry in enumerate(result.entries):
        wins, ties, losses = counts[i, 0] if i else ("–", "–", "–")
        groups = [n + 1 for n, members in enumerate(conventional.groups) if i in members]
        rows.append(
            {
                "rank": int(inferred.pairs.rank[i]),
                "model": entry.label,
                "average rank": float(conventional.average_rank[i]),
                "same group (Nemenyi)": ", ".join(map(str, groups)) or "–",
                "wins": wins,
                "ties": ties,
                "losses": losses,
            }
        )
    facts = {
        "critical_difference": float(conventional.critical_difference),
        "groups": _labels(result.entries, conventional.groups),
    }
    n_classes = inferred.resampled["mAP"].scored.sum()
    notes = (
        f"average rank over {n_classes} classes; Friedman chi-squared "
        f"{conventional.statistic:.1f}, p {conventional.p_friedman:.2g}; Nemenyi's critical "
        f"difference {conventional.critical_difference:.2f} ranks",
        f"wins, ties, losses: classes against {result.entries[0].label}, paired bootstrap, "
        "Holm's correction over classes",
        "classes share their clips: the average ranks describe, the bootstrap ranks test",
    )
    return Content(pd.DataFrame(rows), notes, facts)


def _labels(entries: Sequence[Entry], groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[entries[i].label for i in members] for members in groups]


RANKS = Table(
    name="ranks",
    title="ranks over classes",
    keys=("model",),
    derive=_ranks,
    columns={
        "rank": COLUMNS["rank"],
        "average rank": "rank by average precision, mean over classes, 1 is best",
        "same group (Nemenyi)": "models of one group do not differ significantly by Nemenyi's test",
        "wins": "classes in which it is significantly better than the best model",
        "losses": "classes in which it is significantly worse than the best model",
    },
    command="compare --dataset {} --ranks",
    optional=True,
    order=8,
)
