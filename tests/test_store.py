"""The store survives damage, races and full disks, and says what happened."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmark.errors import StoreError, UnknownNameError
from benchmark.runs.record import Record, RunSpec
from benchmark.runs.store import Store


def make_record(run_id="a" * 16, status="finished", **changes):
    spec = RunSpec("made", "official", True, "f", "d", "p", "guess", None, {}, 0, "s")
    return Record(run_id, spec, {"python": "3"}, 1, status, "2026-01-01T00:00:00+00:00", **changes)


def put(store, record, value=0.5):
    with store.staging(record.run_id) as folder:
        np.savez(folder / "scores.npz", fit=np.full(3, value))
        store.add(record, folder)


@pytest.fixture
def store(tmp_path):
    warnings = []
    store = Store(tmp_path / "store", warn=warnings.append)
    store.warnings = warnings
    return store


def test_round_trip(store):
    put(store, make_record())
    found = store.find("a" * 16)
    assert found == store.get("aaaa")
    assert found.finished
    assert not list((store.path / "tmp").iterdir())


def damage_truncate(folder):
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text[: len(text) // 2])


def damage_digit(folder):
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace('"seed": 0', '"seed": 1'))


def damage_scores(folder):
    content = bytearray((folder / "scores.npz").read_bytes())
    content[80] ^= 1
    (folder / "scores.npz").write_bytes(content)


def damage_missing(folder):
    (folder / "scores.npz").unlink()


def damage_binary(folder):
    (folder / "record.json").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_digit, damage_scores, damage_missing, damage_binary]
)
def test_damaged_records_are_set_aside_and_named(store, damage):
    put(store, make_record())
    damage(store.path / "runs" / ("a" * 16))
    assert store.find("a" * 16) is None
    assert len(store.warnings) == 1
    assert "aaaaaaaaaaaaaaaa is damaged" in store.warnings[0]
    assert len(list((store.path / "aside").iterdir())) == 1
    put(store, make_record())  # there is room for the rerun
    assert store.find("a" * 16).finished


def test_a_finished_run_is_never_replaced_and_a_failed_one_is(store):
    put(store, make_record(status="failed", error="why"))
    put(store, make_record())
    assert store.find("a" * 16).finished
    created = (store.path / "runs" / ("a" * 16) / "scores.npz").stat().st_mtime_ns
    put(store, make_record(), value=0.1)
    assert (store.path / "runs" / ("a" * 16) / "scores.npz").stat().st_mtime_ns == created


def test_unknown_run_is_named_with_the_nearest(store):
    put(store, make_record("abcdefabcdefabcd"))
    with pytest.raises(UnknownNameError, match="Did you mean 'abcdefabcdefabcd'"):
        store.get("abcdefabcdefabce")


def test_record_refuses_unknown_fields():
    content = json.loads(make_record().to_json())
    with pytest.raises(StoreError):
        Record.from_json(json.dumps({**content, "extra": 1}))


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be used"):
        Store(tmp_path / "file" / "store")


def test_a_full_store_is_named_and_loses_nothing(tmp_path):
    """A real limit on file size stands in for a full disk."""
    code = f"""
import resource, signal, numpy as np, sys
from pathlib import Path
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from test_store import Store, make_record, put
from benchmark.errors import StoreError
store = Store(Path({str(tmp_path)!r}))
put(store, make_record())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
with store.staging("b" * 16) as folder:
    try:
        store.add(make_record("b" * 16), folder)
    except StoreError as error:
        print(error)
print([r.run_id[0] for r in store.records()])
"""
    pytest.importorskip("resource")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is full" in out.stdout, out.stderr
    assert "['a']" in out.stdout


def test_damaged_labels_are_named(store):
    (store.path / "labels" / "d.npz").write_bytes(b"PK not a zip")
    with pytest.raises(StoreError, match="can't be read.*polytimbre run"):
        store.labels("d")
