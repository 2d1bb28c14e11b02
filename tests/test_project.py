"""What the project promises about itself: documents, pins, start-up."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import Command

ROOT = Path(__file__).parent.parent


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def contributing_model():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)


def test_the_model_in_contributing_runs(polytimbre: Command):
    source = contributing_model()
    assert len(source.splitlines()) < 40
    name, group = "nearest_centroid", "polytimbre.models"
    polytimbre.add_plugin(name, source, group, name, "NearestCentroid")
    assert "holds to the contract" in polytimbre("check", name)
    polytimbre("run", "--dataset", "tiny", "--model", name)
    assert name in polytimbre("compare")


def test_the_model_in_contributing_is_found_by_scanning_the_folder(tmp_path):
    """A file put into ``models/`` is enough."""
    from benchmark.contracts.model import Model
    from benchmark.plugins.registry import discover

    folder = tmp_path / "scanned_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nearest_centroid.py").write_text(contributing_model())
    (folder / "broken.py").write_text("import not_there\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import scanned_models

        found = discover("model", scanned_models, "no.such.group", Model)
    finally:
        sys.path.remove(str(tmp_path))
    assert found.names() == ["nearest_centroid"]
    assert "not_there" in found.failures["scanned_models.broken"]


def split_pin(requirement: str):
    requirement = requirement.partition(";")[0].strip()
    name, pin = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", requirement).groups()
    return name, pin


def test_conda_environment_has_the_pins_of_pyproject():
    lines = re.findall(r"^ +- (\S.*[^:])$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = dict(split_pin(line) for line in lines if not line.startswith(("-e", "conda-forge")))
    python = conda.pop("python")
    assert python == project()["requires-python"]
    assert conda.pop("pip") == ""
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


def floor_of(path: Path) -> int:
    floors = {
        1: "errors contracts relevance training augmentation metrics features environment "
        "executor cluster",
        2: "models datasets protocol registry thresholds record checks",
        3: "run store published studies",
        4: "analysis tuning ensemble reproduce",
        5: "suite reports",
        6: "screen cli __main__",
    }
    names = [p.removesuffix(".py") for p in path.relative_to(ROOT).parts]
    own = names[1] if names[0] == "benchmark" and len(names) > 1 else names[0]
    return next((floor for floor, members in floors.items() if own in members.split()), 0)


@pytest.mark.parametrize("package", ["benchmark", "models", "reports"])
def test_imports_run_down_the_floors(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for module in re.findall(
            r"^\s*from ((?:benchmark|models|reports)\S*) import", path.read_text(), re.M
        ):
            target = ROOT / (module.replace(".", "/") + ".py")
            assert floor_of(target) <= floor_of(path) or target.stem == "benchmark", (path, module)
