"""Write into models/README.md how often guessed labels are right, and what they gain.

``pytest tests/simulations/test_self_training.py -s -o addopts=`` takes a minute. The labels
that nobody observed in `rendered` are known from `rendered-full`; nothing is fitted on them, but
for the row that says so.
"""

from itertools import pairwise

import numpy as np
import pytest
from simulated_tables import MODELS, write

from benchmark.plugins import registry
from benchmark.protocol import divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.bootstrap import basic_interval, bootstrap
from benchmark.scoring.metrics import mean_average_precision

SelfTraining = registry.models().get("self_training")
WEIGHTS = (0.03, 0.1, 0.3, 1.0)
SEEDS = range(3)
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.fixture(scope="module")
def division():
    return divide(load(DataRequest("rendered"))).sealed()


@pytest.fixture(scope="module")
def truth(division):
    """Return a part's labels as if all had been observed."""
    full = load(DataRequest("rendered-full"))
    return lambda name: full.part(division.rows[name])


def test_table_of_guesses(division, truth):
    train, known = division.part("fit"), truth("fit")
    beliefs = np.stack([SelfTraining().guess(train, seed) for seed in SEEDS])
    fitted = train.y_positive.any(axis=0)
    hidden = known.y_mask & ~train.y_mask & fitted
    rows = []
    for low, high in pairwise(EDGES):
        rows.append([f"{low:g} to {high:g}"])
        for mask in (train.y_mask & fitted, hidden):
            within = mask & (beliefs >= low) & (beliefs <= high if high == 1 else beliefs < high)
            present = np.broadcast_to(known.y_positive, within.shape)[within]
            rows[-1] += [f"{len(present) / len(SEEDS):,.0f}", f"{present.mean():.3f}"]
    rows.append(["mAP of the guesses"])
    for mask in (train.y_mask & fitted, hidden):
        mAP = [mean_average_precision(known.y_positive, one, mask) for one in beliefs]
        rows[-1] += ["", f"{np.mean(mAP):.3f}"]
    columns = ("guessed", "observed labels", "of them present", "unobserved labels", "present")
    write("guesses", columns, rows, MODELS)


def test_table_of_gains(division, truth):
    train, stop, select = (division.part(name) for name in ("fit", "stop", "select"))
    known = truth("fit").y_positive

    class Told(SelfTraining):
        name = "told"

        def guess(self, train, seed):
            """Return the truth."""
            return known.astype(np.float32)

    def scored(model, seed):
        model.fit(train, stop, seed=seed)
        return model.predict_proba(select.X)

    plain = scored(SelfTraining(weight=0), 0)
    rows = [["0", *("" for _ in "1234")]]
    for name, cls, weight in [
        *((f"{weight:g}", SelfTraining, weight) for weight in WEIGHTS),
        *((f"{weight:g}, told the truth", Told, weight) for weight in (0.1, 1.0)),
    ]:
        seeds = SEEDS if cls is SelfTraining else SEEDS[:1]
        other = np.stack([scored(cls(weight=weight), seed) for seed in seeds])
        rows.append([name])
        for i, part in enumerate((select, truth("select"))):
            found = bootstrap(
                part.y_positive, part.y_mask, [plain, other], groups=select.groups, n_threads=1
            )
            gain = found.estimate[1] - found.estimate[0]
            low, high = basic_interval(gain, found.values[:, 1] - found.values[:, 0])
            rows[0][1 + 2 * i] = f"{found.estimate[0]:.4f}"
            rows[-1] += [f"{found.estimate[1]:.4f}", f"{gain:+.4f} ({low:+.4f} to {high:+.4f})"]
    columns = (
        "weight", "mAP on select", "gain (95 %)", "the same, all labels known", "gain (95 %)"
    )  # fmt: skip
    write("self-training", columns, rows, MODELS)
