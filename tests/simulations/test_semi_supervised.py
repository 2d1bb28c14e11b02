"""Write into models/README.md how often guessed labels are right, and what they gain.

``pytest tests/simulations/test_semi_supervised.py -s -o addopts=`` takes some minutes.
The labels that nobody observed in `rendered` are known from `rendered-full`; nothing is fitted on
them, but for the rows that say so.
"""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from simulated_tables import MODELS, write

from benchmark.plugins import registry
from benchmark.protocol import Protocol, divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.bootstrap import basic_interval, bootstrap
from benchmark.scoring.metrics import mean_average_precision

SemiSupervised = registry.models().get("semi_supervised")
TEACHERS = {"guess": "teachers", "rarity": 1.0}
#: Of the division into parts; the first is the protocol's own.
SEEDS = range(3)
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Told(SemiSupervised):
    """Guesses right."""

    name = "told"
    truth: np.ndarray

    def guesses(self, train):
        """Return the truth."""
        return self.truth


def divided(seed=0):
    """Return a division of `rendered`, and what gives a part all its labels."""
    full, division = load(DataRequest("rendered-full")), divide(load(DataRequest("rendered")))
    if seed:
        division = divide(division.dataset, Protocol(seed=seed))
    division = division.sealed()
    return division, lambda name: full.part(division.rows[name])


def test_table_of_guesses():
    division, truth = divided()
    train, known = division.part("fit"), truth("fit")
    guesses = SemiSupervised(**TEACHERS).guesses(train)
    fitted = train.y_positive.any(axis=0)
    masks = train.y_mask & fitted, known.y_mask & ~train.y_mask & fitted
    rows = []
    for low, high in pairwise(EDGES):
        rows.append([f"{low:g} to {high:g}"])
        for mask in masks:
            present = known.y_positive[mask & (guesses >= low) & (guesses < high + (high == 1))]
            rows[-1] += [f"{len(present):,}", f"{present.mean():.3f}"]
    rows.append(["mAP of the guesses"])
    for mask in masks:
        rows[-1] += ["", f"{mean_average_precision(known.y_positive, guesses, mask):.3f}"]
    columns = ("guessed", "observed labels", "of them present", "unobserved labels", "present")
    write("guesses", columns, rows, MODELS)


ASKED = {
    "none": (SemiSupervised, {"weight": 0}),
    **{f"teachers, {w:g}": (SemiSupervised, {**TEACHERS, "weight": w}) for w in (0.1, 0.3, 1.0)},
    **{f"share, {w:g}": (SemiSupervised, {"weight": w}) for w in (0.1, 0.3, 1.0, 3.0)},
    "the truth, 1": (Told, {"rarity": 1.0}),
}


def scores_of_all(train, stop, select, truth):
    """Return the scores on *select* of each model in `ASKED`."""
    Told.truth = truth.astype(np.float64)
    scores = []
    for cls, params in ASKED.values():
        model = cls(**params)
        model.fit(train, stop, seed=0)
        scores.append(model.predict_proba(select.X))
    return scores


def told(part, scores, groups):
    """Return mAP and gain of each model, with its interval, as they are written."""
    found = bootstrap(part.y_positive, part.y_mask, scores, groups=groups, n_threads=1)
    gain = found.estimate - found.estimate[0]
    ends = basic_interval(gain, found.values - found.values[:, :1])
    return [
        (f"{mAP:.4f}", *((f"{by:+.4f}", f" ({low:+.4f} to {high:+.4f})") if by else ("", "")))
        for mAP, by, low, high in zip(found.estimate, gain, *ends, strict=True)
    ]


def test_table_of_gains():
    rows = {name: [name, "", "", "", ""] for name in ASKED}
    for seed in SEEDS:
        division, truth = divided(seed)
        train, stop, select = (division.part(name) for name in ("fit", "stop", "select"))
        scores = scores_of_all(train, stop, select, truth("fit").y_positive)
        for column, part in ((1, select), (3, truth("select"))):
            for row, (mAP, gain, ends) in zip(
                rows.values(), told(part, scores, select.groups), strict=True
            ):
                row[column] = row[column] or mAP
                row[column + 1] += f"; {gain}" if seed and gain else gain + ends
    columns = ("guess, weight", "mAP on select", "gain", "with all labels of select", "gain")
    write("semi-supervised", columns, rows.values(), MODELS)


@pytest.mark.skipif("POLYTIMBRE_DATA" not in os.environ, reason="it needs AudioSet")
def test_table_of_gains_where_labels_are_hidden():
    data = DataRequest("audioset20", Path(os.environ["POLYTIMBRE_DATA"], "audioset"))
    division = divide(load(data)).sealed()
    train, stop, select = (division.part(name) for name in ("fit", "stop", "select"))
    present = train.y_positive
    chance = np.where(present, 0.8, 0.8 * 1.5 * present.sum(axis=0) / (~present).sum(axis=0))
    kept = np.random.default_rng(0).random(chance.shape) < chance
    hidden = replace(train, y_mask=kept, y_true=np.where(kept, train.y_true, np.float32(0)))
    scores = scores_of_all(hidden, stop, select, present)
    rows = [
        [name, mAP, gain + ends]
        for name, (mAP, gain, ends) in zip(ASKED, told(select, scores, select.groups), strict=True)
    ]
    columns = ("guess, weight", "mAP on select", "gain")
    write("semi-supervised audioset20", columns, rows, MODELS)
