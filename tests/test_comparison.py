"""Who may be compared, and that what is derived from stored scores is right."""

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score, f1_score
from test_store import make_record

from benchmark.analysis.comparison import (
    Entry,
    _check_scorable,
    _features_note,
    _named,
    check_comparable,
    newest,
    on_newest_data,
)
from benchmark.analysis.inference import Inference, tuned_and_default
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.plugins import registry
from benchmark.plugins.checks import make_part
from benchmark.plugins.identity import source_hash
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.bootstrap import Bootstrap
from benchmark.scoring.evaluation import evaluate
from benchmark.scoring.ranking import pairwise
from reports.tables import comparison, text
from reports.tables.comparison import COMPARISON, comparison_notes
from reports.tables.text import BESIDE


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("dataset", "data set"),
        ("split", "split"),
        ("protocol_id", "protocol"),
        ("fingerprint", "fingerprint"),
        ("division_id", "division"),
    ],
)
def test_runs_that_differ_are_refused(field, named):
    first = make_record()
    second = replace(first, spec=replace(first.spec, **{field: "another"}))
    check_comparable([first, first])
    with pytest.raises(ProtocolError, match=f"can't be compared, their {named} differs: another"):
        check_comparable([first, second])


def test_a_model_that_was_not_run_is_told_from_one_that_is_not_there():
    first = make_record()
    with pytest.raises(ProtocolError, match="no run of cnn_pretrained on .* `polytimbre run"):
        _named([first], ["cnn_pretrained"])
    with pytest.raises(UnknownNameError, match="unknown model 'cnm' among the stored runs"):
        _named([first], ["cnm"])


def test_a_part_without_a_class_that_can_be_scored_is_named():
    labels = SimpleNamespace(y_positive=np.eye(3, dtype=bool), y_mask=np.eye(3, dtype=bool))
    with pytest.raises(ProtocolError, match="can be scored on the stop part of tiny: none has"):
        _check_scorable(labels, "stop", "tiny")
    labels.y_mask = np.ones((3, 3), bool)
    _check_scorable(labels, "stop", "tiny")


def test_default_tuned_and_refitted_runs_stand_side_by_side():
    first = make_record()
    runs = [
        replace(first, spec=replace(first.spec, **changes), created=f"2026-01-0{day}")
        for day, changes in enumerate(
            [
                {"source": "old"},
                {},
                {"study": "made-guess", "trial": 3},
                {"study": "made-guess", "trial": 7, "params": {"depth": 2}},
                {"study": "made-guess", "trial": 7, "params": {"depth": 2}, "refit": True},
            ],
            start=1,
        )
    ]
    groups = newest(runs, lambda record: record.created)
    assert [label for label, _ in groups] == ["guess", "guess tuned", "guess tuned refit"]
    assert [group for _, group in groups] == [[runs[1]], [runs[3]], [runs[4]]]


def test_the_version_that_was_asked_for_last_is_shown():
    first = make_record()
    old, new = (
        [replace(first, spec=replace(first.spec, source=source, seed=seed), created=created)
         for seed in (0, 1)]
        for source, created in (("old", "2026-01-01"), ("new", "2026-01-02"))
    )  # fmt: skip
    runs = old + new
    assert newest(runs, lambda record: record.created) == [("guess", new)]
    again = {id(old[1]): "2026-01-03"}  # one seed of the code before the edit, found stored
    assert newest(runs, lambda r: again.get(id(r), r.created)) == [("guess", old)]
    other = replace(first, spec=replace(first.spec, fingerprint="g"), created="2026-01-04")
    assert on_newest_data([*runs, other], lambda record: record.created) == [other]


def test_runs_on_other_features_are_no_older_versions_and_name_them():
    first = make_record()
    before, own, other, changed = (
        replace(first, spec=replace(first.spec, **on), created=f"2026-01-0{day}")
        for day, on in enumerate(
            [
                {},  # recorded before there was a choice: on the data set's own
                {"features": "own", "features_sha256": "1"},
                {"features": "mert", "features_sha256": "2"},
                {"features": "mert", "features_sha256": "3"},
            ],
            start=1,
        )
    )
    found = newest([before, own, other, changed], lambda record: record.created)
    assert found == [("guess on own", [own]), ("guess on mert", [changed])]
    assert newest([before, own], lambda record: record.created) == [("guess", [own])]
    assert before.spec.config_id != own.spec.config_id


def test_features_that_are_not_the_data_sets_own_are_told():
    first = make_record()

    def told(dataset, features):
        spec = replace(first.spec, dataset=dataset, features=features)
        return _features_note([("guess", [replace(first, spec=spec)])])

    assert told("rendered", "musicnn") == [
        "features: musicnn, in place of those that rendered is loaded with"
    ]
    assert told("rendered", "logmel") == told("folder", "own") == []
    assert told("folder", "logmel") == ["features: logmel"]  # which may be the folder's own


def linear(**params):
    """What a spec says of a logistic regression of today's code."""
    model = registry.models().get("logistic_regression").from_params(**params)
    return {"model": model.name, "params": model.get_params(), "source": source_hash(type(model))}


def test_a_tuned_model_is_tested_against_its_own_default():
    first = make_record()

    def entry(label=None, **changes):
        spec = replace(first.spec, **changes)
        return Entry(label or spec.label, [replace(first, spec=spec)], [None], None)

    tuned = {"study": "made-guess", "trial": 3}
    entries = [
        entry(**tuned),
        entry(),
        entry(**tuned, refit=True),  # its default wasn't refitted
        entry(preset="published"),
        entry(model="other"),
        entry(model="other", params={"depth": 9}),  # which of the two is the default?
        entry(model="other", **tuned),
        entry(model="third", **tuned),
        entry(model="third", features="mert"),  # tuned on others
        entry("ensemble", model="third"),
        entry(**linear(C=0.0003)),  # set by hand
        entry(**linear(), **tuned),
    ]
    assert tuned_and_default(entries) == [(0, 1)]
    entries.append(entry(**linear()))
    assert tuned_and_default(entries) == [(0, 1), (11, 12)]
    del entries[-1], entries[-2]
    entries.append(entry(**{**linear(C=0.0003), "source": "older"}))  # its default, perhaps
    assert tuned_and_default(entries) == [(0, 1), (10, 11)]


def test_a_label_tells_parameters_that_were_set_by_hand():
    first = make_record()

    def labels(*all_params, **changes):
        specs = [replace(first.spec, **{**linear(**one), **changes}) for one in all_params]
        made = [replace(first, spec=spec) for spec in specs]
        return sorted(label for label, _ in newest(made, lambda record: record.created))

    assert labels({}) == ["logistic_regression"]
    assert labels({"C": 0.5}) == ["logistic_regression (C=0.5)"]
    assert labels({"C": 0.5}, study="made-guess", trial=1) == ["logistic_regression tuned"]
    both = [f"logistic_regression (C={value})" for value in (linear()["params"]["C"], 0.5)]
    assert labels({"C": 0.5}, {}) == both
    assert labels({"C": 0.5}, source="older") == ["logistic_regression"]


def one_seed(label, scores):
    return SimpleNamespace(label=label, scores=scores, evaluations=[None])


def test_a_better_rank_at_a_lower_value_is_told():
    rng = np.random.default_rng(0)
    clips = rng.normal(0, 0.001, (2000, 1))
    steady, noisy = clips + rng.normal(0, 0.001, (2, 2000, 1)), rng.normal(0, 0.1, (2000, 1))
    values = np.stack([0.70 + steady[0], 0.69 + steady[1], 0.65 + noisy], axis=1)
    runs = tuple(np.array([[value]]) for value in (0.70, 0.69, 0.65))
    drawn = Bootstrap("mAP", np.array([True]), runs, values, values[:, :, 0])
    inferred = Inference({"mAP": drawn}, pairwise(drawn), None, 0.95, 2000)
    assert inferred.pairs.rank.tolist() == [1, 2, 1]
    scores = {"a": np.zeros(2), "b": np.ones(2), "c": np.zeros(2)}
    entries = [one_seed(label, own) for label, own in scores.items()]
    positives = np.ones((2, 1), bool)
    labels = SimpleNamespace(y_positive=positives, y_mask=positives, classes=("cello",))
    result = SimpleNamespace(entries=entries, unscored=[], notes=[], labels=labels)
    notes = comparison_notes(result, inferred)
    assert notes[0] == ("fewer than 10 positives, so that intervals may be far too short: cello")
    result.unscored = ["cello"]
    assert not comparison.few_positives(result)
    result.unscored = []
    (said,) = (n for n in notes if n.startswith("rank is better"))
    assert "than that of models of equal or higher mAP: c (rank 1); fewer models differ" in said
    assert notes[-1] == "scored alike to the last digit: a and c"
    for label in "de":
        result.entries.append(one_seed(label, np.full(2, 0.5)))
    assert comparison_notes(result, inferred)[-1].endswith(": a and c; d and e")  # in one line
    few = comparison_notes(result, replace(inferred, asked=1000))[2]
    assert few.startswith("1,000 resamples are too few") and few.endswith("so 2,000 were drawn")


def test_models_under_few_seeds_are_named():
    settings = {"one": (1, 0.0), "steady": (3, 0.0), "few": (3, 0.01), "many": (5, 0.01)}
    entries = [
        SimpleNamespace(label=label, evaluations=[None] * n, spread=lambda name, sd=sd: sd)
        for label, (n, sd) in settings.items()
    ]
    result = SimpleNamespace(entries=entries)
    (note,) = comparison._few_seeds(result)
    assert (
        note.startswith("fewer than 5 seeds: few under 3. ")
        and "`polytimbre run --seeds 5`" in note
    )
    result.entries += [entries[2]] * 3
    (note,) = comparison._few_seeds(result)
    assert note.startswith("fewer than 5 seeds: 4 models under 3. ")
    two = SimpleNamespace(label="late", evaluations=[None] * 2, spread=lambda name: 0.01)
    result.entries.append(two)
    (note,) = comparison._few_seeds(result)
    assert note.startswith("fewer than 5 seeds: late under 2; 4 models under 3. ")
    del result.entries[2:]
    assert comparison._few_seeds(result) == []


def make_labels(n, seed):
    part = make_part(n, seed)
    keys = np.array([f"k{i}" for i in range(n)])
    return StoredLabels(part.y_true, part.y_mask, keys, keys, classes=part.classes)


def test_evaluation_takes_thresholds_from_select_alone():
    rng = np.random.default_rng(0)
    labels = {"select": make_labels(300, 1), "test": make_labels(400, 2)}
    scores = {
        name: np.float32(0.5 * known.y_true + 0.5 * rng.random(known.y_true.shape))
        for name, known in labels.items()
    }
    found = evaluate(scores, labels)
    test, c = labels["test"], 5
    rows = test.y_mask[:, c]
    truth, score = test.y_positive[rows, c], scores["test"][rows, c]
    expected = average_precision_score(truth, score)
    assert found.average_precision[c] == pytest.approx(expected, abs=1e-12)
    for policy, chosen in found.thresholds.items():
        decided = score >= np.float32(chosen[c])
        assert found.decisions[policy].f1[c] == pytest.approx(f1_score(truth, decided), abs=1e-12)
    shuffled = {**scores, "test": rng.permuted(scores["test"], axis=0)}
    again = evaluate(shuffled, labels)
    for policy, chosen in found.thresholds.items():
        np.testing.assert_array_equal(chosen, again.thresholds[policy])
    assert np.isnan(found.average_precision[0])  # never observed
    assert len(set(found.thresholds["global"])) == 1


def test_a_narrow_terminal_gets_fewer_columns_and_is_told():
    frame = pd.DataFrame({"model": ["guess"], "mAP": [0.5], "mAP low": [0.4], "mAP high": [0.6]})
    frame["a long heading"] = 1.0
    wide, narrow = (text.text(frame, "table", "", [], width) for width in (80, 30))
    assert [column.header for column in wide.columns] == ["model", "mAP", "a long heading"]
    assert [column.header for column in narrow.columns] == ["model", "mAP"]
    told = "a long heading (a wider terminal or --format csv shows all)"
    assert narrow.caption == f"left out, too wide for here: {told}"
    assert list(wide.columns[1].cells) == ["0.500\n[dim]0.400–0.600[/]"]


def test_what_is_long_is_wrapped_and_estimates_and_tests_stay_to_the_last():
    columns = {
        "rank": 1, "model": "hist_gradient_boosting on musicnn", "seeds": 3, "mAP": 0.5,
        "mAP low": 0.4, "mAP high": 0.6, "seed sd": 0.1, "p": 0.002, "p at floor": True,
        "among best": False, "fit (s)": 2.0, "verdict": "not shown to be over-fitted",
    }  # fmt: skip
    frame = pd.DataFrame({name: [value] for name, value in columns.items()})

    def printed(width):
        table = text.text(frame, "table", "", [], width)
        out = Console(width=width, file=StringIO())
        out.print(table)
        lines = out.file.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        return [column.header for column in table.columns], lines

    every = [name for name in frame.columns if not name.endswith(text.BESIDE)]
    assert printed(160)[0] == printed(134)[0] == every
    assert any("hist_gradient_boosting on musicnn" in line for line in printed(160)[1])
    kept, lines = printed(80)
    assert kept == ["rank", "model", "mAP", "p", "among best", "verdict"]
    told = " ".join("".join(lines).split())
    assert "too wide for here: seeds; seed sd; fit (s) (a wider terminal or" in told
    assert any("│ on musicnn " in line for line in lines)
    assert any("│ 0.400–0.600 │" in line for line in lines)
    plain = frame[["rank", "model", "seeds", "seed sd", "verdict"]]  # in its own order
    headings = [column.header for column in text.text(plain, "table", "", [], 52).columns]
    assert headings == ["rank", "model", "seeds", "seed sd"]


def test_eighty_characters_have_room_for_both_headline_metrics_and_the_tests():
    spans = {f"{name}{end}": 0.5 for name in ("mAP", "behind", "F1") for end in ("", *BESIDE[:2])}
    row = {"rank": 1, "model": "hist_gradient_boosting", "seeds": 3, **spans, "p": 0.002}
    frame = pd.DataFrame([row | {"among best": False, "fit (s)": 2.0}])
    shown = text.text(COMPARISON.for_a_terminal(frame), "table", "", [], 80)
    kept = [column.header for column in shown.columns]
    assert kept == ["model", "mAP", "behind", "p", "F1"]
    assert shown.caption.startswith("left out, too wide for here: seeds; fit (s) (a wider")
