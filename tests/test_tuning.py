"""Tuning by the command: exact counts through races, kills, Ctrl-C and a lost database."""

import json
import os
import signal

import pytest
from tiny_studies import HERE, TUNE, held, journal, kill, states, trials, wait_for

from benchmark.runs.store import Store


@pytest.fixture(
    params=["journal", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))]
)
def storage(request, polytimbre):
    """The address of a storage."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return str(polytimbre.store / "studies.journal")


def owners(address):
    return {t.user_attrs["owner"]["token"] for t in trials(address)}


def test_a_study_gets_exactly_the_trials_asked_for(polytimbre):
    first, again, more, fewer, listed, shown = polytimbre.several(
        (*TUNE, *HERE, "--trials", 4),
        (*TUNE, *HERE, "--trials", 4),
        (*TUNE, *HERE, "--trials", 6),
        (*TUNE, *HERE, "--trials", 2),
        ("study",),
        ("study", "tiny-dial", "--format", "json"),
    )
    assert {code for code, _ in (first, again, more, fewer, listed, shown)} == {0}
    ended = [out.count("✔") + out.count("✂") for _, out in (first, again, more, fewer)]
    assert ended == [4, 0, 2, 0]
    assert "4 of 4 trials have ended" in again[1]
    found = trials(journal(polytimbre))
    assert [t.number for t in found] == list(range(6))
    assert all(t.state.is_finished() for t in found)
    assert found[0].params == {"quality": 0.3, "idle": 0.5}  # the default
    assert "trial 0, the default:" in more[1]
    assert listed[1].strip() == "tiny-dial"
    rows = json.loads(shown[1])["rows"]
    assert [row["trial"] for row in rows] == list(range(6))
    best = [row["best so far"] for row in rows]
    assert best == sorted(best)


def test_two_commands_share_one_study(polytimbre, storage, gate):
    tune = (*TUNE, *HERE, "--trials", 5, "--storage", storage, "--param", f"gate={gate}")
    processes = [polytimbre.start(*tune) for _ in range(2)]
    wait_for(lambda: len(held(storage)) == 2)
    gate.touch()
    outputs = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = trials(storage)
    assert len(found) == 5
    assert all(t.state.is_finished() for t in found)
    assert len(owners(storage)) == 2
    ended = [out.count("✔") + out.count("✂") for out, _ in outputs]
    assert sum(ended) == 5 and min(ended) >= 1


def test_a_killed_command_goes_on_where_it_was(polytimbre, storage, gate):
    tune = (*TUNE, "--trials", 4, "--storage", storage, "--param", f"gate={gate}")
    process = polytimbre.start(*tune, "--workers", 2)
    wait_for(lambda: len(held(storage)) == 2)
    kill(process)
    before = held(storage)
    gate.touch()
    out = polytimbre(*tune, *HERE)
    assert out.count("✔") + out.count("✂") == 3
    after = trials(storage)
    assert len(after) == 4
    assert all(t.state.is_finished() for t in after)
    for number, trial in before.items():
        assert trial.params == after[number].params
        assert trial.params["quality"] == after[number].user_attrs["params"]["quality"]
    assert len(owners(storage)) == 2  # trial 0 was the killed one's


def test_a_live_command_takes_over_what_a_killed_one_held(polytimbre, storage, gate):
    tune = (*TUNE, *HERE, "--trials", 4, "--storage", storage, "--param", f"gate={gate}")
    killed, live = polytimbre.start(*tune), polytimbre.start(*tune)
    wait_for(lambda: len(held(storage)) == 2)
    kill(killed)
    before = held(storage)
    gate.touch()
    out, err = live.communicate(timeout=180)
    assert live.returncode == 0, out + err
    after = trials(storage)
    assert len(after) == 4
    assert all(t.state.is_finished() for t in after)
    assert all(trial.params == after[number].params for number, trial in before.items())
    live_token = after[3].user_attrs["owner"]["token"]
    assert {t.user_attrs["owner"]["token"] for t in after[1:]} == {live_token}


def test_ctrl_c_lets_go_of_its_trials(polytimbre, gate):
    tune = (*TUNE, "--trials", 3, "--workers", 1, "--param", f"gate={gate}")
    process = polytimbre.start(*tune)
    wait_for(lambda: held(journal(polytimbre)))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "interrupted; finished trials are kept" in err
    assert "Traceback" not in err
    assert states(journal(polytimbre)) == {"COMPLETE": 1, "WAITING": 2}
    params = trials(journal(polytimbre))[1].params
    gate.touch()
    polytimbre(*TUNE, *HERE, "--trials", 3, "--param", f"gate={gate}")
    assert states(journal(polytimbre)) == {"COMPLETE": 3}
    assert trials(journal(polytimbre))[1].params == params


@pytest.mark.xdist_group("postgres")
def test_a_database_that_goes_away_loses_nothing(polytimbre, postgres, database, gate):
    tune = (*TUNE, *HERE, "--trials", 3, "--storage", database, "--param", f"gate={gate}")
    process = polytimbre.start(*tune)
    wait_for(lambda: held(database))
    postgres.stop()
    try:
        gate.touch()
        _, err = process.communicate(timeout=180)
    finally:
        postgres.start()
    assert process.returncode == 2, err
    assert "failed" in err and "the same command goes on from here" in err
    assert "polytimbre:***@127.0.0.1" in err
    assert "kept-to-itself" not in err and "Traceback" not in err
    polytimbre(*tune)
    assert states(database) == {"COMPLETE": 3}


def test_looking_at_a_database_that_is_not_there_does_not_make_it(polytimbre, tmp_path):
    path = tmp_path / "none.db"
    Store(polytimbre.store)
    at = ("--storage", f"sqlite:///{path}")
    tuned_run = ("run", "--dataset", "tiny", "--model", "dial", "--tuned")
    none, unknown, tuned = polytimbre.several(
        ("study", *at), ("study", "dial", *at), (*tuned_run, *HERE, *at)
    )
    assert (none[0], unknown[0], tuned[0]) == (0, 2, 2)
    assert "no study" in none[1] and not path.exists()


def test_what_tune_can_not_do_is_one_sentence(polytimbre, tmp_path):
    path = tmp_path / "studies.db"
    tune = (*TUNE, "--trials", 1, "--param", "stages=1", *HERE)
    only_read = f"sqlite:///file:{path}?mode=ro&uri=true"
    bound, made, refused = polytimbre.several(
        (*TUNE, "--trials", 10**12),
        (*tune, "--storage", f"sqlite:///{path}"),
        (*TUNE, *HERE, "--trials", 2, "--param", "stages=1", "--storage", only_read),
    )
    assert bound[0] == 2 and "less than or equal to 1000" in bound[1]
    assert made[0] == 0
    assert refused[0] == 2, refused
    assert "readonly database" in refused[1] and "Trials that have ended are kept" in refused[1]
    assert states(f"sqlite:///{path}") == {"COMPLETE": 1}
