"""The published runs of this checkout, and the paper that rests on them."""

import json
import shutil

import pytest

from benchmark.published import DEFAULT, sets
from reports import paper, publish

SOURCE = DEFAULT.parent / "paper.typ"


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
