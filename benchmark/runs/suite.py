"""The suite: every model under every seed on one data set, computed once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import StoreError
from benchmark.plugins import registry
from benchmark.protocol import Division
from benchmark.runs.features import without_hash
from benchmark.runs.reading import Runs
from benchmark.runs.request import Chosen, DataRequest, RunRequest, divide_for, make_model, specify
from benchmark.runs.run import execute
from benchmark.runs.store import Store
from benchmark.workers.jobs import WORKER_THREADS, Event, Executor, Job

#: Seconds that a run stored on another machine may take to be seen here: a network file system
#: keeps its listing of a folder for a while.
TO_APPEAR = 60.0


@dataclass(frozen=True)
class Unit:
    """One run of the suite.

    Attributes
    ----------
    request : RunRequest
    run_id : str
    label : str
        Model, preset, share trained on, features other than the data set's own, and seed, as in
        ``cnn:published 10 % on musicnn seed 1``.
    cached : bool
        Whether a finished record is stored, with its labels.
    unlabelled : bool
        Whether a finished record is stored, but not its labels: they are stored again.
    """

    request: RunRequest
    run_id: str
    label: str
    cached: bool
    unlabelled: bool = False


def requests(
    data: DataRequest,
    models: Sequence[str] | None,
    seeds: Sequence[int],
    params: dict[str, Any] | None = None,
    protocol: str = "default",
    choose: Callable[[RunRequest], Chosen] | None = None,
    refit: bool = False,
) -> list[RunRequest]:
    """Spell out the runs: every model under every seed.

    Parameters
    ----------
    models : sequence of str, optional
        Names, or ``name:preset``; every registered model if None, but for those that learn from
        auxiliary clips where the data set has none.
    seeds : sequence of int
        A model that ignores its seed runs once.
    params : dict, optional
        Overrides, the same for every model named.
    protocol : str
        One of :data:`benchmark.protocol.PROTOCOLS`.
    choose : callable, optional
        Returns what was tuned for a request; see :func:`benchmark.tuning.trials.choose`.
    refit : bool
        Fit once more on all training clips; see :class:`benchmark.runs.record.RunSpec`.

    Raises
    ------
    UnknownNameError
        Before anything is computed.
    """
    wanted = []
    for spec in models or _all_models(data):
        name, _, preset = spec.partition(":")
        own = params or {}
        first = RunRequest(
            data, name, seeds[0], preset or None, own, protocol=protocol, refit=refit
        )
        if choose is not None:
            chosen = choose(first)
            first = replace(first, params={**chosen.params, **own}, chosen=chosen)
        model = make_model(first)
        wanted += [replace(first, seed=s) for s in (seeds if model.seeded else seeds[:1])]
    return wanted


def _all_models(data: DataRequest) -> list[str]:
    known = registry.models()
    offered = registry.datasets().get(data.name).offers_auxiliary
    return [name for name in known.names() if offered or not known.get(name).uses_auxiliary]


def plan(wanted: Sequence[RunRequest], stored: Runs | None, force: bool = False) -> list[Unit]:
    """Give each request the run id it will have in a worker, and say whether it is stored.

    Parameters
    ----------
    wanted : sequence of RunRequest
        Those that ask for the same run become one unit.
    stored : Runs or None
        Where finished runs lie, if there is such a place yet.
    force : bool
        Compute what is stored again.

    Raises
    ------
    StoreError
        If a run or its labels are stored, but can't be opened.
    """
    divisions: dict[tuple[DataRequest, str], Division] = {}
    labelled: dict[str, bool] = {}
    units: dict[str, Unit] = {}
    for request in wanted:
        key = request.data, request.protocol
        if key not in divisions:
            divisions[key] = divide_for(request)
        division = divisions[key]
        spec, identity = specify(request, division, WORKER_THREADS)
        if identity in units:
            continue
        if division.id not in labelled:
            labelled[division.id] = (
                stored is not None
                and stored.holds_labels(division)
                and stored.holds_attributes(division)
            )
        record = None
        if stored is not None and not force:
            record = stored.usable(identity)
        finished = record is not None and record.finished
        # without its labels a stored run is of no use: asking a worker for it mends them
        there = labelled[division.id]
        on = f" on {without_hash(spec.features)}" if division.dataset.origin else ""
        order = f" order {spec.order}" if spec.order else ""
        label = f"{spec.label}{on} seed {spec.seed}{order}"
        units[identity] = Unit(request, identity, label, finished and there, finished and not there)
    return list(units.values())


def run(
    units: Sequence[Unit], store_path: Path, *, executor: Executor, force: bool = False
) -> Iterator[Event]:
    """Compute what isn't stored, or all of it by `force`, and yield what happens.

    Yields
    ------
    Event
        With the run id as key; a "done" event carries the record, finished or failed.

    Raises
    ------
    StoreError
        If a run was stored where it can't be seen from here.
    """
    path = store_path.resolve()  # a worker's working folder may be another
    store = Store(path)
    missing = [unit for unit in units if force or not unit.cached]
    for unit in units:
        if unit not in missing:
            store.note_asked(unit.run_id)
    jobs = (Job(unit.run_id, execute, (unit.request, path, force)) for unit in missing)
    with closing(executor.run(jobs)) as events:
        for event in events:
            yield _checked(event, path) if event.kind == "done" else event


def _checked(event: Event, path: Path) -> Event:
    """Return a "done" event if its run is the one asked for, and is in the store."""
    run_id = event.value.run_id
    if run_id != event.key:
        sentence = (
            f"it was computed and stored as run {run_id}: the plugin's source, the data or a "
            "library's version is another one there than here"
        )
        return Event(event.key, "crashed", sentence)
    deadline = time.monotonic() + TO_APPEAR
    # listing the folder makes a network file system look again
    while run_id not in {folder.name for folder in (path / "runs").iterdir()}:
        if time.monotonic() > deadline:
            raise StoreError(
                f"run {run_id} was stored on another machine's {path}: all workers need to see "
                "the same store. Name a folder that they share with --store"
            )
        time.sleep(0.5)
    return event
