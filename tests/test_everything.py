"""`publish --all`: the commands that publish everything."""

import shlex
from pathlib import Path

import pytest
import typer

from benchmark.cli import app, everything
from benchmark.plugins import registry
from benchmark.runs.published import PublishedSet

PUBLISHED = Path(__file__).resolve().parents[1] / "paper" / "results" / "rendered"
LISTED = everything.steps(Path("somewhere"), Path("store"), Path("sets"))


@pytest.mark.parametrize("step", LISTED, ids=lambda step: " ".join(step.command))
def test_each_step_is_a_command_that_exists(step):
    name, *options = step.command
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, options) as context:
        assert context.params["dataset"] in everything.PUBLISHED
    for model in step.fits:
        registry.models().get(model)


def test_each_data_set_is_published_once_after_its_runs():
    last = [step.command[2] for step in LISTED if step.command[0] == "publish"]
    assert last == list(everything.PUBLISHED)
    for dataset in last:
        own = [step.command[0] for step in LISTED if step.command[2] == dataset]
        assert own[-1] == "publish" and own[0] == "run"


def test_models_without_a_search_space_are_not_tuned():
    tuned = [step for step in LISTED if "--tuned" in step.command or step.command[0] == "tune"]
    assert tuned and all("constant" not in step.fits and "cnn" in step.fits for step in tuned)


def test_data_that_nobody_named_are_left_out(polytimbre):
    shown = polytimbre("publish", "--all", "--dry-run").splitlines()
    commands = [line.partition(": polytimbre ")[2] for line in shown]
    assert [tuple(shlex.split(line)) for line in commands] == [
        step.command for step in everything.steps()
    ]
    assert "audioset20" not in "".join(commands) and not polytimbre.store.exists()


def test_the_estimate_follows_from_what_fits_took():
    records = PublishedSet(PUBLISHED).records()
    of_constant = [r for r in records if r.spec.model == "constant" and r.spec.fraction == 1]
    mean = sum(sum(r.seconds.values()) for r in of_constant) / len(of_constant)
    step = everything.Step(("run",), {"constant": 4})
    assert everything.seconds([step, step], records) == pytest.approx(8 * mean)
    assert everything.seconds([step], []) is None
    unknown = everything.Step(("run",), {"never fitted": 1})
    assert everything.seconds([unknown], of_constant) == pytest.approx(mean)
