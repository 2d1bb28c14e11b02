"""The division into parts: whole groups, stratified, repeatable; and who may be compared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_contracts import make_dataset

from benchmark.contracts.dataset import CLASSES, Dataset
from benchmark.errors import ProtocolError
from benchmark.plugins.checks import make_auxiliary
from benchmark.protocol import PARTS, PROTOCOLS, Protocol, divide


def masked_data(n, group_size, seed):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n, 20)) < 0.1).astype(np.float32)
    y_mask = rng.random((n, 20)) < 0.5
    group = np.arange(n) // group_size
    return Dataset(
        name="made",
        X=np.zeros((n, 2, 3), np.uint8),
        y_true=y_true,
        y_mask=y_mask,
        keys=np.array([f"k{i}" for i in range(n)]),
        groups=np.array([f"g{g}" for g in group]),
        partition=np.where(group % 4 < 3, "train", "test"),
        citation="-",
        licence="-",
    )


@given(st.integers(200, 600), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_parts_are_whole_groups_and_add_up(n, group_size, seed):
    data = masked_data(n, group_size, seed)
    rows = divide(data).rows
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(n))
    groups = [set(data.groups[rows[name]].tolist()) for name in PARTS]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert set(rows["test"]) == set(np.flatnonzero(data.partition == "test"))


def test_every_part_gets_its_share_of_every_class():
    division = divide(masked_data(6000, 3, 0))
    counts = np.array([division.part(name).y_positive.sum(axis=0) for name in PARTS[:3]])
    shares = counts / counts.sum(axis=0)
    assert counts.shape == (3, len(CLASSES))
    np.testing.assert_allclose(shares, np.tile([[0.75], [0.10], [0.15]], (1, 20)), atol=0.03)


def test_division_repeats_and_its_id_tells_protocols_apart():
    data = masked_data(400, 2, 0)
    assert divide(data).id == divide(data).id
    assert divide(data, Protocol(seed=1)).id != divide(data).id
    assert divide(data, Protocol(fit=0.7, select=0.2)).id != divide(data).id


def test_nothing_is_learnt_from_auxiliary_clips_of_groups_that_are_not_trained_on():
    part = make_auxiliary(200, 1)
    groups = np.array([f"g{i}" if i % 4 < 3 else f"new{i}" for i in range(200)])
    data = masked_data(400, 2, 0)
    extra = replace(part, X=np.zeros((200, 2, 3), np.uint8), groups=groups)
    division = divide(replace(data, auxiliary=extra)).sealed()
    assert division.train_on(division.rows["fit"], auxiliary=False).auxiliary is None
    everything = division.training_rows()
    for rows in (division.rows["fit"], division.rows["fit"][:20], everything):
        train = division.train_on(rows, auxiliary=True)
        np.testing.assert_array_equal(train.X, data.X[rows])
        trained = set(data.groups[rows].tolist())
        expected = [g for g in groups if g.startswith("new") or g in trained]
        assert train.auxiliary.groups.tolist() == expected
        assert len(train.auxiliary) == len(expected) > 50
        assert train.auxiliary.y_true.shape == (len(expected), 3)
    assert len(train.auxiliary) == 200


def test_too_few_groups_are_refused():
    with pytest.raises(ProtocolError, match="too few to divide"):
        divide(make_dataset(groups=np.array(["a"] * 5 + ["b"] * 3)))


def test_what_is_trained_as_published_needs_the_class_whose_clips_are_kept():
    data = replace(masked_data(300, 1, 0), classes=(*CLASSES[:-1], "harp"))
    divide(data)
    with pytest.raises(ProtocolError, match="'made' can't be trained on as published.*'voice'"):
        divide(data, PROTOCOLS["published"])
