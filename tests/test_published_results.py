"""The published runs of this checkout, and the paper that rests on them."""

import json
import re
import shutil

import pytest

from benchmark.runs.published import DEFAULT, sets
from reports import paper, publish
from reports.tables import results, text

SOURCE = DEFAULT.parent / "paper.typ"
README = DEFAULT.parent.parent / "README.md"


def test_the_published_sets_are_whole_and_small():
    found = sets(DEFAULT)
    assert {"rendered", "audioset20", "openmic2018"} <= set(found)
    for one in found.values():
        one.verify()
        listed = {*one.files, "set.json"}
        assert listed == {
            path.relative_to(one.path).as_posix() for path in one.path.rglob("*") if path.is_file()
        }
    size = sum(path.stat().st_size for path in DEFAULT.rglob("*") if path.is_file())
    assert size < publish.LIMIT_MB * 1e6


@pytest.mark.parametrize("name", ["rendered", "audioset20"])
def test_published_runs_are_of_clean_commits_and_one_code_a_model(name):
    one = sets(DEFAULT)[name]
    records = one.records()
    publish.check([r for r in records if r.run_id in one.runs], [])
    sources = {(record.spec.model, record.spec.source) for record in records}
    assert len(sources) == len(dict(sources))


def test_every_number_and_claim_of_the_paper_holds():
    checked = paper.check(DEFAULT, SOURCE)
    assert not checked.problems
    assert len(checked.places) > 100


def test_a_changed_digit_names_the_sentences(tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(DEFAULT, copy)
    cnn = next(r for r in sets(DEFAULT)["audioset20"].records() if r.spec.label == "cnn tuned")
    path = copy / "audioset20" / "runs" / cnn.run_id / "record.json"
    content = json.loads(path.read_text())
    fit = str(content["seconds"]["fit"])
    changed = fit[:-1] + str((int(fit[-1]) + 1) % 10)
    path.write_text(path.read_text().replace(f'"fit": {fit}', f'"fit": {changed}'))
    problems = "\n".join(map(str, paper.check(copy, SOURCE).problems))
    assert cnn.run_id[:8] in problems
    assert "paper.typ:" in problems and "the tuned cnn gains" in problems


POLICIES = {
    "one global threshold": "global",
    "one a class": "per_class",
    "shrunk: a mean of both": "shrunk",
    "global, after Platt's calibration": "global + platt",
    "global, after isotonic calibration": "global + isotonic",
    "0.5": "half",
    "tuned: the best of all on held-out clips": "tuned",
}
HEADINGS = {
    "select, same clips": "in sample",
    "select, held-out clips": "cross-fitted",
    "test": "test F1",
    "over one global threshold": "test gain",
}


def readme_tables():
    """Yield each table of README: the text between it and the one before, and its rows."""
    text = ""
    for part in re.findall(r"(?:^(?!\|).*\n)+|(?:^\|.*\n)+", README.read_text(), re.MULTILINE):
        if part.startswith("|"):
            heads, _, *rows = (line.strip("| \n").split(" | ") for line in part.splitlines())
            yield text, [dict(zip(heads, row, strict=True)) for row in rows]
        text = part


@pytest.mark.parametrize(
    ("command", "dataset", "table"),
    [
        ("paper/results/rendered --resamples 10000` prints", "rendered", "comparison"),
        ("polytimbre compare --dataset audioset20", "audioset20", "comparison"),
        ("polytimbre ensemble --dataset audioset20", "audioset20", "ensembles"),
        ("polytimbre thresholds --dataset audioset20", "audioset20", "thresholds"),
    ],
)
def test_the_tables_of_the_readme_are_the_published_ones(command, dataset, table):
    (rows,) = (rows for text, rows in readme_tables() if command in text)
    frame = results.read(sets(DEFAULT)[dataset].results())[table].frame
    if table == "thresholds":
        frame = frame[frame["model"].str.startswith("mean of")].drop(columns="model")
        rows = [
            {HEADINGS.get(head, head): cell for head, cell in row.items()}
            | {"policy": POLICIES[row["policy"]]}
            for row in rows
        ]
    name = "policy" if table == "thresholds" else "model"
    cells = text.joined(frame, " ({})").set_index(name)
    assert table == "thresholds" or [row[name] for row in rows] == list(cells.index)
    for row in rows:
        for head, cell in row.items():
            published = row[name] if head == name else cells.loc[row[name], head]
            assert cell in (published, published.split(" (")[0])  # with its interval or without


def test_the_learning_curve_of_the_readme_is_the_published_one():
    command = "polytimbre learning-curve --dataset audioset20"
    (rows,) = (rows for text, rows in readme_tables() if command in text)
    frame = results.read(sets(DEFAULT)["audioset20"].results())["learning_curve"].frame
    expected = []
    for model, curve in text.joined(frame, " ({})").groupby("model", sort=False):
        values = (cell.split(" (")[0] for cell in curve["select mAP"])
        row = {"model": model, **dict(zip(curve["fraction"], values, strict=True))}
        expected.append({**row, "gain of the last step": curve["gain"].iloc[-1]})
    assert rows == expected


def test_every_interval_of_the_readme_is_published():
    published = {
        cell
        for one in sets(DEFAULT).values()
        for result in results.read(one.results()).values()
        for column in text.joined(result.frame, " ({})").to_dict("list").values()
        for cell in column
    }
    found = re.findall(r"-?\d\.\d{3} \(-?\d\.\d{3}–-?\d\.\d{3}\)", README.read_text())
    assert len(found) > 60
    assert not [cell for cell in found if cell not in published]
