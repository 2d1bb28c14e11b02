"""Ensembles of stored runs: who gains, who gets no weight, and which labels may be looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_store import make_record

from benchmark.analysis import ensembles
from benchmark.analysis.comparison import compare
from benchmark.analysis.ensembles import (
    METHODS,
    combine,
    folds,
    log_odds,
    mean_average_precisions,
)
from benchmark.analysis.inference import infer
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.protocol import PARTS, PROTOCOLS
from benchmark.runs.reading import StoredLabels
from benchmark.runs.store import Store
from benchmark.scoring.metrics import mean_average_precision
from reports.tables import comparison as comparison_tables
from reports.tables import ensembles as report

CLASSES = tuple("abcd")


def make_labels(n_clips=400, seed=0, group_size=2, observed=0.7):
    rng = np.random.default_rng(seed)
    y_mask = rng.random((n_clips, len(CLASSES))) < observed
    y_true = np.float32(rng.random(y_mask.shape) < 0.25) * y_mask
    keys = np.array([f"clip{i:04d}" for i in range(n_clips)])
    groups = np.array([f"group{i // group_size:04d}" for i in range(n_clips)])
    return StoredLabels(y_true, y_mask, keys, groups, classes=CLASSES)


def made_scores(labels, noise, seed):
    """Scores whose log odds are the truth (unobserved labels count as absent) and noise."""
    rng = np.random.default_rng(seed)
    z = 2 * labels.y_positive - 2 + rng.normal(0, noise, labels.y_mask.shape)
    return np.float32(1 / (1 + np.exp(-z)))


def pool(labels, noises, seed=10):
    return np.stack([made_scores(labels, noise, seed + i) for i, noise in enumerate(noises)])


@pytest.fixture
def parts():
    return make_labels(seed=1), make_labels(1500, seed=2)


@pytest.mark.parametrize("method", METHODS)
def test_independent_noise_averages_out(parts, method):
    """Five members of noise 1.5 are worth one of noise 1.5 / sqrt(5)."""
    select, test = parts
    members = [pool(labels, [1.5] * 5, seed) for labels, seed in ((select, 10), (test, 20))]
    found = combine(method, *members, select)
    single = mean_average_precisions(members[1], test.y_positive, test.y_mask)
    target = made_scores(test, 1.5 / np.sqrt(5), 30)
    expected = mean_average_precision(test.y_positive, target, test.y_mask)
    reached = mean_average_precision(test.y_positive, found.scores["test"], test.y_mask)
    assert expected - single.max() > 0.15
    assert reached > expected - 0.04
    assert found.select_mAP == pytest.approx(expected, abs=0.06)
    shares = found.weights.members / found.weights.members.sum()
    np.testing.assert_allclose(shares, 0.2, atol=0.15)


@pytest.mark.parametrize("method", ["selected", "stacked"])
def test_a_useless_member_gets_no_weight(parts, method):
    select, test = parts
    useless = [np.random.default_rng(i).random((1, *p.y_mask.shape)) for i, p in enumerate(parts)]
    members = [
        np.concatenate([pool(p, [1.0, 1.0], s), np.float32(u)])
        for p, s, u in zip(parts, (10, 20), useless)
    ]
    found = combine(method, *members, select)
    first, second, none = found.weights.members
    assert min(first, second) > 0.3
    assert none < 0.05
    plain = combine("average", *members, select)
    gain = [
        mean_average_precision(test.y_positive, f.scores["test"], test.y_mask)
        for f in (found, plain)
    ]
    assert gain[0] > gain[1]


def test_a_better_member_gets_more_weight(parts):
    select, _ = parts
    members = [pool(p, [0.7, 2.0], s) for p, s in zip(parts, (10, 20))]
    for method in ("selected", "stacked"):
        good, poor = combine(method, *members, select).weights.members
        assert good > 2 * poor


def test_without_labels_the_stack_is_the_plain_average():
    labels = make_labels(60)
    odds = log_odds(pool(labels, [1, 2, 3]))
    nothing = np.zeros_like(labels.y_mask)
    found = ensembles.stacked(odds, nothing, nothing)
    np.testing.assert_array_equal(found.members, 1 / 3)
    np.testing.assert_array_equal(found.offsets, 0)


def test_offsets_correct_scores_that_are_too_high(parts):
    select, test = parts
    shifted = [pool(p, [0.5, 0.5], s) for p, s in zip(parts, (10, 20))]
    shifted = [np.float32(1 / (1 + np.exp(-log_odds(scores) - 2))) for scores in shifted]
    found = combine("stacked", *shifted, select)
    assert (found.weights.offsets < -0.5).all()
    plain = combine("average", *shifted, select)
    rate = test.y_positive.sum() / test.y_mask.sum()
    error, before = (abs(f.scores["test"][test.y_mask].mean() - rate) for f in (found, plain))
    assert before > 0.3
    assert error < 0.3 * before


def flip(labels, rows):
    y_true = np.where(rows[:, None] & labels.y_mask, 1 - labels.y_true, labels.y_true)
    return replace(labels, y_true=y_true)


@pytest.mark.parametrize("method", METHODS)
def test_a_clips_score_on_select_does_not_see_its_label(parts, method, monkeypatch):
    select, _ = parts
    members = [pool(p, [0.8, 1.5, 3.0], s) for p, s in zip(parts, (10, 20))]
    fold = folds(select)
    monkeypatch.setattr(ensembles, "folds", lambda labels: fold)  # labels stratify the folds
    before = combine(method, *members, select)
    held = fold == 2
    after = combine(method, *members, flip(select, held))
    np.testing.assert_array_equal(before.scores["select"][held], after.scores["select"][held])
    if method != "average":  # and the poison does reach every other score
        others = before.scores["select"] != after.scores["select"]
        assert others[~held].any(axis=1).all()
        assert (before.scores["test"] != after.scores["test"]).any()


@pytest.mark.parametrize("method", METHODS)
def test_unobserved_labels_change_no_bit(parts, method):
    select, _ = parts
    members = [pool(p, [0.8, 1.5, 3.0], s) for p, s in zip(parts, (10, 20))]
    hidden = replace(select, y_true=np.where(select.y_mask, select.y_true, np.float32(1)))
    before, after = (combine(method, *members, labels) for labels in (select, hidden))
    for part in ("select", "test"):
        np.testing.assert_array_equal(before.scores[part], after.scores[part])
    assert before.select_mAP == after.select_mAP


def test_folds_keep_groups_together_and_share_out_labels():
    labels = make_labels(600, group_size=3)
    fold = folds(labels)
    assert set(fold) == set(range(5))
    assert all(len(set(fold[labels.groups == group])) == 1 for group in set(labels.groups))
    positives = np.stack([labels.y_positive[fold == k].sum(axis=0) for k in range(5)])
    assert np.ptp(positives, axis=0).max() <= 0.15 * positives.mean() + 3
    one = replace(labels, groups=np.full(600, "one"))
    with pytest.raises(ProtocolError, match="at least 2 groups"):
        folds(one)


def test_quick_mAP_is_the_metric():
    labels = make_labels(200)
    labels.y_mask[:, 1] &= ~labels.y_positive[:, 1]  # no positive: left out
    scores = np.round(pool(labels, [1.0, 2.0, 0.1]), 1)  # with many ties
    expected = [mean_average_precision(labels.y_positive, s, labels.y_mask) for s in scores]
    found = mean_average_precisions(scores, labels.y_positive, labels.y_mask)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(ProtocolError, match="no class can be scored"):
        mean_average_precisions(scores, labels.y_positive, np.zeros_like(labels.y_mask))


PART_LABELS = {p: make_labels(200, seed) for seed, p in enumerate(PARTS)}


def fill(path, runs, labels=PART_LABELS):
    """Make a store; each run is (model, seed, noise, changes of the spec, base)."""
    store = Store(path)
    arrays = {
        f"{part}_{name}": getattr(known, name)
        for part, known in labels.items()
        for name in ("y_true", "y_mask", "keys", "groups")
    }
    np.savez(path / "labels" / "d.npz", classes=np.array(CLASSES), **arrays)
    for number, (model, seed, noise, changes, base) in enumerate(runs):
        record = make_record(f"{number:016d}", clips=dict.fromkeys(PARTS, 200), base=base)
        record.seconds = {"fit": 10.0 + number, "predict": 1.0}
        changes = {"protocol_id": PROTOCOLS["default"].id, **changes}
        spec = replace(record.spec, model=model, seed=seed, **changes)
        scores = {
            part: made_scores(known, noise, int(base or number)) if noise else known.y_true * 0
            for part, known in PART_LABELS.items()
        }
        with store.staging(record.run_id) as folder:
            np.savez(folder / "scores.npz", **scores)
            store.add(replace(record, spec=spec), folder)
    return store


def replay(store, models=None, **settings):
    """Combine the stored runs of these models."""
    return ensembles.replay(compare(store, models=models), store, **settings)


def runs_of(model, seeds, noise, base=(None,) * 9, **changes):
    return [(model, seed, noise, changes, base[i]) for i, seed in enumerate(seeds)]


POOL = [*runs_of("good", range(3), 1.0), *runs_of("other", range(3), 1.2), *runs_of("once", [0], 2)]


def test_one_ensemble_a_seed(tmp_path):
    found = replay(fill(tmp_path, [*POOL, *runs_of("flat", [0], 0)]))
    assert {e.label for e in found.comparison.entries} == {
        "good", "other", "once", "ensemble average", "ensemble selected", "ensemble stacked",
    }  # fmt: skip
    average = found.ensembles[0]
    assert average.members == ("good", "other", "once")
    assert average.weights.shape == (3, 3)
    assert [(r.spec.model, r.spec.seed) for r in average.entry.records[3:6]] == [
        ("good", 1), ("other", 1), ("once", 0),
    ]  # fmt: skip
    # fit takes 10 s and one more each run: seed r of two models, and the one run of the third
    assert average.entry.seconds("fit") == pytest.approx((10 + 11 + 12 + 13 + 14 + 15 + 3 * 16) / 3)
    assert average.entry.milliseconds_per_clip() == pytest.approx(15)
    assert average.entry.scores.shape == (3, 200, 4)
    best = max(found.singles.values())
    assert found.chosen.select_mAP.mean() > best
    notes = " ".join([*found.comparison.notes, *report.sentences(found)])
    assert "all clips score the same: flat" in notes
    assert "a member with every seed: once" in notes
    assert f"select chooses {found.chosen.entry.label}" in notes
    inferred = infer(found.comparison, 599)
    assert set(comparison_tables.models_table(found.comparison, inferred)["seeds"]) == {1, 3}


def test_all_seeds_are_one_ensemble(tmp_path):
    found = replay(fill(tmp_path, POOL), methods=["selected"], all_seeds=True)
    (chosen,) = found.ensembles
    assert sorted(chosen.members) == [
        "good seed 0", "good seed 1", "good seed 2", "once", "other seed 0", "other seed 1",
        "other seed 2",
    ]  # fmt: skip
    assert chosen.weights.sum() == pytest.approx(1)
    assert len(chosen.entry.evaluations) == 1
    assert chosen.entry.label == "ensemble selected, all seeds"
    used = (chosen.weights > 0).sum()
    assert len(chosen.entry.records) == used
    assert chosen.entry.seconds("predict") == used


def test_one_ensemble_of_all_seeds_is_held_against_averages_over_seeds(tmp_path):
    store = fill(tmp_path, POOL)
    found = replay(store, methods=["average"], all_seeds=True)
    labels = {e.label for e in found.comparison.entries}
    assert labels == {"good, all seeds", "other, all seeds", "once", "ensemble average, all seeds"}
    assert all(len(entry.evaluations) == 1 for entry in found.comparison.entries)
    single = {e.label: e for e in replay(store, methods=[]).comparison.entries}["good"]
    averaged = {e.label: e for e in found.comparison.entries}["good, all seeds"]
    expected = 1 / (1 + np.exp(-np.mean(log_odds(single.scores), axis=0)))
    np.testing.assert_allclose(averaged.scores[0], expected, atol=1e-6)
    assert averaged.mean("mAP") > single.mean("mAP")
    assert any("intervals are of these runs" in note for note in found.comparison.notes)


def test_tuned_networks_have_a_plain_average_of_their_own(tmp_path):
    tuned = {"study": "s", "trial": 1}
    runs = [
        *runs_of("cnn", range(2), 1.0, **tuned), *runs_of("attention", range(2), 1.2, **tuned),
        *runs_of("cnn", range(2), 1.5), *runs_of("xgboost", range(2), 1.1, **tuned),
    ]  # fmt: skip
    found = replay(fill(tmp_path, runs), methods=["average", "selected"])
    *_, networks = found.ensembles
    assert networks.entry.label == "ensemble average of tuned networks"
    assert networks.members == ("cnn tuned", "attention tuned")
    np.testing.assert_array_equal(networks.weights, np.full((2, 2), 0.5))
    alone = replay(fill(tmp_path / "alone", runs[:4]), methods=["average"])
    assert len(alone.ensembles) == 1  # it is the average already


def test_labels_of_test_influence_no_score(tmp_path):
    test = PART_LABELS["test"]
    poisoned = {**PART_LABELS, "test": flip(test, np.ones(len(test), bool))}
    found, other = (
        replay(fill(tmp_path / name, POOL, labels), methods=["selected", "stacked"])
        for name, labels in (("a", PART_LABELS), ("b", poisoned))
    )
    assert found.comparison.entries[0].label != other.comparison.entries[0].label
    assert found.singles == other.singles
    for before, after in zip(found.ensembles, other.ensembles):
        np.testing.assert_array_equal(before.entry.scores, after.entry.scores)
        np.testing.assert_array_equal(before.weights, after.weights)
        for one, two in zip(before.entry.evaluations, after.entry.evaluations):
            np.testing.assert_array_equal(one.thresholds["global"], two.thresholds["global"])


def test_of_a_run_and_its_refit_one_is_a_member(tmp_path):
    bases = [f"{i:016d}" for i in range(3)]
    refit = runs_of("good", range(3), 1.0, base=bases, refit=True, params={"x": 1})
    found = replay(fill(tmp_path, [*POOL, *refit]), methods=["average"])
    assert set(found.ensembles[0].members) == {"good refit", "other", "once"}
    assert "its refit is in: good" in " ".join(found.comparison.notes)


def test_seeds_that_not_all_have(tmp_path):
    more = fill(tmp_path / "more", [*POOL, *runs_of("good", [7], 1.0)])
    found = replay(more, methods=["average"])
    assert len(found.ensembles[0].weights) == 3
    assert "not every model has that seed: seed 7" in " ".join(found.comparison.notes)
    none = fill(tmp_path / "none", [*runs_of("good", [0, 1], 1.0), *runs_of("other", [2, 3], 1.0)])
    with pytest.raises(ProtocolError, match="no seed in common: .*good has 0, 1"):
        replay(none)
    assert replay(none, all_seeds=True).ensembles[0].weights.shape == (1, 4)


def test_refusals(tmp_path):
    store = fill(tmp_path / "store", POOL)
    with pytest.raises(ProtocolError, match="at least two members, and there is only good"):
        replay(store, models=["good"])
    with pytest.raises(UnknownNameError, match="Did you mean 'stacked'"):
        replay(store, methods=["staked"])
    flat = fill(tmp_path / "flat", [*runs_of("flat", [0], 0), *runs_of("even", [0], 0)])
    with pytest.raises(ProtocolError, match="nothing to combine: .* flat, even|even, flat"):
        replay(flat)
    mixed = fill(tmp_path / "mixed", [*POOL, *runs_of("late", [0], 1, split="another")])
    with pytest.raises(ProtocolError, match="can't be compared, their split differs"):
        replay(mixed)


def test_the_command(polytimbre):
    names = ("guess", "constant", "logistic_regression")
    models = [word for name in names for word in ("--model", name)]
    polytimbre("run", "--dataset", "tiny", *models, "--seeds", 2, "--workers", 0)
    shown = json.loads(polytimbre("ensemble", "--resamples", 600, "--format", "json"))
    seeds = {row["model"]: row["seeds"] for row in shown["rows"]}
    assert seeds == {
        "logistic_regression": 1, "guess": 2, **{f"ensemble {m}": 2 for m in METHODS},
    }  # fmt: skip
    assert shown["title"] == "ensembles, tiny, test part, 60 clips"
    assert "no member, all clips score the same: constant" in shown["notes"]
    assert any("select chooses" in note for note in shown["notes"])
    one = ("--method", "selected", "--all-seeds", "--resamples", 600, "--format", "csv")
    assert '"ensemble selected, all seeds",1,' in polytimbre("ensemble", *one)
    assert "Did you mean 'average'" in polytimbre("ensemble", "--method", "avrage", code=2)
