"""Slices of the clips: what they are worth, which are looked at, and how they are shown."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from test_store import make_division
from typer.testing import CliRunner

import polytimbre as pt
from benchmark.analysis import comparison as scored
from benchmark.analysis import slices
from benchmark.analysis.comparison import Comparison, Entry
from benchmark.cli import app
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.runs.reading import StoredLabels
from benchmark.runs.request import RunRequest
from benchmark.runs.run import execute
from benchmark.scoring.bootstrap import p_value
from benchmark.scoring.counting import ObservedColumns
from benchmark.scoring.slicing import QUANTITIES, _Side, resample_slice

CLASSES = ("cello", "flute", "voice")


@pytest.mark.parametrize("steps", [0, 7])
def test_values_of_a_slice_are_scikit_learns(steps):
    """Equal shares are sample weights; with few steps many scores are tied."""
    rng = np.random.default_rng(0)
    y, mask = rng.random((90, 3)) < (0.3, 0.1, 0.6), rng.random((90, 3)) < 0.8
    score = np.round(y * 0.3 + rng.random((90, 3)), 1) if steps else y * 0.3 + rng.random((90, 3))
    y &= mask
    groups, share = np.arange(90) // 2, np.array([0.2, 0.3, 0.4])
    side = _Side.of(ObservedColumns.of(y, mask, groups), score, share)
    counts = rng.integers(0, 3, 45).astype(np.uint8)
    found = side.evaluate(counts[:, None])[:, :, 0]
    drawn = np.repeat(np.arange(90), counts[groups])
    for c in range(3):
        rows = drawn[mask[drawn, c]]
        truth, scores = y[rows, c], score[rows, c]
        weights = np.where(truth, share[c] / truth.sum(), (1 - share[c]) / (~truth).sum())
        assert found[0, c] == pytest.approx(average_precision_score(truth, scores))
        balanced = average_precision_score(truth, scores, sample_weight=weights)
        assert found[1, c] == pytest.approx(balanced)
        assert found[2, c] == pytest.approx(roc_auc_score(truth, scores))
        assert found[3, c] == truth.sum()


def test_a_class_without_positives_has_no_values_in_a_slice():
    y, score = np.zeros((6, 2), bool), np.linspace(0, 1, 12).reshape(6, 2)
    y[:3, 1] = True
    labels = ObservedColumns.of(y, np.ones_like(y), np.arange(6))
    found = _Side.of(labels, score, np.array([0.2, 0.5])).evaluate(np.ones((6, 1), np.uint8))
    assert np.isnan(found[:3, 0]).all() and not found[3, 0]
    assert np.isfinite(found[:, 1]).all()


def test_a_slice_of_other_shares_alone_is_no_different():
    """More positives raise average precision by themselves, but no difference at equal shares."""
    rng = np.random.default_rng(1)
    inside = np.arange(6000) < 3000
    y = rng.random((6000, 2)) < np.where(inside, 0.5, 0.1)[:, None]
    score = (y + rng.normal(0, 1, y.shape))[None]
    every = np.ones(2, bool)
    drawn = resample_slice(
        y, np.ones_like(y), [score], inside, groups=np.arange(6000), scored=every, pooled=every,
        n_resamples=99,
    )  # fmt: skip
    plain, balanced, difference, area, area_difference = drawn.estimate[:, 0]
    assert plain > balanced + 0.15
    assert abs(difference) < 4 * drawn.values[2].std() < 0.1
    assert abs(area_difference) < 4 * drawn.values[4].std() < 0.1
    assert area == pytest.approx(0.76, abs=0.02)


def comparison(n=400, share=0.3):
    """One model that knows nothing of the clips of jazz, one that knows all clips alike."""
    rng = np.random.default_rng(2)
    y = rng.random((n, 3)) < share
    genre = np.array(["folk", "jazz", "rock", "pop"] * (n // 4))
    genre[:12], genre[12:20] = "ska", ""
    noise = np.where(genre == "jazz", 30, 0.5)[:, None]
    scores = {
        "deaf": y + rng.normal(0, 1, y.shape) * noise,
        "fair": y + rng.normal(0, 0.7, y.shape),
    }
    groups = np.array([f"group{i // 2}" for i in range(n)])
    labels = StoredLabels(
        y.astype(np.float32), np.ones_like(y), keys=groups, groups=groups, classes=CLASSES
    )
    entries = [Entry(name, [], [], one[None].astype(np.float32)) for name, one in scores.items()]
    return Comparison("made", "official", True, "test", labels, entries, [], []), genre


def test_a_model_that_fails_on_a_slice_is_found_and_small_ones_are_named():
    result, genre = comparison()
    found = slices.measure(result, {"genre": genre}, "genre", 399)
    assert [one.value for one in found.slices] == ["folk", "jazz", "pop", "rock"]
    assert found.left_out == {"ska": "12 clips"} and found.unknown == 8
    for quantity in ("mAP difference", "ROC-AUC difference"):
        _, low, high = found.interval(quantity)
        p, _ = found.tests(quantity)
        assert high[1, 0] < -0.1 and p[1, 0] < 0.05  # jazz, deaf
        assert (low[:, 1] < 0).all() and (high[:, 1] > 0).all() and (p[:, 1] > 0.05).all()
    few = slices.measure(result, {"genre": np.where(genre == "jazz", "jazz", "other")}, "genre", 99)
    assert few.slices[0].measured.values.shape == (5, 99, 2)
    areas = [one.measured.estimate[3] for one in (few.slices[0], found.slices[1])]
    np.testing.assert_allclose(*areas)


def test_a_class_that_fails_on_a_slice_is_found():
    result, genre = comparison()
    result.labels.y_positive[np.flatnonzero(genre == "folk")[9:], 1] = False  # too few flutes
    attributes = {"genre": genre}
    measured = [slices.measure(result, attributes, "genre", 99)]
    found = slices.by_class(result, attributes, measured, "deaf", 99)
    places = {(one.value, one.name): one for one in found}
    assert places["jazz", "flute"].positives == result.labels.y_positive[genre == "jazz", 1].sum()
    for name in CLASSES:
        value, low, high = places["jazz", name].difference
        assert low < value < high < -0.1
        truth = result.labels.y_positive[genre == "jazz", CLASSES.index(name)]
        scores = result.entries[0].scores[0, genre == "jazz", CLASSES.index(name)]
        assert places["jazz", name].area[0] == pytest.approx(roc_auc_score(truth, scores))
    assert ("folk", "flute") not in places and ("folk", "cello") in places


def test_a_model_that_scores_all_clips_alike_differs_nowhere():
    rng = np.random.default_rng(0)
    y, every = rng.random((300, 7)) < np.linspace(0.2, 0.5, 7), np.ones(7, bool)
    drawn = resample_slice(
        y, np.ones_like(y), [np.full((1, 300, 7), 0.3, np.float32)], rng.random(300) < 0.4,
        groups=np.arange(300), scored=every, pooled=every, n_resamples=200,
    )  # fmt: skip
    for quantity in ("mAP difference", "ROC-AUC difference"):
        at = QUANTITIES.index(quantity)
        assert p_value(drawn.estimate[at], drawn.values[at]).item() == 1.0


def test_where_classes_have_too_few_positives_only_what_is_pooled_is_shown():
    result, genre = comparison(share=0.09)
    found = slices.measure(result, {"genre": genre}, "genre", 99)
    folk = found.slices[0]
    assert folk.classes == () and folk.positives >= slices.LEAST_POSITIVES
    assert np.isnan(found.interval("mAP")[0][0]).all()
    assert np.isnan(found.tests("mAP difference")[0][0]).all()
    assert not np.isnan(found.interval("ROC-AUC difference")[1]).any()


@pytest.mark.parametrize(
    ("attributes", "name", "error", "sentence"),
    [
        ({}, "genre", ProtocolError, "no attributes of these clips are stored"),
        ({"genre": "a"}, "gener", UnknownNameError, "Did you mean 'genre'"),
        ({"genre": "a"}, "genre", ProtocolError, "'genre' has one value on these clips"),
        ({"genre": ""}, "genre", ProtocolError, "'genre' has no value on these clips"),
        ({"key": None}, "key", ProtocolError, "'key' has a value of its own for each clip"),
        ({"place": 29}, "place", ProtocolError, r"1 \(29 clips\), .*a larger part with --part"),
    ],
)
def test_what_cannot_be_sliced_is_said(attributes, name, error, sentence):
    result, _ = comparison()
    numbers = np.arange(400)
    values = {
        key: numbers.astype(str) if value is None
        else (numbers // value).astype(str) if isinstance(value, int)
        else np.full(400, value)
        for key, value in attributes.items()
    }  # fmt: skip
    with pytest.raises(error, match=sentence):
        slices.measure(result, values, name, 99)


def test_slices_of_stored_runs_need_no_data(tmp_path, monkeypatch):
    store = tmp_path / "store"
    data = make_division(320).dataset
    genre = np.where(np.arange(320) // 4 % 2, "jazz", "folk")
    execute(RunRequest(data, "constant"), store)

    def slices_by(*arguments):
        return CliRunner().invoke(app, ["slices", "--store", str(store), *arguments])

    assert "`polytimbre run --dataset made` adds them" in str(slices_by("--by", "genre").exception)
    (run,) = pt.store(store)
    again = execute(RunRequest(replace(data, attributes={"genre": genre}), "constant"), store)
    assert again.run_id == run.id and again.created == run.record.created
    done = slices_by("--by", "genre", "--format", "csv")
    assert done.exit_code == 0, done.output
    heading, *rows = done.output.splitlines()
    assert heading.startswith("attribute,slice,model,clips,positives,classes,mAP,mAP low,mAP high")
    assert [row.split(",")[1] for row in rows] == ["folk", "jazz"]
    with monkeypatch.context() as patched:  # a name is looked at before anything is scored
        patched.setattr(scored, "evaluate", None)
        assert "Did you mean 'genre'" in str(slices_by("--by", "genr").exception)
    table = pt.compare(*pt.store(store)).slices("genre")
    assert table.frame["ROC-AUC"].tolist() == [0.5, 0.5]
