"""One run: fit a model under the protocol and store its scores."""

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Model, Report
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import PluginError, PolytimbreError, StoreError, one_line
from benchmark.plugins.checks import check_scores
from benchmark.protocol import PARTS, Division
from benchmark.runs import environment
from benchmark.runs.reading import SCORES
from benchmark.runs.record import Record
from benchmark.runs.request import (
    RunRequest,
    divide_for,
    few_positives,
    make_model,
    specify,
    training_rows,
)
from benchmark.runs.store import FULL, Store, now
from benchmark.workers.threads import threads


def execute(
    request: RunRequest, store_path: Path, force: bool = False, report: Report | None = None
) -> Record:
    """Run what was asked, unless it is stored, and return its record.

    Parameters
    ----------
    request : RunRequest
    store_path : Path
    force : bool
        Compute a finished run again, and set it aside for one that finishes, too.
    report : callable, optional
        Called with each :class:`benchmark.contracts.model.Stage`.

    Returns
    -------
    Record
        Finished, or failed with the reason. Data, store and request errors are raised.
    """
    store = Store(store_path)
    division = divide_for(request)
    base = None
    if request.refit:
        base = execute(replace(request, refit=False), store_path, report=report)
        if not base.finished:
            raise PolytimbreError(f"the run to refit failed: {base.error}")
    spec, identity = specify(request, division, threads())
    with store.lock(identity):
        labels = store.add_labels(division)  # for a stored run too: its labels may be missing
        known = None if force else store.usable(identity)
        if known is not None and known.finished:
            store.note_asked(identity)
            return known
        with store.staging(identity) as folder:
            around = _circumstances(request, division)
            record = Record(run_id=identity, spec=spec, labels=labels, **around)
            if base is None:
                _compute(request, division, record, store, folder, report)
            else:
                _compute_refit(request, division, record, store, folder, base)
            if force and record.finished:  # a failure stands in no finished run's place
                store.set_aside(identity)
            store.add(record, folder)
    return record


def _circumstances(request: RunRequest, division: Division) -> dict[str, Any]:
    libraries = make_model(request).libraries
    return {
        "versions": environment.library_versions(libraries),
        "threads": threads(),
        "status": "finished",
        "created": now(),
        "clips": {name: len(part) for name, part in division.rows.items()},
        "packages": environment.packages(libraries),
        "machine": environment.machine(),
        "git": environment.git_state(),
        "backend": environment.backend() if "keras" in libraries else None,
        "tuning": request.chosen and request.chosen.cost,
    }


@contextmanager
def _noting_failure(record: Record) -> Iterator[None]:
    """Turn a model's failure, also its end by ``sys.exit``, into a failed record."""
    try:
        yield
    except StoreError:
        raise
    except (Exception, SystemExit) as error:
        record.status = "failed"
        record.error = one_line(error)
        record.traceback = traceback.format_exc()
    record.peak_memory_mib = environment.peak_memory_mib()


def _compute(
    request: RunRequest,
    division: Division,
    record: Record,
    store: Store,
    folder: Path,
    report: Report | None,
) -> None:
    """Fit, score all parts, and write scores and model into `folder`."""
    model = make_model(request)
    rows = training_rows(division, request.fraction, request.order)
    record.clips["trained"] = len(rows)
    train = division.train_on(rows, model.uses_auxiliary)
    if request.positives is not None:
        train = few_positives(division, rows, train, request.positives, request.order)
    with _noting_failure(record):
        history, seconds = _fit(model, division, train, record.spec.seed, report)
        scores, timed = _predict(model, division, PARTS)
        record.history = history.as_dict()
        record.seconds = seconds | timed
        _write(record, store, folder, scores, model)


def _compute_refit(
    request: RunRequest,
    division: Division,
    record: Record,
    store: Store,
    folder: Path,
    base: Record,
) -> None:
    """Fit on all training clips, up to where `base` stands, and score the test part.

    What is scored on the other parts, and the history, are the base's: thresholds and
    whatever else is chosen there must come from a model that has not seen these clips.
    """
    model = make_model(request)
    params = {**model.get_params(), **model.at_best(base.history["best"])}
    model = type(model)(**params)
    rows = division.training_rows()
    record.base, record.history = base.run_id, base.history
    record.clips["trained"] = len(rows)
    train = division.train_on(rows, model.uses_auxiliary)
    with _noting_failure(record):
        _, seconds = _fit(model, division, train, record.spec.seed, None)
        scores, timed = _predict(model, division, ("test",))
        record.seconds = seconds | timed
        _write(record, store, folder, {**store.scores(base), **scores}, model)


def _fit(
    model: Model, division: Division, train: Part, seed: int, report: Report | None
) -> tuple[History, dict[str, float]]:
    stop = division.protocol.view(division.part("stop"))
    started = time.process_time()
    history = model.fit(train, stop, seed=derive_seed(seed, "model"), report=report)
    seconds = time.process_time() - started
    if not isinstance(history, History):
        raise PluginError(f"model {model.name!r}: fit must return a History, got {history!r}")
    return history, {"fit": round(seconds, 4)}


def _predict(
    model: Model, division: Division, parts: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Score `parts`; the test part once more than needed, to time it warm."""
    # two copies: a model that isn't held to the contract may change what it is given
    first, test = (division.part("test").X for _ in range(2))
    started = time.process_time()
    model.predict_proba(first)
    warm = time.process_time()
    # copied: a model may return a view on memory that it writes its next answer into
    scores = {"test": copy(model.predict_proba(test))}
    predicted = time.process_time()
    for name in parts:
        part = division.part(name)
        if name != "test":
            scores[name] = copy(model.predict_proba(part.X))
        check_scores(model.name, scores[name], (len(part), len(part.classes)))
    # what a first prediction costs on top of a later one is compiling, mostly
    seconds = {"predict": predicted - warm}
    seconds["warm_up"] = max(0.0, (warm - started) - seconds["predict"])
    return scores, {name: round(value, 4) for name, value in seconds.items()}


def _write(
    record: Record, store: Store, folder: Path, scores: dict[str, np.ndarray], model: Model
) -> None:
    """Write scores and model; a full disk is the store's trouble, not the model's failure."""
    with store.writing():
        np.savez(folder / SCORES, **scores)
        target = folder / "model"
        target.mkdir()
    try:
        model.save(target)
    except OSError as error:
        if error.errno not in FULL:
            raise
        with store.writing():
            raise
    record.model_bytes = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
