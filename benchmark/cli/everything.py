"""All that is published, as a list of commands: from an empty store to the published sets."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmark.analysis import learning_curve, transfer
from benchmark.contracts.model import Model
from benchmark.errors import PolytimbreError, ProtocolError, UnknownNameError
from benchmark.plugins import registry
from benchmark.protocol import N_FOLDS
from benchmark.runs.features import parse
from benchmark.runs.reading import Runs
from benchmark.runs.record import Record
from benchmark.runs.request import Chosen, DataRequest, RunRequest
from benchmark.runs.suite import plan, requests
from benchmark.tuning import choice, studies, trials

SEEDS = 5
#: Of every model's study, and processor seconds after which a fit is asked to stop.
TRIALS = 16
TRIAL_SECONDS = 600
#: Fits beside a study's trials: the best are compared again in folds.
AGAIN = choice.N_LEADERS * N_FOLDS
#: What is published of each data set: models (None for all), by features (None for its own).
PUBLISHED: dict[str, dict[str | None, tuple[str, ...] | None]] = {
    "rendered": {None: None, "musicnn": None},
    "rendered-full": {
        None: ("attention", "logistic_regression", "constant"),
        "musicnn": None,
    },
    "audioset20": {None: None, "vggish+tags": ("attention", "xgboost", "logistic_regression")},
    "audioset-world": {None: None},
}
#: Models whose defaults are refitted as well, on each of a data set's features.
REFITTED = {"audioset20": ("attention",)}
#: Data sets whose models are, on their own features, tuned, refitted, and held to less data and
#: to the published protocol.
TUNED = ("rendered", "audioset20")
CURVES = ("cnn", "random_forest", "xgboost")
AS_PUBLISHED = ("cnn", "random_forest", "constant")
#: The data set on which models are shown few positives.
FEW_POSITIVES = "audioset-world"
#: The data set whose best model is shipped, for `predict`.
SHIPS = "rendered-full"

#: How many fits on all clips something takes, by data set and model.
Fits = Counter[tuple[str, str]]


class Step(NamedTuple):
    """One command, and what it computes: runs, or a study for each of them."""

    command: tuple[str, ...]
    runs: Sequence[RunRequest] = ()


def steps(
    data_root: Path | None = None,
    store: Path | None = None,
    results: Path | None = None,
    *,
    dataset: str | None = None,
    labels: Path | None = None,
    how: Sequence[str] = (),
    storage: str | None = None,
) -> list[Step]:
    """Spell out the commands that publish everything, in order.

    Parameters
    ----------
    data_root : Path, optional
        Where AudioSet's features lie; data sets that need it are left out without it.
    store, results : Path, optional
        Where the commands compute and publish; their defaults if None.
    dataset : str, optional
        What is published of this data set alone.
    labels : Path, optional
        OpenMIC-2018's labels, whose audit is published last.
    how : sequence of str
        Options of the commands that compute, such as ``--workers 2``.
    storage : str, optional
        Where the studies are kept; beside the runs if None.

    Raises
    ------
    UnknownNameError
        For a data set of which nothing is published.
    ProtocolError
        Where one is named that needs a data root.
    """
    if dataset is not None and dataset not in PUBLISHED:
        raise UnknownNameError("data set", dataset, PUBLISHED)
    target = ["--results", str(results)] if results else []
    studied = ["--storage", storage] if storage else []
    listed = []
    for name in PUBLISHED if dataset is None else [dataset]:
        needs_root = registry.datasets().get(name).needs_root
        if needs_root and data_root is None:
            if dataset is None:
                continue
            raise ProtocolError(f"data set {name!r} is not embedded: add --data-root FOLDER")
        data = DataRequest(name, data_root if needs_root else None)
        place = ["--dataset", name]
        place += ["--data-root", str(data_root)] if needs_root else []
        place += ["--store", str(store)] if store else []
        listed += _computed(data, place, how, studied)
        shipped = ["--with-model", "best"] if name == SHIPS else []
        listed.append(Step(("publish", *place, *shipped, *studied, *target)))
    if labels is not None:
        listed.append(Step(("publish", "--labels", str(labels), *target)))
    return listed


def _computed(
    data: DataRequest, place: Sequence[str], how: Sequence[str], studied: Sequence[str]
) -> Iterator[Step]:
    """Yield the commands that compute what is published of one data set."""
    seeds = ["--seeds", str(SEEDS), *how]
    for name, models in PUBLISHED[data.name].items():
        features = ["--features", name] if name else []
        more = [*features, *_named(models or ())]
        on = replace(data, features=parse(name))
        yield Step(("run", *place, *more, *seeds), requests(on, models, range(SEEDS)))
        if again := REFITTED.get(data.name):
            command = ("run", *place, *features, *_named(again), "--refit", *seeds)
            yield Step(command, requests(on, again, range(SEEDS), refit=True))
    if data.name == FEW_POSITIVES:
        whole = requests(data, transfer.MODELS, range(SEEDS))
        yield Step(("transfer", *place, *seeds), transfer.requests(whole))
    if data.name not in TUNED:
        return
    tuned = [one for one in requests(data, None, [0]) if _is_tuned(str(one.model))]
    budget = ["--trials", str(TRIALS), "--trial-seconds", str(TRIAL_SECONDS)]
    yield Step(("tune", *place, *budget, *how, *studied), tuned)
    names = [str(one.model) for one in tuned]
    for refit in (False, True):
        tuned_how = ["--tuned", "--refit"] if refit else ["--tuned"]
        command = ("run", *place, *tuned_how, *seeds, *studied)
        yield Step(command, requests(data, names, range(SEEDS), refit=refit))
    for model in CURVES:
        curve = learning_curve.requests(requests(data, [model], range(SEEDS)))
        yield Step(("learning-curve", *place, "--model", model, *seeds), curve)
    published = requests(data, AS_PUBLISHED, range(SEEDS), protocol="published")
    named = _named(AS_PUBLISHED)
    yield Step(("run", *place, *named, "--protocol", "published", *seeds), published)


def _named(models: Iterable[str]) -> list[str]:
    return [part for model in models for part in ("--model", model)]


def _is_tuned(model: str) -> bool:
    return registry.models().get(model).search_space is not Model.search_space


def left(step: Step, stored: Runs | None, address: str | None) -> Fits:
    """Count the fits that a command has still to make; one on a share of the clips is that share.

    Parameters
    ----------
    step : Step
    stored : Runs or None
        Where finished runs lie, if there is such a place yet.
    address : str or None
        Of the studies, if there may be any yet.
    """
    if step.command[0] == "tune":
        return Counter({_key(one): _trials_left(one, address) for one in step.runs})
    wanted = step.runs
    if "--tuned" in step.command and address is not None:
        wanted = _with_parameters(step.runs, address)
    fits: Fits = Counter()
    for unit in plan(wanted, stored):
        fits[_key(unit.request)] += 0 if unit.cached else unit.request.fraction
    return fits


def _key(request: RunRequest) -> tuple[str, str]:
    return request.data.name, str(request.model)


def _trials_left(request: RunRequest, address: str | None) -> int:
    try:
        study = studies.read(trials.study_name(request), address) if address else None
    except UnknownNameError:
        study = None
    if study is None:
        return TRIALS + AGAIN
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    more = TRIALS - sum("surplus" not in t.user_attrs for t in ended)
    return more + AGAIN if more > 0 else len(choice.missing(study))


def _with_parameters(wanted: Sequence[RunRequest], address: str) -> list[RunRequest]:
    """Give each run the parameters that its model's study chose, where there is one."""
    chosen: dict[str, Chosen | None] = {}
    for one in wanted:
        model = str(one.model)
        if model not in chosen:
            try:
                chosen[model] = trials.choose(trials.study_name(one), address, one)
            except PolytimbreError:  # not tuned yet: then these runs are still to be made
                chosen[model] = None
    pairs = [(one, chosen[str(one.model)]) for one in wanted]
    return [replace(one, params=c.params, chosen=c) if c else one for one, c in pairs]


def seconds(fits: Mapping[tuple[str, str], float], records: Iterable[Record]) -> float | None:
    """Estimate the processor seconds of fits from what one of each model took before.

    A model that was never fitted on a data set counts as on the others, and one that was never
    fitted at all as the mean of the other models; None if no model was.
    """
    taken = defaultdict(list)
    for record in records:
        if record.finished and record.spec.fraction == 1:
            spent = sum(record.seconds.values())
            taken[record.spec.dataset, record.spec.model].append(spent)
            taken[record.spec.model].append(spent)
            taken[None].append(spent)
    if not taken:
        return None
    means = {key: sum(values) / len(values) for key, values in taken.items()}
    return sum(
        n * next(means[key] for key in ((dataset, model), model, None) if key in means)
        for (dataset, model), n in fits.items()
    )
