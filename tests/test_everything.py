"""`publish --all`: the commands that publish everything."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer

from benchmark.analysis import learning_curve
from benchmark.cli import app, everything
from benchmark.cli.common import compute
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.runs.published import PublishedSet
from benchmark.runs.reading import Runs
from benchmark.runs.request import DataRequest, RunRequest
from benchmark.runs.store import Store
from benchmark.runs.suite import plan, requests
from benchmark.tuning import studies, trials

PUBLISHED = Path(__file__).resolve().parents[1] / "paper" / "results" / "rendered"
LISTED = everything.steps(Path("somewhere"), Path("store"), Path("sets"))


SOME = {"how": ["--workers", "2"], "storage": "studies.log", "labels": Path("labels.npz")}


@pytest.mark.parametrize(
    "step",
    [*LISTED, *everything.steps(dataset="rendered", **SOME)],
    ids=lambda step: " ".join(step.command),
)
def test_each_step_is_a_command_that_exists(step):
    name, *options = step.command
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, options) as context:
        given = context.params
    if given.get("labels") is None:
        assert given["dataset"] in everything.PUBLISHED
    # what is refused beside the other options, as the command's body does
    assert "--storage" not in options or name != "run" or "--tuned" in options
    assert ("--workers" in options) <= bool(step.runs)


def test_what_a_step_computes_is_what_its_command_asks_for():
    """By the command line itself: models, seeds, features and protocol."""
    for step in LISTED:
        if step.command[0] == "run":
            said = dict(pairwise(step.command))
            assert {one.data.name for one in step.runs} == {said["--dataset"]}
            features = {"+".join(one.data.features) for one in step.runs}
            assert features == {said.get("--features", "")}
            assert {one.protocol for one in step.runs} == {said.get("--protocol", "default")}
            assert {one.refit for one in step.runs} == {"--refit" in step.command}
            assert {one.seed for one in step.runs} == set(range(int(said["--seeds"])))


def test_each_data_set_is_published_once_after_its_runs():
    last = [step.command[2] for step in LISTED if step.command[0] == "publish"]
    assert last == list(everything.PUBLISHED)
    for dataset in last:
        own = [step.command for step in LISTED if step.command[2] == dataset]
        assert own[-1][0] == "publish" and own[0][0] == "run"
        ships = [command for command in own if "--with-model" in command]
        assert ships == ([own[-1]] if dataset == everything.SHIPS else [])


def test_few_positives_and_side_information_are_part_of_it():
    (few,) = [step for step in LISTED if step.command[0] == "transfer"]
    assert {one.positives for one in few.runs} == {5, 10, 20, 40, None}
    on = [
        {one.model for one in step.runs}
        for step in LISTED
        if step.command[:3] == ("run", "--dataset", "audioset20")
        and not {"--tuned", "--refit", "--protocol"} & {*step.command}
    ]
    plain, enriched = on
    assert len(plain & enriched) >= 3


def test_models_without_a_search_space_are_not_tuned():
    tuned = [step for step in LISTED if "--tuned" in step.command or step.command[0] == "tune"]
    models = [{one.model for one in step.runs} for step in tuned]
    assert models and all("constant" not in some and "cnn" in some for some in models)


def test_a_part_can_be_asked_for():
    with pytest.raises(UnknownNameError, match="Did you mean 'rendered'"):
        everything.steps(dataset="renderd")
    with pytest.raises(ProtocolError, match="add --data-root FOLDER"):
        everything.steps(dataset="audioset20")
    alone = everything.steps(dataset="rendered-full", labels=Path("labels.npz"))
    assert alone[-1].command == ("publish", "--labels", "labels.npz")
    assert all(step.command[2] == "rendered-full" for step in alone[:-1])


def test_data_that_nobody_named_are_left_out(polytimbre):
    shown = polytimbre("publish", "--all", "--dry-run").splitlines()
    commands = [line.partition(": polytimbre ")[2] for line in shown]
    assert [tuple(shlex.split(line)) for line in commands] == [
        step.command for step in everything.steps()
    ]
    assert "audioset20" not in "".join(commands) and not polytimbre.store.exists()
    hours = [re.search(r", (\S+) of (\S+) h of processor", line).groups() for line in shown]
    own, left = np.array(hours, dtype=float).T
    np.testing.assert_allclose(left, own[::-1].cumsum()[::-1], atol=0.05 * len(own))


def test_what_is_done_is_not_counted(tmp_path):
    data = DataRequest("rendered")
    wanted = requests(data, ["constant", "logistic_regression"], range(2))
    step = everything.Step(("run",), [*wanted, *learning_curve.requests(wanted)])
    first = everything.left(step, None, None)
    assert first["rendered", "constant"] == pytest.approx(1 + 3 * (0.1 + 0.2 + 0.5))
    compute(plan(wanted[:1], None), Store(tmp_path), 1, None, force=False)
    after = everything.left(step, Runs(tmp_path), str(tmp_path / "studies.log"))
    assert after == pytest.approx({**first, ("rendered", "constant"): 2.4})


def test_trials_that_have_ended_are_not_counted_and_tuned_runs_are_those_of_the_study(tmp_path):
    request = RunRequest(DataRequest("rendered"), "logistic_regression")
    key, store = ("rendered", "logistic_regression"), Store(tmp_path)
    address = studies.address_of(None, store)
    tune, tuned = (
        everything.Step(("tune",), [request]),
        everything.Step(("run", "--tuned"), [request]),
    )
    assert everything.left(tune, store, address)[key] == everything.TRIALS + everything.AGAIN
    assert everything.left(tuned, store, address)[key] == 1
    with trials.open_study(None, request, trials.Caps(60.0, 1000), None, store) as study:
        study.plan(everything.TRIALS)
        trial = study.optuna.ask()
        trial.set_user_attr("params", {"C": 1e-5, "pooling": "mean"})
        study.optuna.tell(trial, 0.5)
    assert everything.left(tune, store, address)[key] == everything.TRIALS + everything.AGAIN - 1
    # the run that is looked for in the store is that of the parameters that were chosen
    (asked,) = everything._with_parameters(tuned.runs, address)
    assert asked.params == {"C": 1e-5, "pooling": "mean"} and asked.chosen.trial == 0


def test_the_estimate_follows_from_what_fits_took():
    records = PublishedSet(PUBLISHED).records()
    of_constant = [r for r in records if r.spec.model == "constant" and r.spec.fraction == 1]
    mean = sum(sum(r.seconds.values()) for r in of_constant) / len(of_constant)
    fits = {("rendered", "constant"): 4, ("audioset20", "constant"): 4}
    assert everything.seconds(fits, records) == pytest.approx(8 * mean)
    assert everything.seconds(fits, []) is None
    assert everything.seconds({("rendered", "new"): 1}, of_constant) == pytest.approx(mean)
