"""Ensembles of stored runs beside single models."""

import numpy as np

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.ensembles import Ensemble, Replay
from reports.tables.comparison import COLUMNS, FIRST, HIDDEN, comparison_notes, models_table
from reports.tables.declaration import Content, Table, interval_columns, number_columns

#: A smaller weight is shown as none.
LEAST = 0.005


def sentences(replay: Replay) -> list[str]:
    """Return what *select* says about each ensemble, and its weights."""
    ranked = sorted(replay.ensembles, key=lambda e: -e.select_mAP.mean())
    values = ", ".join(f"{e.entry.label} {e.select_mAP.mean():.3f}" for e in ranked)
    best, value = next(iter(replay.singles.items()))
    said = [
        f"mAP on select, ensembles out of fold: {values}; the best single model there, {best}, "
        f"{value:.3f}",
        f"select chooses {best if value >= ranked[0].select_mAP.mean() else ranked[0].entry.label}",
    ]
    return said + [_weights(ensemble) for ensemble in replay.ensembles]


def _weights(ensemble: Ensemble) -> str:
    mean = ensemble.weights.mean(axis=0)
    if np.ptp(mean) == 0:
        return f"weights, {ensemble.entry.label}: {mean[0]:.2f} for each of {len(mean)} members"
    order = [i for i in np.argsort(-mean, kind="stable") if mean[i] >= LEAST]
    shown = ", ".join(f"{ensemble.members[i]} {mean[i]:.2f}" for i in order)
    none = len(mean) - len(order)
    rest = f"; none for the other {none} of {len(mean)} members" if none else ""
    return f"weights, {ensemble.entry.label}: {shown}{rest}"


def _ensembles(analysis: Analysis) -> Content:
    replay, inferred = analysis.ensembles, analysis.ensemble_inference
    notes = (*sentences(replay), *comparison_notes(replay.comparison, inferred))
    facts = {"ensembles": [one.entry.label for one in replay.ensembles]}
    return Content(models_table(replay.comparison, inferred), notes, facts)


ENSEMBLES = Table(
    name="ensembles",
    title="ensembles",
    about="Whether models combined are better than the best one alone.",
    keys=("model",),
    derive=_ensembles,
    columns={name: told for name, told in COLUMNS.items() if name != "model (bytes)"},
    command="ensemble --dataset {} --all-seeds",
    first=FIRST,
    hidden=HIDDEN,
    rests_on="pool",
    optional=True,
    order=16,
    holds={**interval_columns("mAP", "F1"), **number_columns("rank")},
)
