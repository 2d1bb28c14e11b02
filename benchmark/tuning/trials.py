"""Tuning: a study's trials, run until the plan is done; nothing here sees the test part."""

import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.contracts.model import Model, Report, Stage
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import PluginError, ProtocolError
from benchmark.plugins import registry
from benchmark.plugins.checks import check_scores, suggest
from benchmark.plugins.identity import source_hash
from benchmark.runs.request import Chosen, RunRequest, divide_for, make_model
from benchmark.runs.store import Store
from benchmark.scoring.metrics import mean_average_precision
from benchmark.tuning import choice, studies
from benchmark.tuning.studies import Study, StudySpec
from benchmark.workers.jobs import Event, Executor, Job

#: Seconds between two looks at what other processes are doing.
POLL = 2.0
#: Seconds that a trial's process may take beside its fit: to start, load, compile and score.
BESIDE = 60.0


@dataclass(frozen=True)
class Caps:
    """What one trial may cost.

    Attributes
    ----------
    seconds : float
        Of the processor, so that a busy machine finds the same, after which its fit is asked
        to stop; what it has learnt by then counts. A trial that takes `grace` times as long
        by the clock, and `BESIDE` on top, is ended and has failed.
    max_parameters : int
        A network with more weights is not fitted.
    """

    seconds: float = 60.0
    max_parameters: int = 3_000_000
    grace: float = 4.0


@dataclass(frozen=True)
class Attempt:
    """The result of one trial.

    Attributes
    ----------
    select_mAP : float or None
        None if it was too large to be fitted.
    best : int
        Epoch, round or size that the model stands at.
    seconds : float
        Of the fit.
    n_parameters : int or None
        Weights of a network.
    capped : bool
        Whether the fit was asked to stop because it took too long.
    """

    select_mAP: float | None
    best: int = 0
    seconds: float = 0.0
    n_parameters: int | None = None
    capped: bool = False


def try_out(request: RunRequest, caps: Caps, fold: int | None = None, *, report: Report) -> Attempt:
    """Fit one configuration and score it on *select*; the test part is sealed.

    Parameters
    ----------
    request : RunRequest
    caps : Caps
    fold : int, optional
        Of all training clips, to be scored in place of *select*.
    report : callable
        Called with each :class:`benchmark.contracts.model.Stage`; it may ask to stop.
    """
    division = divide_for(request).sealed()
    division = division if fold is None else division.held_out(fold)
    model = make_model(request)
    shape = (*division.dataset.X.shape[1:], len(division.dataset.classes))
    with warnings.catch_warnings(action="ignore"):  # a search tries odd settings too
        n_parameters = model.n_parameters(*shape)
    if n_parameters is not None and n_parameters > caps.max_parameters:
        return Attempt(None, n_parameters=n_parameters)
    started, used = time.perf_counter(), time.process_time()
    capped = False

    def asked(stage: Stage) -> bool:
        nonlocal capped
        capped = time.process_time() - used > caps.seconds
        return bool(report(stage)) or capped

    fit = division.train_on(division.rows["fit"], model.uses_auxiliary)
    stop, select = division.protocol.view(division.part("stop")), division.part("select")
    seed = derive_seed(request.seed, "model")
    with warnings.catch_warnings(action="ignore"):
        history = model.fit(fit, stop, seed=seed, report=asked)
    seconds = time.perf_counter() - started
    scores = model.predict_proba(select.X)
    check_scores(model.name, scores, select.y_mask.shape)
    return Attempt(
        select_mAP=mean_average_precision(select.y_positive, scores, select.y_mask),
        best=history.best,
        seconds=round(seconds, 3),
        n_parameters=n_parameters,
        capped=capped,
    )


def study_name(request: RunRequest) -> str:
    """Return the name of a request's study where none is given, as in ``rendered-cnn``.

    Features other than the data set's own are named too: ``rendered-musicnn-cnn``.
    """
    data = request.data
    features = "+".join(Path(part).name for part in data.features)
    words = [data.name, data.split, features, request.model, request.preset]
    return "-".join(word for word in words if word)


def search_space(model: type[Model]) -> dict[str, str]:
    """Return the parameters that a model's search space suggests, each with its distribution.

    It is run 64 times on random draws, which visits every branch of a usual space.

    Parameters
    ----------
    model : subclass of Model

    Returns
    -------
    dict of str to str
        Each parameter's distribution, as Optuna writes it; several if branches differ.

    Raises
    ------
    PluginError
        As :func:`benchmark.plugins.checks.suggest` does.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    distributions: dict[str, set[str]] = {}
    for _ in range(64):
        trial = study.ask()
        suggest(model, trial)
        for name, distribution in trial.distributions.items():
            text = optuna.distributions.distribution_to_json(distribution)
            distributions.setdefault(name, set()).add(text)
        study.tell(trial, 0.0)
    return {name: " or ".join(sorted(distributions[name])) for name in sorted(distributions)}


def specify(request: RunRequest, caps: Caps) -> StudySpec:
    """Return the spec of a request's study.

    Raises
    ------
    UnknownNameError, DataError, PluginError, ProtocolError
        Before anything is stored.
    """
    model = make_model(request)
    space = search_space(type(model))
    if not space:
        raise ProtocolError(f"model {request.model!r} has no search space: nothing to tune")
    division = divide_for(request)
    data = division.dataset
    return StudySpec(
        dataset=data.name,
        split=data.split,
        fingerprint=data.fingerprint,
        features=data.features,
        features_sha256=data.features_sha256,
        division_id=division.id,
        protocol_id=division.protocol.id,
        model=request.model,
        preset=request.preset,
        source=source_hash(type(model)),
        params=request.params,
        search_space=space,
        first=default_point(model),
        seed=request.seed,
        seconds=caps.seconds,
        max_parameters=caps.max_parameters,
    )


def default_point(model: Model) -> dict[str, Any]:
    """Return the suggestions that make a search space give the model's default parameters.

    Returns
    -------
    dict of str to value
        By suggested name; empty if the search space does not hold these parameters.
    """
    import optuna

    params = model.get_params()
    trial = optuna.trial.FixedTrial({**params, **type(model).default_point})
    try:
        with warnings.catch_warnings(
            action="error", category=UserWarning
        ):  # of values outside their range
            suggested = suggest(type(model), trial)
    except PluginError:
        return {}
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in params.items()}
    same = all(plain[k] == (list(v) if isinstance(v, tuple) else v) for k, v in suggested.items())
    return dict(trial.params) if same else {}


def run(
    study: Study, request: RunRequest, caps: Caps, executor: Executor, timeout: float | None = None
) -> Iterator[Event]:
    """Run a study's waiting trials until its plan is done, here or by others.

    Parameters
    ----------
    study : Study
        Planned and entered.
    request : RunRequest
    caps : Caps
    executor : Executor
    timeout : float, optional
        Seconds after which no further trial starts; those under way end as usual.

    Yields
    ------
    Event
        With the trial's number as key. The last of a trial has the kind "done" and Optuna's
        frozen trial as its value; "waiting" says that only others' trials are left.

    Raises
    ------
    StoreError
        If the storage is lost.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    trials = _Trials(study, request, caps, executor, deadline)
    with studies.reachable(study.address):
        while True:
            yield from trials.follow()
            if not study.unfinished() or trials.expired():
                return
            yield Event("", "waiting", study.unfinished())
            time.sleep(POLL)


def compare_again(
    study: Study, request: RunRequest, caps: Caps, executor: Executor
) -> Iterator[tuple[int, int]]:
    """Compare a finished study's best trials on all training clips; see the module `choice`.

    What is stored is not computed again. A fit costs no more than a trial; one that fails counts
    as its trial's failure.

    Parameters
    ----------
    study : Study
        Entered, without unfinished trials.
    request, caps, executor
        As for :func:`run`.

    Yields
    ------
    (int, int)
        Fits that have ended, and how many there are.

    Raises
    ------
    StoreError
        If the storage is lost.
    """
    with studies.reachable(study.address), study.comparing():
        wanted = {choice.key(t.number, fold): (t, fold) for t, fold in choice.missing(study.optuna)}
        limit = caps.grace * caps.seconds + BESIDE
        jobs = (
            Job(
                key,
                try_out,
                (replace(request, params=t.user_attrs["params"]), caps, fold),
                seconds=limit,
            )
            for key, (t, fold) in wanted.items()
        )
        ended = 0
        yield ended, len(wanted)
        with closing(executor.run(jobs)) as events:
            for event in events:
                if event.kind in ("started", "stage"):
                    continue
                if event.kind == "done":
                    told = {"mAP": event.value.select_mAP, "seconds": event.value.seconds}
                else:
                    told = {"mAP": None, "seconds": 0.0, "reason": str(event.value)}
                study.optuna.set_user_attr(event.key, told)
                ended += 1
                yield ended, len(wanted)


class _Trials:
    """The trials that this process runs, from claim to result."""

    def __init__(
        self,
        study: Study,
        request: RunRequest,
        caps: Caps,
        executor: Executor,
        deadline: float | None,
    ) -> None:
        self.study, self.request, self.caps = study, request, caps
        self.executor, self.deadline = executor, deadline
        self.running: dict[str, Any] = {}
        self.pruned: set[str] = set()
        self.started: dict[str, float] = {}

    def expired(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def jobs(self) -> Iterator[Job]:
        model: type[Model] = registry.models().get(self.request.model)
        while not self.expired() and (trial := self.study.claim()) is not None:
            params = suggest(model, trial) if trial.number or self.study.spec.first else {}
            # the first trial is the default, so that a tuned model is never a worse choice
            params = {**(params if trial.number else {}), **self.request.params}
            trial.set_user_attr("params", params)
            key = str(trial.number)
            self.running[key], self.started[key] = trial, time.monotonic()
            request = replace(self.request, params=params)
            limit = self.caps.grace * self.caps.seconds + BESIDE
            yield Job(key, try_out, (request, self.caps), seconds=limit)

    def follow(self) -> Iterator[Event]:
        with closing(self.executor.run(self.jobs())) as events:
            for event in events:
                if event.kind == "stage":
                    self._stage(event.key, event.value)
                if event.kind in ("started", "stage"):
                    yield event
                else:
                    yield Event(event.key, "done", self._finish(event))

    def _stage(self, key: str, stage: Stage) -> None:
        trial = self.running[key]
        if key in self.pruned:
            return
        prune = self.study.report(trial.number, stage.number, stage.stop_mAP)
        if prune and trial.number:
            self.pruned.add(key)
            self.executor.stop(key)

    def _finish(self, event: Event) -> Any:
        trial = self.running.pop(event.key)
        attempt = event.value if event.kind == "done" else None
        attrs: dict[str, Any] = {"seconds": round(time.monotonic() - self.started[event.key], 2)}
        state, value = "FAIL", None
        if attempt is None:
            attrs["reason"] = str(event.value)
        elif attempt.select_mAP is None:
            state, attrs["n_parameters"] = "PRUNED", attempt.n_parameters
            attrs["reason"] = (
                f"{attempt.n_parameters:,} weights, more than {self.caps.max_parameters:,}"
            )
        else:
            attrs |= {"best": attempt.best, "capped": attempt.capped}
            attrs |= {"fit_seconds": attempt.seconds, "n_parameters": attempt.n_parameters}
            if event.key in self.pruned:
                state, attrs["reason"] = "PRUNED", "below the median on the stop part"
            else:
                state, value = "COMPLETE", attempt.select_mAP
        return self.study.finish(trial.number, state, value, **attrs)


def choose(name: str, address: str, request: RunRequest) -> Chosen:
    """Return the trial that a study chooses, for `run --tuned`.

    Raises
    ------
    ProtocolError
        If no trial is complete, or the study is of other data or another protocol.
    """
    import optuna

    study = studies.read(name, address)
    stored = study.user_attrs.get("spec") or {}
    division = divide_for(request)
    for field, value in (
        ("dataset", division.dataset.name),
        ("fingerprint", division.dataset.fingerprint),
        ("features", division.dataset.features),
        ("features_sha256", division.dataset.features_sha256),
        ("division_id", division.id),
        ("protocol_id", division.protocol.id),
        ("model", request.model),
        ("preset", request.preset),
    ):
        if stored.get(field) != value:
            raise ProtocolError(
                f"the study {name!r} chose for something else: its {field.removesuffix('_id')} is "
                f"{stored.get(field)}, not {value}. Tune anew, or name another with --study"
            )
    State = optuna.trial.TrialState
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    trials = [t for t in trials if "surplus" not in t.user_attrs]
    complete = [t for t in trials if t.state == State.COMPLETE]
    if not complete:
        raise ProtocolError(f"no trial of the study {name!r} is complete: run `polytimbre tune`")
    best = choice.chosen(study)
    cost = {
        "tried": len(trials),
        "complete": len(complete),
        "pruned": sum(t.state == State.PRUNED for t in trials),
        "failed": sum(t.state == State.FAIL for t in trials),
        "seconds": round(sum(t.user_attrs.get("seconds", 0.0) for t in trials), 1),
        "select_mAP": best.value,
        "cross_validated_mAP": choice.cross_validated(study, best.number),
        "cross_validation_seconds": round(choice.seconds(study), 1),
        "storage": studies.shown(address),
    }
    return Chosen(name, best.number, best.user_attrs["params"], cost)


def open_study(
    name: str | None, request: RunRequest, caps: Caps, address: str | None, store: Store
) -> Study:
    """Open the study that was named, or the request's own; see :class:`Study`."""
    spec = specify(request, caps)
    return Study(name or study_name(request), spec, studies.address_of(address, store), store)
