"""What is derived from a data set's runs, as tables by name: all that report and paper show.

Every table is made by the functions behind the commands `compare`, `gap`, `thresholds` and so
on. A column ``X`` with an interval has its ends in ``X low`` and ``X high``.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis import (
    calibration,
    comparison,
    ensembles,
    inference,
    learning_curve,
    threshold_gains,
    training_gap,
)
from benchmark.analysis.audits import protocol_audit, store_audit
from benchmark.analysis.comparison import Comparison
from benchmark.analysis.inference import Inference
from benchmark.errors import ProtocolError, StoreError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.tuning.history import StudyHistory
from reports.tables import audits, confusion, studies, thresholds
from reports.tables import calibration as calibration_tables
from reports.tables import comparison as comparison_tables
from reports.tables import ensembles as ensemble_tables
from reports.tables import learning_curve as learning_curve_tables
from reports.tables import training_gap as gap_tables

#: Of every interval; enough for Holm's correction over all pairs of 14 models.
N_RESAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Result:
    """One table that was derived.

    Attributes
    ----------
    title : str
    frame : pandas.DataFrame
    notes : tuple of str
        How it is to be read, and what follows from it.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON content; what is not a number is null."""
        rows = [[_plain(value) for value in row] for row in self.frame.itertuples(index=False)]
        columns, notes = list(map(str, self.frame.columns)), list(self.notes)
        return {"title": self.title, "columns": columns, "rows": rows, "notes": notes}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Result":
        """Read what :meth:`as_dict` returned."""
        frame = pd.DataFrame(content["rows"], columns=content["columns"])
        for name in frame.columns:
            if frame[name].isna().any() and not any(isinstance(v, str) for v in frame[name]):
                frame[name] = frame[name].astype(float)
        return cls(content["title"], frame, tuple(content["notes"]))


Results = dict[str, Result]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def read(content: dict[str, Any]) -> Results:
    """Read the tables of a published set's ``results.json``."""
    return {name: Result.from_dict(one) for name, one in content.items()}


def write(results: Results) -> str:
    """Return tables as the text of ``results.json``, one line a row."""
    lines = []
    for name, one in results.items():
        content = one.as_dict()
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in content.pop("rows"))
        head = json.dumps(content, ensure_ascii=False)[:-1]
        lines.append(f'{json.dumps(name)}: {head}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def different(found: Results, stored: Results, tolerance: float = 1e-9) -> list[str]:
    """Return one sentence for each table of `found` that is not as it is `stored`.

    Parameters
    ----------
    found, stored : dict of str to Result
    tolerance : float
        By how much numbers may differ; other processors round differently.
    """
    sentences = []
    for name, one in found.items():
        new, old = one.as_dict(), stored[name].as_dict() if name in stored else None
        if old is None:
            sentences.append(f"table {name!r} is not stored")
        elif new["columns"] != old["columns"] or len(new["rows"]) != len(old["rows"]):
            sentences.append(f"table {name!r} has other rows or columns than the stored one")
        else:
            sentences += _different_cell(name, new, old, tolerance)
    return sentences


def _different_cell(name: str, new: dict, old: dict, tolerance: float) -> list[str]:
    for row, stored in zip(new["rows"], old["rows"], strict=True):
        for column, a, b in zip(new["columns"], row, stored, strict=True):
            numbers = isinstance(a, float) and isinstance(b, float)
            if (abs(a - b) > tolerance) if numbers else a != b:
                return [f"table {name!r}, row {row[0]!r}: {column} is {a}, stored is {b}"]
    return []


def runs(store: Runs, dataset: str) -> Results:
    """Return one row a run: its metrics on test, its cost, and what it was made by."""
    result = comparison.compare(store, dataset)
    rows = []
    for entry in result.entries:
        for record, evaluation in zip(entry.records, entry.evaluations, strict=True):
            spec = record.spec
            rows.append(
                {
                    "run": record.run_id, "model": entry.label, "seed": spec.seed,
                    **evaluation.summary(),
                    "fit (s)": record.seconds["fit"], "predict (s)": record.seconds["predict"],
                    "warm-up (s)": record.seconds["warm_up"], "model (bytes)": record.model_bytes,
                    "memory (MiB)": record.peak_memory_mib, "source": spec.source,
                    "commit": record.git["commit"], "processor": record.machine["processor"],
                    "versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
                    "tuned in": spec.study or "–",
                }
            )  # fmt: skip
    title = f"runs, {comparison_tables.title(result)}"
    return {"runs": Result(title, pd.DataFrame(rows), tuple(result.notes))}


def pairs(result: Comparison, found: Inference) -> pd.DataFrame:
    """Return one row a pair of models, the better one first: the paired difference of mAP."""
    names, test = [entry.label for entry in result.entries], found.pairs
    return pd.DataFrame(
        [
            {
                "model": names[i],
                "against": names[j],
                "difference": test.difference[i, j],
                "difference low": test.lower[i, j],
                "difference high": test.upper[i, j],
                "p": test.p_holm[i, j],
                "better": bool(test.better[i, j]),
            }
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
    )


def per_class(result: Comparison, found: Inference) -> pd.DataFrame:
    """Return one row a class and model: average precision with its interval."""
    low, high = found.resampled["mAP"].class_interval(found.level)
    positives = result.labels.y_positive.sum(axis=0)
    frames = [
        pd.DataFrame(
            {
                "class": result.classes,
                "model": entry.label,
                "positives": positives,
                "AP": entry.average_precision,
                "AP low": low[i],
                "AP high": high[i],
            }
        )
        for i, entry in enumerate(result.entries)
    ]
    return pd.concat(frames, ignore_index=True)


def parts(store: Runs, dataset: str) -> Results:
    """Return one row a part: clips, groups, and how much of their labels is known."""
    result = comparison.compare(store, dataset)
    frame = sizes(store.labels(result.division_id))
    return {"parts": Result(f"parts, {comparison_tables.title(result)}", frame)}


def sizes(labels_by_part: dict[str, StoredLabels]) -> pd.DataFrame:
    """Return one row a part; see :func:`parts`."""
    rows = []
    for part, labels in labels_by_part.items():
        observed, positive = labels.y_mask, labels.y_positive
        rows.append(
            {
                "part": part,
                "clips": len(labels),
                "groups": len(np.unique(labels.groups)),
                "observed": observed.mean(),
                "positive": positive.sum() / observed.sum(),
                "positives a class": positive.sum(axis=0)[observed.any(axis=0)].mean(),
                "fewest positives": positive.sum(axis=0)[observed.any(axis=0)].min(),
                "classes": observed.any(axis=0).sum(),
            }
        )
    return pd.DataFrame(rows)


def compared(store: Runs, dataset: str) -> Results:
    """Compare all models: the headline, pairs, ranks, classes, decisions, cost."""
    result = comparison.compare(store, dataset)
    found = inference.infer(result, N_RESAMPLES)
    title, notes = (
        comparison_tables.title(result),
        tuple(comparison_tables.comparison_notes(result, found)),
    )
    frame = comparison_tables.comparison(result, found)
    frame["model (bytes)"] = [
        float(np.mean([record.model_bytes for record in entry.records])) for entry in result.entries
    ]
    together = confusion.cooccurrence(result.labels)
    results = {
        "comparison": Result(title, frame, notes),
        "per_class": Result(
            f"average precision by class, {title}", per_class(result, found), notes
        ),
        "cooccurrence": Result(f"classes that sound together, {title}", together),
        "confusions": Result(
            f"classes heard where they are absent, {title}", confusion.confusions(result)
        ),
    }
    if len(result.entries) >= 2:
        test = pairs(result, found)
        results["pairs"] = Result(f"paired differences of mAP, {title}", test, notes)
    if len(result.entries) >= 3:  # Friedman's test knows no fewer
        said = tuple(comparison_tables.rank_notes(result, found))
        results["ranks"] = Result(
            f"ranks over classes, {title}", comparison_tables.ranks(result, found), said
        )
    return results


def explained(store: Runs, dataset: str) -> Results:
    """Look at training and scores: curves, gap, calibration."""
    result = comparison.compare(store, dataset)
    title, labels = comparison_tables.title(result), store.labels(result.division_id)
    calibrated = calibration.measure(result.entries, store, labels)
    reliability = calibration_tables.reliability(calibrated)
    result = result.without_refits()
    gaps = training_gap.measure(result.entries, store, labels, n_resamples=N_RESAMPLES)
    said = (*gap_tables.gap_sentences(gaps), training_gap.RULE)
    return {
        "curves": Result(f"training, {title}", gap_tables.curves(result.entries)),
        "gap": Result(f"training gap, {title}", gap_tables.gap(gaps), said),
        "gap_per_class": Result(f"training gap by class, {title}", gap_tables.gap_per_class(gaps)),
        "calibration": Result(f"calibration, {title}", calibration_tables.calibration(calibrated)),
        "reliability": Result(f"reliability, {title}", reliability[reliability["class"] == "all"]),
    }


def learnt(store: Runs, dataset: str) -> Results:
    """Return the learning curve, if there is one."""
    try:
        found = learning_curve.measure(store, dataset, n_resamples=N_RESAMPLES)
    except ProtocolError:
        return {}
    notes = (*learning_curve_tables.learning_curve_sentences(found), learning_curve.RULE)
    frame = learning_curve_tables.learning_curve(found)
    return {"learning_curve": Result(f"learning curve, {dataset}, select part", frame, notes)}


def decided(store: Runs, dataset: str) -> Results:
    """Choose decision thresholds by every policy."""
    result = comparison.compare(store, dataset).without_refits()
    labels = store.labels(result.division_id)
    found = threshold_gains.measure(result.entries, store, labels, n_resamples=N_RESAMPLES)
    notes = (*thresholds.sentences(found), *thresholds.notes(found))
    title = f"decision thresholds, {comparison_tables.title(result)}"
    return {"thresholds": Result(title, thresholds.policies(found), notes)}


def combined(store: Runs, dataset: str) -> Results:
    """Replay ensembles of all runs, if there is something to combine."""
    try:
        found = ensembles.replay(store, dataset, None, ensembles.METHODS, True)
    except ProtocolError:
        return {}
    inferred = inference.infer(found.comparison, N_RESAMPLES)
    notes = (
        *ensemble_tables.sentences(found),
        *comparison_tables.comparison_notes(found.comparison, inferred),
    )
    frame = comparison_tables.comparison(found.comparison, inferred)
    return {
        "ensembles": Result(f"ensembles, {comparison_tables.title(found.comparison)}", frame, notes)
    }


def audited(store: Runs, dataset: str, full: StoredLabels | None = None) -> Results:
    """Hold models against the published protocol, and metrics against partial labels.

    `full` are the complete labels of the test part's clips, where `dataset`'s are partial.
    """
    found, masks = store_audit.audit(store, dataset, full)
    (title, figures), (_, averages) = audits.model_tables(found)
    said = tuple(audits.model_sentences(found))
    results = {
        "protocol_audit": Result(title, figures, said),
        "protocol_averages": Result(f"{title}, averaged in three ways", averages),
        "kept": _quantities(
            f"{title}: what the published protocol keeps",
            {
                "clips": found.n_clips,
                "clips kept": found.n_kept,
                "labels called present": found.present,
                "labels observed present": found.observed,
            },
        ),
    }
    if masks is None:
        return results
    (by_model, metrics), (by_level, agreement) = audits.mask_tables(masks)
    results["mask_audit"] = Result(by_model, metrics, tuple(audits.mask_sentences(masks)))
    results["mask_levels"] = Result(by_level, agreement)
    return results


def _quantities(title: str, values: dict[str, float]) -> Result:
    columns = {"quantity": list(values), "value": [float(v) for v in values.values()]}
    return Result(title, pd.DataFrame(columns))


#: Every derivation from stored scores; each takes a store and a data set's name.
DERIVATIONS: tuple[Callable[[Runs, str], Results], ...] = (
    runs, parts, compared, explained, learnt, decided, combined,
)  # fmt: skip


def derive(
    store: Runs,
    dataset: str,
    full: StoredLabels | None = None,
    follow: Callable[[list], Iterable] = iter,
) -> Results:
    """Derive every table from a data set's runs.

    Parameters
    ----------
    store : Runs
        Of that data set's runs alone.
    dataset : str
    full : StoredLabels, optional
        See :func:`audited`.
    follow : callable
        Gets the steps and gives them back one by one, to show how far it is.

    Raises
    ------
    ProtocolError
        If the runs can't be compared.
    """
    steps = [*DERIVATIONS, lambda store, dataset: audited(store, dataset, full)]
    results: Results = {}
    for step in follow(steps):
        results |= step(store, dataset)
    return results


def studied(histories: Iterable[StudyHistory]) -> Results:
    """Return all studies' trials and parameter importances, each with its model.

    Raises
    ------
    StoreError
        If two studies are of one model.
    """
    trials, importances, found, said = [], [], [], []
    for history in histories:
        if history.model in {row["model"] for row in found}:
            raise StoreError(f"two studies are of model {history.model!r}: publish one of them")
        trials.append(studies.trials(history).assign(model=history.model))
        importances.append(studies.importances(history).assign(model=history.model))
        found.append(_study(history))
        said += [f"{history.name}: {sentence}" for sentence in studies.sentences(history)]
    if not trials:
        return {}
    return {
        "studies": Result("what tuning found on select", pd.DataFrame(found), tuple(said)),
        "trials": Result("trials of tuning", pd.concat(trials, ignore_index=True)),
        "importances": Result(
            "importances of parameters", pd.concat(importances, ignore_index=True)
        ),
    }


def _study(history: StudyHistory) -> dict[str, Any]:
    """Return one row: a study's trials, and the best beside the default."""
    states = [trial.state for trial in history.trials]
    default = next((t.select_mAP for t in history.trials if t.number == 0), float("nan"))
    best = history.best
    value = best.select_mAP if best else float("nan")
    return {
        "model": history.model,
        "study": history.name,
        "trials": len(states),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        "seconds": history.seconds,
        "default": default,
        "best": value,
        "gain": value - default,
        "best trial": best.number if best else -1,
    }


def label_audit(found: protocol_audit.LabelAudit) -> Results:
    """Return what OpenMIC-2018's labels alone say about the published claim."""
    names = ("labels", "strategies", "precision")
    said = tuple(audits.label_sentences(found))
    results = {
        name: Result(title, frame, said if name == "labels" else ())
        for name, (title, frame) in zip(names, audits.label_tables(found), strict=True)
    }
    present, missing = int(found.present.sum()), int(found.missing.sum())
    labels = present + missing + int(found.absent.sum())
    results["totals"] = _quantities(
        "labels of OpenMIC-2018's test partition under the published protocol",
        {
            "clips": found.n_test,
            "clips kept": found.n_kept,
            "labels": labels,
            "labels called present": present + missing,
            "labels never observed": missing,
            "share called present": (present + missing) / labels,
            "share never observed": missing / (present + missing),
        },
    )
    return results
