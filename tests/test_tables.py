"""A table, a metric, a figure or a network that is added stands everywhere at once."""

import importlib.util
import json
import sys
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from test_figures import made
from test_report import records, seal
from typer.testing import CliRunner

import reports.figures
import reports.tables
from benchmark.analysis import comparison, threshold_gains, threshold_policies
from benchmark.analysis.derivation import Analysis
from benchmark.cli import analyses, app, screen
from benchmark.cli.screen import busy
from benchmark.contracts.model import Model
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.plugins import registry
from benchmark.protocol import PARTS
from benchmark.runs.attributes import packed_attributes
from benchmark.runs.published import PublishedSet
from benchmark.scoring.evaluation import METRICS
from reports import figures
from reports.figures import style
from reports.html import content
from reports.paper.values import Tables, value
from reports.tables import results, text
from reports.tables.comparison import tuning_sentence
from reports.tables.declaration import Result, facts_of, table, tables

CLASSES = ("cello", "flute", "voice")
MODELS = ("cnn", "random_forest", "constant")


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Choose thresholds on few draws of the clips, which is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threshold_policies, "N_REPEATS", 1)
        patch.setattr(threshold_gains, "N_REFITS", 3)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A published set of three models with scores; a quarter of the labels was not observed."""
    folder, rng = tmp_path_factory.mktemp("published") / "small", np.random.default_rng(0)
    arrays = {"classes": np.array(CLASSES)}
    for part in PARTS:
        arrays[f"{part}_y_true"] = (rng.random((40, 3)) > 0.5).astype(np.float32)
        arrays[f"{part}_y_mask"] = rng.random((40, 3)) > 0.25
        arrays[f"{part}_keys"] = arrays[f"{part}_groups"] = np.array(
            [f"{part}{i}" for i in range(40)]
        )
    (folder / "labels").mkdir(parents=True)
    np.savez(folder / "labels" / f"{'d' * 16}.npz", **arrays)
    genres = packed_attributes({"test_genre": np.array(["folk"] * 32 + ["jazz"] * 8)})
    np.savez(folder / "labels" / f"{'d' * 16}-attributes.npz", **genres)
    made_of = [r for r in records("small", runs=2) if r.spec.label in MODELS]
    for record in made_of:
        record.clips = dict.fromkeys(PARTS, 40)
        place = folder / "runs" / record.run_id
        place.mkdir(parents=True)
        (place / "record.json").write_text(record.to_json())
        np.savez(
            place / "scores.npz", **{part: rng.random((40, 3), dtype=np.float32) for part in PARTS}
        )
    (folder / "results.json").write_text("{}")
    seal(folder, [record.run_id for record in made_of], complete=True)
    return PublishedSet(folder)


def analysis_of(source):
    return Analysis(source, "small", n_resamples=399, n_trials=1)


@dataclass
class Derived:
    """All tables of the set, and what was asked of comparison and store meanwhile."""

    tables: dict[str, Result]
    compared: list[dict]
    read: list[str]


@pytest.fixture(scope="module")
def derived(source):
    compare, scores = comparison.compare, PublishedSet.scores
    compared, read = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            comparison,
            "compare",
            lambda *args, **rest: compared.append(rest) or compare(*args, **rest),
        )
        patch.setattr(
            PublishedSet,
            "scores",
            lambda self, record: read.append(record.run_id) or scores(self, record),
        )
        return Derived(results.derive(analysis_of(source)), compared, read)


def polytimbre(*arguments):
    """Run the command in this process, which knows what a test has added."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def add(monkeypatch, package, folder, name, text):
    """Put a file into a folder that is scanned like a package's own."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    # what was imported is forgotten again at the end
    monkeypatch.setitem(sys.modules, f"{package.__name__}.{name}", None)
    del sys.modules[f"{package.__name__}.{name}"]


LOUDEST = """
import pandas as pd

from reports.tables.declaration import Content, Table


def derive(analysis):
    entries = analysis.comparison.entries
    rows = {"model": [e.label for e in entries], "loudest": [e.scores.max() for e in entries]}
    return Content(pd.DataFrame(rows), ("one score each",), {"whole": True})


LOUDEST = Table(
    "loudest", "the highest score", ("model",), derive, {"loudest": "highest score of any clip"}
)
"""


def test_a_table_is_one_declaration(monkeypatch, tmp_path, source):
    add(monkeypatch, reports.tables, tmp_path, "loudest", LOUDEST)
    shown = polytimbre("table", "loudest", "--store", source.path, "--format", "markdown")
    assert "the highest score, small, test part, 40 clips" in shown
    assert "one score each" in shown and "loudest: highest score of any clip" in shown
    assert "polytimbre table loudest\n" in polytimbre("table", "--format", "csv")
    derived = results.derive(analysis_of(source))
    assert derived["loudest"].facts["whole"] and derived["loudest"].facts["n_clips"] == 40
    held = json.loads(results.write(derived))
    stored = {name: Result.from_dict(one) for name, one in held.items()}
    assert results.different(derived, stored) == []
    (page,) = (one for one in content.further(stored, "small") if one["name"] == "loudest")
    assert page["title"] == "The highest score" and len(page["rows"]) == 3
    assert page["command"] == "polytimbre table loudest --store paper/results/small"
    cell = value({"small": Tables(source, stored)}, "small/loudest/cnn/loudest")
    assert 0.9 < cell.content <= 1 and len(cell.runs) == 2


def test_every_declared_table_says_its_rows_and_columns(derived):
    expected = [t for t in tables().values() if t.source in ("runs", "labels") and t.published]
    # there are no runs for these
    left_out = {"learning_curve", "mask_audit", "mask_levels", "mask_preselection"}
    left_out |= {"tuning", "promises", "transfer", "side_information"}
    left_out |= {"slices_per_class"}  # all classes are too rare in a slice
    assert set(derived.tables) == {one.name for one in expected} - left_out
    assert list(derived.tables) == [one.name for one in expected if one.name in derived.tables]
    for name, result in derived.tables.items():
        keys = result.frame[list(tables()[name].keys)]
        assert not keys.duplicated().any(), name
        known = set(result.frame.columns)
        if result.shown is not None:
            known |= set(result.shown.columns)
        assert set(tables()[name].columns) <= known, name
        assert tables()[name].command_for("small").startswith("polytimbre ")
    told = [one.about for one in tables().values()]
    assert all(sentence.endswith(".") for sentence in told) and len(set(told)) == len(told)
    with pytest.raises(UnknownNameError, match="Did you mean 'comparison'"):
        table("comparson")


def test_the_protocol_audit_is_left_out_of_other_classes_with_a_sentence(source):
    analysis = analysis_of(source)
    assert analysis.why_not_audited is None
    known = analysis.store.labels(analysis.comparison.division_id)
    every = np.ones_like(known["test"].y_mask)
    for change, sentence in (
        ({"classes": ("cello", "flute", "harp")}, "'small' has no such class"),
        ({"y_mask": every}, "OpenMIC-2018's 20 classes, and data set 'small' has others"),
    ):
        analysis = analysis_of(source)
        analysis.labels = {part: replace(one, **change) for part, one in known.items()}
        assert analysis.why_not_audited.startswith("the protocol audit is left out")
        assert sentence in analysis.why_not_audited
        for name in ("protocol_audit", "protocol_averages", "kept"):
            assert table(name).make(analysis) is None
    assert analysis.mask_audit is None


def test_the_best_model_is_held_against_the_others_in_a_family_of_its_own(source, derived):
    analysis = analysis_of(source)
    pairs, frame = analysis.inference.pairs, derived.tables["comparison"].frame
    assert np.isnan(frame["p"][0]) and not frame["p at floor"][0] and frame["among best"][0]
    assert frame["p"][1:].tolist() == pairs.against_best.p_holm.tolist()
    assert frame["p at floor"][1:].tolist() == pairs.against_best.at_floor.tolist()
    assert frame["among best"].tolist() == pairs.among_best.tolist()
    assert frame["behind"][1:].tolist() == pairs.against_best.difference.tolist()
    read = {"small": Tables(source, derived.tables)}
    for label, at_floor in zip(frame["model"], frame["p at floor"], strict=True):
        assert value(read, f"small/comparison/{label}/p").at_floor is at_floor
    frame = derived.tables["pairs"].frame
    assert frame["p"].tolist() == pairs.p_holm[np.triu_indices(3, 1)].tolist()
    assert frame["p at floor"].tolist() == pairs.at_floor[np.triu_indices(3, 1)].tolist()
    ends = frame["difference high"] - frame["difference low"]
    np.testing.assert_allclose(frame["half-width"], ends / 2)
    for name, widths in (
        ("twice the", pairs.twice_the_seeds),
        ("endless", pairs.endless_seeds),
    ):
        column = frame[f"half-width, {name} seeds"]
        assert column.tolist() == widths[np.triu_indices(3, 1)].tolist()


def test_a_tuned_model_is_held_against_its_default(source):
    analysis = analysis_of(source)
    assert table("tuning").make(analysis) is None
    names = [entry.label for entry in analysis.comparison.entries]
    family = analysis.inference.pairs.family([(2, 0), (0, 1)])
    analysis.inference = replace(analysis.inference, tuning=family)
    made_table = table("tuning").make(analysis)
    frame = made_table.frame
    assert frame["model"].tolist() == [names[2], names[0]]
    assert frame["against"].tolist() == [names[0], names[1]]
    assert frame["difference"][0] < 0 < frame["difference"][1]
    assert (frame["difference low"] <= frame["difference high"]).all()
    assert frame["p"].tolist() == family.p_holm.tolist()
    assert frame["significant"].tolist() == family.significant.tolist()
    frame = frame.assign(significant=[True, False])
    said = tuning_sentence(frame, 0.95)
    assert f"worse: {names[2]}; no significant difference: {names[0]} (" in said
    assert "over 2 tests, at 5 %" in said and "better" not in said


def test_a_table_that_takes_a_tuned_model_says_so(source):
    for name in ("tuning", "promises"):
        with pytest.raises(ProtocolError, match="a tuned model beside its default: `polytimbre tu"):
            analyses._show(analysis_of(source), name, "table")


def test_a_long_comparison_tells_how_far_it_is(source):
    seen, analysis = [], analysis_of(source)
    with busy("comparing") as show:
        analysis.follow = lambda names: (seen.append(name) or name for name in show(names))
        labels = [entry.label for entry in analysis.inference and analysis.comparison.entries]
    n = len(labels)
    assert sorted(seen[:n]) == sorted(labels)
    assert seen[n:][:2] == ["resamples of mAP", "resamples of f1_global"]


def test_in_a_pipe_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(screen, "SECONDS_BETWEEN_LINES", -1.0)
    with busy("report") as follow:  # steps are texts, or have names
        assert len(list(follow(["one", table("pairs")]))) == 2
    assert capsys.readouterr().err == "report: 0 of 2, one\nreport: 1 of 2, pairs\n"


def test_what_tuning_promised_stands_beside_what_it_kept(source):
    analysis = analysis_of(source)
    entries = analysis.comparison.entries
    entries[2].records[0].tuning = {"select_mAP": 0.9}
    family = analysis.inference.pairs.family([(2, 0), (0, 1)])
    analysis.inference = replace(analysis.inference, tuning=family)
    frame = table("promises").make(analysis).frame
    assert frame["model"].tolist() == [entries[2].label, entries[0].label, "mean of 2 studies"]
    on_select = comparison.compare(source, "small", part="select").entries
    mAP = {entry.label: entry.mean("mAP") for entry in on_select}
    assert frame["promised"][0] == pytest.approx(0.9 - mAP[entries[0].label])
    for i, pair in enumerate(zip(frame["model"][:2], frame["against"][:2], strict=True)):
        assert frame["select gain"][i] == pytest.approx(mAP[pair[0]] - mAP[pair[1]])
    assert frame["test gain"][:2].tolist() == pytest.approx(family.difference.tolist())
    assert frame["test gain low"][:2].tolist() == pytest.approx(family.lower.tolist())
    assert frame["test gain"][2] == pytest.approx(frame["test gain"][:2].mean())
    entries[2].records[0].spec = replace(entries[2].records[0].spec, refit=True)
    analysis.__dict__.pop("promises")
    assert table("promises").make(analysis).frame["model"].tolist() == [entries[0].label]


def test_a_p_value_that_can_be_no_less_is_printed_so_everywhere():
    columns = {
        "model": list("abcdef"),
        "p": [np.nan, 0.002, 0.0021, 0.0021, 0.00002, 1.0],
        "p at floor": [False, True, True, False, False, True],
    }
    result = Result("made", pd.DataFrame(columns))
    result = Result.from_dict(json.loads(json.dumps(result.as_dict())))
    wanted = ["–", "<0.002", "<0.003", "0.002", "<0.001", "1.000"]
    assert [one.value for one in text.cells(result.frame)["p"]] == wanted
    assert list(text.text(result.frame, "table", "", []).columns[1].cells) == wanted
    markdown = text.text(result.frame, "markdown", "", [])
    assert all(f"| {one} |" in markdown for one in wanted) and "floor" not in markdown
    shown = content.rows(result.frame)
    assert [row["p"]["text"] for row in shown] == wanted and "p at floor" not in shown[0]
    assert "b,0.002,True" in text.text(result.frame, "csv", "", [])


def test_the_headline_names_the_models_among_the_best():
    frame = made(MODELS, CLASSES)["comparison"].frame.assign(seeds=1, rank=1)
    told = [content.headline({"comparison": Result("", frame)})["said"]]
    frame["among best"] = [True, True, False]
    told.append(content.headline({"comparison": Result("", frame)})["said"])
    # without the tests against the best, ranks say it
    assert told[0].endswith("no significant difference from it: random_forest, constant.")
    assert told[1].endswith("no significant difference from it: random_forest.")


def test_a_fact_that_differs_is_named(derived):
    ranks = derived.tables["ranks"]
    other = Result(ranks.title, ranks.frame, facts={**ranks.facts, "critical_difference": 9.0})
    (said,) = results.different({"ranks": ranks}, {"ranks": other})
    assert said == "table 'ranks': the fact 'critical_difference' is not as it is stored"


def test_runs_are_compared_and_read_once_however_many_tables_ask(derived, source):
    protocols = [asked.get("protocol", "default") for asked in derived.compared]
    assert protocols == ["default", "published"]
    assert sorted(derived.read) == sorted(source.runs)


EXACT = """
from benchmark.scoring.evaluation import metric


@metric("exact", "exact share", "share of labels decided rightly at one global threshold")
def exact(run):
    said = run.y_score >= run.thresholds["global"]
    return (said == run.y_positive)[run.y_mask].mean()
"""


def test_a_metric_is_one_function_and_its_name(monkeypatch, tmp_path, source):
    before = dict(METRICS)
    (tmp_path / "exact.py").write_text(EXACT)
    spec = importlib.util.spec_from_file_location("exact_metric", tmp_path / "exact.py")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        analysis = analysis_of(source)
        facts = facts_of(analysis)
        rows = json.loads(polytimbre("compare", "--store", source.path, "--format", "json"))["rows"]
        assert all(0 < row["exact share"] < 1 for row in rows)
        assert "exact share: share of labels decided" in polytimbre(
            "compare", "--store", source.path, "--format", "markdown"
        )
        runs = tables()["runs"].make(analysis, facts)
        assert runs.frame["exact"].between(0, 1).all()
        made_tables = {
            "runs": runs, "comparison": tables()["comparison"].make(analysis, facts),
        }  # fmt: skip
        shown = content.headline(made_tables)
        (column,) = (one for one in shown["columns"] if one.name == "exact share")
        assert column.meaning.startswith("share of labels") and column.first == "descending"
        (group,) = content.provenance(source, made_tables)["groups"]
        assert "exact share" in group["models"][0]["runs"][0]["metrics"]
    finally:
        METRICS.clear()
        METRICS.update(before)


DOTS = """
from reports.figures import style
from reports.figures.style import Drawing, Plot


def draw(tables):
    drawn, axes = style.canvas(style.COLUMN, 4)
    axes[0, 0].plot(tables["comparison"].frame["mAP"], "o")
    return Drawing(drawn, "Dots", "One dot a model.", "Dots.")


DOTS = Plot("dots", ("comparison",), draw)
"""


def test_a_figure_is_one_file(monkeypatch, tmp_path):
    folder = tmp_path / "added"
    folder.mkdir()
    add(monkeypatch, reports.figures, folder, "dots", DOTS)
    stored = {"comparison": made(("cnn", "random_forest"), CLASSES)["comparison"]}
    drawn = figures.draw({"small": stored}, tmp_path / "drawn")
    assert "small-dots" in [one.name for one in drawn]
    assert (tmp_path / "drawn" / "small-dots.svg").is_file()
    assert "small-dots" in [name for name, _ in figures.possible({"small": stored})]


class Transformer(Model):
    """A network that a plugin brings; nothing but its name and family is asked for here."""

    name, family = "transformer", "network"


def test_a_network_of_a_plugin_is_drawn_and_filtered_like_the_others(monkeypatch):
    assert style.family("transformer tuned") == "others"
    monkeypatch.setitem(registry.models().plugins, "transformer", Transformer)
    models = ["transformer tuned", "random_forest", "constant"]
    stored = made(models, CLASSES)
    assert style.family("transformer tuned") == "networks"
    with style.applied():
        alt = dict(figures.compose({"small": stored}))["small-gap-per-class"].alt
    assert "transformer tuned: optimism" in alt and "random_forest: optimism" in alt
    looks = {style.look(one).colour for one in ("transformer", *models[1:])}
    assert len(looks) == 3
    comparison_table = stored["comparison"]
    frame = comparison_table.frame.assign(seeds=1)
    shown = content.headline({"comparison": Result("", frame)})
    assert [one["family"] for one in shown["entries"]] == ["networks", "trees", "baseline"]
