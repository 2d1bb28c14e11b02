"""Publishing: what is refused, what is written, and that a set notices every change."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import QUICKLY, Command, install

from benchmark.errors import StoreError, UnknownNameError
from benchmark.protocol import PROTOCOLS
from benchmark.runs.files import sha256
from benchmark.runs.published import DamagedError, PublishedSet, find, sets
from benchmark.runs.record import Record, digest
from benchmark.runs.store import Store
from benchmark.tuning import history as study_history
from reports import publish as publisher
from reports.tables import results

COMMIT = {"commit": "c" * 40, "dirty": False}


def rewrite(polytimbre, change=lambda content: None):
    """Let every stored run be of a clean commit, changed as asked."""
    for path in sorted(polytimbre.store.glob("runs/*/record.json")):
        content = json.loads(path.read_text())
        content["git"] = dict(COMMIT)
        change(content)
        del content["digest"]
        path.write_text(json.dumps({**content, "digest": digest(content)}))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A store of runs of a clean commit, two seeds of one model and one of another, published."""
    polytimbre = install(tmp_path_factory.mktemp("first"))
    polytimbre.first = QUICKLY
    polytimbre("run", "--dataset", "tiny", "--model", "dial", "--seeds", 2, "--workers", 0)
    polytimbre("run", "--dataset", "tiny", "--model", "constant", "--workers", 0)
    rewrite(polytimbre)
    constant = next(r for r in Store(polytimbre.store) if r.spec.model == "constant")
    shipped = ("--with-model", constant.run_id[:8])
    assert "published 3 runs on tiny" in publish(polytimbre, "--dataset", "tiny", *shipped)
    return polytimbre


@pytest.fixture
def polytimbre(polytimbre) -> Command:
    """The command; what it publishes and compares rests on few resamples."""
    polytimbre.first = QUICKLY
    return polytimbre


@pytest.fixture
def runs(polytimbre, first):
    """A copy of these runs."""
    shutil.copytree(first.store, polytimbre.store)
    return Store(polytimbre.store)


@pytest.fixture
def made(polytimbre, first, runs):
    """A copy of these runs, and of what was published of them."""
    shutil.copytree(first.store.parent / "sets", polytimbre.store.parent / "sets")
    return published(polytimbre)


def publish(polytimbre, *args, code=0):
    return polytimbre("publish", *args, "--results", polytimbre.store.parent / "sets", code=code)


def published(polytimbre):
    return PublishedSet(polytimbre.store.parent / "sets" / "tiny")


def test_a_set_holds_what_its_tables_are_derived_from(polytimbre, runs, made):
    made.verify()
    for record in runs.records():
        copy = made.get(record.run_id[:8])
        assert copy.to_json() == record.to_json()
        theirs, ours = runs.scores(record), made.scores(copy)
        assert set(ours) == {"fit", "select", "test"}
        assert made.has_model(copy) == (copy.spec.model == "constant")
        for part, labels in made.labels(record.spec.division_id).items():
            if part not in ours:
                continue
            shown = ~np.isnan(ours[part])
            assert (ours[part][shown] == theirs[part][shown]).all()
            # of the published protocol's clips every label counts, as it chooses and scores
            kept = labels.y_mask[:, [labels.classes.index("voice")]] & (part != "fit")
            assert (shown == (labels.y_mask | kept)).all() and not shown.all()
    tables = results.read(made)
    shown = json.loads(polytimbre("compare", "--resamples", 1000, "--format", "json"))["rows"]
    stored = json.loads(tables["comparison"].frame.to_json(orient="records", double_precision=15))
    for row, expected in zip(stored, shown, strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert list(tables["runs"].frame["run"]) == [
        record.run_id
        for record in sorted(runs.records(), key=lambda r: (r.spec.model != "dial", r.spec.seed))
    ]
    assert "tiny: as published" in publish(polytimbre, "--check")


def test_no_table_rests_on_scores_that_are_left_out(polytimbre, runs, made):
    code = f"""{QUICKLY}
import sys
from pathlib import Path
from benchmark.runs.published import PublishedSet
from benchmark.runs.reading import Runs
from benchmark.tuning import history as study_history
from reports.tables import results

store, made = map(Path, sys.argv[1:])
derived = results.derive(Analysis(Runs(store), "tiny"))
print(results.different(derived, results.read(PublishedSet(made))), sorted(derived))
"""
    differ, names = polytimbre.python(code, runs.path, made.path).strip().split("] ")
    assert differ == "[" and "ensembles" in names
    assert "no member, all clips score the same: constant" in results.read(made)["ensembles"].notes


def test_every_change_is_noticed(polytimbre, made):
    for path in sorted(p for p in made.path.rglob("*") if p.is_file()):
        original = path.read_bytes()
        middle = len(original) // 2
        path.write_bytes(original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :])
        with pytest.raises(DamagedError, match=path.name.replace(".", r"\.")):
            published(polytimbre).verify()
        path.unlink()
        with pytest.raises(DamagedError, match=r"can't be read"):
            published(polytimbre).verify()
        path.write_bytes(original)
    published(polytimbre).verify()


def test_a_table_that_does_not_follow_from_the_scores_is_named(polytimbre, made):
    tables = results.read(made)
    tables["comparison"].frame.loc[0, "mAP"] += 0.001
    falsify(made, tables)
    published(polytimbre).verify()  # the files are as they are listed
    out = publish(polytimbre, "--check", code=2)
    assert "table 'comparison', row 1: mAP is" in out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kept: kept.astype(int), "does not say yes or no by clip and class"),
        (lambda kept: ~kept, "leaves out observed labels"),
        (lambda kept: kept[:-1], "leaves out observed labels"),
        (np.ones_like, "are kept"),
    ],
    ids=["numbers", "others", "fewer", "all"],
)
def test_scores_that_do_not_fit_the_list_of_those_published_are_refused(
    polytimbre, made, change, sentence
):
    (path,) = made.path.glob("labels/*-scored.npz")
    with np.load(path) as stored:
        np.savez_compressed(path, **{part: change(kept) for part, kept in stored.items()})
    relist(made, f"labels/{path.name}")
    with pytest.raises(DamagedError, match=sentence):
        published(polytimbre).scores(made.records()[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda scores: scores.astype(str), "not one row of float32"),
        (lambda scores: scores[:3], "not four of each number"),
        (lambda scores: scores[:, :-1], "that are kept"),
        (lambda scores: np.full_like(scores, 255), "holds scores outside"),
    ],
    ids=["text", "three bytes", "one fewer", "NaN"],
)
def test_published_scores_that_are_no_numbers_are_refused(polytimbre, made, change, sentence):
    record = made.records()[0]
    path = made.path / "runs" / record.run_id / "scores.npz"
    with np.load(path) as stored:
        np.savez_compressed(path, **{part: change(scores) for part, scores in stored.items()})
    relist(made, f"runs/{record.run_id}/scores.npz")
    with pytest.raises(DamagedError, match=sentence):
        published(polytimbre).scores(record)


def test_a_published_run_is_reproduced_though_scores_were_left_out(polytimbre, made):
    (dial, *_) = (r for r in made.records() if r.spec.model == "dial")
    out = polytimbre("reproduce", dial.run_id, "--store", made.path)
    assert "to the last bit" in out


def relist(made, name):
    """List a file anew, as if it had been published."""
    listed = made.path / "set.json"
    content = json.loads(listed.read_text())
    del content["digest"]
    content["files"][name] = sha256(made.path / name)
    listed.write_text(json.dumps({**content, "digest": digest(content)}))


def falsify(made, tables):
    """Put other tables into a set, and list them as if they had been published."""
    (made.path / "results.json").write_text(results.write(tables))
    relist(made, "results.json")


@pytest.mark.parametrize(
    ("change", "sentence", "named"),
    [
        (lambda c: c["git"].update(dirty=True), "a tree with changes that were not committed", 3),
        (lambda c: c["git"].update(commit=None, dirty=None), "not made from a git checkout", 3),
        (lambda c: c.update(status="failed", error="ValueError: no"), "failed: ValueError: no", 1),
    ],
)
def test_runs_that_nobody_could_find_again_are_refused(
    polytimbre, runs, made, change, sentence, named
):
    before = (made.path / "set.json").read_bytes()
    rewrite(polytimbre, change)
    ids = [record.run_id for record in runs.records()]
    out = publish(polytimbre, *ids, code=2)
    assert sentence in out and sum(run_id in out for run_id in ids) == named
    assert (made.path / "set.json").read_bytes() == before


def test_protocols_are_not_mixed(polytimbre, runs):
    run = ("run", "--dataset", "tiny", "--workers", 0, "--protocol", "published")
    polytimbre(*run, "--model", "constant")
    rewrite(polytimbre)
    ids = {r.spec.protocol_id: r.run_id for r in runs.records() if r.spec.model == "constant"}
    trained = ids[PROTOCOLS["published"].id]
    out = publish(polytimbre, *ids.values(), code=2)
    assert "more than one protocol" in out and "under published" in out and "--audit" in out
    default = next(r.run_id for r in runs.records() if r.spec.model == "dial")
    publish(polytimbre, default, "--audit", trained)
    made = published(polytimbre)
    assert made.runs == (default,) and made.audit == (trained,)


def test_ids_and_what_to_publish_are_asked_for(polytimbre, runs):
    record = runs.records()[0]
    wrong = record.run_id[:-1] + ("0" if record.run_id[-1] != "0" else "1")
    assert f"Did you mean '{record.run_id}'?" in publish(polytimbre, wrong, code=2)
    assert "say what to publish" in publish(polytimbre, code=2)
    assert "no finished run on data set 'rendered'" in publish(
        polytimbre, "--dataset", "rendered", code=2
    )
    assert "nothing is published in" in publish(polytimbre, "--check", code=2)


def test_of_data_that_may_not_be_shipped_the_tables_remain(polytimbre, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    where = ("--dataset", "distant", "--data-root", root)
    polytimbre.add_plugin("distant", DISTANT, "polytimbre.datasets", "distant", "Distant")
    polytimbre("run", *where, "--model", "dial", "--seeds", 2, "--workers", 0)
    rewrite(polytimbre)
    publish(polytimbre, *where)
    made = PublishedSet(tmp_path / "sets" / "distant")
    made.verify()
    assert not made.complete and not list(made.path.rglob("*.npz"))
    tables = results.read(made)
    assert {"comparison", "per_class", "curves", "reliability", "runs"} <= set(tables)
    table = ("table", "parts", "--store", made.path, "--format", "csv")
    shown = polytimbre(*table)
    observed = tables["parts"].frame["observed"]
    assert len(observed) and all(str(number) in shown for number in observed)
    assert "`polytimbre table NAME --store" in polytimbre(*table, "--model", "dial", code=2)
    out = publish(polytimbre, "--check", "--data-root", root)
    assert "distant: as published" in out
    for table, column in (("comparison", "mAP"), ("parts", "observed")):
        tables[table].frame[column] += 0.001
    falsify(made, tables)
    out = publish(polytimbre, "--check", "--data-root", root, code=2)
    assert "table 'parts'" in out and "table 'comparison'" not in out  # labels alone
    out = publish(polytimbre, "--check", "--data-root", root, "--store", polytimbre.store, code=2)
    assert "table 'parts'" in out and "table 'comparison', row 1: mAP is" in out
    (root / "other").write_text("")
    out = publish(polytimbre, "--check", "--data-root", root, code=2)
    assert (
        "made on other data: the fingerprint of data set 'distant'" in out
        and "check --data-root" in out
    )


DISTANT = """
import dataclasses
from tiny_plugins import Tiny


class Distant(Tiny):
    name = "distant"
    needs_root = True

    def load(self, root, split):
        data = super().load(root, split)
        X = data.X + len(list(root.iterdir()))
        return dataclasses.replace(data, name="distant", X=X.astype(data.X.dtype))
"""


def test_a_run_is_found_wherever_it_is(runs, made):
    published = sets(made.path.parent)["tiny"]
    record = runs.records()[0]
    source, found = find(record.run_id[:10], [published, runs])
    assert source is published and isinstance(found, Record) and found.run_id == record.run_id
    with pytest.raises(UnknownNameError, match="Did you mean"):
        find(record.run_id[:-2] + "zz", [published, runs])


def test_a_set_is_read_like_a_store_and_never_written(polytimbre, made):
    compare = ("compare", "--resamples", 200, "--format", "json")
    outcomes = polytimbre.several(
        compare,
        (*compare, "--store", made.path),
        ("run", "--dataset", "tiny", "--model", "dial", "--seed", 5, "--store", made.path),
        ("tune", "--dataset", "tiny", "--model", "dial", "--trials", 1, "--store", made.path),
    )
    (_, stored), (_, shown), (ran, refused), (tuned, also_refused) = outcomes
    assert shown == stored
    assert ran == tuned == 2
    assert "nothing is computed into one" in refused and "nothing is computed" in also_refused
    names = {path.name for path in made.path.iterdir()}
    assert names == {"labels", "results.json", "runs", "set.json"}
    assert len(list((made.path / "runs").iterdir())) == 3


def test_what_can_not_be_shipped_or_is_too_much_is_refused_before_it_is_derived(polytimbre, made):
    folder = made.path.parent
    before = (made.path / "set.json").read_bytes()
    (folder / "other").mkdir()
    with (folder / "other" / "large").open("wb") as file:
        file.truncate(50_000_000)
    wanted = ("publish", "--dataset", "tiny", "--results", folder)
    outcomes = polytimbre.several((*wanted, "--with-model", "best"), wanted)
    (code, nothing_hears), (same, too_much) = outcomes
    assert code == same == 2
    assert "none of these runs keeps its model and has features that carry over" in nothing_hears
    assert "would take 50.1 MB, more than 45: 50.0 of other sets. Publish fewer runs" in too_much
    assert (made.path / "set.json").read_bytes() == before


def test_no_set_takes_the_place_of_somebody_elses_folder(tmp_path):
    from reports import publish

    thesis = tmp_path / "openmic2018" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    with pytest.raises(StoreError, match="no published set, and would be replaced"):
        publish.publish_labels(None, tmp_path)
    assert thesis.read_text() == "mine" and not (tmp_path / ".openmic2018").exists()


def test_what_was_published_of_a_study_stays_without_its_search(polytimbre, runs, made):
    dial = ("--dataset", "tiny", "--model", "dial", "--workers", 0)
    polytimbre.several(("tune", *dial, "--trials", 3), ("run", *dial, "--tuned"))
    rewrite(polytimbre)
    publish(polytimbre, "--dataset", "tiny")
    before = results.read(published(polytimbre))
    assert list(before["studies"].frame["study"]) == ["tiny-dial"]
    journal = runs.path / "studies.journal"
    history = study_history.read("tiny-dial", str(journal))
    chosen = before["studies"].frame["chosen"].item()
    renamed = before["studies"].frame.assign(study="other", model="ahead")
    other = results.of_studies(
        {"studies": replace(before["studies"], frame=renamed, notes=("other: x", "z: y"))},
        {"other": [chosen]},
    )
    ours = results.of_studies(before, {"tiny-dial": [chosen]})
    assert set(ours) == {"studies", "trials"}  # three trials are too few for importances
    together = results.from_studies([history], other)["studies"]
    assert list(together.frame["model"]) == ["ahead", "dial"]
    assert together.notes == ("other: x", *before["studies"].notes)
    assert results.from_studies([], ours) == ours
    assert results.of_studies(before, {"other": [chosen]}) == {}
    assert results.of_studies({}, {"tiny-dial": [chosen]}) == {}
    # another study of that name
    assert results.of_studies(before, {"tiny-dial": [chosen + 1]}) == {}
    assert results.of_studies(before, {"tiny-dial": [chosen, chosen + 1]}) == {}

    journal.unlink()
    out = publish(polytimbre, "--dataset", "tiny")
    assert "study tiny-dial is not in studies.journal: what was published of it is kept" in out
    assert not results.different(before, results.read(published(polytimbre)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--dry-run", "--dataset", "tiny"), "--dry-run shows the commands of --all"),
        (("--check", "--dataset", "tiny"), "--check looks at what is published, all of it"),
        (("--check", "--all"), "--check looks at what is published, all of it"),
        (("--check", "--readme"), "--check looks at what is published, all of it"),
        (("--all", "--readme"), "--all chooses the runs and writes the README by itself"),
        (("--readme", "--with-model", "best"), "--audit and --with-model belong to runs"),
        (("--all", "--audit", "0"), "--audit and --with-model belong to runs"),
    ],
)
def test_options_that_contradict_each_other_publish_nothing(polytimbre, made, options, sentence):
    before = (made.path / "set.json").read_bytes()
    assert sentence in publish(polytimbre, *options, code=2)
    assert (made.path / "set.json").read_bytes() == before


def test_a_set_that_a_killed_command_took_away_is_put_back(polytimbre, made):
    hidden = made.path.with_name(".tiny-old")
    before = (made.path / "set.json").read_bytes()
    made.path.rename(hidden)
    out = polytimbre("table", "runs", "--store", made.path.parent, code=2)
    assert ".tiny-old" not in out
    # a command that then fails leaves what was there before
    with pytest.raises(RuntimeError, match="no space"), publisher._aside(made.path.parent, "tiny"):
        raise RuntimeError("no space")
    assert (made.path / "set.json").read_bytes() == before and not hidden.exists()


def test_two_commands_do_not_make_one_set_at_once(polytimbre, made):
    before = (made.path / "set.json").read_bytes()
    with publisher._aside(made.path.parent, "tiny") as folder:
        (folder / "half").touch()
        out = publish(polytimbre, "--dataset", "tiny", code=2)
        assert "another process publishes tiny in" in out
        assert (folder / "half").is_file()
    assert (made.path / "set.json").read_bytes() == before


def test_a_page_that_somebody_else_wrote_is_not_replaced(polytimbre, made):
    page = made.path.parent / "README.md"
    page.write_text("mine")
    refused = f"{page} was not written by `polytimbre publish`"
    assert refused in publish(polytimbre, "--readme", code=2)
    assert refused in publish(polytimbre, "--dataset", "tiny", code=2)
    assert page.read_text() == "mine"
    page.unlink()
    assert f"wrote {page}" in publish(polytimbre, "--readme")
    assert f"wrote {page}" in publish(polytimbre, "--readme")


def test_what_is_no_set_beside_the_sets_is_left_alone(polytimbre, made):
    notes = made.path.parent / "notes" / "draft.txt"
    notes.parent.mkdir()
    notes.touch()
    publish(polytimbre, "--readme")
    assert list(sets(made.path.parent)) == ["tiny"] and notes.is_file()
    (made.path / "mine.txt").touch()
    assert "mine.txt is not in the set's list" in publish(polytimbre, "--check", code=2)
    # another set that is damaged is named before minutes are spent on this one
    shutil.copytree(made.path, made.path.with_name("other"))
    (made.path.with_name("other") / "results.json").write_text("damaged")
    assert "published set 'other'" in publish(polytimbre, "--dataset", "tiny", code=2)


def test_a_run_is_compared_or_audited(polytimbre, runs):
    run_id = runs.records()[0].run_id
    told = publish(polytimbre, run_id, "--audit", run_id, code=2)
    assert f"run {run_id} is to be published and named with --audit as well" in told


def test_a_damaged_set_is_replaced(polytimbre, runs, made):
    (made.path / "results.json").write_text("damaged")
    publish(polytimbre, "--dataset", "tiny")
    published(polytimbre).verify()
