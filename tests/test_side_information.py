"""What further features add to a model, and where they mislead."""

from dataclasses import replace

import numpy as np
import pytest
from test_store import make_division

from benchmark.analysis.derivation import Analysis
from benchmark.datasets.reading import tags
from benchmark.runs.request import RunRequest
from benchmark.runs.run import execute
from benchmark.runs.store import Store
from reports.tables.side_information import SIDE_INFORMATION

N = 320


def test_tags_are_usual_or_unusual_by_the_training_clips_alone():
    """Class 0 comes with tag 0, class 1 without a tag; test clips say the contrary."""
    train = np.arange(80) < 60
    held = np.zeros((80, 2), bool)
    held[:30, 0] = held[60:70, 0] = True
    y = np.zeros((80, 2), bool)
    y[:20, 0] = y[30:58, 1] = y[60:65, 1] = y[65:68, 0] = y[75:, 0] = True
    told = tags.expected(held, y, np.ones_like(y), train)
    assert told[60:].tolist() == ["unusual"] * 5 + ["usual"] * 3 + [""] * 12
    assert (told[:20] == "usual").all() and (told[20:60] == "").all()
    masked = np.ones_like(y)
    masked[:30, 0] = False  # class 0 was observed with no tag: nothing is known of it there
    assert tags.expected(held, y & masked, masked, train)[65] == "usual"
    other = y.copy()
    other[~train] = ~y[~train]
    assert (tags.expected(held, other, np.ones_like(y), train)[train] == told[train]).all()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return runs on noise, on noise with a hint at class 1, and on noise with noise."""
    path = tmp_path_factory.mktemp("side") / "store"
    data = make_division(N).dataset
    rng = np.random.default_rng(0)
    y = rng.random((N, 3)) < 0.4
    hint = np.where(y[:, 1:2], 255, 0).astype(np.uint8)[:, None, :]
    told = np.where(np.arange(N) // 4 % 2, "usual", "unusual")
    noise = rng.integers(0, 256, (N, 1, 4), np.uint8)
    data = replace(
        data, X=noise, y_true=y.astype(np.float32), y_mask=np.ones_like(y),
        classes=("cello", "flute", "harp"), features="noise", attributes={"tags": told},
    )  # fmt: skip
    for extra in (None, ("tags", hint), ("dust", rng.integers(0, 256, (N, 1, 2), np.uint8))):
        on = data
        if extra:
            X = np.concatenate([noise, extra[1]], axis=2)
            on = data.with_features(f"noise+{extra[0]}", X)
        for model in ("logistic_regression", "constant"):
            assert execute(RunRequest(on, model), path).finished
    return Store(path)


def test_what_a_hint_adds_is_found_where_it_helps(store):
    analysis = Analysis(store, models=["logistic_regression"], n_resamples=399)
    result = SIDE_INFORMATION.make(analysis)
    frame = result.frame.set_index(["added", "on"])
    assert set(frame["model"]) == {"logistic_regression on noise"}
    assert [on for added, on in frame.index if added == "tags"] == [
        "all clips", "tags: unusual", "tags: usual", "class: cello", "class: flute", "class: harp",
    ]  # fmt: skip
    assert [on for added, on in frame.index if added == "dust" and "tags" in on] == []
    gained = frame.loc["tags"]
    for on in ("all clips", "tags: usual", "tags: unusual", "class: flute"):
        assert gained.loc[on, "gain low"] > 0.1 and gained.loc[on, "p"] < 0.05
    assert gained.loc["class: cello", "gain low"] < 0 < gained.loc["class: cello", "gain high"]
    assert (frame.loc["dust", "gain low"] < 0.05).all()
    np.testing.assert_allclose(frame["with"] - frame["without"], frame["gain"])
    whole = gained.filter(like="class: ", axis=0)["gain"].mean()
    assert gained.loc["all clips", "gain"] == pytest.approx(whole)
    clips = [gained.loc[f"tags: {kind}", "clips"] for kind in ("usual", "unusual")]
    assert sum(clips) == gained.loc["all clips", "clips"]
    assert any(note.endswith("significant change: flute " + note[-6:]) for note in result.notes)
    rows = [" + ".join(map(str, row)) for row in result.frame[["model", "added", "on"]].to_numpy()]
    assert {*rows} <= {*result.facts["runs"]}


def test_without_such_runs_there_is_no_table(store):
    analysis = Analysis(store, features="noise", n_resamples=99)
    assert analysis.enriched == [] and SIDE_INFORMATION.make(analysis) is None
