"""The command end to end, in processes of its own: runs, kills, races and refusals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openmic_replica import write_folder
from rich.console import Console
from rich.file_proxy import FileProxy

from benchmark.cli import runs
from benchmark.cli.screen import Screen, console, tell
from benchmark.cli.visible import Visible
from benchmark.contracts.dataset import CLASSES
from benchmark.contracts.model import Stage
from benchmark.plugins import registry
from benchmark.plugins.checks import make_part
from benchmark.runs.store import Store

TINY = ("--dataset", "tiny")
#: For what is not about processes.
HERE = ("--workers", 0)


def stored(polytimbre):
    return Store(polytimbre.store).records()


def test_run_compare_show_and_cache(polytimbre):
    out = polytimbre("run", *TINY, "--model", "guess", "--model", "constant", "--seeds", 2)
    assert out.count("done") == 3  # constant ignores its seed and runs once
    assert out.rstrip().endswith("`polytimbre list runs` names each")
    again = polytimbre("run", *TINY, "--model", "guess", "--model", "constant", "--seeds", 2)
    assert "all 3 runs are cached" in again and "`polytimbre compare --dataset tiny`" in again
    alone = polytimbre("run", *TINY, "--model", "constant")
    assert json.loads(polytimbre("show", re.search("show ([0-9a-f]+)`", alone)[1], "--json"))
    assert polytimbre("run", *TINY, "--model", "guess", "--dry-run").count("waits") == 1
    rows = json.loads(polytimbre("compare", "--format", "json"))["rows"]
    assert {row["model"]: row["seeds"] for row in rows} == {"guess": 2, "constant": 1}
    assert all(0 < row["mAP"] < 1 for row in rows)
    table = polytimbre("compare")
    assert "tiny, test part, 60 clips" in table
    assert "an observed positive and an observed negative: accordion, banjo" in table
    assert "| accordion |" in polytimbre("compare", "--per-class", "--format", "markdown")
    assert polytimbre("compare", "--format", "csv").startswith("rank,model,seeds,mAP,mAP low")
    record = stored(polytimbre)[0]
    assert json.loads(polytimbre("show", record.run_id[:8], "--json"))["run_id"] == record.run_id
    shown = polytimbre("show", record.run_id)
    assert "epoch 3 of 3 is kept" in shown
    column = {name: [0.5] for name in Stage._fields} | {"number": [1]}
    step = replace(record, history={"unit": "fit", "best": 1, "stages": column})
    told = runs._came_out(step, {})
    assert "training" not in told and "loss in training" in told  # one step: nothing was chosen
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert any(re.match(r"on test mAP 0\.\d{3}$", line) for line in lines)
    assert f"trained on {record.clips['trained']}" in shown
    assert record.run_id in polytimbre("list", "runs")
    assert record.threads == 1
    assert record.clips["test"] == 60


def test_another_split_is_marked_and_not_mixed(polytimbre):
    polytimbre("run", *TINY, *HERE, "--model", "guess", "--seeds", 1, "--split", "other")
    assert "split other, NOT OFFICIAL" in polytimbre("compare")
    polytimbre("run", *TINY, *HERE, "--model", "guess", "--seeds", 1)
    assert "their split differs: official, other" in polytimbre("compare", code=2)


def test_ranks_take_three_models(polytimbre):
    polytimbre("run", *TINY, *HERE, "--model", "guess", "--model", "constant", "--seeds", 1)
    assert "takes at least 3 runs" in polytimbre("compare", "--ranks", code=2)
    polytimbre("run", *TINY, *HERE, "--model", "logistic_regression")
    table = polytimbre("compare", "--ranks")
    assert "Friedman" in table
    assert "average rank" in table


def test_analyses_of_stored_runs(polytimbre):
    polytimbre("run", *TINY, *HERE, "--model", "guess", "--model", "constant", "--seeds", 2)
    polytimbre("run", *TINY, *HERE, "--model", "guess", "--seed", 0, "--protocol", "published")
    assert "verdict" in polytimbre("gap")
    assert "fit_loss" in polytimbre("gap", "--curves", "--format", "csv")
    assert polytimbre("gap", "--per-class", "--format", "csv").count("voice") == 2
    assert "Brier" in polytimbre("calibration")
    assert "upper edge" in polytimbre("calibration", "--bins", "--format", "csv")
    audit = polytimbre("audit", "--dataset", "tiny")
    assert "the published protocol keeps" in audit
    assert "guess trained as published has rank" in audit


def test_audit_of_the_full_data_set(polytimbre, tmp_path):
    keys = [f"{number:06d}_0" for number in range(40)]
    rng = np.random.default_rng(0)
    y_mask = rng.random((40, 20)) < 0.4
    y_true = np.where(y_mask, rng.random((40, 20)), 0.5)
    artists = {key: key[:6] for key in keys}
    write_folder(tmp_path / "openmic-2018", keys, y_true, y_mask, keys[:25], keys[25:], artists)
    kept = int(y_mask[25:, 19].sum())
    out = polytimbre("audit", "--labels", tmp_path)
    assert f"The published protocol keeps {kept} of the 15 test clips" in out


def test_a_stored_model_can_be_loaded(polytimbre):
    polytimbre("run", *TINY, *HERE, "--model=random_forest", "--seeds=1", "--param=n_estimators=9")
    store = Store(polytimbre.store)
    (record,) = store.records()
    model = registry.models().get("random_forest").from_params(**record.spec.params)
    model.load(store.model_folder(record))
    clips = make_part(240, 5, classes=(*CLASSES[:4], "voice")).X[np.arange(240) % 4 == 3]
    np.testing.assert_array_equal(model.predict_proba(clips), store.scores(record)["test"])


def test_an_error_with_brackets_is_shown_whole(polytimbre):
    source = (
        "from tiny_plugins import Guess\nclass Bracket(Guess):\n    name = 'bracket'\n"
        "    def fit(self, *parts, **rest):\n        raise KeyError('[/red] [low]')\n"
    )
    polytimbre.add_plugin("bracket", source, "polytimbre.models", "bracket", "Bracket")
    run = ("run", *TINY, *HERE, "--model", "bracket", "--model", "guess", "--seeds", 1)
    assert polytimbre(*run, code=2).count("[/red] [low]") == 2
    assert "[/red] [low]" in polytimbre("compare")


def test_learning_curve_runs_what_is_missing(polytimbre):
    curve = ("learning-curve", *TINY, *HERE, "--model", "guess", "--seeds", 1)
    out = polytimbre(*curve)
    assert out.count("done") == 10  # three orders of the groups, but for all of them
    assert "10 %" in out and "100 %" in out
    assert "one order alone" not in out
    assert polytimbre(*curve).count("cached") == 10
    assert json.loads(polytimbre("compare", "--format", "json"))["rows"][0]["seeds"] == 1


def test_transfer_shows_few_positives_of_each_class(polytimbre):
    transfer = ("transfer", *TINY, "--model", "guess", "--seeds", 1, "--workers", 0)
    out = polytimbre(*transfer, "--format", "csv", "--resamples", 199)
    heading, *rows = [line for line in out.splitlines() if line.count(",") > 5]
    assert heading.startswith("positives,model,seeds,orders,mAP,mAP low,mAP high,behind")
    assert [row.split(",")[0] for row in rows] == ["5", "10", "20", "40", "all"]
    assert [row.split(",")[3] for row in rows] == ["3", "3", "3", "3", "1"]
    assert len(stored(polytimbre)) == 13


def test_runs_under_the_published_protocol_are_kept_apart(polytimbre):
    arguments = (*TINY, *HERE, "--model", "constant")
    polytimbre("run", *arguments)
    assert "done" in polytimbre("run", *arguments, "--protocol", "published")
    first, second = (r.spec for r in stored(polytimbre))
    assert first.protocol_id != second.protocol_id
    rows = json.loads(polytimbre("compare", "--format", "json"))["rows"]
    assert [(row["model"], row["seeds"]) for row in rows] == [("constant", 1)]


def test_runs_of_several_data_sets_are_not_mixed(polytimbre):
    polytimbre("run", *TINY, *HERE, "--model", "constant")
    polytimbre("run", "--dataset", "rendered", *HERE, "--model", "constant")
    assert "their data set differs: rendered, tiny" in polytimbre("compare", code=2)
    assert "rendered" in polytimbre("compare", "--dataset", "rendered")


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def finished(store: Path):
    runs = store / "runs"
    return len(list(runs.iterdir())) if runs.exists() else 0


def slow(pause):
    return (*TINY, "--model", "guess", "--seeds", 4, "--workers", 1, "--param", f"pause={pause}")


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_kill_minus_nine_loses_and_doubles_nothing(polytimbre):
    process = polytimbre.start("run", *slow(0.4))
    wait_for(lambda: finished(polytimbre.store) >= 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not alive(process.pid))  # the workers end with their parent
    before = {r.run_id: r.created for r in stored(polytimbre)}
    assert 1 <= len(before) < 4
    out = polytimbre("run", *slow(0.4))
    assert out.count("cached") == len(before)
    after = {r.run_id: r.created for r in stored(polytimbre)}
    assert len(after) == 4
    assert before.items() <= after.items()
    assert not list((polytimbre.store / "tmp").iterdir())


def test_ctrl_c_stops_cleanly_and_goes_on(polytimbre):
    process = polytimbre.start("run", *slow(0.4))
    wait_for(lambda: finished(polytimbre.store) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "interrupted; finished runs are kept" in err
    assert "Traceback" not in err
    polytimbre("run", *slow(0.4))
    assert len(stored(polytimbre)) == 4


def test_two_processes_share_one_store(polytimbre):
    processes = [polytimbre.start("run", *slow(0.3)) for _ in range(2)]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    assert len(stored(polytimbre)) == 4
    assert not list((polytimbre.store / "aside").iterdir())  # nothing was written twice


def test_a_damaged_run_is_named_and_run_again(polytimbre):
    run = ("run", *TINY, *HERE, "--model", "constant")
    polytimbre(*run)
    record = stored(polytimbre)[0]
    path = polytimbre.store / "runs" / record.run_id / "record.json"
    path.write_text(path.read_text()[:100])
    out = polytimbre(*run)
    assert f"run {record.run_id} is damaged" in out
    assert "done" in out
    assert stored(polytimbre)[0].finished


def test_force_runs_again(polytimbre):
    run = ("run", *TINY, *HERE, "--model", "constant")
    polytimbre(*run)
    assert "done" in polytimbre(*run, "--force")
    assert len(stored(polytimbre)) == 1


def test_a_run_that_fails_by_force_leaves_the_finished_one(polytimbre):
    plugin = polytimbre.site / "tiny_plugins.py"
    text = plugin.read_text()
    where = "        shape = train.X.shape[2]"
    plugin.write_text(text.replace(where, f"        import needed_now\n{where}", 1))
    needed = polytimbre.site / "needed_now.py"
    needed.write_text("")
    run = ("run", *TINY, *HERE, "--model", "guess", "--seed", 0)
    polytimbre(*run)
    (before,) = stored(polytimbre)
    needed.unlink()
    out = polytimbre(*run, "--force", code=2)
    assert "No module named 'needed_now'. Nothing is stored of what failed" in out
    (after,) = stored(polytimbre)
    assert after.finished and after.created == before.created


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("shape", "must return an array of shape"),
        ("nan", "returned NaN"),
        ("range", "must return values in [0, 1]"),
        ("crash", "its process died (17)"),
        ("raises", "ZeroDivisionError: a bug in the plugin"),
    ],
)
def test_a_run_that_fails_is_named_and_stops_nothing(polytimbre, model, message):
    where = () if model == "crash" else HERE
    models = ("--model", model, "--model", "guess")
    out = polytimbre("run", *TINY, *where, *models, "--seeds", 1, code=2)
    assert message in out
    assert "1 of 2 runs failed" in out
    rows = json.loads(polytimbre("compare", "--format", "json"))["rows"]
    assert [row["model"] for row in rows] == ["guess"]
    if model != "crash":
        failed = next(r for r in stored(polytimbre) if not r.finished)
        assert "Traceback" in polytimbre("show", failed.run_id)
        assert failed.run_id in polytimbre("list", "runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--model", "xgbost"), "unknown model 'xgbost'. Did you mean 'xgboost'?"),
        (("run", "--dataset", "rendred"), "unknown data set 'rendred'. Did you mean 'rendered'?"),
        (("run", "--model", "cnn:publishd"), "Did you mean 'published'?"),
        (("run", "--model", "xgboost", "--param", "max_dept=3"), "Did you mean 'max_depth'?"),
        (("run", "--param", "depth"), "is not NAME=VALUE"),
        (("audit",), "say what to audit"),
        (("audit", "--labels", "/nowhere.npz"), "/nowhere.npz"),
        (("run", "--dataset", "audioset20"), "say where it lies with --data-root"),
        (("run", "--dataset", "audioset20", "--data-root", "/nowhere"), "does not exist"),
        (("run", "--split", "mine"), "unknown split"),
        (("run", "--protocol", "publishd"), "Did you mean 'published'?"),
        (("compare", "--resamples", "5"), "Invalid value for '--resamples'"),
        (("run", "--seeds", "0"), "Invalid value for '--seeds'"),
        (("compare",), "Run `polytimbre run` first, or name another folder with --store"),
        (("compare", "--format", "markdow"), "Did you mean 'markdown'?"),
        (("compare", "--part", "tset"), "Did you mean 'test'?"),
        (("show", "0123456789abcdef"), "It is none of"),
        (
            ("transfer", "--dataset", "rendered"),
            "has no auxiliary clips, from which cnn_pretrained",
        ),
        (("check", "peeks"), "unobserved labels reach the model"),
        (("run", "--store", "/proc/nowhere"), "the store /proc/nowhere can't be used"),
        (("data", "verify", "openmic"), "Did you mean 'openmic2018'?"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_clear_sentence(polytimbre, arguments, message):
    assert message in polytimbre(*arguments, code=2)


def test_a_command_says_what_it_needs(polytimbre):
    needed = {
        ("show",): "`polytimbre show` needs RUN_ID. Stored or published run, may be shortened; "
        "see `list runs`.",
        ("reproduce",): "`polytimbre reproduce` needs RUN_ID. ",
        ("predict", "--format", "csv"): "`polytimbre predict` needs PATH. ",
        ("new", "model"): "`polytimbre new model` needs NAME. ",
        ("evaluate", "--audio", "x"): "`polytimbre evaluate` needs --labels. ",
    }
    outcomes = polytimbre.several(*needed, ("show", "--help"))
    for told, (code, out) in zip(needed.values(), outcomes):
        assert code == 2 and out.startswith(f"error: {told}") and out.count("\n") == 1, out
    assert outcomes[-1][0] == 0 and "Usage: polytimbre show" in outcomes[-1][1]


def test_a_published_run_is_shown_where_no_store_holds_it(polytimbre):
    from benchmark.runs.published import DEFAULT, PublishedSet

    published = PublishedSet(DEFAULT / "audioset-world")
    record = published.records()[0]
    shown = polytimbre("show", record.run_id)
    assert record.run_id in shown and record.spec.model in shown and "mAP on test" not in shown
    unknown = polytimbre("show", "zzz", code=2)
    assert "none of" in unknown and "--store paper/results/NAME what is published" in unknown


def test_runs_are_compared_beside_the_published_ones(polytimbre):
    whole = ("--dataset", "rendered", "--seeds", 1, *HERE)
    polytimbre("run", *whole, "--model", "constant:yes")
    beside = ("compare", "--published", "--format", "csv")
    out = polytimbre(*beside, "--dataset", "rendered", "--model", "constant:yes")
    assert [line.split(",")[1] for line in out.splitlines()[1:]] == ["constant:yes"]
    out = polytimbre(*beside, "--dataset", "rendered", "--model", "constant", "--model", "probe")
    assert {"constant:yes on logmel", "constant on logmel", "probe on musicnn"} <= {
        line.split(",")[1] for line in out.splitlines()
    }
    polytimbre("run", *TINY, "--model", "guess", "--seeds", 1, *HERE)
    assert "runs on 2 data sets are stored" in polytimbre(*beside, code=2)
    assert "unknown published set 'tiny'" in polytimbre(*beside, "--dataset", "tiny", code=2)


def test_no_class_that_can_be_scored(polytimbre):
    source = (
        "import numpy as np\nfrom dataclasses import replace\nfrom tiny_plugins import Tiny\n"
        "class Blank(Tiny):\n    name = 'blank'\n    def load(self, root, split):\n"
        "        data = super().load(root, split)\n"
        "        return replace(data, y_mask=np.zeros_like(data.y_mask))\n"
    )
    polytimbre.add_plugin("blank_plugin", source, "polytimbre.datasets", "blank", "Blank")
    blank = ("--dataset", "blank", *HERE)
    out = polytimbre("run", *blank, "--model", "guess", "--seeds", 1, code=2)
    assert "no class can be scored" in out


def test_plugins_that_cannot_be_used_are_listed_with_their_error(polytimbre):
    model = "polytimbre.models"
    polytimbre.add_plugin("bad_import", "import not_there\n", model, "bad_import", "X")
    nameless = "from tiny_plugins import Guess\nclass Nameless(Guess):\n    name = ''\n"
    polytimbre.add_plugin("nameless", nameless, model, "nameless", "Nameless")
    listed = polytimbre("list", "models")
    assert "FAILED: ModuleNotFoundError: No module named 'not_there'" in listed
    assert "class Nameless has no `name`" in listed
    assert "No module named 'not_there'" in polytimbre("run", "--model", "bad_import", code=2)
    assert "guess" in listed


def test_debug_shows_the_traceback(polytimbre):
    assert "Traceback" in polytimbre("--debug", "show", "nothing", code=1)


def test_info_names_the_store(polytimbre):
    assert str(polytimbre.store) in polytimbre("info")


def test_the_version_is_shown():
    from typer.testing import CliRunner

    from benchmark import __version__
    from benchmark.cli import app

    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"polytimbre {__version__}\n")


def test_a_long_label_keeps_its_line_in_a_terminal_and_is_whole_in_a_pipe():
    long = "hist_gradient_boosting tuned refit on vggish+mert[1].npz seed 0"
    for terminal in (True, False):
        out = Screen(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
        tell(out, "done", long, "fit 123.4 s, mAP 0.512 on stop")
        (told,) = out.file.getvalue().splitlines()
        assert ("…" in told, long in told) == (terminal, not terminal)
        assert told.endswith("seed 0 done    fit 123.4 s, mAP 0.512 on stop")
        assert len(told) <= 80 or not terminal


@pytest.mark.parametrize(
    ("columns", "width"), [(None, 160), ("100", 100), ("300", 300), ("0", 52), ("wide", 160)]
)
def test_a_table_in_a_pipe_is_as_wide_as_columns_says(monkeypatch, capsys, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert console().width == width


def test_what_is_printed_below_a_bar_keeps_its_style_and_commands_no_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", FileProxy(Console(), Visible(terminal)))
    console().print("\x1b[2J is bold", style="bold")
    assert terminal.getvalue() == "\x1b[1m\\x1b[2J is bold\x1b[0m\n"


REUSED = """
import numpy as np
from tiny_plugins import Dial

class Reused(Dial):
    name = "reused"
    libraries = ("tiny_plugins",)
    answer = np.empty((10_000, 200), np.float32)

    def predict_proba(self, X):
        scores = super().predict_proba(X)
        self.answer[: len(scores), : scores.shape[1]] = scores
        return self.answer[: len(scores), : scores.shape[1]]
"""


def test_scores_are_those_of_their_part_where_a_model_answers_in_the_same_memory(polytimbre):
    polytimbre.add_plugin("reused", REUSED, "polytimbre.models", "reused", "Reused")
    models = ("--model", "dial", "--model", "reused")
    polytimbre("run", *TINY, *HERE, *models, "--seeds", 1)
    runs = Store(polytimbre.store)
    one, other = (runs.scores(record) for record in runs.records())
    assert all(np.array_equal(one[part], other[part]) for part in one)
    assert "holds to the contract" in polytimbre("check", "reused")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is full here")
def test_an_error_that_nobody_can_be_told_of_has_its_code(polytimbre):
    """As where the disk is full that both streams go to."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "benchmark", "show", "zz"]
        done = subprocess.run(command, env=polytimbre.environment, stdout=full, stderr=full)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("MemoryError()", "error: there is too little memory for this: none is left"),
        (
            "ImportError('It failed:\\n a.so: failed to map segment from shared object\\n')",
            "error: there is too little memory for this: a.so: failed to map",
        ),
        ('RuntimeError("can\'t start new thread")', "too little memory for this: can't start new"),
        ("OSError(24, 'Too many open files')", "more of what this process may use"),
    ],
)
def test_what_a_process_may_not_have_is_said(polytimbre, error, sentence):
    code = f"def refuse(*_, **__):\n    raise {error}\n"
    code += "import benchmark.runs.published as p; p.open_runs = refuse\n"
    polytimbre.first = code
    assert sentence in polytimbre("list", "runs", code=2)


def test_ctrl_c_is_told_of_by_every_command(polytimbre):
    polytimbre.first = (
        "def stop(*_, **__):\n    raise KeyboardInterrupt\n"
        "import benchmark.runs.published as p; p.open_runs = stop\n"
    )
    assert polytimbre("list", "runs", code=130) == "warning: interrupted\n"


def test_a_warning_is_a_sentence(polytimbre):
    polytimbre.first = (
        "import warnings\nfrom benchmark.runs import environment as e\n"
        "e.machine = lambda: warnings.warn('beware') or {}\n"
    )
    assert polytimbre("info").splitlines().count("warning: beware") == 1
