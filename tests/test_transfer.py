"""Few positives a class: what a model is shown, and how models that were shown few compare."""

from dataclasses import replace

import numpy as np
import pytest
from test_store import make_division

import polytimbre as pt
from benchmark.analysis.derivation import Analysis
from benchmark.analysis.learning_curve import in_orders
from benchmark.errors import ProtocolError
from benchmark.plugins.checks import make_auxiliary, make_part
from benchmark.protocol import divide
from benchmark.runs.request import RunRequest, few_positives, specify
from benchmark.runs.run import execute
from benchmark.runs.store import Store
from models.cnn_pretrained import PretrainedCNN
from reports.tables.transfer import TRANSFER


def grouped(n=240):
    """Return a division whose clips come in groups of two."""
    data = make_division(n).dataset
    groups = np.array([f"group{i // 2 // 4}-{i % 4 == 3}" for i in range(n)])
    return replace(data, groups=groups)


def test_of_each_class_the_first_groups_are_known_and_negatives_stay():
    division = divide(grouped())
    rows = division.rows["fit"]
    part, groups = division.part("fit"), division.dataset.groups[rows]
    shown = {k: few_positives(division, rows, part, k, order=0) for k in (2, 5, 1000)}
    for k, one in shown.items():
        negative = part.y_mask & ~part.y_positive
        np.testing.assert_array_equal(one.y_mask & ~one.y_positive, negative)
        assert not one.y_true[~one.y_mask].any()
        for c in range(len(part.classes)):
            known = set(groups[one.y_positive[:, c]])
            assert len(known) == min(k, len(set(groups[part.y_positive[:, c]])))
            # a group that is known is known with all its clips
            np.testing.assert_array_equal(
                one.y_positive[:, c], part.y_positive[:, c] & np.isin(groups, list(known))
            )
    assert not (shown[2].y_positive & ~shown[5].y_positive).any()
    np.testing.assert_array_equal(shown[1000].y_mask, part.y_mask)
    other = few_positives(division, rows, part, 2, order=1)
    assert (other.y_positive != shown[2].y_positive).any()
    with pytest.raises(ProtocolError, match="needs one positive or more, got 0"):
        few_positives(division, rows, part, 0, order=0)


def test_a_run_that_knows_all_positives_keeps_its_id():
    division = make_division()
    plain = RunRequest(division.dataset, "logistic_regression", order=3)
    (spec, identity), (few, other) = (
        specify(one, division, 1) for one in (plain, replace(plain, positives=5))
    )
    assert "positives" not in spec._asked() and spec.order == 0 and spec.whole
    assert (few.order, few.positives, few.label) == (3, 5, "logistic_regression 5 positives")
    assert identity != other and few.config_id != spec.config_id
    assert few.config_id == replace(few, order=1).config_id


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a store with runs of two models that were shown 3, 8 and all positives."""
    path = tmp_path_factory.mktemp("transfer") / "store"
    part = make_part(240, 5, n_frames=1, classes=("a", "b", "c", "d", "e"))
    data = replace(
        make_division(240).dataset, X=part.X, y_true=part.y_true, y_mask=part.y_mask,
        classes=part.classes,
    )  # fmt: skip
    for model in ("logistic_regression", "constant"):
        for positives in (3, 8, None):
            for request in in_orders([RunRequest(data, model, positives=positives)]):
                assert execute(request, path).finished
    return Store(path)


def test_models_that_were_shown_few_positives_are_compared_among_themselves(measured):
    analysis = Analysis(measured, n_resamples=199)
    assert [len(entry.records) for entry in analysis.comparison.entries] == [1, 1]
    result = TRANSFER.make(analysis)
    frame = result.frame.set_index(["positives", "model"])
    assert frame.index.tolist() == [
        (number, model)
        for number in ("3", "8", "all")
        for model in ("logistic_regression", "constant")
    ]
    assert frame["orders"].tolist() == [3, 3, 3, 3, 1, 1]
    assert frame["behind"].isna().tolist() == frame["p"].isna().tolist() == [True, False] * 3
    taught = frame.xs("logistic_regression", level="model")
    assert taught["mAP"].is_monotonic_increasing
    assert (frame["mAP low"] < frame["mAP"]).all() and (frame["mAP"] < frame["mAP high"]).all()
    known = [r for r in measured.records() if r.spec.positives == 3]
    stated = result.facts["runs"]["3 + constant"]
    assert set(stated) < {r.run_id for r in known} and len(stated) == 3
    assert any(note.startswith("all: 0 to ") for note in result.notes)


def test_runs_that_are_named_are_compared_with_those_shown_as_many(measured):
    runs = {r.record.spec.positives: r for r in pt.store(measured.path) if r.record.spec.order == 0}
    frame = pt.compare(runs[3], pt.store(measured.path), resamples=99).frame
    assert set(frame["model"]) == {"logistic_regression 3 positives", "constant 3 positives"}
    with pytest.raises(ProtocolError, match="or of its positives"):
        pt.compare(runs[3], runs[8], resamples=99)


def test_without_such_runs_the_command_that_makes_them_is_named(tmp_path):
    execute(RunRequest(make_division().dataset, "constant"), tmp_path)
    with pytest.raises(ProtocolError, match="Run `polytimbre transfer`"):
        TRANSFER.make(Analysis(Store(tmp_path), n_resamples=99))


def test_a_network_that_knows_no_other_classes_leaves_its_weights_alone():
    train = replace(make_division(40).part("fit"), auxiliary=make_auxiliary(40, 0))
    model = PretrainedCNN.from_params("untaught", filters=(8,))
    model.network_ = model._network(*train.X.shape[1:], len(train.classes))
    before = model.network_.get_weights()
    model.prepare(train, seed=1)
    for one, other in zip(before, model.network_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
