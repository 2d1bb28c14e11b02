"""What the project promises about itself: documents, pins, start-up."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command, added

ROOT = Path(__file__).parent.parent


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def split_pin(requirement: str):
    requirement = requirement.partition(";")[0].strip()
    name, pin = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", requirement).groups()
    return name, pin


def test_conda_environment_has_the_pins_of_pyproject():
    lines = re.findall(r"^ +- (\S.*[^:])$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = dict(split_pin(line) for line in lines if not line.startswith(("-e", "conda-forge")))
    python = conda.pop("python")
    assert python == project()["requires-python"]
    assert conda == dict(map(split_pin, project()["dependencies"]))


def test_lock_holds_every_dependency_and_names_no_host():
    text = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    extras = [r for group in project()["optional-dependencies"].values() for r in group]
    wanted = {split_pin(r)[0].replace("_", "-") for r in project()["dependencies"] + extras}
    assert wanted <= locked
    assert "--hash=sha256:" in text
    assert "://" not in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['polytimbre', '--help']\n"
        "from benchmark.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('numpy', 'pandas', 'keras', 'jax', 'sklearn', 'xgboost', 'optuna', 'numba')\n"
        "print('heavy:', [m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("heavy: []")


def test_keras_may_be_imported_right_after_polytimbre():
    code = (
        "import os; os.environ.pop('KERAS_BACKEND', None)\n"
        "import polytimbre; print(os.environ['KERAS_BACKEND'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "jax"


def documented(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the public functions and classes below a node, not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from documented(child)


def test_the_first_sentence_of_a_docstring_says_something_by_itself():
    """It neither sends the reader elsewhere nor goes on from the name that it explains."""
    vague = re.compile(r"(See|Of|As|Both|It|Its|They|Likewise|Ditto)\b")
    said = [
        (
            f"{path.relative_to(ROOT)}:{one.lineno}",
            (ast.get_docstring(one) or "").partition("\n\n")[0],
        )
        for folder in ("benchmark", "models", "reports")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.parent.name != "templates" and path not in added()
        for one in documented(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(said) > 1000
    assert [one for one in said if vague.match(one[1]) or len(one[1].split()) < 3] == []


#: From the ground up. A file may import from its own floor and from those below.
FLOORS = (
    "benchmark/errors",
    "benchmark/reading",
    "benchmark/scoring",
    "benchmark/contracts",
    "benchmark/protocol",
    "benchmark/audio",
    "benchmark/features",
    "benchmark/bases",
    "models",
    "benchmark/datasets",
    "benchmark/plugins",
    "benchmark/workers",
    "benchmark/runs",
    "benchmark/tuning",
    "benchmark/analysis",
    "benchmark/predict",
    "reports",
    "benchmark/api",
    "polytimbre",
    "reports/notebooks",
    "benchmark/cli",
    "benchmark/__main__",
)


def floor_of(module: str) -> int:
    path = module.replace(".", "/")
    return max(i for i, floor in enumerate(FLOORS) if f"{path}/".startswith(f"{floor}/"))


def imports(path: Path) -> Iterator[str]:
    """Yield every module of this project that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] in ("benchmark", "models", "reports", "polytimbre"):
                yield name


def upward(path: Path) -> list[str]:
    """Return what a file imports from a floor above its own."""
    own = floor_of(path.relative_to(ROOT).with_suffix("").as_posix())
    allowed = {"benchmark.__version__"}
    if path.parent.name in ("models", "datasets", "templates"):  # a plugin sees the public API
        allowed.add("polytimbre")
    return [name for name in imports(path) if name not in allowed and floor_of(name) > own]


@pytest.mark.parametrize("package", ["benchmark", "models", "reports"])
def test_imports_run_down_the_floors(package):
    files = [
        p
        for p in sorted((ROOT / package).rglob("*.py"))
        if (p.name != "__init__.py" or p.parent.name != "benchmark") and p not in added()
    ]
    above = {p.relative_to(ROOT).as_posix(): upward(p) for p in files}
    assert {path: names for path, names in above.items() if names} == {}


PLUGIN = (
    "from benchmark.contracts.model import Model\n\n\nclass {cls}(Model):\n    name = '{name}'\n"
    + ("    fit = predict_proba = save = load = lambda self, *args, **kw: None\n")
)


def test_a_plugin_that_cannot_be_used_is_listed_and_stops_no_other(polytimbre: Command):
    """Whatever a plugin's file or entry point does, the others work."""
    group = "polytimbre.models"
    for module, source, cls in (
        ("parses", "import argparse\nargparse.ArgumentParser().parse_args(['--x'])\n", "Parses"),
        ("breaks", "raise OSError('no such device')\n", "Breaks"),
        ("half", "def half(:\n", "Half"),
        ("number", "thing = 3\n", "thing"),
        ("itself", "import sys\n\nthing = sys.modules[__name__]\n", "thing"),
        ("first", PLUGIN.format(cls="First", name="twice"), "First"),
        ("second", PLUGIN.format(cls="Second", name="twice"), "Second"),
        ("marked", "\ufeff" + PLUGIN.format(cls="Marked", name="marked"), "Marked"),
        ("coded", "# coding: latin-1\n" + PLUGIN.format(cls="Coded", name="coded"), "Coded"),
    ):
        polytimbre.add_plugin(module, source, group, module, cls)
    listed = polytimbre("list", "models")
    for failed in (
        "parses .*FAILED: it ended the command when it was imported .exit code 2.",
        "breaks .*FAILED: OSError: no such device",
        "half .*FAILED: SyntaxError",
        "number .number:thing. .*FAILED: it is no subclass of Model but 3",
        "itself.* .*FAILED: it is no subclass of Model but <module",
        "twice in first:First .*FAILED: several models have the name 'twice'",
        "twice in second:Second .*FAILED: several models have the name 'twice'",
    ):
        assert re.search(failed, listed), (failed, listed)
    assert {"marked", "coded", "guess", "cnn"} <= {line.split()[0] for line in listed.splitlines()}
    (_, one), (_, two), (code, three) = polytimbre.several(
        ("check", "twice"), ("run", "--model", "parses"), ("run", "--dry-run", "--dataset", "tiny",
        "--model", "marked", "--model", "coded"),
    )  # fmt: skip
    assert "several models have the name 'twice'; rename all but one" in one
    assert "can't be used: it ended the command when it was imported" in two
    assert code == 0 and "marked" in three
