"""The engine's own `models` and `reports` are used, whatever lies in the working folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODELS = {
    "attention", "cnn", "cnn_pretrained", "constant", "hist_gradient_boosting",
    "logistic_regression", "probe", "random_forest", "semi_supervised", "xgboost",
}  # fmt: skip

#: Prints where the packages come from, in a spawned process too.
WHERE = """
import multiprocessing
import benchmark

def where():
    import models.cnn, reports.tables.text
    return [m.__file__ for m in (benchmark, models.cnn, reports.tables.text)]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*where(), *pool.apply(where), sep="\\n")
"""


def run(folder, *command, path="", **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PYTHONPATH": path, **variables} if path else variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(params=["folders", "files"])
def hostile(request, tmp_path):
    """A working folder that holds somebody else's packages or modules."""
    for name in ("models", "reports"):
        if request.param == "files":
            (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')\n")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("THEIRS = True\n")
            (tmp_path / name / "cnn.py").write_text("raise SystemExit('somebody else')\n")
    return tmp_path


def check(folder, root, path):
    """Check what is used from `root` when `path` comes first and `folder` is worked in."""
    listed = run(folder, sys.executable, "-m", "benchmark", "list", "models", path=path)
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()} >= MODELS  # a user may add one
    (folder / "where.py").write_text(WHERE)
    files = run(folder, sys.executable, "where.py", path=path)
    assert files.returncode == 0, files.stderr
    assert len(files.stdout.split()) == 6
    assert all(Path(line).is_relative_to(root) for line in files.stdout.split())


def test_from_the_checkout(hostile):
    check(hostile, ROOT, path=str(hostile))


def test_from_a_wheel(hostile, wheel):
    check(hostile, wheel, path=os.pathsep.join([str(hostile), str(wheel)]))


def test_a_hidden_package_is_told_of_once_and_not_by_every_worker(tmp_path):
    (tmp_path / "models.py").write_text("")
    command = Path(sys.executable).with_name("polytimbre")
    asked = ("--dataset", "rendered", "--model", "constant", "--workers", "1")
    done = run(tmp_path, command, "run", *asked, path=str(tmp_path))
    first, *rest = done.stderr.splitlines()
    assert first.startswith("warning: polytimbre has a package 'models': "), done.stderr
    assert not any("hidden" in line for line in rest) and done.returncode == 0


def test_a_package_of_somebody_elses_that_was_imported_first_is_named(tmp_path):
    (tmp_path / "models.py").write_text("")
    done = run(tmp_path, sys.executable, "-c", "import models, benchmark")
    last = done.stderr.strip().splitlines()[-1]
    assert "ImportError: polytimbre has a package 'models'" in last
    assert str(tmp_path / "models.py") in last and "import polytimbre first" in last
