"""Write the tables of how many clips thresholds need into benchmark/README.md."""

import os
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from simulated_tables import write
from simulated_thresholds import POLICIES, measured_gains, simulated_gains

from benchmark.protocol import divide
from benchmark.runs.request import DataRequest, RunRequest, load, make_model

N_REPETITIONS = 200
N_DRAWS = 3


def test_table_of_simulated_gains():
    rows = []
    for off, n_clips in product((0.0, 0.5), (300, 1103, 7353)):
        found = simulated_gains(n_clips, off, N_REPETITIONS)
        told = [f"{gain.mean():+.3f} ({(gain > 0).mean():.0%})" for gain in found.values()]
        rows.append([f"{n_clips:,}", f"{off:g}", *told])
    write("thresholds", ("clips", "log odds off by", *POLICIES), rows)


@pytest.mark.skipif("POLYTIMBRE_DATA" not in os.environ, reason="it needs AudioSet")
def test_table_of_measured_gains():
    rows = []
    for name in ("rendered", "audioset20"):
        root = Path(os.environ["POLYTIMBRE_DATA"], "audioset") if name == "audioset20" else None
        request = RunRequest(DataRequest(name, root), "logistic_regression")
        found = measured_gains(divide(load(request.data)), partial(make_model, request), N_DRAWS)
        for size in ("few", "all"):
            clips, positives = found[f"clips, {size}"]
            gains = [found.get(f"{policy}, {size}") for policy in ("global", *POLICIES)]
            told = [f"{g[0]:+.3f} ({g[1]:+.3f} to {g[2]:+.3f})" if g else "–" for g in gains]
            rows.append([name, f"{clips:,.0f}", f"{positives:.0f}", *told])
    columns = ("data set", "clips", "positives a class", "one for all", *POLICIES)
    write("thresholds of training clips", columns, rows)
