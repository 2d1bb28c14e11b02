"""The front page's answers: a few sentences on each question, made from published tables.

Every number in a sentence stands in a table of a published set, whose place on the page the
sentence links to. A question that no published table answers says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.figures.style import base, family, split
from reports.tables.declaration import Result, Results
from reports.tables.slices import explained
from reports.tables.text import HIGH, LOW, with_interval
from reports.tables.words import count, listed, percent

#: Level of p-values, as in the tables.
ALPHA = 0.05 + 1e-12
#: Features that are known of a clip, and not heard in it.
TAGS = "tags"
#: How many classes, or slices, are named at the end of a ranking.
NAMED = 3


@dataclass(frozen=True)
class Source:
    """One published set, as questions are asked of it.

    Attributes
    ----------
    name : str
    tables : dict of str to Result
    recorded : bool
        Whether its clips are recordings, not rendered.
    features : list of str
        Those of its runs.
    """

    name: str
    tables: Results
    recorded: bool
    features: Sequence[str]

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table's rows; none where it is not there."""
        return self.tables[name].frame if name in self.tables else pd.DataFrame()

    def said(self, text: str, place: str) -> "Sentence":
        """Return a sentence that links to a place in this set's section."""
        return Sentence(text, f"#{self.name}-{place}", self.name)


@dataclass(frozen=True)
class Sentence:
    """What a table says, and a link to where it stands: address and text."""

    text: str
    href: str
    label: str


@dataclass(frozen=True)
class Answer:
    """A question and what is said to it; nothing where no published set shows it."""

    name: str
    question: str
    sentences: Sequence[Sentence]


def answers(sources: Sequence[Source]) -> list[Answer]:
    """Answer every question, in the order of the page.

    Parameters
    ----------
    sources : sequence of Source
        Sets of recordings count before rendered ones, whatever their order here.
    """
    ordered = sorted(sources, key=lambda one: not one.recorded)
    return [Answer(name, question, ask(ordered)) for name, question, ask in QUESTIONS]


def _first(sources: Sequence[Source], name: str) -> Source | None:
    """Return the first set that has a table with rows."""
    return next((one for one in sources if len(one.frame(name))), None)


def best(sources: Sequence[Source]) -> list[Sentence]:
    """Say which model and front end is best on recordings, and where front ends are compared."""
    said = []
    for one in sources:
        if one.recorded and len(one.frame("comparison")):
            said.append(one.said(_leader(one), "models"))
    n_recorded = len(said)
    heard = {split(x)[1].split("+")[0] for one in sources if one.recorded for x in _models(one)}
    if len(heard - {""}) > 1:
        return said
    if said:
        for one in sources:
            said += [] if one.recorded else _front_ends(one, first=len(said) == n_recorded)
    return said


def _models(one: Source) -> list[str]:
    frame = one.frame("comparison")
    return list(frame["model"]) if len(frame) else []


def _leader(one: Source) -> str:
    frame = one.frame("comparison")
    first = frame.iloc[0]
    among = frame["among best"] if "among best" in frame else frame["rank"] == 1
    others = [name for name in frame["model"][among] if name != first["model"]]
    on = f", on {one.features[0]} as all models there," if len(one.features) == 1 else ""
    span = _span(first, "mAP")
    text = f"On {one.name}, {first['model']}{on} has the highest mAP, {span}"
    if not _is_told(first["model"]):
        text += _above_others(one, frame)
    text = f"{text}; not significantly worse: {listed(others)}." if others else f"{text}."
    return text + _heard_alone(one)


def _is_told(label: str) -> bool:
    """Whether a model is told something beside the sound."""
    return TAGS in split(label)[1].split("+")


def _heard_alone(one: Source) -> str:
    """Say which model is best on sound alone, and how far it is above the best of another one."""
    frame = one.frame("comparison")
    beside = np.array([_is_told(label) for label in frame["model"]])
    heard = frame[~beside]
    if not beside[0]:
        return ""
    text = f" Its {TAGS} are written beside a clip, not heard"
    if not len(heard):
        return f"{text}."
    first = heard.iloc[0]
    span = _span(first, "mAP")
    return f"{text}; on sound alone {first['model']} is best, {span}{_above_others(one, heard)}."


def _above_others(one: Source, frame: pd.DataFrame) -> str:
    """Say how far the first of some rows is above the best one of another model."""
    first, *others = frame["model"]
    other = next((name for name in others if base(name) != base(first)), None)
    pairs = one.frame("pairs")
    held = pairs[(pairs["model"] == first) & (pairs["against"] == other)] if len(pairs) else pairs
    if held.empty:
        return ""
    row = held.iloc[0]
    span = _span(row, "difference")
    return f", {span} above {other}, the best of another model"


def _front_ends(one: Source, first: bool) -> list[Sentence]:
    """Say how far front ends lie apart: of the model, and its parameters, that is best."""
    frame = one.frame("pairs")
    for row in frame.to_dict("records"):
        (model, features), (other, others) = split(row["model"]), split(row["against"])
        if model == other and features != others:
            span = _span(row, "difference")
            on = "Front ends are held against each other on rendered clips alone: on"
            text = (
                f"{on if first else 'On'} {one.name}, "
                f"{row['model']} is {span} mAP above {row['against']}."
            )
            return [one.said(text, "pairs")]
    return []


def comparable(sources: Sequence[Source]) -> list[Sentence]:
    """Say what may be compared: models within a set; neither sets nor kinds of labels."""
    compared = [one for one in sources if len(one.frame("comparison"))]
    if not compared:
        return []
    told, chance = [], []
    for one in compared:
        result = one.tables["comparison"]
        clips = result.facts.get("n_clips", 0)
        told.append(f"{len(result.frame)} on {one.name}, {clips:,} test clips")
        baseline = result.frame[[family(label) == "baseline" for label in result.frame["model"]]]
        if len(baseline):
            chance.append(f"{baseline['mAP'].max():.3f} on {one.name}")
    text = f"Settings of models on one data set, scored on the same clips: {'; '.join(told)}."
    if len(chance) > 1:
        text += f" Not across data sets: without hearing a clip, mAP is {listed(chance)}."
    said = [compared[0].said(text, "models")]
    masked = _first(sources, "mask_audit")
    if masked is not None:
        frame = masked.frame("mask_audit")
        bias = frame.loc[frame["metric"] == "mAP", "bias"].dropna()
        if len(bias):
            text = (
                "Nor partial labels with complete ones: where labels are observed "
                f"{masked.tables['mask_audit'].facts['masks']}, mAP "
                f"differs by {bias.min():+.3f} to {bias.max():+.3f} from that on all labels of "
                f"{masked.name}."
            )
            said.append(masked.said(text, "mask_audit"))
    return said


def failing(sources: Sequence[Source]) -> list[Sentence]:
    """Say which classes and which slices of the clips the best model is worst on."""
    said = []
    one = _first([s for s in sources if _models(s)], "per_class")
    if one is not None:
        model = _models(one)[0]
        frame = one.frame("per_class")
        of_model = frame[frame["model"] == model].dropna(subset=["AP"]).sort_values("AP")
        ends = [
            listed([f"{row['class']} ({row['AP']:.3f})" for row in some.to_dict("records")])
            for some in (of_model.head(NAMED), of_model.tail(NAMED)[::-1])
        ]
        text = (
            f"Classes: {model} on {one.name} has the lowest average precision on {ends[0]}, the "
            f"highest on {ends[1]}."
        )
        if len(of_model):
            said.append(one.said(text, "models"))
    sliced = _first([s for s in sources if _models(s)], "slices")
    if sliced is not None:
        said += _slices(sliced)
    return said


def _slices(one: Source) -> list[Sentence]:
    model = _models(one)[0]
    result = one.tables["slices"]
    significant = {tuple(key) for key in result.facts.get("significant", ())}
    frame = result.frame[result.frame["model"] == model].sort_values("ROC-AUC difference")
    keys = zip(frame["attribute"], frame["slice"], frame["model"], strict=True)
    shown = frame[[(*key, "ROC-AUC") in significant for key in keys]]
    worse = shown[shown["ROC-AUC difference"] < 0].drop_duplicates("attribute").head(NAMED)
    attributes = listed(list(dict.fromkeys(frame["attribute"])))
    told = [
        f"{row['attribute']} {row['slice']}, " + _span(row, "ROC-AUC difference")
        for row in worse.to_dict("records")
    ]
    where = "; ".join(told) if told else f"nowhere that shows, by {attributes}"
    text = f"Slices: ROC-AUC of {model} on {one.name} falls most, against all other clips: {where}."
    if said := explained(worse["attribute"]):
        text += f" What is said of a clip: {said}."
    return [one.said(text, "slices")] if len(frame) else []


def gap(sources: Sequence[Source]) -> list[Sentence]:
    """Say how far models fall from clips they were fitted on to others, and what follows."""
    one = _first(sources, "gap")
    if one is None:
        return []
    frame = one.frame("gap")
    at = frame.loc[frame["select mAP"].idxmax()]
    over = int((frame["verdict"] == "over-fitted").sum())
    most = frame.loc[frame["optimism"].idxmax()]
    text = (
        f"On {one.name}, {at['model']}, the best on select, falls from a mAP of "
        f"{at['fit mAP']:.3f} on the clips it was fitted on to {at['select mAP']:.3f} on select "
        f"and {at['test mAP']:.3f} on test."
    )
    if at["model"] != most["model"]:
        text += (
            f" The widest gap, {most['optimism']:.3f} from fit to select, is that of "
            f"{most['model']}, whose test mAP is {most['test mAP']:.3f}."
        )
    judged = (
        f"Of {count(len(frame), 'setting')} of models, without those fitted on all training clips, "
        f"{over or 'none'} {'are' if over > 1 else 'is'} shown to be over-fitted by the table's "
        "rule."
    )
    return [one.said(f"{text} {judged}", "gap")]


def thresholds(sources: Sequence[Source]) -> list[Sentence]:
    """Say which policy of choosing thresholds to use, by what it gained on test."""
    gaining, none, said = [], [], []
    for one in sources:
        frame = one.frame("thresholds")
        if not len(frame):
            continue
        mean = one.tables["thresholds"].facts["mean"] or frame["model"].iloc[0]
        rows = frame[frame["model"] == mean].dropna(subset=["test gain"])
        shown = rows[(rows["p"] <= ALPHA) & (rows["test gain"] > 0)]
        (gaining if len(shown) else none).append((one, rows, shown))
    for one, _, shown in gaining:
        row = shown.loc[shown["test gain"].idxmax()]
        gain = _span(row, "test gain")
        text = (
            f"On {one.name}, {row['policy']} gains {gain} macro F1 over one global "
            "threshold: use it."
        )
        said.append(one.said(text, "thresholds"))
    if none:
        one, rows, _ = none[0]
        names = listed([source.name for source, *_ in none])
        text = (
            "One global threshold, chosen on select: no other policy is shown to gain macro F1 "
            f"over it on {names}."
        )
        half = rows[rows["policy"] == "half"]
        if len(half):
            change = _span(half.iloc[0], "test gain")
            text += f" Leaving it at 0.5 changes F1 on {one.name} by {change}."
        said.append(one.said(text, "thresholds"))
    return said


def _span(row: Mapping[str, Any] | pd.Series, column: str) -> str:
    return with_interval(*(row[f"{column}{end}"] for end in ("", LOW, HIGH)))


def claim(sources: Sequence[Source]) -> list[Sentence]:
    """Say what a student project's figures are worth, beside those of saying yes to everything."""
    said = []
    one = _first(sources, "strategies")
    if one is not None:
        rows = one.frame("strategies").set_index("scored")
        if {"published network", "always yes"} <= {*rows.index}:
            network, yes = rows.loc["published network"], rows.loc["always yes"]
            text = (
                "A student project published, for a network on OpenMIC-2018, a weighted precision "
                f"of {percent(network['w. precision'], 0)} and a recall of "
                f"{percent(network['w. recall'], 0)}; saying yes to every label, "
                f"without hearing a clip, scores {percent(yes['w. precision'])} and "
                f"{percent(yes['w. recall'])} by that protocol, and a mAP of {yes['mAP*']:.3f} on "
                "the labels that were observed."
            )
            said.append(one.said(text, "strategies"))
    audited = _first(sources, "protocol_audit")
    if audited is not None:
        said += _spread(audited, audited.tables["protocol_audit"])
    return said


def _spread(one: Source, result: Result) -> list[Sentence]:
    models = result.frame[result.frame["model"] != result.facts["yes"]]
    ranges = {name: float(np.ptp(models[name])) for name in ("mAP*", "w. F1")}
    text = (
        "Nor does the project's protocol tell models apart: on labels masked as OpenMIC's are, "
        f"those of {one.name} differ by up to {ranges['mAP*']:.3f} in mAP, and by "
        f"{ranges['w. F1']:.3f} in its weighted F1."
    )
    return [one.said(text, "protocol_audit")] if ranges["w. F1"] < ranges["mAP*"] else []


#: Name, question, and the function that answers it, in the order of the page.
QUESTIONS: tuple[tuple[str, str, Callable[[Sequence[Source]], list[Sentence]]], ...] = (
    ("best", "Which model and front end is best on real recordings?", best),
    ("comparable", "What may be compared with what?", comparable),
    ("failing", "Where does it fail?", failing),
    ("gap", "What does the training gap say?", gap),
    ("thresholds", "Which thresholds to use?", thresholds),
    ("claim", "What is a student project's claim on OpenMIC-2018 worth?", claim),
)
