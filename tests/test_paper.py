"""The paper: what is bound to runs, and what fails when it no longer stands."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.derivation import Analysis
from benchmark.errors import PolytimbreError, StoreError
from benchmark.protocol import PARTS, PROTOCOLS
from benchmark.runs.files import sha256
from benchmark.runs.published import PublishedSet
from benchmark.runs.record import Record, RunSpec, digest, run_id
from reports import paper
from reports.paper import claims, formats, values
from reports.paper.source import Source
from reports.tables import results
from reports.tables.declaration import Result, Results, facts_of
from reports.tables.runs import RUNS

PAPER = Path(__file__).parent.parent / "paper"
CLASSES = ("cello", "flute", "violin")
VERSIONS = {"python": "3.13", "numpy": "2.1"}
#: Stands for ids in the sample; binding fills them in.
UNBOUND = '""'

SAMPLE = """\
#import "template.typ": paper
#import "bindings.typ": claim, figure-of, findings, given, num, published, table-of
#show: paper.with(
  title: [A small paper],
  authors: ((name: "A. Author", place: "Somewhere"),),
  abstract: [The network reaches #num("tiny/comparison/net/mAP", "", form: "interval").],
)

= Results <results>
The network reaches #num("tiny/comparison/net/mAP", "") mAP. // 0.55 in a comment
The forest needs `0.5` seconds of #given("93 %", "another paper").

#claim("{tiny/comparison/net/mAP} > {tiny/comparison/forest/mAP} and
  {tiny/pairs/forest + net/difference} < 0", "")[The network is better, by
  #num("tiny/pairs/net + forest/difference", "", form: "signed interval").]

#figure(
  table-of(
    "tiny/comparison",
    columns: ("mAP": "mAP | interval", "violin": "tiny/per_class/violin + */AP"),
    rows: ("net": "", "forest": ""),
    names: ("net": "Network"),
  ),
  caption: [Both models.],
) <table>

#figure-of("tiny-comparison", caption: [Drawn.])
#findings("tiny/comparison")[== Told by a table]
#findings("tiny/transfer")[== Not published yet]
"""


def make_record(model: str, seed: int, fingerprint: str = "f" * 64) -> Record:
    spec = RunSpec(
        dataset="tiny", split="official", official=True, fingerprint=fingerprint,
        division_id="d" * 16, protocol_id=PROTOCOLS["default"].id, model=model, preset=None,
        params={"depth": 3}, seed=seed, source="5" * 16,
    )  # fmt: skip
    return Record(
        run_id=run_id(spec, VERSIONS, 1), spec=spec, versions=VERSIONS, threads=1,
        status="finished", created="2026-01-01T00:00:00", clips=dict.fromkeys(PARTS, 40),
        seconds={"fit": 1.25 + seed, "predict": 0.5, "warm_up": 0.0}, model_bytes=1000,
        peak_memory_mib=10.0, machine={"processor": "none"}, git={"commit": "c", "dirty": False},
    )  # fmt: skip


def labels(rng: np.random.Generator) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {"classes": np.array(CLASSES)}
    for part in ("fit", "stop", "select", "test"):
        arrays[f"{part}_y_true"] = (rng.random((40, 3)) > 0.5).astype(np.float32)
        arrays[f"{part}_y_mask"] = np.ones((40, 3), bool)
        names = np.array([f"{part}{i}" for i in range(40)])
        arrays[f"{part}_keys"] = arrays[f"{part}_groups"] = names
    return arrays


def seal(folder: Path, runs: list[str]) -> None:
    """Write the list of a set's files, as publishing does."""
    (folder / "set.json").unlink(missing_ok=True)
    files = {
        p.relative_to(folder).as_posix(): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    content = {"format": 1, "complete": True, "runs": runs, "audit": [], "files": files}
    (folder / "set.json").write_text(json.dumps({**content, "digest": digest(content)}))


def interval(name: str, value: float) -> dict[str, float]:
    """Return a value's columns, with an interval around it."""
    return {name: value, f"{name} low": value - 0.02, f"{name} high": value + 0.02}


def tables(runs: pd.DataFrame) -> Results:
    """Derive what the sample names from the table of runs."""
    means = runs.groupby("model", sort=False)["mAP"].mean()
    rows = [
        {
            "model": m,
            **interval("mAP", v),
            **interval("F1", v),
            "rank": n,
            "seeds": 2,
            "fit (s)": 1.0,
        }
        for n, (m, v) in enumerate(means.items(), 1)
    ]
    step = means["net"] - means["forest"]
    pair = {
        "model": "net", "against": "forest", "difference": step,
        "difference low": step - 0.01, "difference high": step + 0.02, "p": 0.0004, "better": True,
    }  # fmt: skip
    by_class = [
        {"class": c, "model": m, **interval("AP", v + i / 100), "positives": 9}
        for m, v in means.items()
        for i, c in enumerate(CLASSES)
    ]
    frames = {"comparison": rows, "pairs": [pair], "per_class": by_class}
    made = {
        name: Result(name, pd.DataFrame(frame), (f"what {name} tells",))
        for name, frame in frames.items()
    }
    odd = {"model": "ensemble average", **interval("mAP", 0.9), **interval("F1", 0.9), "rank": 1}
    odd = pd.DataFrame([odd])
    return {**made, "ensembles": Result("ensembles", odd)}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "results" / "tiny"
    rng = np.random.default_rng(0)
    arrays, ids = labels(rng), []
    for model, noise in (("net", 0.3), ("forest", 1.0)):
        for seed in (0, 1):
            record = make_record(model, seed)
            run = folder / "runs" / record.run_id
            run.mkdir(parents=True)
            scores = {
                part: np.float32(
                    np.clip((arrays[f"{part}_y_true"] + noise * rng.normal(size=(40, 3))), 0, 1)
                )
                for part in ("select", "test")
            }
            np.savez(run / "scores.npz", **scores)
            (run / "record.json").write_text(record.to_json())
            ids.append(record.run_id)
    (folder / "labels").mkdir()
    np.savez(folder / "labels" / f"{'d' * 16}.npz", **arrays)
    (folder / "results.json").write_text("{}")
    seal(folder, ids)
    analysis = Analysis(PublishedSet(folder), "tiny")
    found = {"runs": RUNS.make(analysis, facts_of(analysis))}
    found |= tables(found["runs"].frame)
    (folder / "results.json").write_text(results.write(found))
    seal(folder, ids)
    return folder.parent


def draw(found):
    """Stand for the drawing of one figure."""
    from matplotlib.figure import Figure

    from reports.figures.style import Drawing

    made = Figure(figsize=(2, 1))
    made.subplots().plot(found["comparison"].frame["mAP"])
    return Drawing(made, "title", "caption", "two points")


@pytest.fixture(autouse=True)
def _one_figure(monkeypatch):
    from reports import figures

    plots = [
        figures.Plot("comparison", ("comparison",), draw),
        figures.Plot("empty", ("pairs",), lambda found: None),
        figures.Plot("absent", ("gap",), draw),
    ]
    monkeypatch.setattr(figures, "plots", lambda: plots)


class Desk:
    """A paper's folder beside its published set."""

    def __init__(self, folder: Path, published: Path) -> None:
        self.sets, self.source = folder / "paper" / "results", folder / "paper" / "paper.typ"
        self.target = folder / "build" / "paper.pdf"
        shutil.copytree(published, self.sets)
        for name in ("bindings.typ", "template.typ"):
            shutil.copyfile(PAPER / name, self.source.with_name(name))
        self.source.write_text(SAMPLE)
        paper.bind(self.sets, self.source)

    @property
    def text(self) -> str:
        return self.source.read_text()

    def write(self, old: str, new: str) -> None:
        assert old in self.text
        self.source.write_text(self.text.replace(old, new, 1))

    def build(self) -> bytes:
        paper.build(self.sets, self.source, self.target)
        return self.target.read_bytes()

    def fails(self) -> list[str]:
        with pytest.raises(paper.PaperError) as caught:
            self.build()
        return caught.value.problems

    @property
    def records(self) -> list[Path]:
        """Record files, the network's first."""
        listed = json.loads((self.sets / "tiny" / "set.json").read_text())["runs"]
        return [self.sets / "tiny" / "runs" / run / "record.json" for run in listed]

    def reseal(self) -> None:
        seal(self.sets / "tiny", [path.parent.name for path in self.records])


@pytest.fixture
def desk(tmp_path, published) -> Desk:
    return Desk(tmp_path, published)


def test_a_bound_paper_is_built_twice_to_the_same_bytes(desk):
    first = desk.build()
    assert first.startswith(b"%PDF") and b"CreationDate" not in first
    assert desk.build() == first
    folder = desk.target.with_suffix("")
    numbers = json.loads((folder / "numbers.json").read_text())
    shown = [text for key, text in numbers["num"].items() if key.endswith("| number")]
    assert len(shown) == 1 and shown[0].startswith(".") and len(shown[0]) == 4
    (rows,) = numbers["table"].values()
    assert len(rows) == 2 and shown[0] in rows[0][0] and "[" in rows[0][0]
    told = PublishedSet(desk.sets / "tiny").results()["comparison"]["notes"]
    assert numbers["findings"] == {"tiny/comparison": told, "tiny/transfer": []} and told


def test_blocks_stand_where_what_they_are_about_is_published(desk):
    text = '#published("tiny/{}")[About #num("tiny/{}", "").]\n'
    there = text.format("comparison/net", "comparison/net/F1")
    gone = text.format("comparison/tree", "comparison/tree/F1")
    gone += text.format("gap", "gap/net/optimism")
    desk.source.write_text(desk.text + gone + there)
    changes, problems = paper.bind(desk.sets, desk.source)
    assert len(changes) == 1 and not problems and desk.text.count(gone) == 1
    assert desk.build().startswith(b"%PDF")
    left_out = paper.check(desk.sets, desk.source).left_out
    assert [one.partition(": ")[2] for one in left_out] == ["tiny/comparison/tree", "tiny/gap"]
    desk.source.write_text(desk.text + '#published("tiny/comparison/best of all")[Gone.]\n')
    assert any("can't be chosen" in problem for problem in desk.fails())
    desk.source.write_text(desk.text.replace("comparison/best of all", "comparison/net"))
    desk.write('"tiny/gap"', '"tiny/gaps"')
    assert any("unknown table 'gaps'" in problem for problem in desk.fails())


def test_a_changed_digit_in_a_record_names_the_sentences_that_rest_on_it(desk):
    path = desk.records[0]
    path.write_text(path.read_text().replace("1.25", "1.35", 1))
    problems = desk.fails()
    run = path.parent.name
    assert all(run in problem for problem in problems)
    assert any("paper.typ:10: 'The network reaches" in problem for problem in problems)
    assert any("The network is better, by" in problem for problem in problems)
    assert any("table of tiny/comparison, row net" in problem for problem in problems)
    assert not any("row forest" in problem for problem in problems)


def test_a_changed_record_with_a_new_digest_is_found_too(desk):
    path = desk.records[0]
    content = json.loads(path.read_text())
    del content["digest"]
    content["seconds"]["fit"] = 9.75
    path.write_text(json.dumps({**content, "digest": digest(content)}))
    assert any("does not match its SHA-256" in problem for problem in desk.fails())
    desk.reseal()  # with a new list the tables still know better
    assert any("fit (s)" in problem for problem in desk.fails())


def test_changed_scores_are_scored_again(desk):
    path = desk.records[0].with_name("scores.npz")
    with np.load(path) as stored:
        changed = {name: scores[:, ::-1] for name, scores in stored.items()}
    np.savez(path, **changed)
    desk.reseal()
    problems = desk.fails()
    wanted = "does not follow from its scores: table 'runs'", "The network reaches"
    assert any(all(part in problem for part in wanted) for problem in problems)


def test_a_missing_run_is_named(desk):
    gone = desk.records[3]
    shutil.rmtree(gone.parent)
    problems = desk.fails()
    assert any(gone.parent.name in p and "row forest" in p for p in problems)
    seal(desk.sets / "tiny", [p.parent.name for p in desk.records if p != gone])
    assert any("the run itself is missing" in p and "row forest" in p for p in desk.fails())


@pytest.mark.parametrize("file", ["results.json", "set.json"])
def test_changed_tables_name_every_place(desk, file):
    path = desk.sets / "tiny" / file
    path.write_text(path.read_text().replace("1", "2", 1))
    problems = desk.fails()
    assert any(file in p and "'The network reaches" in p for p in problems)
    assert len({p.split(":")[1] for p in problems}) >= 6


def test_a_run_of_other_data_is_refused(desk):
    old = desk.records[3]
    stranger = make_record("forest", 1, fingerprint="e" * 64)
    folder = old.parent.with_name(stranger.run_id)
    old.parent.rename(folder)
    (folder / "record.json").write_text(stranger.to_json())
    listed = [p.parent.name for p in desk.records[:3]]
    path = desk.sets / "tiny" / "results.json"
    path.write_text(path.read_text().replace(old.parent.name, stranger.run_id))
    seal(desk.sets / "tiny", [*listed, stranger.run_id])
    assert any("another fingerprint" in p and "row forest" in p for p in desk.fails())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tiny/comparison/net/mAP", "tiny/comparison/nets/mAP", "Did you mean 'net'?"),
        ("tiny/comparison/net/mAP", "tiny/comparison/net/mAPs", "Did you mean 'mAP'?"),
        ("tiny/comparison/net/mAP", "tinny/comparison/net/mAP", "Did you mean 'tiny'?"),
        ("tiny/comparison/net/mAP", "tiny/comparisons/net/mAP", "Did you mean 'comparison'?"),
        ('form: "interval"', 'form: "intervall"', "Did you mean 'interval'?"),
        ("tiny-comparison", "tiny-comparisons", "Did you mean 'tiny-comparison'?"),
        ("tiny-comparison", "tiny-absent", "unknown figure 'tiny-absent'"),
        ("tiny-comparison", "tiny-empty", "hold nothing to draw"),
        ("tiny/transfer", "tiny/transfers", "unknown table 'transfers'"),
        ("< 0\"", "> 0\"", "does not hold any more"),
        ("< 0\"", "< zero\"", "can't be read"),
        (", form: \"signed interval\"", "; 0.04", "#num needs its ids"),
        ("#given(\"93 %\", \"another paper\")", "#given(\"93 %\", \"\")", "where it comes from"),
    ],
)  # fmt: skip
def test_what_does_not_stand_is_named_with_its_line(desk, old, new, told):
    if told.startswith("#num"):
        desk.write('#num("tiny/comparison/net/mAP", "', '#num("tiny/comparison/net/mAP") #("')
    else:
        desk.write(old, new)
    problems = desk.fails()
    assert any(told in p and p.startswith("paper.typ:") for p in problems), problems


def test_ids_of_other_runs_are_refused_until_they_are_bound(desk):
    bound = desk.text
    own = desk.records[0].parent.name[:8]
    desk.write(own, "0123abcd")
    (problem,) = desk.fails()
    assert "is of other runs" in problem and own in problem and "0123abcd" in problem
    assert "polytimbre paper --bind" in problem
    (change,), problems = paper.bind(desk.sets, desk.source)
    assert "0123abcd" in change and desk.text == bound and problems == []
    assert paper.bind(desk.sets, desk.source) == ([], [])


def test_binding_leaves_what_it_cannot_put_right(desk):
    bound = desk.text
    desk.write(desk.records[0].parent.name[:8], "0123abcd")
    desk.write("rows: (", 'rows: ("nets": "", ')
    (change,), problems = paper.bind(desk.sets, desk.source)
    assert "0123abcd" in change and len(problems) == 2
    assert "Did you mean 'net'" in problems[0] and "Did you mean 'violin + net'" in problems[1]
    assert "0123abcd" not in desk.text and '("nets": "", ' in desk.text
    desk.source.write_text(bound.replace(desk.records[0].parent.name[:8], "0123abcd"))
    before = desk.text
    path = desk.records[0]
    path.write_text(path.read_text().replace("1.25", "1.35", 1))
    with pytest.raises(paper.PaperError, match="does not match its SHA-256"):
        paper.bind(desk.sets, desk.source)
    assert desk.text == before


@pytest.mark.parametrize("out", ["paper.pdf", "build/paper", "used.pdf"])
def test_no_folder_of_others_is_emptied(desk, tmp_path, out):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("mine")
    with pytest.raises(PolytimbreError, match="Name another PDF with --out"):
        paper.build(desk.sets, desk.source, tmp_path / out)
    assert desk.source.is_file() and (tmp_path / "used" / "thesis.txt").is_file()


def test_an_unbound_number_says_how_to_bind_it(desk):
    desk.source.write_text(SAMPLE)
    problems = desk.fails()
    assert any("is not bound to its runs. Run `polytimbre paper --bind`" in p for p in problems)


@pytest.mark.parametrize(
    "typed",
    [
        "0.55",
        ".55",
        "55 %",
        "55\\%",
        "55~per cent",
        "7,353",
        '#text("0.55")',
        "$0.55$",
        "20",
        "(3)",
    ],
)
def test_a_number_typed_by_hand_is_refused(desk, typed):
    desk.write("The forest needs", f"It has {typed} of it. The forest needs")
    (problem,) = desk.fails()
    assert problem.startswith("paper.typ:11:") and "typed by hand" in problem


@pytest.mark.parametrize(
    "text",
    [
        "OpenMIC-2018, Typst 0.15.2, a 1-D network of 2019, `0.5`, see https://a.org/1.5/x",
        "First:\n1. one\n2. two, as in @table-2 and F1\n",
        '#set text(size: 9.5pt)\n#image("a.png", width: 90%)',
        "/* 0.5 /* 0.6 */ 0.7 */ // 0.8\n#v(0.5em)",
        '#link("https://a.org/v1.5")[there] #given("0.5", "the protocol")',
    ],
)
def test_what_is_no_typed_number_passes(text):
    assert Source("a.typ", text).typed == []


def test_a_sentence_is_not_cut_within_a_name():
    text = '= Head\nOne. Two has #num("s/t/r/w. F1", "") and #num("s/t/r/F1", ""). Three.'
    source = Source("a.typ", text)
    cut = {source.sentence(call.start, call.end) for call in source.calls}
    assert cut == {"Two has ⟨s/t/r/w. F1⟩ and ⟨s/t/r/F1⟩."}


def test_a_missing_font_is_an_error(desk):
    desk.write("= Results", '#set text(font: "No Such Font")\n= Results')
    with pytest.raises(PolytimbreError, match=r"paper.typ:9: .*unknown font family: no such font"):
        desk.build()


def test_an_error_of_typst_names_file_and_line(desk):
    desk.write("= Results", "#unknown-function()\n= Results")
    with pytest.raises(PolytimbreError, match=r"paper.typ:9: unknown variable"):
        desk.build()


def test_a_call_that_was_not_read_is_refused_by_typst(desk):
    desk.write("= Results", '#let other = num\n#other("tiny/x", "one")\n= Results')
    with pytest.raises(PolytimbreError, match="is not bound"):
        desk.build()


def test_nothing_published_and_no_source_say_what_to_do(desk, tmp_path):
    with pytest.raises(StoreError, match="nothing is published"):
        paper.check(tmp_path / "none", desk.source)
    with pytest.raises(PolytimbreError, match=r"none.typ can't be read"):
        paper.check(desk.sets, tmp_path / "none.typ")


def test_the_check_lists_every_place_and_every_problem(desk, capsys):
    from benchmark.cli.paper import paper as command

    command(desk.sets, desk.source, desk.target, check=True)
    out = capsys.readouterr().out
    assert "7 bound places" in out and desk.records[0].parent.name[:8] in out
    command(desk.sets, desk.source, desk.target, check=True, word=desk.records[0].parent.name)
    with pytest.raises(PolytimbreError, match="no bound place of the paper holds 'nonsense'"):
        command(desk.sets, desk.source, desk.target, check=True, word="nonsense")
    chosen = capsys.readouterr().out
    assert "of 7 bound places" in chosen and len(chosen) < len(out)
    with pytest.raises(PolytimbreError, match="add --check"):
        command(desk.sets, desk.source, desk.target, word="mAP")
    desk.write('"tiny/comparison/net/mAP", "', '"tiny/comparison/nets/mAP", "')
    desk.write("The forest needs", "0.55 The forest needs")
    with pytest.raises(paper.PaperError) as caught:
        command(desk.sets, desk.source, desk.target, check=True)
    assert len(caught.value.problems) == 2
    assert "bound places" in capsys.readouterr().out


def test_rows_are_found_by_what_models_are(published):
    specs, rows = {}, []
    for name, model, features, study, select in (
        ("cnn on own", "cnn", None, None, 0.4),
        ("cnn tuned on own", "cnn", None, "s", 0.5),
        ("cnn on musicnn", "cnn", "musicnn", None, 0.6),
        ("xgboost on musicnn", "xgboost", "musicnn", None, 0.7),
    ):
        run = name.replace(" ", "")
        spec = replace(make_record(model, 0).spec, features=features, study=study)
        specs[run] = spec
        rows.append({"model": name, "select mAP": select, "mAP": select, "run": run, "seed": 0})
    frame = pd.DataFrame(rows)
    mean = pd.DataFrame({"model": ["mean of 3 models", "cnn on own"], "policy": ["half", "half"]})
    found = {name: Result(name, frame) for name in ("runs", "gap", "comparison")}
    found["thresholds"] = Result("thresholds", mean.assign(F1=0.5))
    found["pairs"] = Result("pairs", pd.DataFrame([
        {"model": "xgboost on musicnn", "against": "cnn on own", **interval("difference", 0.3)}
    ]))  # fmt: skip
    tiny = values.Tables(PublishedSet(published / "tiny"), found, specs)

    def named(row, column="model", table="comparison"):
        return values.value({"tiny": tiny}, f"tiny/{table}/{row}/{column}").content

    assert named("cnn") == "cnn on own" and named("cnn tuned") == "cnn tuned on own"
    assert named("best") == named("best trees") == "xgboost on musicnn"
    assert named("best network") == named("best cnn") == "cnn on musicnn"
    assert named("best network tuned") == named("best on own") == "cnn tuned on own"
    assert named("best cnn default on own") == "cnn on own"
    assert named("mean of * models + half", "F1", "thresholds") == 0.5
    assert named("best trees + cnn", "difference", "pairs") == 0.3
    assert named("cnn + best trees", "difference", "pairs") == -0.3
    with pytest.raises(PolytimbreError, match="unknown model 'best linear' of tiny"):
        named("best linear")
    with pytest.raises(PolytimbreError, match="'best of all' can't be chosen"):
        named("best of all")
    with pytest.raises(PolytimbreError, match="may be 'mean of 3 models"):
        named("*", "F1", "thresholds")


def test_pairs_read_in_either_order_and_ensembles_rest_on_all_runs(desk):
    from reports.paper.evidence import gather
    from reports.paper.values import value

    found = gather(desk.sets).tables
    one = value(found, "tiny/pairs/net + forest/difference")
    other = value(found, "tiny/pairs/forest + net/difference")
    assert (one.content, one.low, one.high) == (-other.content, -other.high, -other.low)
    assert set(one.runs) == set(other.runs) and len(one.runs) == 4
    assert value(found, "tiny/pairs/forest + net/better").content is False
    together = value(found, "tiny/ensembles/ensemble average/mAP")
    assert together.binding.startswith("all:") and len(together.runs) == 4


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        ("{a} > {b}", True),
        ("{a} > {b} and {b} > {a}", False),
        ("{a} - {b} >= 0.1", True),
        ("{a} > {b} > 0 and {w} == 'fitted' and {t} == true", True),
        ("-{a} < -({b} + 0.05)", True),
        ("{a} != {a}", False),
        ("{w} == '{a} and'", False),
        ("{a} > 0 and\n    {b} > 0", True),
        # a value with an interval counts with its worse end: i is 0.5 (0.4 to 0.7)
        ("{i} > 0.39 and {i} < 0.71", True),
        ("{i} > 0.4", False),
        ("{i} >= 0.4", True),
        ("{i} < 0.69", False),
        ("-{i} < -0.39 and 1 - {i} > 0.29", True),
        ("1 - {i} > 0.31", False),
        ("{i} - {b} > -0.2 and {i} + {i} < 1.41", True),
        ("{a} > {i}", False),
        ("{i} == 0.5", True),
    ],
)
def test_claims(assertion, expected):
    span = claims.Spanned(0.5, 0.4, 0.7)
    stored = {"a": 0.6, "b": 0.5, "w": "fitted", "t": True, "i": span}
    assert claims.holds(assertion, stored.__getitem__)[0] is expected


@pytest.mark.parametrize(
    "assertion",
    [
        *("{a}", "{a} > ", "{a} > 'x'", "{a} > {t}", "{a} > 1)", "a > 1", "{n} > 1"),
        *("__import__('os')", "__import__('os') == 1", "{a}.real > 0", "{a}[0] > 0", "{a} * 2 > 1"),
        *(
            "{a} > 1 or {a} < 1",
            "{a} in {a}",
            "[x for x in {a}] == 1",
            "lambda: 1 == 1",
            "{a} > 1j",
        ),
        *("(" * 5000 + "{a}", "{a} > " + "-" * 5000 + "1", "{a} > 1 if {a} > 1 else {a} < 1"),
    ],
)
def test_what_is_no_claim_is_refused(assertion):
    stored = {"a": 0.6, "t": True, "n": None}
    with pytest.raises(PolytimbreError, match="the claim"):
        claims.holds(assertion, stored.__getitem__)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (0.5519, "number", ".552"), (1.0, "number", "1.000"), (-0.0001, "number", ".000"),
        (-0.012, "signed", "−.012"), (0.012, "signed", "+.012"), (0.916, "percent", "91.6\u202f%"),
        (1464, "count", "1,464"), (0.0002, "p", "< .001"), (0.0042, "p", "= .004"),
        (0.6, "interval", ".600 [.500, .700]"), (66.61, "seconds", "66.6\u202fs"),
        (719182.0, "bytes", "0.7\u202fMB"), ("epoch 3", "text", "epoch 3"),
    ],
)  # fmt: skip
def test_forms(value, form, expected):
    assert formats.printed(value, 0.5, 0.7, form) == expected


def test_a_p_value_that_can_be_no_less_is_printed_so():
    assert formats.printed(0.0024, None, None, "p", at_floor=True) == "< .003"
    assert formats.printed(0.002, None, None, "p", at_floor=True) == "< .002"


def test_a_form_that_does_not_suit_is_refused():
    with pytest.raises(PolytimbreError, match="has no interval"):
        formats.printed(0.5, None, None, "interval")
    with pytest.raises(PolytimbreError, match="can't be printed"):
        formats.printed("fitted", None, None, "number")
