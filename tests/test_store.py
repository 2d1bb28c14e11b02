"""The store survives damage, races and full disks, and says what happened."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.contracts.dataset import Dataset
from benchmark.errors import StoreError, UnknownNameError
from benchmark.plugins.checks import make_part
from benchmark.protocol import PARTS, divide
from benchmark.runs.published import DEFAULT, open_runs
from benchmark.runs.reading import AmbiguousError, RunError
from benchmark.runs.record import ADDED, FORMAT, Record, RunSpec, digest
from benchmark.runs.store import Store


def make_record(run_id="a" * 16, status="finished", **changes):
    spec = RunSpec("made", "official", True, "f", "d", "p", "guess", None, {}, 0, "s")
    return Record(run_id, spec, {"python": "3"}, 1, status, "2026-01-01T00:00:00+00:00", **changes)


def put(store, record, value=0.5):
    with store.staging(record.run_id) as folder:
        np.savez(folder / "scores.npz", fit=np.full(3, value))
        store.add(record, folder)


def tree(folder):
    """Content and place of every file and folder."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


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


def damage_types(folder):
    change(folder, lambda content: content.update(history=[]))


def damage_nesting(folder):
    (folder / "record.json").write_text("[" * 100_000 + "]" * 100_000)


def damage_names(folder):
    change(folder, lambda content: content.update(files={"../../secret": "0" * 64}))


def change(folder, how):
    """Change a record's content and seal it again."""
    content = json.loads((folder / "record.json").read_text())
    del content["digest"]
    how(content)
    sealed = {**content, "digest": digest(content)}
    (folder / "record.json").write_text(json.dumps(sealed))


DAMAGES = [
    damage_truncate, damage_digit, damage_scores, damage_missing, damage_binary,
    damage_types, damage_nesting, damage_names,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_named_left_by_who_looks_and_set_aside_by_who_replaces(store, damage):
    put(store, make_record())
    put(store, make_record("b" * 16))
    damage(store.path / "runs" / ("a" * 16))
    before = tree(store.path)
    for _ in range(2):
        assert [record.run_id for record in store] == ["b" * 16]
    assert len(store.warnings) == 2
    assert "run aaaaaaaaaaaaaaaa is damaged: " in store.warnings[0]
    with pytest.raises(RunError, match="is damaged") as caught:
        store.get("aaaa")
    assert caught.value.damaged
    assert tree(store.path) == before
    put(store, make_record())  # there is room for the rerun
    assert store.find("a" * 16).finished
    assert len(list((store.path / "aside").iterdir())) == 1


def leave_newer(folder):
    change(folder, lambda content: content.update(format=FORMAT + 1))


def leave_pipe(folder):
    (folder / "scores.npz").unlink()
    os.mkfifo(folder / "scores.npz")


def leave_device(folder):
    (folder / "record.json").unlink()
    (folder / "record.json").symlink_to("/dev/zero")


def leave_large(folder):
    with (folder / "record.json").open("r+b") as file:
        file.truncate(2**30)


def leave_folder(folder):
    (folder / "scores.npz").unlink()
    (folder / "scores.npz").mkdir()


def leave_loop(folder):
    (folder / "record.json").unlink()
    (folder / "record.json").symlink_to("record.json")


@pytest.mark.parametrize(
    ("hinder", "reason"),
    [
        (leave_newer, f"format {FORMAT + 1}, written by a newer polytimbre"),
        (leave_pipe, "it is a FIFO, not a file"),
        (leave_device, "it is a device, not a file"),
        (leave_folder, "it is a folder, not a file"),
        (leave_large, "more than the 16,777,216 that such a file can have"),
        (leave_loop, "can't be opened"),
    ],
)
def test_what_cannot_be_opened_is_named_and_never_moved(store, hinder, reason):
    put(store, make_record())
    hinder(store.path / "runs" / ("a" * 16))
    assert store.records() == []
    assert reason in store.warnings[0] and "damaged" not in store.warnings[0]
    with pytest.raises(StoreError, match="--force"):
        put(store, make_record())
    assert not list((store.path / "aside").iterdir())
    store.set_aside("a" * 16)  # what --force does
    put(store, make_record())
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


def test_an_id_that_several_runs_begin_with_is_said_to_be_so(store):
    for run_id in ("abc1", "abc2", "abc"):
        put(store, make_record(run_id))
    with pytest.raises(AmbiguousError, match="3 runs .* begins with 'ab': abc, abc1, abc2"):
        store.get("ab")
    assert store.get("abc").run_id == "abc"  # a whole id is that run's


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"extra": 1}, "'extra'"),
        ({"history": None}, "the field 'history' of its record must be"),
        ({"history": {"stages": {"number": [1], "stop_mAP": []}}}, "different lengths"),
        ({"history": {"stages": {"number": "12"}}}, "'history.stages'"),
        ({"created": 20260101}, "the field 'created' of its record must be text"),
        ({"threads": True}, "the field 'threads' of its record must be a whole number"),
        (
            {"files": {"scores.npz": 3}},
            "'files' of its record must be a mapping whose values are text",
        ),
        ({"files": {"/etc/passwd": "0"}}, "outside its folder"),
        ({"spec": []}, "'spec' of its record must be a mapping"),
        ({"git": {"commit": 3}}, "'git.commit'"),
        ({"git": {"commit": "abc"}}, "the field 'git' of its record lacks 'dirty'"),
        ({"seconds": {"predict": 1.0}}, "the field 'seconds' of its record lacks 'fit'"),
        ({"machine": {"platform": []}}, "'machine.platform'"),
        ({"status": "done"}, "status"),
        ({"format": 2}, "format 2"),
        ({"format": "4"}, "format '4'"),
        ({"format": FORMAT + 1}, "written by a newer polytimbre"),
    ],
)
def test_a_record_is_held_to_its_types(change, sentence):
    with pytest.raises(StoreError, match=r"^its record lacks 'digest'$"):
        Record.from_json('{"a": 1}')
    with pytest.raises(StoreError, match="its record is not one of a run"):
        Record.from_json("[]")
    content = json.loads(make_record().to_json())
    del content["digest"]
    content |= change
    with pytest.raises(StoreError, match=re.escape(sentence)):
        Record.from_json(json.dumps({**content, "digest": digest(content)}))


@pytest.mark.parametrize("number", [3, 4])
def test_records_of_formats_before_are_read_and_written_as_they_were(number):
    content = json.loads(make_record().to_json())
    del content["digest"]
    for name in [name for name, first in ADDED.items() if first > number]:
        del (content["spec"] if name.startswith("spec.") else content)[name.rpartition(".")[2]]
    content["format"] = number
    text = json.dumps({**content, "digest": digest(content)}, indent=1) + "\n"
    record = Record.from_json(text)
    assert record.labels is None and record.spec.features is None
    assert record.to_json() == text
    # its id does not change either: nothing of what came later is asked for
    assert not record.spec._asked().keys() & {"features", "features_sha256", "order"}


def test_a_record_says_what_features_it_is_on():
    content = json.loads(make_record().to_json())
    del content["digest"], content["spec"]["features_sha256"]
    with pytest.raises(StoreError, match=r"lacks the field 'spec\.features_sha256'"):
        Record.from_json(json.dumps({**content, "digest": digest(content)}))


def test_the_stage_that_the_model_stands_at():
    stages = {"number": [1, 2], "fit_mAP": [0.1, 0.2], "stop_mAP": [0.3, 0.4]}
    record = make_record(history={"unit": "epoch", "stages": stages, "best": 1})
    assert record.stage_at_best() == {"number": 1, "fit_mAP": 0.1, "stop_mAP": 0.3}
    assert make_record().stage_at_best() is None


def good_scores():
    rng = np.random.default_rng(0)
    return {part: rng.random((4, 3), np.float32) for part in PARTS}


def break_shape(scores):
    scores["test"] = scores["test"][:3]


def break_dtype(scores):
    scores["test"] = scores["test"].astype(float)


def break_range(scores):
    scores["stop"][0, 0] = 1.5


def break_nan(scores):
    scores["stop"][0, 0] = np.nan


def break_part(scores):
    del scores["fit"]


def break_classes(scores):
    scores["fit"] = scores["fit"][:, :2]


def break_pickle(scores):
    scores["fit"] = np.array([[{}] * 3] * 4, object)


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (break_shape, "float32 of shape (3, 3) on test"),
        (break_dtype, "float64"),
        (break_range, "outside [0, 1] on stop"),
        (break_nan, "outside [0, 1] on stop"),
        (break_part, "no scores of fit"),
        (break_classes, "different numbers of classes"),
        (break_pickle, "can't be read"),
    ],
)
def test_scores_are_held_to_their_contract_when_they_are_read(store, breaks, sentence):
    def keep(run_id, scores):
        with store.staging(run_id) as folder:
            np.savez(folder / "scores.npz", **scores)
            store.add(make_record(run_id, clips=dict.fromkeys(PARTS, 4)), folder)
        return store.get(run_id)

    np.testing.assert_equal(store.scores(keep("good", good_scores())), good_scores())
    scores = good_scores()
    breaks(scores)
    with pytest.raises(RunError, match=re.escape(sentence)):
        store.scores(keep("bad", scores))


def test_an_archive_that_claims_more_than_it_can_hold_is_refused(store):
    with store.staging("a") as folder:
        np.savez_compressed(folder / "scores.npz", test=np.zeros((2**23, 20), np.float32))
        assert (folder / "scores.npz").stat().st_size < 2**20
        store.add(make_record("a", clips={"test": 2**23}), folder)
    with pytest.raises(RunError, match="it claims to hold 640 MiB"):
        store.scores(store.get("a"))


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be used"):
        Store(tmp_path / "file" / "store")
    for name in ("labels", "tmp", "locks", "aside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
        place = re.escape(f"({tmp_path / name / name} is a file, not a folder). Move it away")
        with pytest.raises(StoreError, match=place):
            Store(tmp_path / name)


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


def make_division(n=40):
    part = make_part(n, 5)
    names = np.array([f"clip{number:03d}" for number in range(n)])
    dataset = Dataset(
        name="made", X=part.X, y_true=part.y_true, y_mask=part.y_mask, keys=names, groups=names,
        partition=np.where(np.arange(n) % 4 < 3, "train", "test"), citation="", licence="",
    )  # fmt: skip
    return divide(dataset)


def test_attributes_are_stored_beside_the_labels_and_follow_the_data(store):
    division = make_division()
    store.add_labels(division)
    assert store.attributes(division.id, "test") == {} and store.holds_attributes(division)
    genres = np.array(["folk", "jazz"] * 20)
    path = store.path / "labels" / f"{division.id}-attributes.npz"
    for values in (genres, genres[::-1]):
        known = replace(division, dataset=replace(division.dataset, attributes={"genre": values}))
        assert known.id == division.id and not store.holds_attributes(known)
        store.add_labels(known)
        assert store.holds_attributes(known)
        stored = store.attributes(division.id, "test")["genre"]
        np.testing.assert_array_equal(stored, values[division.rows["test"]])
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "test_genre": np.array(["rock"] * 10)})
    with pytest.raises(StoreError, match=r"attributes\.npz can't be used: it does not match"):
        store.attributes(division.id, "test")
    store.add_labels(known)
    assert store.holds_attributes(known)


def swap_labels(path):
    """Put other labels into a file of labels, as if it had been written so."""
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["test_y_true"] = 1 - arrays["test_y_true"]
    np.savez_compressed(path, **arrays)


def test_labels_are_those_that_a_run_was_made_with(store):
    division = make_division()
    labels = store.add_labels(division)
    record = make_record(labels=labels)
    record.spec = replace(record.spec, division_id=division.id)
    put(store, record)
    stored = store.labels(division.id)
    part = division.part("test")
    np.testing.assert_array_equal(stored["test"].y_true, part.y_true)
    np.testing.assert_array_equal(stored["test"].y_positive, part.y_positive)
    assert stored["test"].classes == part.classes
    path = store.path / "labels" / f"{division.id}.npz"
    swap_labels(path)
    with pytest.raises(StoreError, match="not those that run a{16} was made with"):
        store.labels(division.id)
    assert not store.holds_labels(division)
    assert store.add_labels(division) == labels  # what was there is kept, but no longer read
    assert store.holds_labels(division)
    np.testing.assert_array_equal(store.labels(division.id)["test"].y_true, part.y_true)
    assert len(list((store.path / "aside").iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"PK not a zip", "can't be used"), (None, "the file is missing")]
)
def test_labels_that_cannot_be_used_are_named(store, content, sentence):
    if content:
        (store.path / "labels" / "d.npz").write_bytes(content)
    with pytest.raises(StoreError, match=f"{sentence}.*polytimbre run"):
        store.labels("d")


def test_when_a_run_was_last_asked_for(store):
    put(store, make_record())
    record = store.get("a")
    assert store.asked(record) == record.created
    store.note_asked(record.run_id)
    assert store.asked(record) > record.created
    assert store.find(record.run_id) == record
    noted = store.path / "runs" / record.run_id / "asked"
    for odd in (b"9999", b"\xff", b"9" * 10_000):
        noted.write_bytes(odd)
        assert store.asked(record) == record.created


def test_what_is_forgotten_is_gone(store):
    put(store, make_record("a"))
    put(store, make_record("b"))
    store.forget("a")
    store.forget("a")
    assert store.ids() == ["b"]
    assert not list((store.path / "tmp").iterdir()) and not list((store.path / "aside").iterdir())


def test_runs_are_only_opened_where_there_are_some(store, tmp_path):
    put(store, make_record())
    shown = tree(tmp_path)
    assert [record.run_id for record in open_runs(store.path)] == ["a" * 16]
    assert len(open_runs(store.path)) == 1
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(StoreError, match="there is no store|can't be read"):
            open_runs(path)
    with pytest.raises(StoreError, match="name one of them, .*audioset20, openmic2018, rendered"):
        open_runs(DEFAULT)
    assert tree(tmp_path) == shown
    assert not hasattr(open_runs(DEFAULT / "rendered"), "add")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes another user")
def test_another_users_runs_are_left_where_they_are(store):
    """The owner of the store's files is root; who looks is not, and may not open one of them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = shutil.copytree(store.path, Path(name) / "store")
        other = Store(path)
        put(other, make_record("a"))
        put(other, make_record("b"))
        (path / "runs" / "a" / "record.json").chmod(0o600)
        before = tree(path)
        warnings = []
        os.seteuid(65534)
        try:
            readable = [record.run_id for record in open_runs(path, warnings.append)]
            with pytest.raises(StoreError, match="can't be used"):
                Store(path)
        finally:
            os.seteuid(0)
        assert readable == ["b"]
        assert "run a can't be read: its file record.json can't be opened" in warnings[0]
        assert tree(path) == before
