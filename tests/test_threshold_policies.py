"""Threshold policies on made clips whose truth is known: what is chosen, and from what."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmark.analysis import threshold_gains as gains
from benchmark.analysis import threshold_policies as policies
from benchmark.errors import ProtocolError
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.bootstrap import Bootstrap, bootstrap
from benchmark.scoring.metrics import Ranking, decisions, macro
from benchmark.scoring.thresholds import EDGE, Optima, Policy, calibrator, choose, decide
from reports.tables import thresholds as report

N_CLASSES = 6


@pytest.fixture(autouse=True)
def one_draw(monkeypatch):
    """Draw folds once: the tests don't need less noise, and get quick."""
    monkeypatch.setattr(policies, "N_REPEATS", 1)


def made(n_clips=240, seed=0, prior=0.15, power=None, n_classes=N_CLASSES, n_groups=None):
    """Labels drawn from the scores, so that these are calibrated; `power` spoils that."""
    rng = np.random.default_rng(seed)
    score = expit(2 * rng.normal(size=(n_clips, n_classes)) + logit(prior) - 2)
    y_true = (rng.random(score.shape) < score).astype(np.float32)
    keys = np.array([f"clip{i}" for i in range(n_clips)])
    groups = keys if n_groups is None else np.array([f"g{i % n_groups}" for i in range(n_clips)])
    classes = tuple(f"class{c}" for c in range(n_classes))
    labels = StoredLabels(y_true, np.ones(y_true.shape, bool), keys, groups, classes=classes)
    return labels, (score if power is None else score**power).astype(np.float32)


def ranking(labels, score):
    return Ranking.of(labels.y_positive, score, labels.y_mask)


def fresh_f1(labels, decided):
    return macro(decisions(labels.y_positive, decided, labels.y_mask).f1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_ends_of_the_strength_are_the_exact_optima(seed, n_clips, coarse):
    labels, score = made(n_clips, seed)
    labels.y_mask[:, 1] = False  # never observed
    score = np.round(score, 1) if coarse else score
    optima, exact = Optima.of(ranking(labels, score)), choose(ranking(labels, score))
    np.testing.assert_array_equal(optima.shrunk(0.0), exact["global"])
    np.testing.assert_array_equal(optima.shrunk(1.0), exact["per_class"])
    for rule in ("global", "per_class", "half"):
        np.testing.assert_array_equal(optima.thresholds(Policy(rule)), exact[rule])
    between = optima.shrunk(0.4)
    assert (between >= np.minimum(optima.global_, optima.per_class)).all()
    assert (between <= np.maximum(optima.global_, optima.per_class)).all()


def test_shrinking_weighs_each_class_by_its_positives():
    optima = Optima(0.2, np.array([0.6, 0.6, 0.6, 0.01, 0.5]), np.array([5, 10, 40, 10, 0]))
    strength = 0.3
    k = 10 * (1 - strength) / strength  # the median class has 10 positives
    n = np.array([5, 10, 40, 10])
    weight = n / (n + k)
    assert weight[1] == pytest.approx(strength)
    expected = (1 - weight) * logit(0.2) + weight * logit(optima.per_class[:4])
    np.testing.assert_allclose(logit(optima.shrunk(strength)[:4]), expected, rtol=1e-12)
    assert optima.shrunk(strength)[4] == 0.2  # nothing of its own to go by
    mirrored = Optima(0.8, 1 - optima.per_class, optima.n_positive)
    np.testing.assert_allclose(mirrored.shrunk(strength), 1 - optima.shrunk(strength))


def test_a_mean_of_two_optima_beats_both_where_classes_differ_and_positives_are_few():
    found = []
    for seed in range(12):
        power = np.linspace(0.6, 1.6, 12)
        labels, score = made(300, seed, 0.05, power, 12)
        fresh, fresh_score = made(4000, 1000 + seed, 0.05, power, 12)
        optima = Optima.of(ranking(labels, score))
        decided = [decide(fresh_score, optima.shrunk(s)) for s in (0.0, 0.5, 1.0)]
        found.append([fresh_f1(fresh, yes) for yes in decided])
    one, mean, own = np.mean(found, axis=0)
    assert mean > one + 0.005
    assert mean > own + 0.005


def test_platt_is_scikit_learns_sigmoid_and_never_falls():
    labels, score = made(seed=3)
    calibrated = calibrator("platt", labels.y_positive, score, labels.y_mask)(score)
    x = logit(score[:, [2]].astype(np.float64))
    model = LogisticRegression().fit(x, labels.y_positive[:, 2])
    np.testing.assert_allclose(calibrated[:, 2], model.predict_proba(x)[:, 1], atol=1e-12)
    upside_down = calibrator("platt", ~labels.y_positive, score, labels.y_mask)(score)
    np.testing.assert_array_equal(upside_down[:, 2], (~labels.y_positive[:, 2]).mean())


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
def test_calibration_repairs_spoilt_scores_and_leaves_what_it_cannot_fit(calibration):
    labels, score = made(3000, power=3.0)
    labels.y_true[:, 0] = 0  # no positive
    labels.y_mask[:, 1] = False
    score[0, 2], score[1, 2] = 0, 1  # logits without end
    calibrate = calibrator(calibration, labels.y_positive, score, labels.y_mask)
    fresh, fresh_score = made(3000, seed=1, power=3.0)
    after = calibrate(fresh_score)
    np.testing.assert_array_equal(after[:, :2], fresh_score[:, :2].astype(np.float64))
    error = ((after - fresh.y_true)[:, 2:] ** 2).mean(axis=0)
    assert (error < ((fresh_score - fresh.y_true)[:, 2:] ** 2).mean(axis=0)).all()
    order = np.argsort(fresh_score[:, 3])
    assert (np.diff(after[order, 3]) >= -1e-15).all()


def test_isotonic_steps_are_scikit_learns_and_level():
    labels, score = made(500, seed=4)
    y_positive = labels.y_positive[:, 0]
    found = calibrator("isotonic", labels.y_positive, score, labels.y_mask)(score)[:, 0]
    expected = IsotonicRegression().fit(score[:, 0], y_positive).predict(score[:, 0])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(set(found)) < len(set(expected))  # its last bits differ within a step
    for value in set(found):
        assert y_positive[found == value].mean() == pytest.approx(value)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["platt", "isotonic"]))
@settings(max_examples=40, deadline=None)
def test_calibration_does_not_move_a_classs_own_optimum(seed, calibration):
    """Which is why ``per_class`` comes without."""
    labels, score = made(120, seed, n_classes=2)
    _, fresh = made(500, seed + 1, n_classes=2)
    plain = Optima.of(ranking(labels, score)).per_class
    calibrate = calibrator(calibration, labels.y_positive, score, labels.y_mask)
    after = Optima.of(ranking(labels, calibrate(score))).per_class
    rising = np.ptp(calibrate(score), axis=0) > 0  # a constant tells nothing any more
    plain_yes, yes = decide(score, plain), decide(calibrate(score), after)
    np.testing.assert_array_equal(plain_yes[:, rising], yes[:, rising])
    plain_yes, yes = decide(fresh, plain), decide(calibrate(fresh), after)
    np.testing.assert_array_equal(plain_yes[:, rising], yes[:, rising])


def test_folds_keep_groups_whole_and_share_out_the_positives():
    labels, _ = made(400, n_groups=80)
    fold = policies.folds(labels)
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    assert all(len(set(fold[labels.groups == group])) == 1 for group in set(labels.groups))
    single, _ = made(400)
    fold = policies.folds(single)
    held = np.array([single.y_positive[fold == f].sum(axis=0) for f in range(5)])
    assert np.ptp(held, axis=0).max() <= 2
    assert not np.array_equal(fold, policies.folds(single, seed=1))
    few, _ = made(40, n_groups=3)
    assert len(set(policies.folds(few))) == 3
    with pytest.raises(ProtocolError, match="at least 2 groups of clips, there is only 1"):
        policies.folds(made(40, n_groups=1)[0])


def all_policies():
    return [replace(p, strength=0.3) if p.rule == "shrunk" else p for p in policies.SPACE]


def test_held_out_clips_have_no_say_in_their_own_decisions():
    labels, score = made()
    fold = policies.folds(labels)
    flipped = replace(
        labels, y_true=np.where((fold == 0)[:, None], 1 - labels.y_true, labels.y_true)
    )
    before, after = (policies.CrossFit(known, score, [fold]) for known in (labels, flipped))
    changed = 0
    for policy in all_policies():
        one, other = before.decide(policy)[0], after.decide(policy)[0]
        np.testing.assert_array_equal(one[fold == 0], other[fold == 0])
        changed += (one != other).sum()
    assert changed  # the other folds' thresholds did move


@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic"])
def test_cross_fitted_f1_pools_the_decisions_of_all_folds(calibration):
    labels, score = made(seed=5)
    draws = [policies.folds(labels, seed=seed) for seed in (1, 2)]
    policy, expected = Policy("shrunk", calibration, 0.3), []
    for fold in draws:
        yes = np.zeros(score.shape, bool)
        for f in range(5):
            held, rest = fold == f, fold != f
            known = labels.y_positive[rest], score[rest], labels.y_mask[rest]
            calibrate = calibrator(calibration, *known)
            optima = Optima.of(Ranking.of(known[0], calibrate(known[1]), known[2]))
            yes[held] = decide(calibrate(score[held]), optima.shrunk(0.3))
        columns = zip(labels.y_positive.T, yes.T, strict=True)
        expected.append(np.mean([f1_score(y, decided) for y, decided in columns]))
    found = policies.CrossFit(labels, score, draws).f1(policy)
    assert found == pytest.approx(np.mean(expected), abs=1e-12)


def test_select_flatters_what_it_chose_and_held_out_clips_hardly_do():
    found = []
    for seed in range(8):
        labels, score = made(900, seed, 0.05, n_classes=10)
        fresh, fresh_score = made(4000, 1000 + seed, 0.05, n_classes=10)
        optima = Optima.of(ranking(labels, score))
        crossed = policies.CrossFit(labels, score, policies.draw_folds(labels))
        for policy in (Policy("global"), Policy("per_class")):
            cut = optima.thresholds(policy)
            decided = decide(score, cut), decide(fresh_score, cut)
            on_fresh = fresh_f1(fresh, decided[1])
            found.append([fresh_f1(labels, decided[0]) - on_fresh, crossed.f1(policy) - on_fresh])
    in_sample, held_out = np.mean(found[1::2], axis=0)
    assert in_sample > 0.04
    assert abs(held_out) < 0.02
    assert in_sample > np.mean(found[::2], axis=0)[0] + 0.02  # one threshold flatters less


def test_scores_of_one_meaning_are_put_under_one_threshold_or_nearly_so():
    labels, score = made(900, 2, 0.05, n_classes=10)
    chosen = policies.choose(labels, score, policies.draw_folds(labels)[:1], n_trials=4).tuned
    assert chosen.rule == "global" or chosen.strength < 0.6


def test_classes_of_other_scales_and_many_positives_are_not_put_under_one_threshold():
    power = np.linspace(0.3, 4, N_CLASSES)
    labels, score = made(1200, 1, 0.2, power)
    fresh, fresh_score = made(6000, 2, 0.2, power)
    choice = policies.choose(labels, score, policies.draw_folds(labels)[:1], n_trials=4)
    decided = dict(zip(choice.policies, choice.decide(fresh_score), strict=True))
    f1 = {name: fresh_f1(fresh, yes) for name, yes in decided.items()}
    assert str(choice.tuned) != "global"
    assert f1["tuned"] > f1["global"] + 0.05
    assert f1["per_class"] > f1["global"] + 0.05


def test_the_search_is_repeatable_quiet_and_prefers_the_simple(capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    labels, score = made(seed=8)
    one, other = (policies.choose(labels, score, n_trials=3) for _ in range(2))
    assert one.policies == other.policies
    assert one.cross_fitted == other.cross_fitted
    assert max(one.chosen_by.values()) == one.chosen_by["tuned"]
    for name, policy in one.policies.items():  # what was not searched needs no nested search
        if policy.strength is None and name != "tuned":
            assert one.cross_fitted[name] == one.chosen_by[name]
    assert optuna.logging.get_verbosity() == before
    constant = policies.choose(labels, np.full_like(score, 0.3), n_trials=3)
    assert constant.tuned == Policy("global")  # all alike: the first
    assert "".join(capfd.readouterr()) == ""


def test_few_positives_and_classes_that_cannot_be_scored():
    labels, score = made(120)
    labels.y_true[:, 0] = 0  # no positive
    labels.y_true[:, 1] = 1  # no negative
    labels.y_true[:, 2] = np.arange(120) == 7  # one positive: no fold can hold it and fit it
    labels.y_mask[:, 3] = False
    score[:, 4] = 0.5
    choice = policies.choose(labels, score, n_trials=3)
    assert all(0 <= value <= 1 for value in choice.cross_fitted.values())
    assert choice.decide(score).shape == (len(gains.NAMES), *score.shape)
    labels.y_mask[:, 2:] = False
    with pytest.raises(ProtocolError, match="no class can be scored"):
        policies.choose(labels, score, n_trials=3)


def stored(models, seed=0, n_groups=None, **made_like):
    """Entries, a store and labels of made models, given as numbers of training seeds."""
    labels, scores, entries = {}, {}, []
    for part, n_clips in (("select", 160), ("test", 200)):
        labels[part], score = made(n_clips, seed + (part == "test"), n_groups=n_groups, **made_like)
        noise = np.random.default_rng(seed)
        for model, n_seeds in models.items():
            for s in range(n_seeds):
                blurred = expit(logit(score) + noise.normal(size=score.shape) * 0.7 * (s + 1))
                shown = np.full_like(score, 0.2) if model == "constant" else np.float32(blurred)
                scores.setdefault(f"{model}{s}", {})[part] = shown
    for model, n_seeds in models.items():
        records = [
            SimpleNamespace(run_id=f"{model}{s}", spec=SimpleNamespace(seed=s))
            for s in range(n_seeds)
        ]
        entries.append(SimpleNamespace(label=model, records=records))
    return entries, SimpleNamespace(scores=lambda r: scores[r.run_id]), labels


def measured(entries, store, labels, **options):
    return gains.measure(entries, store, labels, **{"n_trials": 2, "n_resamples": 499, **options})


@pytest.fixture
def quick(monkeypatch):
    """Fewer draws than any result should rest on."""
    monkeypatch.setattr(gains, "N_REFITS", 4)
    monkeypatch.setattr(policies, "N_REPEATS", 1)


@pytest.mark.usefixtures("quick")
def test_test_clips_choose_nothing():
    entries, store, labels = stored({"a": 2, "b": 1})
    before = measured(entries, store, labels)
    rng = np.random.default_rng(1)
    poisoned = replace(labels["test"], y_true=1 - labels["test"].y_true)
    scores = {
        r.run_id: {**store.scores(r), "test": rng.random((200, N_CLASSES), np.float32)}
        for entry in entries
        for r in entry.records
    }
    other = SimpleNamespace(scores=lambda r: scores[r.run_id])
    after = measured(entries, other, {**labels, "test": poisoned})
    for one, two in zip(before.choices, after.choices, strict=True):
        for first, second in zip(one, two, strict=True):
            assert first.policies == second.policies
            assert first.cross_fitted == second.cross_fitted
            assert first.in_sample == second.in_sample
    np.testing.assert_array_equal(before.on_select.class_values, after.on_select.class_values)
    assert not np.array_equal(before.on_test.estimate, after.on_test.estimate)


@pytest.mark.usefixtures("quick")
def test_unobserved_entries_change_nothing():
    entries, store, labels = stored({"a": 2})
    rng = np.random.default_rng(2)
    masks = {part: rng.random(known.y_mask.shape) < 0.6 for part, known in labels.items()}
    labels = {part: replace(known, y_mask=masks[part]) for part, known in labels.items()}
    hidden = {
        part: replace(known, y_true=np.where(masks[part], known.y_true, 1 - known.y_true))
        for part, known in labels.items()
    }
    scores = {
        r.run_id: {
            part: np.where(masks[part], score, rng.random(score.shape, np.float32))
            for part, score in store.scores(r).items()
        }
        for r in entries[0].records
    }
    other = SimpleNamespace(scores=lambda r: scores[r.run_id])
    one, two = measured(entries, store, labels), measured(entries, other, hidden)
    assert [c.policies for c in one.choices[0]] == [c.policies for c in two.choices[0]]
    for part in ("on_select", "on_test"):
        first, second = getattr(one, part), getattr(two, part)
        np.testing.assert_array_equal(first.class_values, second.class_values)
        np.testing.assert_array_equal(first.estimate, second.estimate)


def test_resamples_are_those_of_the_bootstrap_and_policies_share_seeds():
    entries, store, labels = stored({"a": 3, "b": 1}, n_groups=50)
    known = labels["test"]
    scores = [np.stack([store.scores(r)["test"] for r in e.records]) for e in entries]
    cuts = (0.2, 0.2, 0.35)
    decided = [[np.stack([run >= np.float32(c) for c in cuts])[None] for run in s] for s in scores]
    found = gains.resample(known, decided, 130, seed=4)
    for p, cut in enumerate(cuts):
        expected = bootstrap(
            known.y_positive, known.y_mask, scores, groups=known.groups, metric="f1",
            thresholds=cut, n_resamples=130, seed=4,
        )  # fmt: skip
        np.testing.assert_allclose(
            found.class_values[:, p :: len(cuts)], expected.class_values, atol=1e-12
        )
        np.testing.assert_allclose(
            found.clip_values[:, p :: len(cuts)], expected.clip_values, atol=1e-12
        )
        np.testing.assert_allclose(found.estimate[p :: len(cuts)], expected.estimate)
    np.testing.assert_array_equal(found.values[:, 0], found.values[:, 1])
    draws = [[np.concatenate([run, run[:, ::-1]]) for run in runs] for runs in decided]
    both = gains.resample(known, draws, 130, seed=4)  # means over two draws of folds
    np.testing.assert_allclose(both.values[:, 0], found.values[:, [0, 2]].mean(axis=1))


@pytest.mark.usefixtures("quick")
def test_rows_hold_differences_to_the_global_threshold():
    found = measured(*stored({"a": 2, "b": 1, "constant": 1}))
    assert found.telling.tolist() == [True, True, False]
    a, b = found.rows(0), found.rows(1)
    assert list(a) == list(gains.NAMES)
    for name, row in found.average.items():
        assert row.gain.value == pytest.approx((a[name].gain.value + b[name].gain.value) / 2)
        assert row.gain.value == pytest.approx(row.test.value - found.average["global"].test.value)
        difference = row.cross_fitted - found.average["global"].cross_fitted
        assert row.held_out_gain.value == pytest.approx(difference)
        assert row.gain.lower <= row.gain.value <= row.gain.upper
    choices = found.choices[0]
    assert a["tuned"].in_sample == pytest.approx(np.mean([c.in_sample["tuned"] for c in choices]))
    assert np.isnan(a["global"].p)
    with pytest.raises(ProtocolError, match="too few to compare 10 policies .* it takes 399"):
        measured(*stored({"a": 1}), n_resamples=100)


def made_gains(gain_of_refits, seed=0):
    """Gains of two models whose test clips vary by 0.01 and select clips as given."""
    rng = np.random.default_rng(seed)
    n_policies = len(gains.NAMES)
    values = 0.5 + 0.01 * rng.standard_normal((999, 2 * n_policies))
    runs = tuple(np.full((1, 1), 0.5) for _ in range(2 * n_policies))
    known = Bootstrap("f1", np.array([True]), runs, values[:, :, None], values)
    refitted = 0.4 + gain_of_refits * rng.standard_normal((40, 2, n_policies))
    f1 = dict.fromkeys(gains.NAMES, 0.5)
    choice = SimpleNamespace(in_sample=f1, chosen_by=f1)
    return gains.Gains(
        ("a", "b"), [[0], [0]], [[choice], [choice]], np.array([True, True]), known, known,
        refitted, 0.95,
    )  # fmt: skip


def test_the_luck_of_select_widens_the_intervals_of_test():
    narrow, wide = (made_gains(sd).rows(0)["shrunk"] for sd in (0.0, 0.03))
    assert narrow.select_sd == 0
    assert wide.select_sd == pytest.approx(0.03 * 2**0.5, rel=0.3)
    assert wide.test_sd == narrow.test_sd == pytest.approx(0.01 * 2**0.5, rel=0.1)
    length = [row.gain.upper - row.gain.lower for row in (narrow, wide)]
    expected = np.hypot(wide.select_sd, wide.test_sd) / wide.test_sd
    assert length[1] / length[0] == pytest.approx(expected, rel=0.15)
    assert abs(wide.gain.upper + wide.gain.lower) < 0.03  # worse refits move no interval
    one, both = made_gains(0.03).rows(0)["shrunk"], made_gains(0.03).average["shrunk"]
    assert both.select_sd < one.select_sd


@pytest.mark.usefixtures("quick")
def test_rare_classes_of_the_select_part_cost_no_interval():
    entries, store, labels = stored({"a": 1})
    for c in (0, 1, 2):
        labels["select"].y_true[:, c] = np.arange(len(labels["select"])) == c
    found = measured(entries, store, labels)
    assert found.on_select.n_dropped > 250
    row = found.rows(0)["per_class"].held_out_gain
    assert row.lower < row.value < row.upper


@pytest.mark.usefixtures("quick")
def test_tables_and_sentences_follow_from_the_numbers():
    power = np.linspace(0.3, 4, N_CLASSES)
    found = measured(*stored({"a": 1, "b": 1, "constant": 1}, power=power, prior=0.3))
    frame = report.policies(found)
    assert len(frame) == 4 * len(gains.NAMES)
    mean = frame[frame["model"] == "mean of 2 models"].set_index("policy")
    assert mean.loc["tuned", "test gain"] == pytest.approx(found.average["tuned"].gain.value)
    assert np.isnan(mean.loc["global", "test gain"])
    searched = mean.loc["tuned"]
    told = [searched[name] for name in ("in search", "p at floor", "sd, select", "sd, test")]
    row = found.average["tuned"]
    assert told == [row.chosen_by, row.at_floor, row.select_sd, row.test_sd]
    by_model = [np.mean([c.chosen_by["tuned"] for c in runs]) for runs in found.choices[:2]]
    assert row.chosen_by == pytest.approx(np.mean(by_model))
    assert any("a select part of this size" in line for line in report.reading(found))
    said = report.sentences(found)
    best = mean["test gain"][mean["p"] <= 0.05].idxmax()
    assert f"{best} " in said[0]
    assert "gains most F1" in said[0] or "alone gains" in said[0]
    assert any(line.startswith("a: the search chose") for line in said)
    assert not any(line.startswith("constant: ") for line in said)
    assert "constant" in report.reading(found)[-1]
    nothing = measured(*stored({"constant": 1}))
    assert report.sentences(nothing) == [
        "No model scores clips differently, so no threshold can tell them apart."
    ]
    assert len(report.policies(nothing)) == len(gains.NAMES)


def test_one_threshold_is_kept_where_nothing_is_shown_to_gain():
    found = measured(*stored({"a": 1}, seed=3))
    rows = found.rows(0)
    assert not any(row.p <= 0.05 and row.gain.value > 0 for row in rows.values())
    assert "No policy is shown to gain F1" in report.sentences(found)[0]
    assert "on test (a;" in report.sentences(found)[0]


def test_the_command(polytimbre):
    tiny = ("--dataset", "tiny")
    run = ("run", *tiny, "--workers", 0)
    polytimbre(*run, "--model", "guess", "--model", "constant", "--seeds", 1)
    few = ("--trials", 1, "--resamples", 600)
    out = polytimbre("thresholds", *tiny, *few, "--format", "json")
    answer = json.loads(out)
    assert {row["model"] for row in answer["rows"]} == {"guess", "constant"}
    assert len(answer["rows"]) == 2 * len(gains.NAMES)
    assert any("the search chose" in note for note in answer["notes"])
    assert "--trials" in polytimbre("thresholds", "--trials", 0, code=2)


def test_scores_at_the_edges_have_a_logit():
    optima = Optima(0.0, np.array([1.0, 0.5]), np.array([4, 4]))
    mixed = optima.shrunk(0.5)
    assert ((mixed > EDGE / 2) & (mixed < 1)).all()
