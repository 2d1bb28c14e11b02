"""Sentences about ensembles of stored runs; their table is that of a comparison."""

import numpy as np

from benchmark.analysis.ensembles import Ensemble, Replay

#: A smaller weight is shown as none.
LEAST = 0.005


def sentences(found: Replay) -> list[str]:
    """Return what *select* says about each ensemble, and its weights."""
    ranked = sorted(found.ensembles, key=lambda e: -e.select_mAP.mean())
    values = ", ".join(f"{e.entry.label} {e.select_mAP.mean():.3f}" for e in ranked)
    best, value = next(iter(found.singles.items()))
    said = [
        f"mAP on select, ensembles out of fold: {values}; the best single model there, {best}, "
        f"{value:.3f}",
        f"select chooses {best if value >= ranked[0].select_mAP.mean() else ranked[0].entry.label}",
    ]
    return said + [_weights(ensemble) for ensemble in found.ensembles]


def _weights(ensemble: Ensemble) -> str:
    mean = ensemble.weights.mean(axis=0)
    if np.ptp(mean) == 0:
        return f"weights, {ensemble.entry.label}: {mean[0]:.2f} for each of {len(mean)} members"
    order = [i for i in np.argsort(-mean, kind="stable") if mean[i] >= LEAST]
    shown = ", ".join(f"{ensemble.members[i]} {mean[i]:.2f}" for i in order)
    none = len(mean) - len(order)
    rest = f"; none for the other {none} of {len(mean)} members" if none else ""
    return f"weights, {ensemble.entry.label}: {shown}{rest}"
