"""The protocol audit and the mask audit: hand-computed cases, scikit-learn, the real labels."""

import csv
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import kendalltau, norm, rankdata
from sklearn.metrics import f1_score, precision_score, recall_score

from benchmark.analysis.audits import mask_audit, masks, openmic_labels, protocol_audit
from benchmark.analysis.derivation import Analysis
from benchmark.contracts.dataset import CLASSES
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import DataError, ProtocolError
from benchmark.runs.reading import StoredLabels
from benchmark.scoring import metrics
from benchmark.scoring.evaluation import evaluate
from reports.tables import mask_audit as mask_tables
from reports.tables import protocol_audit as model_tables
from reports.tables import published_claim, text
from reports.tables.declaration import tables

VOICE = CLASSES.index("voice")


def make_labels(n=300, seed=0, observed=0.3, prevalence=0.3, prefix="clip"):
    rng = np.random.default_rng(seed)
    y_mask = rng.random((n, 20)) < observed
    y_true = np.float32((rng.random((n, 20)) < prevalence) & y_mask)
    keys = np.array([f"{prefix}{i:04d}" for i in range(n)])
    return StoredLabels(y_true, y_mask, keys, keys, classes=CLASSES)


def make_scores(labels, skill, seed):
    noise = np.random.default_rng(seed).normal(size=labels.y_true.shape)
    return np.float32(1 / (1 + np.exp(1.5 - noise - skill * labels.y_positive)))


@dataclass
class FakeStore:
    """Scores and labels by run, as the real store gives them."""

    runs: dict = field(default_factory=dict)
    divisions: dict = field(default_factory=dict)

    def scores(self, record):
        return self.runs[record.run_id]

    def labels(self, division_id):
        return self.divisions[division_id]


class Stage:
    """A comparison of made models on made, complete labels."""

    def __init__(self, skills, observed=1.0, seeds=1, n=300):
        self.labels = {
            part: make_labels(n, i, observed, prefix=part)
            for i, part in enumerate(("select", "test"))
        }
        self.store = FakeStore(divisions={"here": self.labels})
        self.comparison = SimpleNamespace(
            dataset="made",
            part="test",
            division_id="here",
            entries=[self.entry(m, s, seeds) for m, s in skills.items()],
        )

    def entry(self, label, skill, seeds=1, division="here"):
        model, records, evaluations = label.split()[0], [], []
        for seed in range(seeds):
            spec = SimpleNamespace(model=model, division_id=division, seed=seed)
            record = SimpleNamespace(run_id=f"{label} {skill} {seed}", spec=spec)
            self.store.runs[record.run_id] = {
                part: make_scores(known, skill, derive_seed(seed, label, part))
                for part, known in self.labels.items()
            }
            records.append(record)
            evaluations.append(evaluate(self.store.scores(record), self.labels))
        return SimpleNamespace(label=label, records=records, evaluations=evaluations)


def test_published_labels_call_missing_present_and_keep_clips_with_observed_voice():
    mask = np.zeros((3, 20), bool)
    mask[0, [0, VOICE]] = mask[2, [1, VOICE]] = True
    mask[1, 0] = True  # without voice: dropped
    y_true = np.zeros((3, 20), np.float32)
    y_true[0, 0] = y_true[2, VOICE] = 1
    keys = np.array(["a", "b", "c"])
    y_present, rows = protocol_audit.published_labels(
        StoredLabels(y_true, mask, keys, keys, classes=CLASSES)
    )
    assert rows.tolist() == [0, 2]
    expected = np.ones((2, 20), bool)
    expected[0, VOICE] = expected[1, 1] = False
    np.testing.assert_array_equal(y_present, expected)


def test_no_clip_is_kept_where_voice_is_never_observed():
    labels = make_labels(10)
    labels.y_mask[:, VOICE] = False
    with pytest.raises(ProtocolError, match="keeps no clip"):
        protocol_audit.published_labels(labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_grid_thresholds_are_the_first_best_of_the_grid(dtype):
    rng = np.random.default_rng(1)
    y = rng.random((60, 4)) < 0.4
    score = np.round(rng.random((60, 4)) * 0.7 + 0.3 * y, 2).astype(dtype)  # many on the grid
    grid = [round(0.10 + 0.01 * i, 2) for i in range(90)]
    assert protocol_audit.GRID.tolist() == grid and grid[-1] == 0.99
    for c, found in enumerate(protocol_audit.grid_thresholds(y, score)):
        f1 = [f1_score(y[:, c], score[:, c] >= dtype(t), zero_division=0) for t in grid]
        assert found == grid[int(np.argmax(f1))]


def test_categorical_accuracy_by_hand():
    y_true = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]])
    score = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.5], [0.2, 0.2, 0.2], [0.0, 0.0, 0.1]])
    # the first clip names a present class and is wrong; the third has none and is right
    assert protocol_audit.categorical_accuracy(y_true, score) == 0.75


def test_published_scores_agree_with_scikit_learn():
    parts = {"select": make_labels(200, 1), "test": make_labels(250, 2)}
    scores = {name: make_scores(known, 1.0, 3) for name, known in parts.items()}
    found = protocol_audit.published_scores(scores, parts)
    y, rows = protocol_audit.published_labels(parts["test"])
    y_select, select_rows = protocol_audit.published_labels(parts["select"])
    chosen = protocol_audit.grid_thresholds(y_select, scores["select"][select_rows])
    y_pred = scores["test"][rows] >= chosen.astype(np.float32)
    for name, function in (
        ("precision", precision_score), ("recall", recall_score), ("f1", f1_score)
    ):  # fmt: skip
        expected = function(y, y_pred, average="weighted", zero_division=0)
        assert found[name] == pytest.approx(expected, abs=1e-12)
    assert found["accuracy"] == np.mean(y.argmax(1) == scores["test"][rows].argmax(1))


def test_nothing_predicted_scores_zero_as_in_scikit_learn():
    parts = {name: make_labels(50, i) for i, name in enumerate(("select", "test"))}
    found = protocol_audit.published_scores(
        {name: np.zeros((50, 20), np.float32) for name in parts}, parts
    )
    assert (found["precision"], found["recall"], found["f1"]) == (0, 0, 0)


def test_corrected_scores_are_the_comparison_s():
    parts = {"select": make_labels(200, 1), "test": make_labels(250, 2)}
    scores = {name: make_scores(known, 1.0, 3) for name, known in parts.items()}
    found, summary = (
        protocol_audit.corrected_scores(scores, parts),
        evaluate(scores, parts).summary(),
    )
    assert found["mAP"] == summary["mAP"]
    assert found["f1"] == summary["f1_global"]
    assert found["two_class_f1"] == summary["two_class_f1_global"]


def write_labels(folder, label=None, keys=None, test_keys=None):
    if label is None:
        rng = np.random.default_rng(0)
        label = rng.choice([-1, 0, 0, 1], size=(40, 20)).astype(np.int8)
    if keys is None:
        keys = np.array([f"{i:06d}_0" for i in range(len(label))])
    np.savez(folder / "labels.npz", sample_key=keys, label=label)
    (folder / "partitions").mkdir()
    listed = keys[: len(keys) // 2] if test_keys is None else test_keys
    (folder / "partitions" / "split01_test.csv").write_text("\n".join(map(str, listed)) + "\n")
    return folder / "labels.npz"


def test_labels_are_read_by_partition(tmp_path):
    label = np.zeros((4, 20), np.int8)
    label[0, :3] = (1, -1, 0)
    label[3, 5] = 1
    keys = np.array(["b", "a", "d", "c"])
    read = openmic_labels.read_labels(write_labels(tmp_path, label, keys, ["c", "b"]))
    assert read.test.keys.tolist() == ["b", "c"] and read.train.keys.tolist() == ["a", "d"]
    assert read.test.y_mask.sum() == 3 and read.train.y_mask.sum() == 0
    assert read.test.y_positive[0, 0] and not read.test.y_positive[0, 1]
    assert read.test.y_positive[1, 5]


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"label": np.zeros((4, 19), np.int8)}, r"label \(n_clips, 20\)"),
        ({"label": np.full((4, 20), 2, np.int8)}, "1, -1 and 0"),
        ({"keys": np.array(["a"] * 4), "label": np.zeros((4, 20), np.int8)}, "each once"),
        ({"keys": np.array([1, 2, 3, 4]), "label": np.zeros((4, 20), np.int8)}, "of str"),
        ({"test_keys": ["000000_0", "elsewhere"]}, "must hold all 2 clips"),
        (
            {"keys": np.array(["a"] * 4, object), "label": np.zeros((4, 20))},
            "'sample_key' must be str",
        ),
        ({"keys": np.array([], "U5"), "label": np.zeros((0, 20), np.int8)}, "a clip or more"),
    ],
)
def test_bad_labels_are_one_clear_sentence(tmp_path, kwargs, sentence):
    with pytest.raises(DataError, match=sentence):
        openmic_labels.read_labels(write_labels(tmp_path, **kwargs))


def test_missing_files_are_one_clear_sentence(tmp_path):
    path = write_labels(tmp_path)
    with pytest.raises(DataError, match=r"none\.npz is missing"):
        openmic_labels.read_labels(tmp_path / "none.npz")
    (tmp_path / "partitions" / "split01_test.csv").unlink()
    with pytest.raises(DataError, match=r"split01_test\.csv"):
        openmic_labels.read_labels(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(DataError, match="not a readable .npz file"):
        openmic_labels.read_labels(path)


def test_label_audit_counts_every_label_once(tmp_path):
    found = protocol_audit.audit_labels(write_labels(tmp_path))
    assert found.n_test == 20
    assert (found.present + found.absent + found.missing == found.n_kept).all()
    assert found.missing[VOICE] == 0
    assert published_claim.label_sentences(found)


def test_the_real_labels(real_data):
    found = protocol_audit.audit_labels(real_data / "openmic2018" / "labels.npz")
    assert (found.n_test, found.n_kept) == (5085, 374)
    assert found.all_present.tolist() == list(masks.OPENMIC_PRESENT)
    assert found.all_absent.tolist() == list(masks.OPENMIC_ABSENT)
    yes = found.strategy("always yes")
    assert (found.present[VOICE], found.absent[VOICE], found.missing[VOICE]) == (224, 150, 0)
    support = found.present + found.missing
    assert yes.published["recall"] == 1
    assert yes.published["precision"] == pytest.approx(support @ support / support.sum() / 374)
    assert yes.published["accuracy"] == pytest.approx(support[0] / 374)
    # the published precisions by class are those of saying yes
    for name, value in found.claim.network.items():
        assert round(support[CLASSES.index(name)] / 374, 2) == value
    share = found.all_present / (found.all_present + found.all_absent)
    assert yes.corrected["precision"] == pytest.approx(share.mean())
    assert yes.corrected["mAP"] == pytest.approx(share.mean())
    text = " ".join(published_claim.label_sentences(found))
    assert "374 of the 5,085" in text and "3 of 3 classes" in text


def test_the_forest_s_figures_are_the_notebook_s(real_data):
    path = real_data / "openmic2018" / "published" / "rf_baseline_notebook.csv"
    rows = {
        (row["instrument"], row["label"]): float(row["precision"])
        for row in csv.DictReader(path.read_text().splitlines())
        if row["split"] == "test"
    }
    claim = protocol_audit.CLAIM
    for name in claim.network:
        assert claim.forest[name] == rows[name, "weighted_avg"]
        assert claim.forest_positive[name] == rows[name, "True"]


def test_models_are_scored_under_both_protocols_and_averaged_over_seeds():
    stage = Stage({"cnn": 2.0, "random_forest": 1.0}, observed=0.3, seeds=2)
    found = protocol_audit.audit_models(stage.comparison, stage.store, stage.labels)
    assert [row.label for row in found.rows] == ["cnn", "random_forest"]
    runs = [stage.store.scores(r) for r in stage.comparison.entries[0].records]
    for protocol, function in (
        ("published", protocol_audit.published_scores),
        ("corrected", protocol_audit.corrected_scores),
    ):
        scored = [function(run, stage.labels) for run in runs]
        for name, value in getattr(found.rows[0], protocol).items():
            assert value == pytest.approx(np.mean([s[name] for s in scored]))
    assert found.yes.published["recall"] == 1
    assert found.n_kept == stage.labels["test"].y_mask[:, VOICE].sum()
    assert not found.drawn
    assert any(
        "Precision of random_forest against cnn" in s for s in model_tables.model_sentences(found)
    )


def test_a_mask_is_laid_over_complete_labels_and_extra_entries_are_marked():
    stage = Stage({"cnn": 2.0, "xgboost": 1.0}, n=1500)
    extra = stage.entry("cnn", 0.5)
    found, again = (
        protocol_audit.audit_models(
            stage.comparison, stage.store, stage.labels, mask_seed=3, extra=[extra]
        )
        for _ in range(2)
    )
    assert found.drawn and found.n_kept < 300
    assert [row.as_published for row in found.rows] == [False, False, True]
    assert found.rows[0].corrected == again.rows[0].corrected
    frame = model_tables.model_table(found)
    assert frame["model"].tolist()[-2:] == ["cnn (trained as published)", "always yes"]
    assert frame["mAP rank*"].tolist() == ["1", "2", "3", "–"]
    text = " ".join(model_tables.model_sentences(found))
    assert "cnn trained as published has rank" in text


def test_a_model_trained_as_published_is_held_against_its_own_parameters():
    stage = Stage({"cnn tuned": 2.0, "cnn": 1.5, "xgboost tuned": 1.0})
    extra = [stage.entry("cnn", 0.5), stage.entry("xgboost", 0.4)]
    found = protocol_audit.audit_models(stage.comparison, stage.store, stage.labels, extra=extra)
    said = [s for s in model_tables.model_sentences(found) if "trained as published has" in s]
    assert "; cnn, trained on observed labels" in said[0]
    assert "; xgboost tuned, trained on observed labels" in said[1]  # the next best there is


def test_extra_entries_of_other_clips_are_refused():
    stage = Stage({"cnn": 1.0})
    stage.store.divisions["there"] = {p: make_labels(300, 9) for p in stage.labels}
    with pytest.raises(ProtocolError, match="other clips"):
        protocol_audit.audit_models(
            stage.comparison, stage.store, stage.labels, extra=[stage.entry("cnn", 1.0, 1, "there")]
        )


def test_a_single_model_has_no_tau_but_sentences():
    stage = Stage({"cnn": 1.0}, observed=0.5)
    extra = [stage.entry("xgboost", 1.0)]  # trained as published, without a twin
    found = protocol_audit.audit_models(stage.comparison, stage.store, stage.labels)
    assert np.isnan(found.tau("f1"))
    assert "not defined" in " ".join(model_tables.model_sentences(found))
    found = protocol_audit.audit_models(stage.comparison, stage.store, stage.labels, extra=extra)
    assert "xgboost trained as published" in " ".join(model_tables.model_sentences(found))


def test_masks_have_openmic_s_rates():
    y = np.random.default_rng(0).random((40_000, 20)) < 0.3
    mask = masks.openmic_like_mask(y, seed=1)
    for found, wanted in (
        ((mask & y).mean(axis=0), masks.OPENMIC_RATES.present),
        ((mask & ~y).mean(axis=0), masks.OPENMIC_RATES.absent),
    ):
        # five standard errors of a count of 40,000
        assert (np.abs(found - wanted) < 5 * np.sqrt(wanted / 40_000)).all()


def test_masks_are_nested_deterministic_and_capped():
    y = np.random.default_rng(0).random((3000, 20)) < 0.01  # fewer positives than observed
    small, large = (masks.openmic_like_mask(y, seed=1, share=s) for s in (0.1, 4.0))
    assert (large | ~small).all() and large.sum() > small.sum()
    assert large[y].all()
    np.testing.assert_array_equal(small, masks.openmic_like_mask(y, seed=1, share=0.1))
    assert (small != masks.openmic_like_mask(y, seed=2, share=0.1)).any()
    y[:, 3] = False
    present, absent = masks.observation_chances(y, masks.OPENMIC_RATES)
    assert present[3] == 0 and absent[3] == pytest.approx(masks.OPENMIC_RATES.absent[3])


@pytest.mark.parametrize(("classes", "share", "says"), [(5, 1, "classes"), (20, 0, "above 0")])
def test_masks_that_make_no_sense_are_refused(classes, share, says):
    with pytest.raises(ProtocolError, match=says):
        masks.openmic_like_mask(np.zeros((9, classes), bool), share=share)


def direct_values(labels, mask, entries, store):
    """mAP, F1 and ROC-AUC straight from the metrics, without gathering observed rows."""
    columns = []
    for entry in entries:
        runs = []
        for record, evaluation in zip(entry.records, entry.evaluations):
            score = store.scores(record)["test"]
            chosen = np.float32(evaluation.thresholds["global"])
            ranking = metrics.Ranking.of(labels.y_positive, score, mask)
            f1 = metrics.decisions(labels.y_positive, score >= chosen, mask).f1
            values = (ranking.average_precision(), f1, ranking.roc_auc())
            runs.append([metrics.macro(v) for v in values])
        columns.append(np.mean(runs, axis=0))
    return np.array(columns).T


def test_mask_audit_is_the_metrics_rescored():
    stage = Stage({"a": 2.0, "b": 1.0, "c": 0.8}, seeds=2, n=400)
    full, entries = stage.labels["test"], stage.comparison.entries
    models = mask_audit.scored_models(entries, stage.store)
    found = mask_audit.audit_masks(full, models, shares=(2.0, 1.0), draws=3, seed=5)
    assert [level.share for level in found.levels] == [1.0, 2.0]
    np.testing.assert_allclose(found.full, direct_values(full, full.y_mask, entries, stage.store))
    drawn = [
        masks.openmic_like_mask(full.y_positive, seed=derive_seed(5, "draw", i)) for i in range(3)
    ]
    direct = np.array([direct_values(full, m, entries, stage.store) for m in drawn])
    level = found.reference
    np.testing.assert_allclose(level.values, direct)
    np.testing.assert_allclose(found.bias(level), direct.mean(axis=0) - found.full)
    np.testing.assert_allclose(level.spread(), direct.std(axis=0, ddof=1))
    tau = [kendalltau(found.full[0], values[0]).statistic for values in direct]
    np.testing.assert_allclose(level.tau[:, 0], tau)
    assert level.labels == pytest.approx(np.mean([m.sum(axis=0).mean() for m in drawn]))
    again = mask_audit.audit_masks(full, models, shares=(1.0,), draws=3, seed=5)
    np.testing.assert_array_equal(again.reference.values, level.values)


def test_a_model_that_preselects_gets_the_clips_that_it_is_sure_of():
    rng = np.random.default_rng(0)
    n = 4000
    y = rng.random((n, 20)) < 0.3
    score = rng.random((n, 20)) ** 3
    mask = masks.preselected_mask(y, score, seed=1)
    wanted = np.round(masks.OPENMIC_RATES.present * n)
    assert ((mask & y).sum(axis=0) == wanted).all()
    np.testing.assert_array_equal(mask, masks.preselected_mask(y, score**2, seed=1))  # ranks
    assert (mask != masks.preselected_mask(y, score, seed=2)).any()
    # of a small share each standard deviation makes e times as many, which moves the mean by one
    normal = norm.ppf(rankdata(score, axis=0) / (n + 1))
    mask = masks.preselected_mask(y, score, masks.Rates(*np.full((2, 20), 0.005)))
    for kind in (y, ~y):
        assert normal[mask & kind].mean() == pytest.approx(1, abs=0.15)
    rare = np.zeros((n, 20), bool)
    rare[:5] = True
    assert (masks.preselected_mask(rare, score) & rare).sum() == 5 * 20


def test_ranks_of_the_model_that_preselects_and_wins_of_the_best_are_counted():
    stage = Stage({"a": 2.0, "b": 2.0, "c": 2.0}, n=2500)
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    found = mask_audit.audit_masks(stage.labels["test"], models, shares=(1.0,), draws=6)
    chosen = found.preselected
    assert chosen.level.values.shape == (6, 3, 3)
    changes = []
    for values, choosing in zip(chosen.level.values, (0, 0, 1, 1, 2, 2), strict=True):
        after, before = (len(models) - rankdata(v, axis=1) for v in (values, found.full))
        changes.append((after - before)[:, choosing])
    np.testing.assert_allclose(chosen.rank_change, np.mean(changes, axis=0))
    counted = found.same_winner(found.reference)
    best = found.full.argmax(axis=1)
    direct = [[v[m].argmax() == best[m] for m in range(3)] for v in found.reference.values]
    np.testing.assert_allclose(counted, np.mean(direct, axis=0))


def test_a_given_mask_is_matched_by_key():
    stage = Stage({"a": 2.0, "b": 0.5}, n=300)
    observed = stage.labels["test"]
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    shuffled = np.random.default_rng(0).permutation(300)
    full = masks.align(observed, observed.keys[shuffled])
    masked = masks.mask_labels(
        observed, masks.openmic_like_mask(observed.y_positive, seed=1, share=2)
    )
    found = mask_audit.audit_given_mask(full, masked, models)
    (level,) = found.levels
    expected = direct_values(observed, masked.y_mask, stage.comparison.entries, stage.store)
    np.testing.assert_allclose(level.values[0], expected)
    assert level.share is None and np.isnan(level.spread()).all()
    text = " ".join(mask_tables.mask_sentences(found))
    assert "on the observed ones" in text and "OpenMIC's rates" not in text


def test_scores_that_were_not_published_are_refused():
    stage = Stage({"a": 2.0, "b": 0.5}, n=60)
    full = stage.labels["test"]
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    (scores,) = models[1].scores
    scores = np.where(masks.openmic_like_mask(full.y_positive, seed=1), scores, np.nan)
    models[1] = replace(models[1], scores=(scores,))
    with pytest.raises(ProtocolError, match=f"scores of {models[1].label} .* are not here"):
        mask_audit.audit_given_mask(full, full, models)


def test_masks_of_other_clips_or_labels_are_refused():
    stage = Stage({"a": 2.0, "b": 0.5}, n=60)
    full = stage.labels["test"]
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    with pytest.raises(ProtocolError, match="not the same clips"):
        mask_audit.audit_given_mask(full, make_labels(60, prefix="other"), models)
    wrong = StoredLabels(1 - full.y_true, full.y_mask, full.keys, full.groups, classes=CLASSES)
    with pytest.raises(ProtocolError, match="contradict"):
        mask_audit.audit_given_mask(full, wrong, models)
    with pytest.raises(ProtocolError, match="at least two models"):
        mask_audit.audit_masks(full, models[:1])
    with pytest.raises(ProtocolError, match="one draw"):
        mask_audit.audit_masks(full, models, draws=0)


def level(share, taus):
    values = np.ones((len(taus), 3, 2))
    tau = np.repeat(np.array(taus)[:, None], 3, axis=1)
    return mask_audit.Level(share, 10 * share, 40 * share, 0.2, 20, 0, values, tau)


def test_enough_needs_every_level_above_it():
    good, poor = [1.0] * 19 + [0.5], [1.0] * 18 + [0.5, np.nan]
    full = np.ones((3, 2))

    def enough(*levels):
        return mask_audit.MaskAudit(("a", "b"), 9, 9, 9, 0.1, full, levels).enough("F1")

    assert enough(level(1, poor), level(2, good), level(4, good)).share == 2
    assert enough(level(1, good), level(2, poor), level(4, good)).share == 4
    assert enough(level(1, good), level(2, poor)) is None
    assert level(1, [0.9, 0.9]).agreeing().tolist() == [1, 1, 1]
    assert level(1, poor).mean_tau()[0] == pytest.approx(18.5 / 19)


def test_a_mask_that_leaves_nothing_to_score_is_left_out_of_the_means():
    stage = Stage({"a": 2.0, "b": 0.5}, n=40)
    full = stage.labels["test"]
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    rates = masks.Rates(np.full(20, 0.001), np.full(20, 0.001))
    found = mask_audit.audit_masks(full, models, rates=rates, shares=(1,), draws=20)
    empty = np.isnan(found.reference.values).any(axis=(1, 2))
    assert empty.any()
    assert found.reference.agreeing().max() <= (~empty).mean()
    assert all("nan" not in s for s in mask_tables.mask_sentences(found)[-6:])


def test_every_table_renders():
    stage = Stage({"cnn": 2.0, "random_forest": 1.0, "xgboost": 0.9}, n=400)
    models = mask_audit.scored_models(stage.comparison.entries, stage.store)
    found = mask_audit.audit_masks(stage.labels["test"], models, shares=(0.5, 1), draws=3)
    both = protocol_audit.audit_models(stage.comparison, stage.store, stage.labels, mask_seed=0)
    analysis = Analysis(stage.store)
    analysis.comparison, analysis.trained_as_published = stage.comparison, []
    analysis.mask_audit, analysis.protocol_audit = found, both
    masked = ("mask_audit", "mask_levels", "mask_preselection")
    for name in ("protocol_audit", "protocol_averages", "kept", *masked):
        result = tables()[name].make(analysis)
        assert result.title in text.text(result.frame, "markdown", result.title, [])
        assert text.text(result.frame, "json", result.title, [])
        assert list(result.frame[list(tables()[name].keys)].columns)
    frame = tables()["mask_levels"].make(analysis).frame
    winners = np.concatenate([found.same_winner(level) for level in found.levels])
    assert frame["same winner"].tolist() == winners.tolist()
    chosen = tables()["mask_preselection"].make(analysis)
    assert chosen.facts["masks"] == "under 3 masks whose clips a model chose"
    assert chosen.frame["tau"].tolist() == found.preselected.level.mean_tau().tolist()
    assert chosen.frame["rank change"].tolist() == found.preselected.rank_change.tolist()
    said = mask_tables.mask_sentences(found)
    assert f"changes by {found.preselected.rank_change[2]:+z.1f} on average" in said[-1]
    analysis.mask_audit = replace(found, preselected=None)
    assert tables()["mask_preselection"].make(analysis) is None
    assert mask_tables.mask_sentences(analysis.mask_audit) == said[:-3]


@pytest.mark.parametrize(
    ("observed", "models", "complete", "given"),
    [(1, 1, False, None), (1, 2, False, False), (0.5, 2, False, None), (0.5, 2, True, True)],
)
def test_masks_are_audited_where_labels_and_models_allow(observed, models, complete, given):
    """Masks are drawn over complete labels, given where those are known, and rank two models."""
    stage = Stage(dict.fromkeys(("cnn", "xgboost")[:models], 1.0), observed)
    known = stage.labels["test"]
    analysis = Analysis(stage.store)
    analysis.comparison, analysis.trained_as_published = stage.comparison, []
    full = replace(known, y_mask=np.ones_like(known.y_mask)) if complete else None
    analysis.complete_labels = full
    audit = analysis.mask_audit
    assert len(analysis.protocol_audit.rows) == models
    assert (audit is None) == (given is None)
    assert audit is None or (audit.levels[0].share is None) == given
