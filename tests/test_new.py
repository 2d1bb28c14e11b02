"""``polytimbre new``: what it writes passes ``polytimbre check`` as it is."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import unpack_wheel

from benchmark.errors import PluginError
from benchmark.plugins import scaffold

ROOT = Path(__file__).parent.parent

#: Command, its argument's kind in words, where a clone keeps it, and the entry point's group.
KINDS = [
    ("model", "model", "models", "polytimbre.models"),
    ("dataset", "data set", "benchmark/datasets", "polytimbre.datasets"),
]
each_kind = pytest.mark.parametrize(("kind", "words", "folder", "group"), KINDS)


class Clone:
    """A copy of the checkout that files may be written into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("benchmark", "models", "reports"):
            shutil.copytree(
                ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__", "rendering")
            )
        for name in ("polytimbre.py", "pyproject.toml"):
            shutil.copy(ROOT / name, path / name)

    def __call__(self, *args: object, code: int = 0, site: Path | None = None) -> str:
        """Run the clone's command and return what it printed."""
        path = os.pathsep.join(map(str, filter(None, (self.path, site))))
        done = subprocess.run(
            [sys.executable, "-m", "benchmark", *map(str, args)],
            cwd=self.path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return Clone(tmp_path_factory.mktemp("clone"))


@each_kind
def test_a_file_in_the_clone_holds_to_the_contract(clone, kind, words, folder, group):
    name = f"fine_{kind}"
    file = clone.path / folder / f"{name}.py"
    assert f"wrote {file}" in clone("new", kind, name)
    assert f"{words} '{name}' holds to the contract" in clone("check", name)
    text = file.read_text()
    assert f"class Fine{kind.capitalize()}(" in text and "my_" not in text
    before = file.read_bytes()
    assert f"a {words} is named '{name}' already" in clone("new", kind, name, code=2)
    file.write_text("import not_there\n")  # broken, and so not registered
    assert "named" in clone("new", kind, name, code=2)
    assert file.read_text() == "import not_there\n"
    file.write_bytes(before)


@each_kind
def test_a_package_can_be_installed_and_its_test_passes(
    clone, tmp_path, kind, words, folder, group
):
    name, package = f"packed_{kind}", tmp_path / "package"
    said = clone("new", kind, name, "--package", package)
    assert f"pip install -e {package}" in said
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    (target,) = project["entry-points"][group].values()
    assert target.startswith(f"polytimbre_{name}:")
    site = unpack_wheel(package, tmp_path / "site")
    assert f"{words} '{name}' holds to the contract" in clone("check", name, site=site)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
    again = clone("new", kind, f"other_{kind}", "--package", package, code=2)
    assert "pyproject.toml is there already, and nothing is replaced" in again


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-model", "'my-model' can't be the name of a model"),
        ("class", "'class' can't be the name of a model"),
        ("2nd", "'2nd' can't be the name"),
        ("_hidden", "'_hidden' can't be the name"),
        ("modèle", "can't be the name"),
        ("../outside", "can't be the name"),
        ("cnn", "a model is named 'cnn' already"),
        ("rendered", "a data set is named 'rendered' already"),
        ("vggish", "a front end is named 'vggish' already"),
        ("last_", "'last_' can't be the name"),
        ("path", "the class of 'path' would be Path, which is taken"),
        ("none", "the class of 'none' would be None, which is taken"),
        ("random", "'random' is a module of Python's own"),
    ],
)
def test_a_name_that_can_not_be_used_is_refused(tmp_path, name, message):
    with pytest.raises(PluginError, match=message):
        scaffold.write("model", name, tmp_path / "package")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["model", "data set"])
@pytest.mark.parametrize("name", ["GROUP", "DESCRIPTION", "CLASSIC_PLUGIN", "NotMyModel_MyDataset"])
def test_names_may_hold_words_of_the_templates(tmp_path, kind, name):
    project, module, test = scaffold.write(kind, name, tmp_path)
    cls = name.replace("_", "")
    made = tomllib.loads(project.read_text())["project"]
    assert made["name"] == f"polytimbre-{name}"
    assert made["description"] == f"The {kind} {name} for polytimbre"
    points = {f"polytimbre.{kind.replace(' ', '')}s": {name: f"polytimbre_{name}:{cls}"}}
    assert made["entry-points"] == points
    scope = {"__name__": module.stem}
    exec(module.read_text(), scope)
    assert scope[cls].name == name
    assert f"from {module.stem} import {cls}\n" in test.read_text()
    assert f'"{name}" in pt.' in test.read_text()


def test_without_a_clone_nothing_is_written(clone, tmp_path):
    (clone.path / "pyproject.toml").rename(tmp_path / "pyproject.toml")
    try:
        said = clone("new", "model", "homeless", code=2)
    finally:
        (tmp_path / "pyproject.toml").rename(clone.path / "pyproject.toml")
    assert "no clone to write a model into: make a package of its own with --package" in said
    assert said.count("\n") == 1


def test_help_lists_commands_in_groups(clone):
    said = clone("--help")
    groups = {}
    for line in said.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            names = groups.setdefault(line[:-1], [])
        elif line.startswith("  ") and groups:
            names.append(line.split()[0])
    assert {"Run", "Look", "Publish", "Extend", "Data"} <= set(groups)
    assert {"run", "tune", "study"} <= set(groups["Run"])
    assert {"new", "check"} <= set(groups["Extend"]) and "data" in groups["Data"]
