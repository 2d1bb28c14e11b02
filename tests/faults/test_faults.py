"""The table of faults and bad inputs: what was done, and what must hold then."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import install
from row import BAD, FAULT, Place, Row
from table import CAUSES, ROWS

ROOT = Path(__file__).resolve().parents[2]
#: Publishes the runs with some of the tables: all of them take half a minute.
PUBLISH = """>>>
from pathlib import Path
from benchmark.analysis.derivation import Analysis
from benchmark.runs.reading import Runs
from reports import verify
from reports.tables import results
from reports.tables.declaration import facts_of, table

runs, folder = Runs(Path("{store}")), Path("{sets}") / "tiny"
chosen = [runs.get(one) for one in ("{guess0}", "{guess1}", "{constant0}")]
verify.copy_runs(chosen, [], runs, folder)
ids = [record.run_id for record in chosen]
analysis = Analysis(verify.seal(folder, ids, [], complete=True), "tiny", n_resamples=100)
facts = facts_of(analysis)
names = ("runs", "comparison", "per_class", "pairs")
made = {name: table(name).make(analysis, facts) for name in names}
(folder / "results.json").write_text(results.write(made))
verify.seal(folder, ids, [], complete=True)
"""
#: MiB beside what the engine takes that a refusal may cost.
MEMORY = 200


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny plugins."""
    return install(tmp_path_factory.mktemp("plugins")).site


@pytest.fixture(scope="module")
def first(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of some runs, a study, and what is published of them."""
    path = tmp_path_factory.mktemp("first") / "first"
    path.mkdir()
    path.parent.chmod(0o755)
    place = Place(path, plugins)
    for command in (
        "run --dataset tiny --model guess --seeds 2 --workers 0",
        "run --dataset tiny --model dial --model constant --seed 0 --workers 0",
        "tune --dataset tiny --model dial --trials 2 --workers 0",
    ):
        done = place.run(command)
        assert done.code == 0, done.out
    failed = place.run("run --dataset tiny --model raises --seed 0 --workers 0")
    assert failed.code == 2, failed.out
    for folder in (place.store / "runs").iterdir():
        spec = json.loads((folder / "record.json").read_text())["spec"]
        place.ids[f"{spec['model']}{spec['seed']}"] = folder.name
    place.words |= place.ids
    commit = {"commit": "c" * 40, "dirty": False}
    for which in place.ids:
        place.reseal(which, lambda record: record.update(git=commit))
    done = place.run(PUBLISH)
    assert done.code == 0, done.out
    (path / "ids.json").write_text(json.dumps(place.ids))
    return path


@pytest.fixture
def place(first: Path, plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of it."""
    folder = tmp_path_factory.mktemp("place")
    folder.chmod(0o755)
    shutil.copytree(first, folder / "place")
    return Place(folder / "place", plugins)


def marked(number: int, row: Row):
    """One of two groups of rows: each has a store, wherever it runs."""
    marks = [pytest.mark.xdist_group(f"faults {number % 2}")]
    marks += [pytest.mark.slow] if row.slow else []
    return pytest.param(row, id=re.sub(r"\W+", "-", f"{row.cause} {row.done}"), marks=marks)


@pytest.mark.parametrize("row", [marked(*one) for one in enumerate(ROWS)])
def test_row(row: Row, place: Place, record_property) -> None:
    record_property("fault", [row.cause, row.kind, row.done, row.code])
    if row.arrange is not None:
        row.arrange(place)
    before = place.kept()
    outcome = place.run(row.command, **row.limits)
    told = " ".join(outcome.out.split())
    record_property("told", told[:300])
    assert outcome.code == row.code, told[-3000:]
    assert "\x1b" not in told, told[-3000:]
    assert "Traceback" not in told or row.command.startswith("show"), told[-3000:]
    for words in row.says:
        assert place._filled(words) in told, told[-3000:]
    for words in row.never:
        assert place._filled(words) not in told, told[-3000:]
    assert outcome.mib < MEMORY, f"it took {outcome.mib:.0f} MiB"
    if row.kept:
        after = place.kept()
        assert {name: after.get(name) for name in before} == before
    if row.then is not None:
        mended = place.run(row.then)
        assert mended.code == 0, mended.out[-3000:]


def test_every_cause_has_its_rows() -> None:
    assert {row.cause for row in ROWS} == set(CAUSES)
    names = [(row.cause, row.done) for row in ROWS]
    assert len(set(names)) == len(names)


def test_the_document_counts_the_rows() -> None:
    text = (ROOT / "benchmark" / "README.md").read_text(encoding="utf-8")
    faults, bad = (sum(row.kind == kind for row in ROWS) for kind in (FAULT, BAD))
    assert faults >= 60 and bad >= 150
    assert f"{faults} faults and {bad} bad inputs" in " ".join(text.split())
