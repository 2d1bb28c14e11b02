"""Figures: drawn from made-up tables, with every label in its place, the same bytes twice."""

import os
from dataclasses import replace
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from reports import figures
from reports.figures import style
from reports.figures.comparison import LEAST_SCALE
from reports.tables.declaration import Result

FEW = ("cnn", "random_forest", "constant")
MANY = (
    "cnn tuned refit", "attention tuned refit", "attention tuned", "cnn tuned", "attention", "cnn",
    "cnn:published", "hist_gradient_boosting tuned", "logistic_regression tuned", "xgboost tuned",
    "hist_gradient_boosting", "random_forest", "xgboost", "constant",
)  # fmt: skip
CLASSES = (
    "accordion", "banjo", "bass", "cello", "clarinet", "cymbals", "drums", "flute", "guitar",
    "mallet_percussion", "mandolin", "organ", "piano", "saxophone", "synthesizer", "trombone",
    "trumpet", "ukulele", "violin", "voice",
)  # fmt: skip
POLICIES = (
    "global", "half", "per_class", "shrunk", "global + platt", "half + platt", "shrunk + platt",
    "global + isotonic", "half + isotonic", "shrunk + isotonic", "tuned",
)  # fmt: skip
SINGLE_STAGE = ("constant", "logistic_regression")


def spanned(name, values, half=0.02):
    values = np.asarray(values, dtype=float)
    return {name: values, f"{name} low": values - half, f"{name} high": values + half}


def levels(models):
    """A mAP a model, some of them equal."""
    return np.round(np.linspace(0.69, 0.61, len(models)), 2) - 0.4 * (
        np.array(models) == "constant"
    )


def compared(models):
    n, at = len(models), levels(models)
    columns = {
        "rank": [1 + int((at > value + 0.01).sum()) for value in at], "model": models,
        **spanned("mAP", at), **spanned("F1", at - 0.05),
        "fit (s)": np.geomspace(120, 0.9, n), "ms/clip": np.geomspace(0.2, 0.02, n),
        "model (bytes)": np.geomspace(2e5, 9e6, n),
    }  # fmt: skip
    columns["ms/clip"][[m == "constant" for m in models]] = 0.0
    return pd.DataFrame(columns)


def ranked(models):
    n = len(models)
    average = 1 + (n - 1) * np.sort(np.abs(np.sin(np.arange(n)))) ** 0.7
    return pd.DataFrame({"model": models, "rank": range(1, n + 1), "average rank": average})


def paired(models):
    rows = [
        (a, b, i - j) for i, a in enumerate(models) for j, b in enumerate(models) if i < j
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "against", "far"])
    return frame.assign(**spanned("difference", -0.004 * frame["far"]))


def by_class(models, classes):
    frame = pd.DataFrame([(c, m) for m in models for c in classes], columns=["class", "model"])
    at = 0.5 + 0.4 * np.sin(np.arange(len(frame)))
    at[frame["class"] == "mandolin"] = np.nan
    return frame.assign(positives=np.arange(len(frame)) % 900, **spanned("AP", at, 0.08))


def squares(classes):
    rows = [(a, b) for a in classes for b in classes if a != b]
    frame = pd.DataFrame(rows, columns=["class", "with"])
    share = np.abs(np.sin(np.arange(len(frame))))
    share[3] = np.nan
    return frame.assign(share=share, clips=12)


def trained(models):
    frames = []
    for model in models:
        n = 1 if model.startswith(SINGLE_STAGE) else 30
        at = np.arange(1, n + 1)
        columns = {"model": model, "unit": "epoch", "number": at, "seeds": np.where(at < 25, 3, 1)}
        for i, part in enumerate(("fit", "stop")):
            columns[f"{part}_loss"] = 0.1 * i + 0.3 + 0.9 / at
            columns[f"{part}_mAP"] = 0.6 - 0.1 * i - 0.3 / at
            for measure in ("loss", "mAP"):
                columns[f"{part}_{measure} sd"] = np.where(at < 25, 0.01, np.nan)
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def gaps(models):
    at = levels(models)
    columns = {
        "model": models, "fit mAP": at + 0.3, "select mAP": at + 0.01, "test mAP": at,
        **spanned("optimism", np.full(len(at), 0.29)), **spanned("shift", np.full(len(at), 0.01)),
        "verdict": "over-fitted",
    }  # fmt: skip
    return pd.DataFrame(columns)


def gaps_by_class(models, classes):
    frame = pd.DataFrame([(m, c) for m in models for c in classes], columns=["model", "class"])
    at = 0.3 * np.sin(np.arange(len(frame)))
    return frame.assign(**spanned("optimism", at, 0.2), **spanned("shift", -at, 0.3))


def learnt(models):
    shares, clips = ["10 %", "20 %", "50 %", "100 %"], [486, 817, 1598, 3343]
    frame = pd.DataFrame(
        [(m, s, n) for m in models for s, n in zip(shares, clips)],
        columns=["model", "fraction", "clips"],
    )
    at = 0.1 * np.log10(frame["clips"]) + 0.2
    gain = spanned("gain", np.full(len(frame), 0.02))
    return frame.assign(**{"training mAP": at + 0.2}, **spanned("select mAP", at), **gain)


def transferred(models):
    shown = ["5", "10", "20", "40", "all"]
    frame = pd.DataFrame([(n, m) for n in shown for m in models], columns=["positives", "model"])
    at = 0.2 + 0.05 * frame["positives"].map(shown.index) + 0.03 * frame["model"].map(models.index)
    return frame.assign(**spanned("mAP", at))


def decided(models):
    rows = [(m, p) for m in (*models, f"mean of {len(models)} models") for p in POLICIES]
    frame = pd.DataFrame(rows, columns=["model", "policy"])
    at = np.where(frame["policy"].str.startswith("half"), -0.09, 0.002)
    at = np.where(frame["policy"] == "global", np.nan, at)
    return frame.assign(
        p=0.5, **spanned("held-out gain", at, 0.005), **spanned("test gain", at / 2, 0.005)
    )


def reliable(models):
    rows = [
        (m, "all", x + 0.03, x, x**1.3, 10 ** (5 - 4 * x))
        for m in models
        for x in ([0.2] if m == "constant" else np.linspace(0.03, 0.97, 15))
    ]
    return pd.DataFrame(
        rows,
        columns=["model", "class", "upper edge", "mean score", "share of positives", "labels"],
    )


def audited(models):
    labels = [*models, "cnn (trained as published)", "always yes"]
    at = np.linspace(0.9, 0.5, len(labels))
    ranks = [*map(str, range(1, len(labels))), "–"]
    columns = {"model": labels, "accuracy": at / 10, "w. F1": at, "mAP*": at - 0.2}
    return pd.DataFrame(columns).assign(
        **{"accuracy rank": ranks, "F1 rank": ranks, "mAP rank*": ranks}
    )


def masked(models):
    rows = [(metric, m) for metric in ("mAP", "F1", "ROC-AUC") for m in models]
    frame = pd.DataFrame(rows, columns=["metric", "model"])
    return frame.assign(**{"all labels": 0.4, "observed": 0.7, "bias": 0.3, "sd": 0.01})


def masked_levels():
    shares, metrics = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0), ("mAP", "F1", "ROC-AUC")
    rows = [(x, m, round(29 * x)) for x in shares for m in metrics]
    frame = pd.DataFrame(rows, columns=["x OpenMIC", "metric", "positives"])
    at = np.linspace(0.7, 0.95, len(frame))
    return frame.assign(labels=1721, bias=1 - at, tau=at, **{"tau 5 %": at - 0.1, "tau ≥ 0.9": at})


def searched(models):
    frame = pd.DataFrame([(m, t) for m in models for t in range(16)], columns=["model", "trial"])
    states = ("complete", "pruned", "complete", "failed")
    state = np.where(frame["trial"] == 0, "complete", np.array(states)[frame["trial"] % 4])
    at = 0.55 + 0.01 * frame["trial"]
    at[state != "complete"] = np.nan
    capped = frame["trial"] % 4 == 2
    frame = frame.assign(state=state, capped=capped, **{"select mAP": at})
    return frame.assign(**{"best so far": frame.groupby("model")["select mAP"].cummax().ffill()})


def important(models):
    names = ("learning_rate", "feature_masking", "dropout", "label_smoothing", "min_child_weight",
             "C", "pooling", "weight_decay", "noise")  # fmt: skip
    rows = [(m, p, 0.4 / (i + 1)) for m in models for i, p in enumerate(names[: 2 + 7 * len(m)])]
    return pd.DataFrame(rows, columns=["model", "parameter", "importance"])


def sliced(models):
    kinds = (("instruments", "1"), ("instruments", "2 or more"), ("style", "country and folk"))
    rows = [
        {
            "attribute": attribute, "slice": kind, "model": model, "positives": 120 + i,
            "ROC-AUC": 0.9 - m / 50, "ROC-AUC difference": -0.01 * i,
            "ROC-AUC difference low": -0.02 * i - 0.01, "ROC-AUC difference high": 0.01,
        }
        for i, (attribute, kind) in enumerate(kinds)
        for m, model in enumerate(models)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def sliced_by_class(model, classes):
    rows = [("style", kind, name, model) for kind in ("folk", "jazz") for name in classes]
    frame = pd.DataFrame(rows, columns=["attribute", "slice", "class", "model"])
    at, name = np.linspace(-0.2, 0.1, len(frame)), "ROC-AUC difference"
    return frame.assign(positives=12, **spanned("ROC-AUC", 0.7 + at), **spanned(name, at))


def made(models, classes=CLASSES, dataset="rendered"):
    """Every table that a data set may have, made up."""
    known = {
        "dataset": dataset,
        "split": "official",
        "official": True,
        "part": "test",
        "n_clips": 1464,
    }
    facts = {
        "ranks": {
            "critical_difference": 2.01,
            "groups": [models[i : i + 4] for i in range(0, len(models) - 1, 3)],
        },
        "thresholds": {"mean": f"mean of {len(models)} models"},
        "protocol_audit": {"yes": "always yes", "mask": "OpenMIC-like mask", "runs": {}},
        "learning_curve": {"runs": {}},
        "mask_audit": {"masks": "under 50 masks"}, "mask_levels": {"masks": "under 50 masks"},
    }  # fmt: skip
    tuned = [m for m in models if m != "constant"][-5:]
    frames = {
        "comparison": compared(models), "ensembles": compared(models), "ranks": ranked(models),
        "pairs": paired(models), "per_class": by_class(models, classes),
        "cooccurrence": squares(classes),
        "confusions": pd.concat([squares(classes).assign(model=m) for m in models]),
        "curves": trained(models), "gap": gaps(models),
        "gap_per_class": gaps_by_class(models, classes), "learning_curve": learnt(tuned[:3]),
        "thresholds": decided(models), "reliability": reliable(models),
        "calibration": pd.DataFrame({"model": models, "pooled ECE": 0.03}),
        "protocol_audit": audited(models), "mask_audit": masked(models),
        "mask_levels": masked_levels(), "trials": searched(tuned), "importances": important(tuned),
        "slices_per_class": sliced_by_class(models[0], classes),
        "slices": sliced(models), "transfer": transferred(list(tuned[:3])),
    }  # fmt: skip
    return {
        name: Result(name, frame, facts={**known, **facts.get(name, {})})
        for name, frame in frames.items()
    }


def labelled(classes=CLASSES):
    """The tables of a data set that has labels alone."""
    known = pd.DataFrame({"class": classes, "observed present": 20, "not observed": 320})
    known["observed absent"] = 34
    claims = pd.DataFrame({"class": ["saxophone", "trumpet", "ukulele"]})
    claims = claims.assign(
        **{"published network": 0.93, "yes, as published": 0.92, "yes, corrected": 0.4}
    )
    facts = {"n_kept": 374, "n_test": 5085}
    return {
        "labels": Result("labels", known, facts=facts),
        "precision": Result("precision by class", claims),
    }


def drawn_texts(figure, monkeypatch):
    """Return every text that is drawn, with the box it takes, in pixels."""
    found = []
    plain = Text.draw
    style.settle(figure)

    def draw(self, renderer):
        if self.get_visible() and self.get_text().strip():
            found.append((self.get_text(), self.get_window_extent(renderer)))
        plain(self, renderer)

    with monkeypatch.context() as patched:
        patched.setattr(Text, "draw", draw)
        figure.canvas.draw()
    return found


def misplaced(figure, texts):
    """Return sentences about texts that overlap, or leave the canvas."""
    width, height = figure.bbox.width, figure.bbox.height
    wrong = [
        f"{text!r} leaves the canvas: {box}"
        for text, box in texts
        if box.x0 < -0.5 or box.y0 < -0.5 or box.x1 > width + 0.5 or box.y1 > height + 0.5
    ]
    for (one, a), (two, b) in combinations(texts, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > 0.5 and down > 0.5:
            wrong.append(f"{one!r} overlaps {two!r} by {across:.1f} x {down:.1f}")
    return wrong


CASES = {
    "few": {"rendered": made(FEW, CLASSES[:6]), "openmic2018": labelled()},
    "many": {"audioset20": made([f"{model} on vggish" for model in MANY])},
}


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_or_is_cut_and_all_models_are_named(case, monkeypatch):
    with style.applied():
        for name, drawing in figures.compose(CASES[case]):
            texts = drawn_texts(drawing.figure, monkeypatch)
            assert texts and not misplaced(drawing.figure, texts), name
            said = {text.replace("\n", "").replace(" ", "") for text, _ in texts}
            for model in named(name, CASES[case]):
                assert any(model.replace(" ", "") in one for one in said), (name, model)


def named(name, tables):
    """Return the models that a figure must name."""
    dataset, _, kind = name.partition("-")
    found = tables[dataset].get("comparison")
    models = [] if found is None else list(found.frame["model"])
    shown = {
        "cost": [m for m in models if not m.startswith("constant")],
        "curves": [m for m in models if not m.startswith(SINGLE_STAGE)],
        "reliability": [m for m in models if not m.startswith("constant")],
        "per-class-pair": [m for m in models if m.split(" on ")[0] in ("cnn", "random_forest")],
    }
    everyone = ("comparison", "critical-difference", "per-class", "gap", "protocol-audit",
                "mask-audit", "ensembles")  # fmt: skip
    return shown.get(kind, models if kind in everyone else [])


def test_the_check_of_texts_sees_what_is_wrong(monkeypatch):
    with style.applied():
        figure, axes = style.canvas(8, 4)
        axes[0, 0].text(0.5, 0.5, "here", transform=figure.transFigure)
        axes[0, 0].text(0.51, 0.5, "and here", transform=figure.transFigure)
        axes[0, 0].text(0.99, 0.9, "cut off", transform=figure.transFigure)
        found = misplaced(figure, drawn_texts(figure, monkeypatch))
    assert len(found) == 2
    assert "'cut off' leaves" in found[0] and "'here' overlaps 'and here'" in found[1]


def test_every_figure_is_written_in_every_format(tmp_path):
    drawn = figures.draw(CASES["few"], tmp_path / "new")
    names = [one.name for one in drawn]
    plans = [plot.name for plot in figures.plots()]
    of_labels = ["labels", "precision"]
    missing = ["tuned"]  # there is no tuned model
    assert names == [f"openmic2018-{one}" for one in of_labels] + [
        f"rendered-{one}" for one in plans if one not in of_labels + missing
    ]
    files = {f"{name}.{ending}" for name in names for ending in ("svg", "pdf", "png")}
    assert {path.name for path in (tmp_path / "new").iterdir()} == files
    for one in drawn:
        assert one.title and one.caption.endswith(".") and one.alt.endswith(".")
        assert "nan" not in one.alt
        with Image.open(tmp_path / "new" / f"{one.name}.png") as picture:
            assert picture.width in {669, 670, 1377, 1378}  # 8.5 and 17.5 cm
        text = (tmp_path / "new" / f"{one.name}.svg").read_text(encoding="utf-8")
        assert "<dc:date>" not in text and "<text" not in text
        assert b"CreationDate" not in (tmp_path / "new" / f"{one.name}.pdf").read_bytes()


def test_bytes_repeat_whatever_the_time_and_nothing_global_changes(tmp_path, monkeypatch):
    kept = ("ensembles", "ranks", "cooccurrence", "learning_curve")
    tables = {"rendered": {name: CASES["few"]["rendered"][name] for name in kept}}
    before = dict(matplotlib.rcParams)
    first = figures.draw(tables, tmp_path / "a")
    monkeypatch.setitem(os.environ, "SOURCE_DATE_EPOCH", "86400")
    matplotlib.rcParams["font.size"] = before["font.size"] + 5  # one's own style doesn't matter
    try:
        assert figures.draw(tables, tmp_path / "b") == first
    finally:
        matplotlib.rcParams["font.size"] = before["font.size"]
    assert dict(matplotlib.rcParams) == before
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_what_tables_do_not_hold_is_left_out(tmp_path):
    whole = made(FEW)
    empty = Result("trials", whole["trials"].frame.iloc[:0])
    found = figures.draw({"rendered": {"gap": whole["gap"], "trials": empty}}, tmp_path)
    assert [one.name for one in found] == ["rendered-gap"]
    assert figures.draw({}, tmp_path) == []
    one_mask = whole["mask_levels"].frame.drop(columns="x OpenMIC")
    no_levels = {"mask_levels": replace(whole["mask_levels"], frame=one_mask)}
    assert figures.draw({"rendered": no_levels}, tmp_path) == []


def test_numbers_are_those_of_the_tables():
    tables = {name: made(MANY)[name] for name in ("comparison", "pairs")}
    with style.applied():
        drawn = dict(figures.compose({"audioset20": tables}))
    comparison = drawn["audioset20-comparison"]
    assert "cnn tuned refit rank 1, mAP 0.690 (0.670 to 0.710)" in comparison.alt
    points = [line.get_xdata()[0] for line in comparison.figure.axes[0].lines[1::2]]
    assert points == list(levels(MANY))
    tuned = drawn["audioset20-tuned"]
    assert "cnn tuned against default 0.008 (-0.012 to 0.028)" in tuned.alt
    assert "cnn refitted against tuned 0.012 (-0.008 to 0.032)" in tuned.alt
    worse = made(("attention", "attention tuned", "constant"))
    with style.applied():
        alt = dict(figures.compose({"x": {"pairs": worse["pairs"]}}))["x-tuned"].alt
    assert "attention tuned against default -0.004 (-0.024 to 0.016)" in alt
    refitted = made(("cnn refit", "cnn", "constant"))
    with style.applied():
        alt = dict(figures.compose({"x": {"pairs": refitted["pairs"]}}))["x-tuned"].alt
    assert "cnn refitted against default" in alt and "against tuned" not in alt
    several = made(("cnn tuned on tags", "cnn on tags", "cnn on logmel", "random_forest on tags"))
    with style.applied():
        some = {name: several[name] for name in ("pairs", "per_class")}
        drawn = dict(figures.compose({"x": some}))
    assert "cnn on tags tuned against default" in drawn["x-tuned"].alt
    assert "of cnn on tags against random_forest on tags" in drawn["x-per-class-pair"].alt


def test_a_description_tells_the_first_few_and_counts_the_others():
    told = [f"model {n}" for n in range(7)]
    assert style.first(told, "model").endswith("; model 4; and 2 more models.")
    assert style.first(told[:6], "class").endswith("; and 1 more class.")
    assert style.first(told[:2], "model") == "model 0; model 1."


@pytest.mark.parametrize("ending", ["", " on features of a very long name"])
def test_ranks_have_a_wide_scale_also_beside_long_labels(ending):
    labels = [f"{label}{ending}" for label in MANY]
    with style.applied():
        (drawn,) = dict(figures.compose({"x": {"ranks": made(labels)["ranks"]}})).values()
    ax = drawn.figure.axes[0]
    left, right = ax.get_xlim()
    assert style.PAGE * (len(labels) - 1) / (right - left) > LEAST_SCALE


def test_a_model_looks_the_same_everywhere_and_unlike_the_others():
    labels = [f"{label}{on}" for label in MANY for on in (" on logmel", " on musicnn", " on tags")]
    looks = [style.look(label) for label in labels]
    assert len(set(looks)) == len(labels)
    assert len({(one.marker, one.filling, one.line) for one in looks}) == len(labels)  # grey
    assert style.look("another_model") == style.look("another_model")
    assert style.look("cnn").colour == style.look("cnn tuned").colour


@pytest.mark.parametrize("n", range(1, 25))
def test_panels_stand_in_rows_with_few_left_over(n):
    columns = style.balanced(n, 4)
    assert columns <= max(n, 1) and columns <= 5
    assert -n % columns <= 2
