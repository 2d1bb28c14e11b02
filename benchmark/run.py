"""One run: fit a model under the protocol and store its scores."""

import json
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import environment, registry
from benchmark.checks import check_scores
from benchmark.contracts import Dataset, History, Model, Part, Report, derive_seed
from benchmark.errors import (
    DataError,
    PluginError,
    PolytimbreError,
    ProtocolError,
    UnknownNameError,
)
from benchmark.protocol import PARTS, PROTOCOLS, Division, divide
from benchmark.record import Record, RunSpec, run_id
from benchmark.store import Store


@dataclass(frozen=True)
class DataRequest:
    """Which data set, from where, under which split."""

    name: str
    root: Path | None = None
    split: str | None = None


@dataclass(frozen=True)
class RunRequest:
    """One run as it was asked for; small enough to send to another process.

    `fraction` is the share of the fit part's groups that is trained on, in (0, 1]; the
    other parts, and the fit part that is scored, stay whole. `protocol` is one of
    :data:`benchmark.protocol.PROTOCOLS`. `chosen` says which study `params` come from, and
    `refit` asks for a last fit on all training clips.
    """

    data: DataRequest
    model: str
    seed: int = 0
    preset: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    fraction: float = 1.0
    protocol: str = "default"
    chosen: "Chosen | None" = None
    refit: bool = False


@dataclass(frozen=True)
class Chosen:
    """A study's best trial, and what finding it cost.

    Attributes
    ----------
    study : str
    trial : int
        Number of the trial.
    params : dict
        Parameters that the trial was fitted with.
    cost : dict
        See `tuning` of :class:`benchmark.record.Record`.
    """

    study: str
    trial: int
    params: dict[str, Any]
    cost: dict[str, Any]


def load(request: DataRequest) -> Dataset:
    """Load the data set that was asked for.

    Raises
    ------
    UnknownNameError, DataError
    """
    plugin = registry.datasets().get(request.name)()
    if plugin.needs_root:
        if request.root is None:
            raise DataError(
                f"data set {request.name!r} is not embedded: say where it lies with --data-root"
            )
        if not request.root.exists():
            raise DataError(f"the data root {request.root} does not exist; check --data-root")
    dataset = plugin.load(request.root, request.split or plugin.splits[0])
    if not isinstance(dataset, Dataset):
        raise PluginError(f"data set {request.name!r}: load must return a Dataset")
    return dataset


def divide_for(request: RunRequest) -> Division:
    """Load a request's data set and divide it under its protocol.

    Raises
    ------
    UnknownNameError, DataError, ProtocolError
    """
    if request.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", request.protocol, PROTOCOLS)
    return divide(load(request.data), PROTOCOLS[request.protocol])


def make_model(request: RunRequest) -> Model:
    """Make the unfitted model that was asked for.

    Raises
    ------
    UnknownNameError
        For an unknown model, preset or parameter, with the nearest known one.
    PluginError
        If the plugin can't be imported or made.
    """
    cls = registry.models().get(request.model)
    try:
        return cls.from_params(request.preset, **request.params)
    except UnknownNameError:
        raise
    except Exception as error:
        raise PluginError(f"model {request.model!r} can't be made: {error}") from error


def training_rows(division: Division, fraction: float) -> np.ndarray:
    """Return the rows of the fit part that a run trains on.

    Groups are taken in one random order, the same for all models and run seeds, so that the
    20 % contain the 10 %: a learning curve's steps differ by what is added alone.

    Parameters
    ----------
    division : Division
    fraction : float
        Share of the fit part's groups, in (0, 1]; at least one group is taken.

    Returns
    -------
    ndarray of int
        Rows of the data set, rising.

    Raises
    ------
    ProtocolError
        For a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ProtocolError(f"the fraction to train on must be in (0, 1], got {fraction}")
    rows = division.rows["fit"]
    if fraction == 1:
        return rows
    groups, group_of = np.unique(division.dataset.groups[rows], return_inverse=True)
    seed = derive_seed(division.protocol.seed, "learning curve")
    order = np.random.default_rng(seed).permutation(len(groups))
    taken = order[: max(1, round(fraction * len(groups)))]
    return rows[np.isin(group_of, taken)]


def specify(request: RunRequest, division: Division, threads: int) -> tuple[RunSpec, str]:
    """Return the spec of a request on a division, and its run id at a thread count."""
    model = make_model(request)
    training_rows(division, request.fraction)  # refused before anything is computed
    data = division.dataset
    spec = RunSpec(
        dataset=data.name,
        split=data.split,
        official=data.official,
        fingerprint=data.fingerprint,
        division_id=division.id,
        protocol_id=division.protocol.id,
        model=request.model,
        preset=request.preset,
        params=json.loads(json.dumps(model.get_params())),
        seed=request.seed if model.seeded else 0,
        source=registry.source_hash(type(model)),
        fraction=float(request.fraction),
        study=request.chosen and request.chosen.study,
        trial=request.chosen and request.chosen.trial,
        refit=request.refit,
    )
    versions = environment.library_versions(model.libraries)
    return spec, run_id(spec, versions, threads)


def execute(
    request: RunRequest, store_path: Path, force: bool = False, report: Report | None = None
) -> Record:
    """Run what was asked, unless it is stored, and return its record.

    Parameters
    ----------
    request : RunRequest
    store_path : Path
    force : bool
        Set a finished run aside and compute it again.
    report : callable, optional
        Called with each :class:`benchmark.contracts.Stage`.

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
    spec, identity = specify(request, division, environment.threads())
    with store.lock(identity):
        known = store.find(identity)
        if known is not None and known.finished and not force:
            return known
        store.add_labels(division)
        with store.staging(identity) as folder:
            record = Record(run_id=identity, spec=spec, **_circumstances(request, spec, division))
            if base is None:
                _compute(request, division, record, folder, report)
            else:
                _compute_refit(request, division, record, folder, store, base)
            if force:
                store.put_back(identity)
            store.add(record, folder)
    return record


def _circumstances(request: RunRequest, spec: RunSpec, division: Division) -> dict[str, Any]:
    libraries = make_model(request).libraries
    return {
        "versions": environment.library_versions(libraries),
        "threads": environment.threads(),
        "status": "finished",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "clips": {name: len(part) for name, part in division.rows.items()},
        "packages": environment.packages(libraries),
        "machine": environment.machine(),
        "git": environment.git_state(),
        "backend": environment.backend() if "keras" in libraries else None,
        "tuning": request.chosen and request.chosen.cost,
    }


@contextmanager
def _noting_failure(record: Record) -> Iterator[None]:
    """Turn a model's failure into a failed record; the store's trouble stays an error."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        record.status = "failed"
        record.error = f"{type(error).__name__}: {error}"
        record.traceback = traceback.format_exc()
    record.peak_memory_mib = environment.peak_memory_mib()


def _compute(
    request: RunRequest, division: Division, record: Record, folder: Path, report: Report | None
) -> None:
    """Fit, score all parts, and write scores and model into `folder`."""
    model = make_model(request)
    train = division.dataset.part(training_rows(division, request.fraction))
    record.clips["trained"] = len(train)
    with _noting_failure(record):
        history, seconds = _fit(model, division, train, record.spec.seed, report)
        scores, timed = _predict(model, division, PARTS)
        record.history = history.as_dict()
        record.seconds = seconds | timed
        _write(record, folder, scores, model)


def _compute_refit(
    request: RunRequest,
    division: Division,
    record: Record,
    folder: Path,
    store: Store,
    base: Record,
) -> None:
    """Fit on all training clips, up to where `base` stands, and score the test part.

    What is scored on the other parts, and the history, are the base's: thresholds and
    whatever else is chosen there must come from a model that has not seen these clips.
    """
    model = make_model(request)
    params = {**model.get_params(), **model.at_best(base.history["best"])}
    model = type(model)(**params)
    train = division.training()
    record.base, record.history = base.run_id, base.history
    record.clips["trained"] = len(train)
    with _noting_failure(record):
        _, seconds = _fit(model, division, train, record.spec.seed, None)
        scores, timed = _predict(model, division, ("test",))
        record.seconds = seconds | timed
        _write(record, folder, {**store.scores(base), **scores}, model)


def _fit(
    model: Model, division: Division, train: Part, seed: int, report: Report | None
) -> tuple[History, dict[str, float]]:
    view = division.protocol.view
    started = time.process_time()
    history = model.fit(
        view(train), view(division.part("stop")), seed=derive_seed(seed, "model"), report=report
    )
    seconds = time.process_time() - started
    if not isinstance(history, History):
        raise PluginError(f"model {model.name!r}: fit must return a History, got {history!r}")
    return history, {"fit": round(seconds, 4)}


def _predict(
    model: Model, division: Division, parts: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Score `parts`; the test part once more than needed, to time it warm."""
    test = division.part("test").X
    started = time.process_time()
    model.predict_proba(test)
    warm = time.process_time()
    scores = {"test": model.predict_proba(test)}
    predicted = time.process_time()
    for name in parts:
        part = division.part(name)
        if name != "test":
            scores[name] = model.predict_proba(part.X)
        check_scores(model.name, scores[name], (len(part), len(part.classes)))
    # what a first prediction costs on top of a later one is compiling, mostly
    seconds = {"predict": predicted - warm}
    seconds["warm_up"] = max(0.0, (warm - started) - seconds["predict"])
    return scores, {name: round(value, 4) for name, value in seconds.items()}


def _write(record: Record, folder: Path, scores: dict[str, np.ndarray], model: Model) -> None:
    np.savez(folder / "scores.npz", **scores)
    target = folder / "model"
    target.mkdir()
    model.save(target)
    record.model_bytes = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
