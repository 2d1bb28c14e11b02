"""The suite: every model under every seed on one data set, computed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import registry
from benchmark.executor import WORKER_THREADS, Event, Job, run_jobs
from benchmark.protocol import Division
from benchmark.run import DataRequest, RunRequest, divide_for, execute, make_model, specify
from benchmark.store import Store


@dataclass(frozen=True)
class Unit:
    """One run of the suite.

    Attributes
    ----------
    request : RunRequest
    run_id : str
    label : str
        Model, preset, share trained on and seed, as in ``cnn:published 10 % seed 1``.
    cached : bool
        Whether a finished record is stored.
    """

    request: RunRequest
    run_id: str
    label: str
    cached: bool


def requests(
    data: DataRequest,
    models: Sequence[str] | None,
    seeds: Sequence[int],
    params: dict[str, Any] | None = None,
    fraction: float = 1.0,
    protocol: str = "default",
) -> list[RunRequest]:
    """Spell out the runs: every model under every seed.

    Parameters
    ----------
    models : sequence of str, optional
        Names, or ``name:preset``; every registered model if None.
    seeds : sequence of int
        A model that ignores its seed runs once.
    params : dict, optional
        Overrides, the same for every model named.
    fraction : float
        Share of the fit part's groups to train on, in (0, 1].
    protocol : str
        One of :data:`benchmark.protocol.PROTOCOLS`.

    Raises
    ------
    UnknownNameError
        Before anything is computed.
    """
    wanted = []
    for spec in models or registry.models().names():
        name, _, preset = spec.partition(":")
        first = RunRequest(data, name, seeds[0], preset or None, params or {}, fraction, protocol)
        model = make_model(first)
        wanted += [replace(first, seed=s) for s in (seeds if model.seeded else seeds[:1])]
    return wanted


def plan(wanted: Sequence[RunRequest], store: Store) -> list[Unit]:
    """Give each request the run id it will have in a worker, and say whether it is stored."""
    divisions: dict[tuple[DataRequest, str], Division] = {}
    units = []
    for request in wanted:
        key = request.data, request.protocol
        if key not in divisions:
            divisions[key] = divide_for(request)
        spec, identity = specify(request, divisions[key], WORKER_THREADS)
        record = store.find(identity)
        label = f"{spec.label} seed {spec.seed}"
        units.append(Unit(request, identity, label, record is not None and record.finished))
    return units


def run(
    units: Sequence[Unit],
    store_path: Path,
    *,
    workers: int,
    force: bool = False,
) -> Iterator[Event]:
    """Compute what isn't stored, in worker processes, and yield what happens.

    Yields
    ------
    Event
        With the run id as key; a "done" event carries the record, finished or failed.
    """
    jobs = [
        Job(unit.run_id, execute, (unit.request, store_path, force))
        for unit in units
        if force or not unit.cached
    ]
    yield from run_jobs(jobs, workers)
