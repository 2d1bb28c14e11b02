"""Print which sampled instruments teach most: mAP by the sources that training clips are played on.

``POLYTIMBRE_DATA=FOLDER pytest tests/simulations/test_sources.py -s -o addopts=`` renders the first
training clips of ``rendered`` again on some of their sources, which takes a quarter of an hour of
processor time; ``$POLYTIMBRE_CLIPS`` says how many, 1,000 unless told. Models learn from musicnn's
features of these clips and their complete labels, and are scored on the test clips of
``rendered-full``, whose timbres are those of all sources or of none, and on the recordings in
``real-audio``: without clips whose source entered training.
"""

import csv
import multiprocessing
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmark.audio.files import open_recording
from benchmark.audio.windows import CLIP_FRAMES, cut
from benchmark.contracts.dataset import CLASSES, Labels, Part
from benchmark.datasets.rendering import clips, timbres
from benchmark.datasets.rendering.works import is_heard, score_of, works
from benchmark.features.musicnn import Musicnn
from benchmark.plugins import registry
from benchmark.predict.labelled import read_labels
from benchmark.protocol import divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.bootstrap import basic_interval, bootstrap

N_CLIPS = int(os.environ.get("POLYTIMBRE_CLIPS", "1000"))
SEEDS = range(3)
MODELS = ("logistic_regression", "attention")
DATA = os.environ.get("POLYTIMBRE_DATA")
#: What the recorded notes are called among the sources of `real-audio`.
TRAINED_ON = "tonejs"

_all_timbres = timbres.timbres


def _soundfont(groups):
    return groups[:1]


def _notes(groups):
    return groups[1:] or groups


#: Which groups of a class's timbres may play: those of the SoundFont FluidR3, or recorded notes,
#: drum hits and plucked strings where a class has them, and FluidR3 for the rest.
CHOICES = {"FluidR3": _soundfont, "recorded notes": _notes}


def _render(index, choice):
    timbres.timbres = lambda label, *, heard: CHOICES[choice](_all_timbres(label, heard=heard))
    clip = clips.render(index)
    return clips._musicnn(clip.audio), clip.labels


def training_clips(full, train):
    """Return features and complete labels of the same clips, by the sources that play them."""
    rows = {"all": (full.X[train], full.y_true[train])}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for choice in CHOICES:
            made = pool.map(partial(_render, choice=choice), train, chunksize=10)
            X, y = (np.stack(column) for column in zip(*made, strict=True))
            rows[choice] = X, y.astype(np.float32)
    return rows


def recordings():
    """Return features of the windows of each recording, and the labels of the recordings."""
    folder = Path(DATA) / "real-audio"
    with (folder / "labels.csv").open(newline="") as file:
        heard = {row["clip"] for row in csv.DictReader(file) if TRAINED_ON not in row["source"]}
    found = read_labels(folder / "labels.csv", folder, CLASSES)
    rows = [i for i, file in enumerate(found.files) if file.stem in heard]
    front_end, windows = Musicnn(), []
    for i in rows:
        recording = open_recording(found.files[i])
        parts = cut(recording.blocks(), recording.sample_rate, (front_end,), CLIP_FRAMES)
        windows.append(np.stack([front_end.extract(part.signals[0]) for part in parts]))
    return windows, Labels(found.labels.y_true[rows], found.labels.y_mask[rows], classes=CLASSES)


@pytest.mark.skipif(not DATA, reason="POLYTIMBRE_DATA names no folder of data")
def test_table_of_sources():
    division = divide(load(DataRequest("rendered-full", features=("musicnn",))))
    full, stop, test = division.dataset, division.part("stop"), division.part("test")
    windows, labels = recordings()
    timbre = full.attributes["timbre"][division.rows["test"]]
    scored = {
        "heard timbres": (test.y_positive, test.y_mask, test.groups, timbre == "heard"),
        "unheard timbres": (test.y_positive, test.y_mask, test.groups, timbre == "unheard"),
        "recordings": (labels.y_positive, labels.y_mask, None, slice(None)),
    }
    train = [i for i in range(len(full.keys)) if works()[score_of(i)][1] == "train"][:N_CLIPS]
    assert all(map(is_heard, train))
    sets = training_clips(full, train)
    print(f"\n{N_CLIPS} training clips, {len(windows)} recordings, {len(SEEDS)} seeds")
    print("| model | scored on | sources | mAP | minus all |\n|---|---|---|---|---|", flush=True)
    for name in MODELS:
        scores = {place: [] for place in scored}
        for X, y in sets.values():
            observed = np.ones(y.shape, bool)
            groups = full.groups[train]
            part = Part(y, observed, classes=CLASSES, X=X, groups=groups)
            fitted = []
            for seed in SEEDS:
                model = registry.models().get(name)()
                model.fit(part, stop, seed=seed)
                of_test = model.predict_proba(test.X)
                whole = [model.predict_proba(clip).max(axis=0) for clip in windows]
                fitted.append((of_test, of_test, np.stack(whole)))
            for place, stacked in zip(scored, zip(*fitted, strict=True), strict=True):
                scores[place].append(np.stack(stacked))
        for place, (y_positive, y_mask, groups, rows) in scored.items():
            drawn = bootstrap(
                y_positive[rows],
                y_mask[rows],
                [one[:, rows] for one in scores[place]],
                groups=None if groups is None else groups[rows],
            )
            gained = drawn.estimate - drawn.estimate[0]
            low, high = basic_interval(gained, drawn.values - drawn.values[:, :1])
            for i, choice in enumerate(sets):
                span = f"{gained[i]:+.3f} ({low[i]:+.3f} to {high[i]:+.3f})" if i else "–"
                print(f"| {name} | {place} | {choice} | {drawn.estimate[i]:.3f} | {span} |")
        assert len(set(drawn.estimate)) == len(sets)
