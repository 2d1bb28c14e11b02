"""Training gap, histories and learning curves."""

import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.analysis import learning_curve, training_gap
from benchmark.analysis.learning_curve import LearningCurve
from benchmark.analysis.losses import Losses, entry_loss
from benchmark.analysis.training_curves import curves, turn
from benchmark.analysis.training_gap import GAP_PARTS, RULE, VERDICTS, Interval
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.model import History, Stage
from benchmark.errors import ProtocolError, StoreError
from benchmark.plugins.checks import make_part
from benchmark.protocol import divide
from benchmark.runs.reading import StoredLabels
from benchmark.runs.record import Record, RunSpec, digest
from benchmark.runs.request import training_rows
from benchmark.scoring import metrics
from benchmark.scoring.bootstrap import basic_interval
from reports.tables import learning_curve as learning_curve_tables
from reports.tables import text
from reports.tables import training_gap as gap_tables
from reports.tables.words import percent

CLASSES = ("a", "b", "c")
N = {"fit": 300, "stop": 40, "select": 120, "test": 120}


def make_labels(seed=0):
    """Labels of all parts; class c has no positive in select."""
    rng = np.random.default_rng(seed)
    labels = {}
    for part, n in N.items():
        mask = rng.random((n, 3)) < 0.8
        y = (rng.random((n, 3)) < 0.4).astype(np.float32)
        if part == "select":
            y[:, 2] = 0
        keys = np.array([f"{part}{i:03d}" for i in range(n)])
        groups = np.array([f"{part}{i // 2:03d}" for i in range(n)])
        labels[part] = StoredLabels(
            np.where(mask, y, np.float32(0)), mask, keys, groups, classes=CLASSES
        )
    return labels


def make_scores(labels, strength, seed=0):
    """Scores in which each part's labels show with its strength in [0, 1]."""
    rng = np.random.default_rng(seed)
    scores = {}
    for part, truth in labels.items():
        noise = rng.random(truth.y_true.shape)
        share = strength.get(part, 0)
        scores[part] = np.float32(share * truth.y_true + (1 - share) * noise)
    return scores


def history(stop_loss, numbers=None):
    made = History("epoch")
    for i, loss in enumerate(stop_loss):
        number = numbers[i] if numbers else i + 1
        made.stages.append(Stage(number, loss / 2, loss, 0.9, 0.5))
        made.best = number
    return made.as_dict()


SPEC = RunSpec("made", "official", True, "f", "d", "p", "guess", None, {"depth": 1}, 0, "s")


def make_record(seed=0, fraction=1.0, stop_loss=(1.0, 0.8, 0.8), **changes):
    spec = replace(SPEC, seed=seed, fraction=fraction)
    run_id = f"{seed}-{fraction}"
    made = Record(run_id, spec, {"python": "3"}, 1, "finished", "2026-01-01T00:00:00+00:00")
    made.history, made.clips = history(stop_loss), {**N, "trained": int(fraction * N["fit"])}
    return replace(made, **changes)


class Shelf:
    """Entries with made scores, and what `measure` asks of a store."""

    def __init__(self, labels):
        self.labels, self.kept, self.entries = labels, {}, []

    def add(self, label, strength, seeds=(0, 1)):
        records = [make_record(seed) for seed in seeds]
        for record in records:
            record.run_id = f"{label} {record.run_id}"
            self.kept[record.run_id] = make_scores(self.labels, strength, record.spec.seed)
        self.entries.append(SimpleNamespace(label=label, records=records))

    def scores(self, record):
        return self.kept[record.run_id]


@pytest.fixture(scope="module")
def shelf():
    shelf = Shelf(make_labels())
    shelf.add("memory", {"fit": 0.9, "select": 0.05, "test": 0.05}, seeds=range(5))
    shelf.add("chance", {})
    shelf.add("sound", {"fit": 0.4, "select": 0.28, "test": 0.25}, seeds=(0,))
    return shelf


def measure(shelf, labels=None, **changes):
    settings = {"n_resamples": 200, **changes}
    return training_gap.measure(shelf.entries, shelf, labels or shelf.labels, **settings)


@pytest.fixture(scope="module")
def gaps(shelf):
    return measure(shelf)


def test_values_are_those_of_the_metrics(shelf, gaps):
    for one, entry in zip(gaps, shelf.entries):
        assert one.unscored == ["c"]
        for part in GAP_PARTS:
            truth, found = shelf.labels[part], one.parts[part]
            for s, record in enumerate(entry.records):
                score = shelf.scores(record)[part]
                ap = metrics.average_precision(truth.y_positive, score, truth.y_mask)
                assert found.run_mAP[s] == pytest.approx(ap[:2].mean())
                loss = metrics.log_loss(truth.y_true, score, truth.y_mask)
                assert found.run_loss[s] == pytest.approx(loss)
            weight = truth.y_mask.sum(axis=0) / truth.y_mask.sum()
            assert weight @ found.class_loss == pytest.approx(found.loss)
        a, b, c = (one.parts[part] for part in GAP_PARTS)
        assert one.optimism.mAP.value == pytest.approx(a.mAP - b.mAP)
        assert one.shift.loss.value == pytest.approx(c.loss - b.loss)
        np.testing.assert_allclose(one.shift.class_ap.value, b.class_ap - c.class_ap)


def test_a_setting_is_over_fitted_where_a_looser_fit_is_better_elsewhere(shelf, gaps):
    """Two more settings: one fits as closely and is better, one more loosely and is worse."""
    assert [one.surpassed_by for one in gaps] == [("sound",), (), ()]
    assert [one.verdict for one in gaps] == [VERDICTS[0], VERDICTS[1], VERDICTS[1]]
    other = Shelf(shelf.labels)
    other.add("poor", {"fit": 0.4, "select": 0.05, "test": 0.05}, range(5))
    other.add("closer, and better", {"fit": 0.9, "select": 0.3, "test": 0.3}, range(5))
    other.add("looser, and as poor", {"fit": 0.3, "select": 0.05, "test": 0.05}, range(5))
    assert {one.verdict for one in measure(other)} == {VERDICTS[1]}
    other.add("another model", {"fit": 0.2, "select": 0.5, "test": 0.5}, range(5))
    for changes in ({"model": "other"}, {"features": "better"}):
        for record in other.entries[-1].records:
            record.spec = replace(SPEC, seed=record.spec.seed, **changes)
        assert {one.verdict for one in measure(other)} == {VERDICTS[1]}


def test_the_lost_share_is_of_what_lies_above_chance(shelf, gaps):
    for one in gaps:
        for part in GAP_PARTS:
            truth = shelf.labels[part]
            shares = truth.y_positive.sum(axis=0) / truth.y_mask.sum(axis=0)
            assert one.parts[part].chance == pytest.approx(shares[:2].mean())
            assert one.parts[part].corrected_mAP <= one.parts[part].mAP
    assert np.isnan(gaps[1].lost_share.value)  # chance has nothing to lose
    for one in (gaps[0], gaps[2]):
        fit, select = (one.parts[part].mAP - one.parts[part].chance for part in ("fit", "select"))
        assert one.lost_share.value == pytest.approx(1 - select / fit)
        assert one.lost_share.lower < one.lost_share.value < one.lost_share.upper
    assert gaps[0].lost_share.lower > gaps[2].lost_share.value


def test_intervals_are_those_of_independent_resamples(shelf, gaps):
    labels, common = shelf.labels, np.array([0, 1])
    drawn = {}
    for part in ("fit", "select"):
        scores = [np.stack([shelf.scores(r)[part] for r in e.records]) for e in shelf.entries]
        drawn[part] = training_gap._resample_ap(labels[part], scores, common, 200, part)
    difference = drawn["fit"].estimate - drawn["select"].estimate
    lower, upper = basic_interval(difference, drawn["fit"].values - drawn["select"].values)
    for m, one in enumerate(gaps):
        assert one.optimism.mAP.lower == pytest.approx(lower[m])
        assert one.optimism.mAP.upper == pytest.approx(upper[m])
        assert (one.optimism.class_ap.lower < one.optimism.class_ap.value)[:2].all()
        assert np.isnan(one.optimism.class_ap.value[2])


def test_loss_interval_has_the_width_of_the_sampling_error():
    rng = np.random.default_rng(0)
    n = 500
    truth = (rng.random((n, 2)) < 0.5).astype(np.float32)
    names = np.arange(n).astype(str)
    labels = StoredLabels(truth, np.ones((n, 2), bool), names, names, classes=("a", "b"))
    score = rng.random((1, n, 2))
    found = Losses.of(labels, [score], 1000, 0)
    loss = entry_loss(truth, score[0], labels.y_mask)
    wanted = loss.mean(axis=1).std() / np.sqrt(n)
    assert found.values.std(axis=0)[0] == pytest.approx(wanted, rel=0.1)
    assert found.values.mean() == pytest.approx(loss.mean(), abs=wanted / 3)
    assert found.class_values.std(axis=0)[0, 0] == pytest.approx(loss[:, 0].std() / n**0.5, rel=0.1)


def test_unobserved_entries_change_no_bit(shelf, gaps):
    other = Shelf(
        {
            part: replace(truth, y_true=np.where(truth.y_mask, truth.y_true, np.float32(1)))
            for part, truth in shelf.labels.items()
        }
    )
    other.entries = shelf.entries
    for name, scores in shelf.kept.items():
        masks = {part: truth.y_mask for part, truth in shelf.labels.items()}
        other.kept[name] = {p: np.where(masks[p], s, np.float32("nan")) for p, s in scores.items()}
    first, second = gap_tables.gap_by_class(gaps), gap_tables.gap_by_class(measure(other))
    assert first.equals(second)
    assert gap_tables.gap_table(gaps).equals(gap_tables.gap_table(measure(other)))


def test_runs_on_a_share_have_no_training_gap(shelf):
    entry = SimpleNamespace(label="guess 10 %", records=[make_record(fraction=0.1)])
    with pytest.raises(ProtocolError, match="trained on a share"):
        training_gap.measure([entry], shelf, shelf.labels)


def test_no_class_in_common_is_said():
    shelf = Shelf(make_labels())
    shelf.add("chance", {})
    nothing = replace(shelf.labels["test"], y_mask=np.zeros((N["test"], 3), bool))
    with pytest.raises(ProtocolError, match="no class can be scored in all of"):
        measure(shelf, {**shelf.labels, "test": nothing})


def test_turn_of_the_stopping_loss():
    found = turn([make_record(stop_loss=(1.0, 0.5, 0.6)), make_record(stop_loss=(1.0, 0.5, 0.7))])
    assert (found.unit, found.stage, found.last) == ("epoch", 2, 3)
    assert found.rise == pytest.approx(0.3)
    assert not found.still_falling
    assert turn([make_record(stop_loss=(1.0, 0.9, 0.8))]).still_falling
    forest = make_record(history=history((0.8, 0.6, 0.5), [10, 50, 100]))
    assert (turn([forest]).since, turn([forest]).fall) == (50, pytest.approx(0.2))
    noisy = [0.9, 0.8, *[0.7] * 15, 0.72, 0.7, 0.7]  # the stage before the last tenth is high
    assert turn([make_record(stop_loss=noisy)]).fall == 0
    one = turn([make_record(stop_loss=(0.7,))])
    assert (one.stage, one.rise, one.fall) == (1, 0, 0)
    assert turn([make_record(stop_loss=())]) is None


def test_curves_average_the_seeds_that_reached_a_stage():
    records = [make_record(stop_loss=(1.0, 0.5)), make_record(stop_loss=(0.8, 0.6, 0.4))]
    found = curves(records)
    assert found["number"].tolist() == [1, 2, 3]
    assert found["seeds"].tolist() == [2, 2, 1]
    np.testing.assert_allclose(found["stop_loss"], [0.9, 0.55, 0.4])
    np.testing.assert_allclose(found["stop_loss sd"][:2], np.std([[1, 0.5], [0.8, 0.6]], 0, ddof=1))
    assert np.isnan(found["stop_loss sd"][2])
    entries = [SimpleNamespace(label="guess", records=records)]
    analysis = SimpleNamespace(trained=SimpleNamespace(entries=entries, notes=[]))
    frame = gap_tables.CURVES.make(analysis).frame
    assert frame["fit_loss"].tolist() == pytest.approx([0.45, 0.275, 0.2])


def test_tables_and_sentences(gaps):
    frame = gap_tables.gap_table(gaps)
    assert frame["verdict"].tolist() == [one.verdict for one in gaps]
    assert "optimism low" in text.text(frame, "csv", "", [])
    analysis = SimpleNamespace(gaps=gaps, trained=SimpleNamespace(notes=[]))
    result = gap_tables.GAP.make(analysis)
    shown = result.shown
    assert shown["optimism"][0] == gaps[0].optimism.mAP.value
    assert shown["optimism low"][0] == gaps[0].optimism.mAP.lower
    assert len(gap_tables.gap_by_class(gaps)) == 9
    for row, one in zip(result.frame.to_dict("records"), gaps, strict=True):
        assert row["select corrected mAP"] == one.parts["select"].corrected_mAP
        assert row["fit chance"] == one.parts["fit"].chance
        assert row["surpassed by"] == (", ".join(one.surpassed_by) or "–")
        share = [row[f"lost share{end}"] for end in ("", " low", " high")]
        lost = one.lost_share
        np.testing.assert_equal(share, [lost.value, lost.lower, lost.upper])
    rule, judged, shares = result.notes[:3]
    assert rule == RULE
    assert judged == (
        f"over-fitted: memory (by {gaps[0].surpassed_by[0]}); not shown to be over-fitted: 2 models"
    )
    assert f"{percent(gaps[0].lost_share.value)} (memory)" in shares
    assert len(result.notes) == 3  # one on the rule: no note repeats a row


def make_curve(gain, p):
    shares, two = np.array([0.5, 1.0]), np.array([1, 1])
    mAP = np.array([0.45, 0.5])
    return LearningCurve(
        "m", shares, two, two, two, [["a"], ["b"]], np.array([0.7, 0.6]), mAP, mAP - 0.05,
        np.array([0.5, 0.55]),
        Interval(*(np.array([np.nan, value]) for value in gain)), p, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [
        (make_curve((0.05, 0.01, 0.09), 0.01), "more data would pay"),
        (make_curve((0.05, 0.0002, 0.09), 0.2), "more data is not shown to pay"),
        (make_curve((-0.05, -0.09, -0.01), 0.01), "more data is not shown to pay"),
    ],
)
def test_learning_curve_verdict_follows_its_rule(curve, wanted):
    assert curve.verdict == ("more data" if "would" in wanted else "nothing shown")
    assert wanted in learning_curve_tables.sentence(curve)
    assert f", p {curve.p:.3f}" in learning_curve_tables.sentence(curve)
    least = learning_curve_tables.sentence(replace(curve, at_floor=True))
    assert f", p <{curve.p:.3f}" in least


def test_learning_curve_takes_runs_of_the_same_code_and_setting():
    entry = SimpleNamespace(records=[make_record()])
    tenth, half = make_record(fraction=0.1), make_record(fraction=0.5)
    changed = make_record(fraction=0.2, versions={"python": "4"})
    deeper = make_record(fraction=0.2)
    deeper.spec = replace(deeper.spec, params={"depth": 2})
    found = learning_curve.group(entry, [half, changed, deeper, tenth])
    assert found == {0.1: [tenth], 0.5: [half], 1.0: entry.records}
    assert list(found) == [0.1, 0.5, 1.0]


def test_learning_curve_takes_one_run_an_order():
    entry = SimpleNamespace(records=[make_record()])
    older = [make_record(seed, 0.5) for seed in (0, 1)]
    assert learning_curve.group(entry, older)[0.5] == older
    newer = [in_order(make_record(seed, 0.5), seed) for seed in (1, 2)]
    assert learning_curve.group(entry, [*newer, *older])[0.5] == [older[0], *newer]
    alone = [in_order(make_record(0, 0.5), order) for order in (0, 1, 2)]
    assert learning_curve.group(entry, alone)[0.5] == alone


def in_order(record, order):
    record.spec = replace(record.spec, order=order)
    return record


def test_shares_are_nested_and_keep_groups_whole():
    part = make_part(240, 5)
    n = np.arange(240)
    data = Dataset(
        "made", part.X, part.y_true, part.y_mask, np.array([f"clip{i}" for i in n]),
        np.array([f"group{i // 3}" for i in n]), np.where(n < 180, "train", "test"), "none", "CC0",
    )  # fmt: skip
    division = divide(data)
    shares = (0.001, 0.1, 0.2, 0.5, 1)
    rows = {share: training_rows(division, share) for share in shares}
    others = [training_rows(division, share, order=1) for share in shares]
    assert all(set(small) < set(large) for small, large in pairwise(others))
    assert set(others[3]) != set(rows[0.5])
    sets = [set(r.tolist()) for r in rows.values()]
    assert all(small < large for small, large in pairwise(sets))
    fit_groups = set(data.groups[division.rows["fit"]])
    for share, found in rows.items():
        groups = set(data.groups[found])
        assert len(groups) == max(1, round(share * len(fit_groups)))
        assert len(found) == np.isin(data.groups[division.rows["fit"]], list(groups)).sum()
    for wrong in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ProtocolError, match=r"in \(0, 1\]"):
            training_rows(division, wrong)


def test_a_share_is_another_run_with_its_own_label():
    tenth = replace(SPEC, fraction=0.1)
    assert (tenth.label, tenth.setting) == ("guess 10 %", "guess")
    assert tenth.spec_id != SPEC.spec_id
    assert tenth.config_id != SPEC.config_id


def test_the_order_of_groups_is_part_of_a_runs_identity_but_for_the_first():
    tenth = replace(SPEC, fraction=0.1)
    other = replace(tenth, order=1)
    assert other.spec_id != tenth.spec_id
    assert other.config_id == tenth.config_id  # they are averaged
    record = in_order(make_record(fraction=0.1), 2)
    assert Record.from_json(record.to_json()) == record


def test_a_record_without_its_share_is_refused():
    """A field with a default must not make reading lax."""
    text = make_record().to_json()
    assert Record.from_json(text).spec.fraction == 1
    content = json.loads(text)
    del content["digest"], content["spec"]["fraction"]
    with pytest.raises(StoreError, match="lacks the field 'spec.fraction'"):
        Record.from_json(json.dumps({**content, "digest": digest(content)}))


END_TO_END = """
import json
from pathlib import Path

from dataclasses import replace

from benchmark.runs import suite
from benchmark.analysis.derivation import Analysis
from benchmark.analysis.learning_curve import requests
from benchmark.runs.request import DataRequest
from benchmark.runs.run import execute
from benchmark.runs.store import Store
from reports.tables.learning_curve import LEARNING_CURVE
from reports.tables.training_gap import GAP

path = Path(STORE)
whole = suite.requests(DataRequest("tiny"), ["guess", "constant"], [0, 1])
for request in requests(whole):
    assert execute(request, path).finished
store = Store(path)
analysis = Analysis(store, n_resamples=200)
gap, curve = GAP.make(analysis), LEARNING_CURVE.make(analysis)
print(json.dumps({
    "seeds": {e.label: len(e.records) for e in analysis.comparison.entries},
    "labels": [u.label for u in suite.plan([replace(whole[0], fraction=0.1)], store)],
    "gap": json.loads(gap.frame.to_json(orient="records")),
    "curve": json.loads(curve.frame.to_json(orient="records")),
    "sentences": gap.notes[:-1] + curve.notes[:-1],
    "ece": [c.ece for c in analysis.calibrations],
}))
"""


def test_stored_runs_give_gap_curve_and_calibration(polytimbre):
    printed = polytimbre.python(f"STORE = {str(polytimbre.store)!r}\n{END_TO_END}")
    out = json.loads(printed.splitlines()[-1])
    # runs on a share are no rivals in a comparison
    assert out["seeds"] == {"guess": 2, "constant": 1}
    assert out["labels"] == ["guess 10 % seed 0"]
    assert {row["model"]: row["verdict"] for row in out["gap"]}["constant"] == VERDICTS[1]
    rows = [row for row in out["curve"] if row["model"] == "guess"]
    assert [row["fraction"] for row in rows] == ["10 %", "20 %", "50 %", "100 %"]
    assert [row["seeds"] for row in rows] == [2, 2, 2, 2]
    assert [row["orders"] for row in rows] == [3, 3, 3, 1]
    clips = [row["clips"] for row in rows]
    assert clips == sorted(clips)
    assert clips[0] < clips[-1] / 8
    values = [row["select mAP"] for row in rows]
    assert rows[0]["gain"] is None
    assert [row["p"] is None for row in rows] == [True, True, True, False]
    assert not any(row["p at floor"] for row in rows[:-1])
    assert [row["gain"] for row in rows[1:]] == pytest.approx(np.diff(values).tolist())
    assert all(row["gain low"] <= row["gain"] <= row["gain high"] for row in rows[1:])
    fit = {row["model"]: row["fit mAP"] for row in out["gap"]}
    assert rows[-1]["training mAP"] == pytest.approx(fit["guess"], abs=0.02)
    assert len(out["sentences"]) == 3
    assert all(0 <= value <= 1 for value in out["ece"])
