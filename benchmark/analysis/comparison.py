"""Score stored runs and compare them: what is derived is never stored."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts.dataset import OWN
from benchmark.errors import PolytimbreError, ProtocolError, StoreError, UnknownNameError
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.protocol import PROTOCOLS
from benchmark.runs.features import features_of, own_features, without_hash
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record, RunSpec
from benchmark.runs.request import DataRequest, RunRequest, make_model
from benchmark.scoring.evaluation import Evaluation, evaluate


@dataclass(frozen=True, eq=False)
class Entry:
    """One model's setting with all its seeds, as one row of a comparison.

    Attributes
    ----------
    label : str
        Model and preset; in brackets parameters that a user set, or that set two rows apart.
    records : list of Record
        One a seed; an ensemble's hold those of its members, seed after seed. None for scores
        that were brought along.
    evaluations : list of Evaluation
        One a seed.
    scores : ndarray, shape (n_seeds, n_clips, n_classes), float32
        On the part that is compared.
    """

    label: str
    records: list[Record]
    evaluations: list[Evaluation]
    scores: np.ndarray

    @cached_property
    def summary(self) -> dict[str, np.ndarray]:
        """Macro-averaged metrics by name, an array of one value a seed."""
        rows = [evaluation.summary() for evaluation in self.evaluations]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def mean(self, name: str) -> float:
        """Return a metric's mean over seeds."""
        return float(self.summary[name].mean())

    def spread(self, name: str) -> float:
        """Return the standard deviation over seeds, NaN for one."""
        values = self.summary[name]
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    @property
    def average_precision(self) -> np.ndarray:
        """Average precision of each class, mean over seeds, shape (n_classes,)."""
        return np.mean([e.average_precision for e in self.evaluations], axis=0)

    def seconds(self, name: str) -> float:
        """Mean seconds a seed of ``fit``, ``predict`` or ``warm_up``, members added up.

        NaN where no run stands behind the scores.
        """
        if not self.records:
            return float("nan")
        taken = sum(record.seconds.get(name, np.nan) for record in self.records)
        return taken / len(self.evaluations)

    def milliseconds_per_clip(self) -> float:
        """Mean time to score one clip of the test part, NaN where no run was timed."""
        if not self.records:
            return float("nan")
        return 1e3 * self.seconds("predict") / self.records[0].clips.get("test", np.nan)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Entries that may be compared, best mAP first.

    Attributes
    ----------
    dataset, split : str
    official : bool
        False is marked in every table.
    part : str
    labels : StoredLabels
        Of that part.
    entries : list of Entry
    unscored : list of str
        Classes left out: no observed positive or no observed negative in this part.
    notes : list of str
        What the reader should know: older runs left out, failed runs.
    """

    dataset: str
    split: str
    official: bool
    part: str
    labels: StoredLabels
    entries: list[Entry]
    unscored: list[str]
    notes: list[str]

    @property
    def division_id(self) -> str:
        """Id of the division that the compared runs share."""
        return next(r.spec.division_id for entry in self.entries for r in entry.records)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.labels.classes

    def without_refits(self) -> "Comparison":
        """Leave out what was fitted on all training clips: it has no unseen part but test."""
        kept = [entry for entry in self.entries if not entry.records[0].spec.refit]
        gone = [entry.label for entry in self.entries if entry not in kept]
        note = [f"left out, fitted on all training clips: {', '.join(gone)}"] if gone else []
        if not kept:
            raise ProtocolError(f"nothing is left to show: {note[0]}")
        return replace(self, entries=kept, notes=self.notes + note)


def compare(
    runs: Runs,
    dataset: str | None = None,
    models: Sequence[str] | None = None,
    part: str = "test",
    fraction: float = 1.0,
    protocol: str = "default",
    features: str | None = None,
    positives: int | None = None,
    follow: Callable[[list[str]], Iterable[str]] = iter,
    check: Callable[[RunSpec], None] = lambda spec: None,
) -> Comparison:
    """Compare the finished runs of each model setting, of the version last asked for.

    Parameters
    ----------
    runs : Runs
    dataset : str, optional
        Needed where there are runs of several.
    models : sequence of str, optional
        Names, or ``name:preset``; all if None.
    part : {"fit", "stop", "select", "test"}
    fraction : float
        Runs that trained on this share of the fit part's groups; others are no rivals.
    protocol : str
        One of :data:`benchmark.protocol.PROTOCOLS`.
    features : str, optional
        Runs on these features alone: a name, or a file's; all if None, and named in each label
        where there are several.
    positives : int, optional
        Runs that were shown so many positives a class; all of them if None.
    follow : callable
        Gets the models' labels and gives them back one by one, to show how far it is.
    check : callable
        Gets what a run of these was asked before anything is scored, which takes long, and may
        refuse what else is asked of their data.

    Raises
    ------
    UnknownNameError
        If there is no run of one of `models`, or on `features`.
    ProtocolError
        If nothing is left to compare, or the runs are of several data sets or splits.
    """
    learnt = fraction, positives
    groups, notes = _versions(runs, dataset, models, learnt, protocol, features)
    spec = groups[0][1][0].spec
    check(spec)
    labels = runs.labels(spec.division_id)
    _check_scorable(labels[part], part, spec.dataset)
    shown = follow([label for label, _ in groups])
    entries = [
        _entry(runs, label, group, labels, part)
        for label, (_, group) in zip(shown, groups, strict=True)
    ]
    entries.sort(key=lambda entry: -entry.mean("mAP"))
    classes = labels[part].classes
    missing = np.isnan(entries[0].average_precision)
    return Comparison(
        dataset=spec.dataset,
        split=spec.split,
        official=spec.official,
        part=part,
        labels=labels[part],
        entries=entries,
        unscored=[name for name, gone in zip(classes, missing, strict=True) if gone],
        notes=notes,
    )


def _check_scorable(labels: StoredLabels, part: str, dataset: str) -> None:
    positive, negative = labels.y_positive, labels.y_mask & ~labels.y_positive
    if not (positive.any(axis=0) & negative.any(axis=0)).any():
        raise ProtocolError(
            f"no class can be scored on the {part} part of {dataset}: none has both an observed "
            "positive and an observed negative there. Compare on another part"
        )


def _versions(
    runs: Runs,
    dataset: str | None,
    models: Sequence[str] | None,
    learnt: tuple[float, int | None],
    protocol: str,
    features: str | None,
) -> tuple[list[tuple[str, list[Record]]], list[str]]:
    """Return each model setting's runs of the version last asked for, and what is left out."""
    records = [r for r in runs if dataset in (None, r.spec.dataset)]
    records = [r for r in records if (r.spec.fraction, r.spec.positives) == learnt]
    records = [r for r in records if r.spec.protocol_id == PROTOCOLS[protocol].id]
    if features and records:
        records = _on(records, features)
    if models and records:
        records = _named(records, models)
    finished = [r for r in records if r.finished]
    notes = [
        f"{r.spec.label} seed {r.spec.seed} failed: {r.error}" for r in records if not r.finished
    ]
    if not finished:
        raise ProtocolError(_nothing(runs, dataset, notes))
    check_comparable(finished, ("dataset", "split"))
    groups = newest(on_newest_data(finished, runs.asked), runs.asked)
    if left_out := len(finished) - sum(len(group) for _, group in groups):
        notes.append(
            f"older runs of changed code, libraries or data, left out: {left_out}. Of each model "
            "the version that was run or asked for last is shown; `polytimbre forget --older` "
            "removes the others"
        )
    return groups, [*_features_note(groups), *notes]


def _features_note(groups: Sequence[tuple[str, list[Record]]]) -> list[str]:
    """Say which features the runs are on, unless the data set is loaded with them."""
    dataset = groups[0][1][0].spec.dataset
    shown = {features_of(group[0].spec) for _, group in groups}
    own = own_features(dataset)
    if len(shown) > 1 or shown == {own}:
        return []
    # what a folder is loaded with stands in the folder, and may be what is shown
    instead = "" if own == OWN else f", in place of those that {dataset} is loaded with"
    return [f"features: {without_hash(shown.pop())}{instead}"]


def _on(records: Sequence[Record], features: str) -> list[Record]:
    """Return the records on some features; a file goes by its name, with its hash or without."""
    on = {record.run_id: features_of(record.spec) for record in records}
    wanted = "+".join(Path(part).name for part in features.split("+"))
    known = {name: without_hash(name) for name in on.values()}
    shown = {name for name, short in known.items() if wanted in (name, short)}
    if not shown:
        raise UnknownNameError(
            "features", features, set(known.values()), where="among the stored runs"
        )
    return [record for record in records if on[record.run_id] in shown]


def _named(records: Sequence[Record], models: Sequence[str]) -> list[Record]:
    """Return the records of models that are named; refuse a name that no record bears."""
    names = [{r.spec.label, r.spec.setting, r.spec.model} for r in records]
    known = set().union(*names)
    for name in models:
        if name not in known and name in registry.models().names():
            dataset = records[0].spec.dataset
            raise ProtocolError(
                f"no run of {name} on {dataset} is stored: `polytimbre run --dataset {dataset} "
                f"--model {name}` makes one"
            )
        if name not in known:
            raise UnknownNameError("model", name, known, where="among the stored runs")
    return [r for r, own in zip(records, names, strict=True) if own & set(models)]


def _entry(
    runs: Runs, label: str, group: list[Record], labels: dict[str, StoredLabels], part: str
) -> Entry:
    scores = [runs.scores(record) for record in group]
    if part not in scores[0]:
        raise StoreError(
            f"{runs.path} is a published set, and holds scores of {' and '.join(scores[0])} alone:"
            f" none of {part}. Name another part, or with --store the folder that the runs are in"
        )
    evaluations = [evaluate(one, labels, part) for one in scores]
    return Entry(label, group, evaluations, np.stack([one[part] for one in scores]))


def _nothing(runs: Runs, dataset: str | None, failures: Sequence[str]) -> str:
    if failures:
        return f"no run has finished. {failures[-1]}"
    stored = sorted({r.spec.dataset for r in runs})
    where = f"the store {runs.path} holds no such run"
    if not stored and hasattr(runs, "complete"):  # a published set, read once or not
        return f"the published set {runs.name!r} holds no runs: `polytimbre table NAME` prints it"
    if not stored:
        return f"{where}: it is empty. Run `polytimbre run` first"
    wanted = f" of data set {dataset!r}" if dataset else ""
    return f"{where}{wanted}; it holds runs on {', '.join(stored)}"


#: What runs that are compared have in common, and what to do where they have not.
IN_COMMON = {
    "dataset": "Name one with --dataset; in Python `store(FOLDER, dataset)` gives the runs on one",
    "split": "A split's runs are compared among themselves; use another --store for each",
    "protocol_id": "Run them again under one protocol",
    "fingerprint": "The data's content changed: run them again, or use another --store",
    "division_id": "The division into parts changed: run them again",
}


#: What those fields are called.
CALLED = {"dataset": "data set", "protocol_id": "protocol", "division_id": "division"}


def check_comparable(records: Sequence[Record], names: Iterable[str] = tuple(IN_COMMON)) -> None:
    """Raise ProtocolError for runs of different data, splits or protocols.

    Parameters
    ----------
    records : sequence of Record
    names : iterable of str
        Of `IN_COMMON`, what to look at.

    Raises
    ------
    ProtocolError
        Naming what differs.
    """
    for name in names:
        values = sorted({str(getattr(r.spec, name)) for r in records})
        if len(values) > 1:
            raise ProtocolError(
                f"these runs can't be compared, their {CALLED.get(name, name)} differs: "
                f"{', '.join(value[:16] for value in values)}. {IN_COMMON[name]}"
            )


#: Says when a run was last asked for; see :meth:`benchmark.runs.reading.Runs.asked`.
Asked = Callable[[Record], str]


def on_newest_data(records: Sequence[Record], asked: Asked) -> list[Record]:
    """Return the runs of the data's content and division that was asked for last."""
    last = max(records, key=asked).spec
    wanted = last.fingerprint, last.division_id
    return [r for r in records if (r.spec.fingerprint, r.spec.division_id) == wanted]


def newest(records: Sequence[Record], asked: Asked) -> list[tuple[str, list[Record]]]:
    """Group runs over seeds; of one setting or study keep the version that was asked for last.

    Returns
    -------
    list of (str, list of Record)
        Label and runs, by seed, of each model setting.
    """
    settings: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    for record in records:
        spec = record.spec
        label = replace(spec, preset=None).label  # a preset is a name for parameters
        key = label, features_of(spec), spec.study or str(sorted(spec.params.items()))
        versions = settings.setdefault(key, {})
        versions.setdefault(record.config_id, []).append(record)
    groups = []
    for versions in settings.values():
        last = max(versions.values(), key=lambda group: max(map(asked, group)))
        groups.append(sorted(last, key=lambda record: record.spec.seed))
    return list(zip(_labels(groups), groups, strict=True))


def superseded(runs: Runs) -> list[Record]:
    """Return the runs in whose place :func:`compare` shows newer ones, oldest first.

    Those are the finished runs of older code, libraries or data, and the failed ones of a model
    and seed that has finished since.
    """
    records = runs.records()
    kinds: dict[tuple, list[Record]] = {}
    for record in records:
        if record.finished:
            spec = record.spec
            kind = spec.dataset, spec.split, spec.protocol_id, spec.fraction, spec.positives
            kinds.setdefault(kind, []).append(record)
    shown = [
        record
        for kind in kinds.values()
        for _, group in newest(on_newest_data(kind, runs.asked), runs.asked)
        for record in group
    ]
    ids, since = {record.run_id for record in shown}, {}
    for record in shown:
        since[_place(record)] = max(runs.asked(record), since.get(_place(record), ""))
    return [
        record
        for record in records
        if record.run_id not in ids
        and (record.finished or runs.asked(record) <= since.get(_place(record), ""))
    ]


def _place(record: Record) -> tuple:
    spec = record.spec
    return spec.dataset, spec.split, spec.protocol_id, spec.label, features_of(spec), spec.seed


def _labels(groups: Sequence[Sequence[Record]]) -> list[str]:
    """Name model settings; features where they differ, parameters set by hand or that differ."""
    labels = []
    on = [features_of(group[0].spec) for group in groups]
    plain = list(map(without_hash, on))
    if len(set(plain)) == len(set(on)):  # no two files of one name
        on = plain
    names = [group[0].spec.label for group in groups]
    if len(set(on)) > 1:
        names = [f"{name} on {features}" for name, features in zip(names, on, strict=True)]
    for name, group in zip(names, groups, strict=True):
        spec = group[0].spec
        alike = [g[0].spec.params for g, other in zip(groups, names, strict=True) if other == name]
        by_hand = set_by_hand(spec) or {}
        told = {
            name: value
            for name, value in spec.params.items()
            if name in by_hand or any(_differs(other, name, value) for other in alike)
        }
        shown = ", ".join(f"{name}={value}" for name, value in told.items())
        labels.append(f"{name} ({shown})" if shown else name)
    return labels


def set_by_hand(spec: RunSpec) -> dict[str, Any] | None:
    """Return those of a run's parameters that a user set: no default, preset or study did.

    None where that isn't known: of a model that isn't here, can't be made, or whose code, and with
    it perhaps a default, was changed since.
    """
    if spec.study or spec.preset:
        return {}
    try:
        model = make_model(RunRequest(DataRequest(spec.dataset), spec.model))
    except PolytimbreError:
        return None
    if source_hash(type(model)) != spec.source:
        return None
    defaults = json.loads(json.dumps(model.get_params()))
    return {name: value for name, value in spec.params.items() if _differs(defaults, name, value)}


def _differs(params: dict[str, Any], name: str, value: Any) -> bool:
    return params.get(name) != value
