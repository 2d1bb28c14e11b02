"""Print what hearing less at a time costs: mAP on the test part by the seconds in a window.

``POLYTIMBRE_STORE=FOLDER pytest tests/simulations/test_windows.py -s -o addopts=`` takes the runs
of a model that a store keeps, on musicnn's features of ``rendered-full``. A window that is shorter
than the clips that a model learnt from is repeated to their length, as `predict --window` does. A
frame of musicnn's hears a patch of three seconds, whatever the window.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.predict.choosing import load_run
from benchmark.protocol import divide
from benchmark.runs.features import features_of
from benchmark.runs.published import open_runs
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.bootstrap import basic_interval, bootstrap

#: Frames of 0.96 s that are heard.
FRAMES = (1, 2, 3, 5, 7, 10)


@pytest.mark.parametrize("model", ["attention", "logistic_regression"])
def test_table_of_windows(model):
    if not os.environ.get("POLYTIMBRE_STORE"):
        pytest.skip("POLYTIMBRE_STORE names no store with runs of rendered-full on musicnn")
    store = open_runs(Path(os.environ["POLYTIMBRE_STORE"]))
    spec = {"dataset": "rendered-full", "label": model}
    records = [
        record
        for record in store.records()
        if {name: getattr(record.spec, name) for name in spec} == spec
        and features_of(record.spec) == "musicnn"
    ]
    division = divide(load(DataRequest("rendered-full", features=("musicnn",))))
    test, n_frames = division.part("test"), max(FRAMES)
    models = [load_run(store, record).recogniser.model for record in records]
    heard = [test.X[:, np.arange(n_frames) % n] for n in FRAMES]
    scores = [np.stack([one.predict_proba(X) for one in models]) for X in heard]
    drawn = bootstrap(test.y_positive, test.y_mask, scores, groups=test.groups)
    values, lost = drawn.values_over_clips, drawn.estimate[-1] - drawn.estimate
    low, high = basic_interval(lost, values[:, -1:] - values)
    print(f"\n{model}: {len(models)} seeds\n| seconds | mAP | lost |\n|---|---|---|")
    for i, n in enumerate(FRAMES):
        span = f"{lost[i]:.3f} ({low[i]:.3f} to {high[i]:.3f})"
        print(f"| {0.96 * n:.2f} | {drawn.estimate[i]:.3f} | {span} |")
    assert (lost[:-1] != 0).all()
