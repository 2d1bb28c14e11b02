"""The published runs of this checkout, and the paper that rests on them."""

import json
import re
import shutil

import numpy as np
import pytest

from benchmark.analysis.audits import mask_audit
from benchmark.analysis.derivation import Analysis
from benchmark.runs.published import DEFAULT, sets
from reports import documents, paper, publish
from reports.tables import results, text

SOURCE = DEFAULT.parent / "paper.typ"
INTERVAL = re.compile(r"-?\d\.\d{3} \(-?\d\.\d{3}(?:–| to )-?\d\.\d{3}\)")


def test_the_published_sets_are_whole_and_small():
    found = sets(DEFAULT)
    names = {"rendered", "rendered-full", "audioset20", "audioset-world", "openmic2018"}
    assert names <= set(found)
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


def test_one_seed_of_a_partly_observed_set_is_scored_on_all_its_labels():
    one = sets(DEFAULT)["rendered"]
    metrics = results.read(one)["mask_audit"].frame[["all labels", "observed"]]
    assert metrics.notna().all(axis=None) and metrics.stack().between(0, 1).all()
    models = mask_audit.scored_models(Analysis(one, "rendered").comparison.entries, one, 0)
    assert len(models) == len(results.read(one)["comparison"].frame)
    assert not any(np.isnan(scores).any() for model in models for scores in model.scores)


def test_every_number_and_claim_of_the_paper_holds():
    checked = paper.check(DEFAULT, SOURCE)
    assert not checked.problems
    assert len(checked.places) > 100


def test_a_changed_digit_names_the_sentences(tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(DEFAULT, copy)
    cnn = next(r for r in sets(DEFAULT)["audioset20"].records() if r.spec.label == "cnn")
    path = copy / "audioset20" / "runs" / cnn.run_id / "record.json"
    content = json.loads(path.read_text())
    fit = str(content["seconds"]["fit"])
    changed = fit[:-1] + str((int(fit[-1]) + 1) % 10)
    path.write_text(path.read_text().replace(f'"fit": {fit}', f'"fit": {changed}'))
    problems = "\n".join(map(str, paper.check(copy, SOURCE).problems))
    assert cnn.run_id[:8] in problems
    assert "paper.typ:" in problems and "above every other family" in problems


def test_documents_are_as_the_published_sets_make_them():
    """If not: `polytimbre publish --readme` writes them again."""
    made = documents.made(DEFAULT)
    assert {path.name for path in made} == {"README.md", *documents.FIGURES}
    assert len(made) == 4
    for path, content in made.items():
        assert path.read_text(encoding="utf-8") == content, path


def test_the_front_page_shows_each_model_as_it_was_trained_most_on_recordings():
    page = documents.FRONT_PAGE.read_text(encoding="utf-8")
    table = page.split("<!-- published table -->\n")[1].split("\n<!-- end -->")[0]
    table = table.replace(r"\<", "<")  # in Markdown it would begin a tag
    heads, _, *rows = (line.strip("| ").split(" | ") for line in table.splitlines())
    tables = results.read(sets(DEFAULT)["audioset20"])
    frame = tables["comparison"].frame
    published = text.joined(frame, " ({})")[heads].drop(columns="behind").to_dict("records")
    shown = [dict(zip(heads, row, strict=True)) for row in rows]
    behind = {row["model"]: row.pop("behind") for row in shown}
    most = {}
    for row in published:  # the longest label is of the most training
        kind, features = row["model"].split()[0], row["model"].split()[-1]
        if features == "vggish" and len(row["model"]) > len(most.get(kind, {"model": ""})["model"]):
            most[kind] = row
    assert sorted(shown, key=published.index) == shown
    assert shown == sorted(most.values(), key=published.index)[:5]
    first, *others = behind
    pairs = tables["pairs"].frame
    held = pairs[(pairs["model"] == first) & pairs["against"].isin(others)]
    told = text.joined(held, " ({})").set_index("against")["difference"]
    assert behind == {first: "–"} | {name: told[name] for name in others}
    assert held.set_index("against")["better"][others].tolist() == [False, False, True, True]
    assert "of these five, it tells from the first row the last two" in " ".join(page.split())
    assert f"all pairs of its {len(frame)} rows" in " ".join(page.split())


def test_the_time_that_tuning_takes_is_published():
    page = " ".join((DEFAULT.parents[1] / "benchmark" / "README.md").read_text().split())
    frame = results.read(sets(DEFAULT)["rendered"])["studies"].frame
    cnn = frame.set_index("model").loc["cnn"]
    trials, again = cnn["seconds"] / 60, cnn["seconds again"] / 60
    told = f"{cnn['trials']} trials of `cnn` took {trials:.0f} minutes, added up, and the 15 fits"
    assert f"{told} another {again:.0f}." in page
    assert 1 < (30 / cnn["trials"] * trials + again) / 60 < 1.3  # "somewhat more than an hour"


def test_every_interval_in_a_document_is_published():
    published = {
        cell.replace(" to ", "–")
        for one in sets(DEFAULT).values()
        for result in results.read(one).values()
        for column in text.joined(result.frame, " ({})").to_dict("list").values()
        for cell in column
    }
    intervals = [
        interval.replace(" to ", "–")
        for name in ("README.md", "paper/results/README.md", "benchmark/README.md")
        for interval in INTERVAL.findall((DEFAULT.parents[1] / name).read_text())
    ]
    assert len(intervals) > 350
    assert not [one for one in intervals if one not in published]
