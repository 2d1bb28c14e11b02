"""Score stored runs and compare them: what is derived is never stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.errors import ProtocolError
from benchmark.protocol import PROTOCOLS
from benchmark.runs.record import Record
from benchmark.runs.store import Labels, Store
from benchmark.scoring import thresholds
from benchmark.scoring.metrics import Decisions, Ranking, brier, decisions, log_loss, macro


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run's metrics on one part.

    Attributes
    ----------
    average_precision, roc_auc, brier : ndarray, shape (n_classes,)
        NaN where a class can't be scored.
    log_loss : float
        Masked, in nats a label.
    thresholds : dict of str to ndarray, shape (n_classes,)
        By policy; chosen on the select part.
    decisions : dict of str to Decisions
        By policy.
    """

    average_precision: np.ndarray
    roc_auc: np.ndarray
    brier: np.ndarray
    log_loss: float
    thresholds: dict[str, np.ndarray]
    decisions: dict[str, Decisions]

    def summary(self) -> dict[str, float]:
        """Return the macro values by name."""
        values = {
            "mAP": macro(self.average_precision),
            "roc_auc": macro(self.roc_auc),
            "brier": macro(self.brier),
            "log_loss": self.log_loss,
        }
        for policy, scored in self.decisions.items():
            values[f"f1_{policy}"] = macro(scored.f1)
            values[f"two_class_f1_{policy}"] = macro(scored.two_class_f1)
        return values


def evaluate(
    scores: dict[str, np.ndarray], labels: dict[str, Labels], part: str = "test"
) -> Evaluation:
    """Score one run on one part, with thresholds chosen on *select*.

    Parameters
    ----------
    scores : dict of str to ndarray, shape (n_clips, n_classes)
        By part.
    labels : dict of str to Labels
        By part.
    part : {"fit", "stop", "select", "test"}
    """
    on_select, truth = labels["select"], labels[part]
    chosen = thresholds.choose(Ranking.of(on_select.y_positive, scores["select"], on_select.y_mask))
    y_score, y_positive, y_mask = scores[part], truth.y_positive, truth.y_mask
    ranking = Ranking.of(y_positive, y_score, y_mask)
    return Evaluation(
        average_precision=ranking.average_precision(),
        roc_auc=ranking.roc_auc(),
        brier=np.where(ranking.scorable, brier(y_positive, y_score, y_mask), np.nan),
        log_loss=log_loss(truth.y_true, y_score, y_mask),
        thresholds=chosen,
        decisions={
            # compared in float32, as the scores are, or a threshold may miss its own score
            name: decisions(y_positive, y_score >= values.astype(y_score.dtype), y_mask)
            for name, values in chosen.items()
        },
    )


@dataclass(frozen=True, eq=False)
class Entry:
    """One model's setting with all its seeds, as one row of a comparison.

    Attributes
    ----------
    label : str
        Model and preset; parameters in brackets where two rows would read alike.
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
        """Macro values by name, one a seed."""
        rows = [evaluation.summary() for evaluation in self.evaluations]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def mean(self, name: str) -> float:
        """Mean over seeds."""
        return float(self.summary[name].mean())

    def spread(self, name: str) -> float:
        """Return the standard deviation over seeds, NaN for one."""
        values = self.summary[name]
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    @property
    def average_precision(self) -> np.ndarray:
        """Mean over seeds, shape (n_classes,)."""
        return np.mean([e.average_precision for e in self.evaluations], axis=0)

    def seconds(self, name: str) -> float:
        """Mean seconds a seed of ``fit``, ``predict`` or ``warm_up``, members added up.

        NaN where no run stands behind the scores.
        """
        if not self.records:
            return float("nan")
        return sum(record.seconds[name] for record in self.records) / len(self.evaluations)

    def milliseconds_per_clip(self) -> float:
        """Mean time to score one clip of the test part, NaN where no run was timed."""
        if not self.records:
            return float("nan")
        return 1e3 * self.seconds("predict") / self.records[0].clips["test"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Entries that may be compared, best mAP first.

    Attributes
    ----------
    dataset, split : str
    official : bool
        False is marked in every table.
    part : str
    labels : Labels
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
    labels: Labels
    entries: list[Entry]
    unscored: list[str]
    notes: list[str]

    @property
    def division_id(self) -> str:
        """Of the runs that are compared."""
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
    store: Store,
    dataset: str | None = None,
    models: Sequence[str] | None = None,
    part: str = "test",
    fraction: float = 1.0,
    protocol: str = "default",
) -> Comparison:
    """Compare the newest finished runs of each model setting.

    Parameters
    ----------
    store : Store
    dataset : str, optional
        Needed where the store holds runs of several.
    models : sequence of str, optional
        Names, or ``name:preset``; all if None.
    part : {"fit", "stop", "select", "test"}
    fraction : float
        Runs that trained on this share of the fit part's groups; others are no rivals.
    protocol : str
        One of :data:`benchmark.protocol.PROTOCOLS`.

    Raises
    ------
    ProtocolError
        If nothing is left to compare, or the runs rest on different data, splits or
        protocols.
    """
    records = [r for r in store.records() if dataset in (None, r.spec.dataset)]
    records = [r for r in records if r.spec.fraction == fraction]
    records = [r for r in records if r.spec.protocol_id == PROTOCOLS[protocol].id]
    if models:
        records = [r for r in records if {r.spec.label, r.spec.setting, r.spec.model} & set(models)]
    finished = [r for r in records if r.finished]
    notes = [
        f"{r.spec.label} seed {r.spec.seed} failed: {r.error}" for r in records if not r.finished
    ]
    if not finished:
        raise ProtocolError(_nothing(store, dataset, notes))
    check_comparable(finished)
    newest, left_out = _newest(finished)
    if left_out:
        notes.append(f"{left_out} older run(s) of changed code or libraries left out")
    labels = store.labels(finished[0].spec.division_id)
    entries = [_entry(store, label, group, labels, part) for label, group in newest]
    entries.sort(key=lambda entry: -entry.mean("mAP"))
    spec, classes = finished[0].spec, labels[part].classes
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


def _entry(
    store: Store, label: str, group: list[Record], labels: dict[str, Labels], part: str
) -> Entry:
    scores = [store.scores(record) for record in group]
    evaluations = [evaluate(run, labels, part) for run in scores]
    return Entry(label, group, evaluations, np.stack([run[part] for run in scores]))


def _nothing(store: Store, dataset: str | None, failures: Sequence[str]) -> str:
    if failures:
        return f"no run has finished. {failures[-1]}"
    stored = sorted({r.spec.dataset for r in store.records()})
    where = f"the store {store.path} holds no such run"
    if not stored:
        return f"{where}: it is empty. Run `polytimbre run` first"
    wanted = f" of data set {dataset!r}" if dataset else ""
    return f"{where}{wanted}; it holds runs on {', '.join(stored)}"


def check_comparable(records: Sequence[Record]) -> None:
    """Refuse runs of different data, splits or protocols.

    Raises
    ------
    ProtocolError
        Naming what differs.
    """
    for name, advice in (
        ("dataset", "Name one with --dataset"),
        ("split", "A split's runs are compared among themselves; use another --store for each"),
        ("protocol_id", "Run them again under one protocol"),
        ("fingerprint", "The data's content changed: run them again, or use another --store"),
        ("division_id", "The division into parts changed: run them again"),
    ):
        found = sorted({str(getattr(r.spec, name)) for r in records})
        if len(found) > 1:
            raise ProtocolError(
                f"these runs can't be compared, their {name.removesuffix('_id')} differs: "
                f"{', '.join(value[:16] for value in found)}. {advice}"
            )


def _newest(records: Sequence[Record]) -> tuple[list[tuple[str, list[Record]]], int]:
    """Group runs over seeds; of one setting or study keep the newest code and libraries."""
    settings: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for record in records:  # oldest first
        spec = record.spec
        label = replace(spec, preset=None).label  # a preset is a name for parameters
        key = label, spec.study or str(sorted(spec.params.items()))
        configs = settings.setdefault(key, {})
        configs.setdefault(record.config_id, []).append(record)
    groups = []
    for configs in settings.values():
        newest = max(configs.values(), key=lambda group: group[-1].created)
        groups.append(sorted(newest, key=lambda record: record.spec.seed))
    kept = sum(map(len, groups))
    return list(zip(_labels(groups), groups, strict=True)), len(records) - kept


def _labels(groups: Sequence[Sequence[Record]]) -> list[str]:
    labels = []
    for group in groups:
        spec = group[0].spec
        alike = [g[0].spec.params for g in groups if g[0].spec.label == spec.label]
        differing = {
            name: value
            for name, value in spec.params.items()
            if any(_differs(other, name, value) for other in alike)
        }
        shown = ", ".join(f"{name}={value}" for name, value in differing.items())
        labels.append(f"{spec.label} ({shown})" if shown else spec.label)
    return labels


def _differs(params: dict[str, Any], name: str, value: Any) -> bool:
    return params.get(name) != value
