"""Studies: exact counts through races, deaths, damage and lost storages, without any fitting."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmark.errors import ProtocolError, StoreError, UnknownNameError
from benchmark.runs.store import Store
from benchmark.tuning import history as study_history
from benchmark.tuning import storage as storages
from benchmark.tuning import studies
from benchmark.tuning.studies import Study, StudySpec

SPEC = StudySpec(
    dataset="tiny",
    split="official",
    features="own",
    features_sha256="4567",
    fingerprint="0123",
    division_id="4567",
    protocol_id="89ab",
    model="dial",
    preset=None,
    source="cdef",
    params={"stages": 3},
    search_space={"x": "from 0 to 1"},
    first={},
    seed=0,
    seconds=60.0,
    max_parameters=100,
)

#: Works through a study of its own store: what two machines on one storage do.
MACHINE = """
import json, os, sys, time
from pathlib import Path
from benchmark.runs.store import Store
from benchmark.tuning.studies import Study, StudySpec

spec, address, store, n_trials, dies = json.loads(sys.argv[1])
with Study("made", StudySpec(**spec), address, Store(Path(store))) as study:
    study.plan(n_trials)
    while study.unfinished():
        if (trial := study.claim()) is None:
            time.sleep(0.05)
            continue
        x = trial.suggest_float("x", 0, 1)
        if dies and trial.number == n_trials - 1:
            study.report(trial.number, 1, x)
            os._exit(9)
        study.finish(trial.number, "COMPLETE", x)
"""


@pytest.fixture(
    params=["journal", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))]
)
def address(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return str(tmp_path / "studies.journal")


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "studies.journal")


def made(address, store, spec=SPEC):
    return Study("made", spec, address, Store(store))


def machine(address, store, n_trials, dies=False):
    arguments = json.dumps([asdict(SPEC), address, str(store), n_trials, dies])
    return subprocess.Popen(
        [sys.executable, "-c", MACHINE, arguments], cwd=Path(__file__).parents[1]
    )


def work(study, x=None):
    while study.unfinished():
        if (trial := study.claim()) is not None:
            value = trial.suggest_float("x", 0, 1) if x is None else x
            study.finish(trial.number, "COMPLETE", value)


def stored(address):
    return studies.read("made", address).get_trials(deepcopy=False)


def states(address):
    return Counter(trial.state.name for trial in stored(address))


def test_a_study_has_as_many_trials_as_were_planned(address, tmp_path):
    with made(address, tmp_path) as study:
        study.plan(3)
        assert study.unfinished() == 3
        work(study)
        assert study.claim() is None
        study.plan(2)
        assert study.planned == 3
        study.plan(3)
        assert states(address) == {"COMPLETE": 3}
    with made(address, tmp_path) as study:
        study.plan(5)
        assert study.unfinished() == 2
        work(study)
    assert states(address) == {"COMPLETE": 5}
    assert [trial.number for trial in stored(address)] == list(range(5))


def test_two_machines_share_a_study(address, tmp_path):
    processes = [machine(address, tmp_path / name, 16) for name in ("one", "two")]
    assert [process.wait(timeout=180) for process in processes] == [0, 0]
    told = [t for t in stored(address) if "surplus" not in t.user_attrs][:16]
    assert {trial.state.name for trial in told} == {"COMPLETE"}
    assert len({trial.params["x"] for trial in told}) == 16  # nobody draws what another drew
    # what was planned twice, or claimed in vain, was not run
    assert not any(t.params for t in stored(address) if t.number > told[-1].number)


def test_a_claim_that_comes_too_late_is_no_trial(address, tmp_path, monkeypatch):
    first, late = made(address, tmp_path / "one"), made(address, tmp_path / "two")
    first.plan(1)
    claimed = first.claim()
    monkeypatch.setattr(late, "_take_back", lambda: {0})  # what it saw a moment ago
    assert late.claim() is None
    first.finish(claimed.number, "COMPLETE", 0.5)
    assert (first.unfinished(), len(first.trials()), len(late.trials())) == (0, 1, 1)
    history = study_history.read("made", address)
    assert [row.state for row in history.trials] == ["complete"]
    first.plan(2)  # the next one is a trial of its own
    work(first)
    assert [trial.state.name for trial in first.trials()] == ["COMPLETE", "COMPLETE"]


def test_what_a_dead_process_held_is_taken_up_at_once(address, tmp_path):
    assert machine(address, tmp_path, 3, dies=True).wait(timeout=180) == 9
    assert states(address) == {"COMPLETE": 2, "RUNNING": 1}
    held = stored(address)[2]
    with made(address, tmp_path) as study:
        trial = study.claim()
        assert trial.number == 2
        assert trial.suggest_float("x", 0, 1) == held.params["x"]
        study.report(2, 1, 0.9)
        study.report(2, 2, 0.8)
        study.finish(2, "COMPLETE", 0.5)
    assert states(address) == {"COMPLETE": 3}
    assert stored(address)[2].intermediate_values == {1: held.params["x"], 2: 0.8}
    assert not list((tmp_path / "locks").glob("owner-*"))


def test_what_an_interrupted_process_held_waits_again(address, tmp_path):
    with pytest.raises(KeyboardInterrupt), made(address, tmp_path) as study:
        study.plan(2)
        x = study.claim().suggest_float("x", 0, 1)
        study.claim()
        raise KeyboardInterrupt
    assert states(address) == {"WAITING": 2}
    with made(address, tmp_path) as study:
        work(study)
    assert stored(address)[0].params["x"] == x


def test_a_silent_machine_is_taken_for_dead_and_counts_no_more(address, tmp_path, monkeypatch):
    silent, other = made(address, tmp_path / "one"), made(address, tmp_path / "two")
    monkeypatch.setattr(studies, "BEAT", 3600)
    with silent:
        silent.plan(2)
        x = silent.claim().suggest_float("x", 0, 1)
        with other:
            monkeypatch.setattr(studies, "SILENCE", 3600)
            assert [other.claim().number, other.claim()] == [1, None]  # a look at the silent one
            monkeypatch.setattr(studies, "SILENCE", 0)
            taken = other.claim()
            assert taken.suggest_float("x", 0, 1) == x
            silent.report(0, 1, 0.1)
            silent.finish(0, "COMPLETE", 0.1)  # back again, too late
            assert states(address) == {"RUNNING": 2}
            other.finish(0, "COMPLETE", x)
            other.finish(1, "FAIL", None, reason="a test")
    assert states(address) == {"COMPLETE": 1, "FAIL": 1}
    assert stored(address)[0].value == x
    assert stored(address)[0].user_attrs["owner"]["token"] == other.token


def test_a_machine_that_gives_signs_of_life_keeps_its_trial(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "BEAT", 0.02)
    monkeypatch.setattr(studies, "SILENCE", 0)
    with made(journal, tmp_path / "one") as slow, made(journal, tmp_path / "two") as other:
        slow.plan(1)
        slow.claim()
        for _ in range(5):
            assert other.claim() is None
            before = stored(journal)[0].user_attrs.get("beat")  # the beat it saw, or a later one
            while stored(journal)[0].user_attrs.get("beat") == before:
                time.sleep(0.01)
        slow.finish(0, "COMPLETE", 0.5)
    assert states(journal) == {"COMPLETE": 1}


def test_a_claim_that_died_before_it_was_signed_is_taken_back(journal, tmp_path, monkeypatch):
    with made(journal, tmp_path) as study:
        study.plan(1)
        study.optuna.ask()
        monkeypatch.setattr(studies, "SILENCE", 3600)
        assert study.claim() is None
        monkeypatch.setattr(studies, "SILENCE", 0)
        work(study)
    assert states(journal) == {"COMPLETE": 1}


def test_a_journal_whose_end_was_cut_off_goes_on(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "SILENCE", 0)  # the owner's name may be what was cut off
    assert machine(journal, tmp_path, 4, dies=True).wait(timeout=180) == 9
    whole = Path(journal).read_bytes()
    for cut in range(1, 1200, 97):
        damaged = tmp_path / f"cut-{cut}.journal"
        damaged.write_bytes(whole[:-cut])
        with made(str(damaged), tmp_path) as study:
            study.plan(4)
            work(study)
        assert states(str(damaged)) == {"COMPLETE": 4}, cut


def test_a_journal_survives_a_writer_that_died_in_mid_line(journal, tmp_path):
    with made(journal, tmp_path) as study:
        study.plan(2)
        for _ in range(2):
            with Path(journal).open("ab") as file:
                file.write(b'{"op_code":6,"worker_id":"de')
            number = study.claim().number
            study.finish(number, "COMPLETE", 0.5)
    assert states(journal) == {"COMPLETE": 2}


def test_one_worker_draws_the_same_from_empty_storages(tmp_path):
    drawn = []
    for name in ("one", "two"):
        path = str(tmp_path / f"{name}.journal")
        for n_trials in (12,) if name == "one" else (5, 10, 12):  # in pieces, or not
            with made(path, tmp_path) as study:
                study.plan(n_trials)
                work(study)
        drawn.append([trial.params["x"] for trial in stored(path)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 12
    path = str(tmp_path / "seed.journal")
    with made(path, tmp_path, replace(SPEC, seed=1)) as study:
        study.plan(12)
        work(study)
    assert not {trial.params["x"] for trial in stored(path)} & set(drawn[0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fingerprint": "other"}, "its data differs"),
        ({"division_id": "other"}, "its division into parts differs"),
        ({"protocol_id": "other"}, "its protocol differs"),
        ({"model": "cnn"}, r"its model differs \(it has dial, this command asks for cnn\)"),
        ({"source": "other"}, "its model's code differs"),
        ({"params": {"stages": 4}}, "its fixed parameters differs"),
        ({"source": "x", "search_space": {"x": "0 to 2", "y": "0 to 1"}}, "changed: x, y"),
        ({"seed": 1}, r"its seed differs \(it has 0, this command asks for 1\)"),
        ({"seconds": 5.0}, "its --trial-seconds differs"),
        ({"max_parameters": 9}, "its --max-parameters differs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_study_of_something_else_is_refused(journal, tmp_path, change, named):
    made(journal, tmp_path)
    made(journal, tmp_path)
    with pytest.raises(ProtocolError, match=f"the stored study 'made'.*{named}.*--study"):
        made(journal, tmp_path, replace(SPEC, **change))


def test_a_name_that_is_not_utf8_is_one_of_a_file_and_none_of_a_study(tmp_path):
    store = tmp_path / os.fsdecode(b"bad\xff")
    journal = str(store / "studies.journal")
    with made(journal, store) as study:
        study.plan(1)
    assert states(journal) == {"WAITING": 1}
    with pytest.raises(ProtocolError, match=r"'bad\\udcff' can't be stored: its name is no UTF-8"):
        Study(os.fsdecode(b"bad\xff"), SPEC, journal, Store(store))


def test_an_unknown_study_is_named_with_the_nearest(journal, tmp_path):
    with pytest.raises(UnknownNameError, match="none yet: .polytimbre tune. makes one"):
        studies.read("made", journal)
    assert not Path(journal).exists()  # to look leaves nothing behind
    made(journal, tmp_path)
    assert studies.names(journal) == ["made"]
    with pytest.raises(UnknownNameError, match="unknown study 'mode'. Did you mean 'made'?"):
        studies.read("mode", journal)


@pytest.fixture
def silent_port():
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def refusal(address):
    with pytest.raises(StoreError) as caught:
        studies.open_storage(address)
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_a_database_that_cannot_be_reached_is_named_without_its_password(silent_port, monkeypatch):
    monkeypatch.setattr(storages, "PATIENCE", 4)
    where = f"127.0.0.1:{silent_port}/x"
    assert f"postgresql://user:***@{where}" in refusal(f"postgresql://user:secret@{where}")
    with socket.socket() as free:  # nobody listens on a port that is only taken
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://user:secret@127.0.0.1:{free.getsockname()[1]}/x?password=secret"
        assert "refused" in refusal(url)


def test_a_storage_that_never_answers_is_given_up(silent_port, monkeypatch):
    monkeypatch.setattr(storages, "PATIENCE", 0.5)  # the driver's own limit is whole seconds
    assert "it did not answer within 0.5 s" in refusal(
        f"postgresql://u:secret@127.0.0.1:{silent_port}/x"
    )


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("postgresql://user:secret@host:port/x", "by --storage is no address of a database: name"),
        ("http://user:secret", "by --storage is no address of a database: name"),
        ("://x", "by --storage is no address of a database: name sqlite:///FILE, postgresql://"),
        ("postgrsql://user:secret@host/x", "is of an unknown kind, 'postgrsql'"),
        ("postgresql+nosuch://u:secret@host/x", "is of an unknown kind, 'postgresql+nosuch'"),
        ("sqlite+nosuch:///x.db", "is of an unknown kind, 'sqlite+nosuch'"),
        ("sqlite://", "is in memory, and gone with the command"),
        ("sqlite:///:memory:", "is in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "is in memory"),
        ("sqlite://host/x.db", "names a host, and a file has none"),
        ("sqlite:////proc", "sqlite:////proc is a folder: name sqlite:///FILE"),
        ("sqlite:////proc/nowhere/x.db", "can't be made, there is no folder /proc/nowhere: name"),
        ("/proc/nowhere/studies.journal", "No such file or directory"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(address, named, recwarn):
    said = refusal(address)
    assert named in said and not recwarn
    if "://" in address:
        with pytest.raises(StoreError, match=re.escape(said)):  # before it is looked for
            studies.names(address)


def test_another_file_is_no_journal_and_stays_as_it_is(tmp_path):
    for text in ("my notes", "my notes\n", '{"mine": 1}\n{"mine": 2}'):
        path = tmp_path / "notes.txt"
        path.write_text(text)
        assert "it is no journal of studies" in refusal(str(path))
        assert path.read_text() == text


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    found = refusal("postgresql://user:secret@127.0.0.1:1/x")
    assert "pip install 'polytimbre[postgres]'" in found


def test_the_default_storage_lies_beside_the_store(tmp_path, monkeypatch):
    store = Store(tmp_path)
    assert studies.address_of(None, store) == str(tmp_path / "studies.journal")
    monkeypatch.chdir(tmp_path)
    assert studies.address_of("mine", store) == str(tmp_path / "mine")
    assert studies.address_of("sqlite:///mine", store) == "sqlite:///mine"
    assert studies.shown(str(tmp_path / "mine")) == "mine"


@pytest.mark.xdist_group("postgres")
def test_a_wrong_password_is_told_and_not_shown(postgres, database):
    wrong = database.replace("kept-to-itself", "secret")
    assert "password authentication failed" in refusal(wrong)


def lines_of(journal):
    return Path(journal).read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b'{"op_code":8,"worker'])
def test_blank_lines_at_a_journal_s_end_are_cut_off_by_the_next_writer(journal, tmp_path, blank):
    with made(journal, tmp_path) as study:
        study.plan(2)
        study.finish(study.claim().number, "COMPLETE", 0.5)
    whole = Path(journal).read_bytes()
    Path(journal).write_bytes(whole + blank)
    assert states(journal) == {"COMPLETE": 1, "WAITING": 1}
    assert Path(journal).read_bytes() == whole + blank  # to look changes nothing
    with made(journal, tmp_path) as study:
        study.finish(study.claim().number, "COMPLETE", 0.5)
    assert states(journal) == {"COMPLETE": 2}
    assert Path(journal).read_bytes().startswith(whole + b'{"op_code"')


@pytest.mark.parametrize("end", [b"\n  \n\n", b'\n{"op_code":8,"worker'])
def test_several_blank_lines_are_named_and_cut_off(journal, tmp_path, end):
    made(journal, tmp_path)
    with Path(journal).open("ab") as file:
        file.write(end)
    with pytest.raises(StoreError, match="ends in blank lines; the next `polytimbre tune`"):
        stored(journal)
    with made(journal, tmp_path) as study:
        study.plan(1)
    assert states(journal) == {"WAITING": 1}


@pytest.mark.parametrize("damage", ["torn", "blank", "glued"])
def test_a_damaged_line_is_named_and_a_copy_repaired(journal, tmp_path, damage):
    with made(journal, tmp_path) as study:
        study.plan(2)
        trial = study.claim()
        study.finish(trial.number, "COMPLETE", 0.5, reason="one", seconds=2.0)
    lines = lines_of(journal)
    number = next(i for i, line in enumerate(lines) if b'"reason"' in line)
    half = lines[number][:30]
    lines[number] = {"torn": half + b"\n", "blank": b"\n", "glued": half}[damage]
    Path(journal).write_bytes(b"".join(lines))
    copy = Path(f"{journal}.repaired")
    where = f"line {number + 1} of the journal of studies {journal} is damaged"
    with pytest.raises(StoreError, match=where):
        stored(journal)
    assert not copy.exists()  # to look leaves nothing behind
    with pytest.raises(StoreError, match=f"{where}. A copy without it is {copy}"):
        made(journal, tmp_path)
    assert b"".join(lines) == Path(journal).read_bytes()
    assert states(str(copy)) == {"COMPLETE": 1, "WAITING": 1}
    copy.replace(journal)  # as the sentence advises
    with made(journal, tmp_path) as study:
        study.finish(study.claim().number, "COMPLETE", 0.5)
    assert [t.user_attrs.get("seconds") for t in stored(journal)] == [2.0, None]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b'"values":[0.5]', b'"values":["x"]'),
        (b'"values":[0.5]', b'"values":0.5'),
        (b'"values":[0.5]', b'"values":null'),
        (b'"study_name":"made"', b'"study_name":3'),
        (b'"mAP":0.5', b'"mAP":"x"'),
        (b'"seconds":2.0', b'"seconds":null'),
        (b'"reason":"one"', b'"reason":{}'),
        (b'"planned":2', b'"planned":"two"'),
        (b'"model":', b'"model":3,"was":'),
        (b'"op_code":7', b'"op_code":"x"'),
        (b'"op_code":7', b'"op_code":999'),
        (b'"op_code":7', b'"op_code":[]'),
        (b'"op_code":7,', b'"op_code":7,"step":"x","was":'),
        (b'"datetime_start":"2', b'"datetime_start":"x'),
        (b'"state":1', b'"state":77'),
        (b'"directions":[2]', b'"directions":["x"]'),
        (b'"trial_id":0', b'"trial_id":[]'),
    ],
)
def test_a_line_of_another_type_is_named_and_a_copy_repaired(journal, tmp_path, written, instead):
    with made(journal, tmp_path) as study:
        study.plan(2)
        number = study.claim().number
        study.report(number, 1, 0.25)
        study.finish(number, "COMPLETE", 0.5, reason="one", seconds=2.0)
        study.optuna.set_user_attr("fold 0 of trial 0", {"mAP": 0.5, "seconds": 1.0})
    whole = Path(journal).read_bytes()
    damaged = whole.replace(b'"step":', b'"was":') if b'"step"' in instead else whole
    damaged = damaged.replace(written, instead, 1)
    assert damaged != whole
    Path(journal).write_bytes(damaged)
    number = whole[: whole.index(written)].count(b"\n") + 1
    copy = Path(f"{journal}.repaired")
    where = f"line {number} of the journal of studies {journal} is damaged"
    with pytest.raises(StoreError, match=where):
        stored(journal)
    with pytest.raises(StoreError, match=f"{where}. A copy without it is {copy}"):
        made(journal, tmp_path)
    assert copy.read_bytes().count(b"\n") == whole.count(b"\n") - 1
    studies.names(str(copy))  # it can be read


def test_a_database_that_only_reads_is_one_sentence(tmp_path):
    path = tmp_path / "studies.db"
    address = f"sqlite:///{path}"
    with made(address, tmp_path) as study:
        study.plan(2)
    only = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert len(stored(only)) == 2
    with pytest.raises(StoreError, match=r"failed \(.*readonly.*same command goes on from here"):
        made(only, tmp_path).plan(3)
