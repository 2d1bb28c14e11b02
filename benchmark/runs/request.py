"""Requests for runs, and the data, the division and the model that they ask for."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts.dataset import Dataset, Part
from benchmark.contracts.model import Model
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import (
    DataError,
    PluginError,
    PolytimbreError,
    ProtocolError,
    UnknownNameError,
)
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.protocol import PROTOCOLS, Division, divide
from benchmark.runs import environment
from benchmark.runs.features import choose
from benchmark.runs.record import Record, RunSpec, run_id


@dataclass(frozen=True)
class DataRequest:
    """Which data set, from where, under which split, on which features.

    `features` are names and files, as :func:`benchmark.runs.features.parse` gives them; none:
    those that the data set is loaded with. `layer` is that of a file with several.
    """

    name: str
    root: Path | None = None
    split: str | None = None
    features: tuple[str, ...] = ()
    layer: int | None = None


@dataclass(frozen=True)
class RunRequest:
    """What one run is to be computed from; it can be sent to another process.

    `data` and `model` are names, or a data set and a class that are already there.
    `fraction` is the share of the fit part's groups that is trained on, in (0, 1]; the
    other parts, and the fit part that is scored, stay whole. `positives` is the number of groups
    in which each class is known to be heard (see :func:`few_positives`); `order` says in which
    random order groups are taken. `protocol` is one of
    :data:`benchmark.protocol.PROTOCOLS`. `chosen` says which study `params` come from, and
    `refit` asks for a last fit on all training clips.
    """

    data: DataRequest | Dataset
    model: str | type[Model]
    seed: int = 0
    preset: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    fraction: float = 1.0
    protocol: str = "default"
    chosen: "Chosen | None" = None
    refit: bool = False
    order: int = 0
    positives: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it learns from all clips of the fit part, with all their labels."""
        return self.fraction == 1 and self.positives is None


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
        See `tuning` of :class:`benchmark.runs.record.Record`.
    """

    study: str
    trial: int
    params: dict[str, Any]
    cost: dict[str, Any]


def load(request: DataRequest | Dataset) -> Dataset:
    """Load the data set that was asked for.

    One that came from another process is checked, and made immutable, once more.

    Raises
    ------
    UnknownNameError, DataError
    """
    if isinstance(request, Dataset):
        return replace(request)
    plugin = registry.datasets().get(request.name)()
    if plugin.needs_root:
        if request.root is None:
            raise DataError(
                f"data set {request.name!r} is not embedded: say where it lies with --data-root "
                "(data_root= in Python)"
            )
        try:
            request.root.stat()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            problem = "does not exist" if missing else f"can't be used ({error.strerror})"
            raise DataError(f"the data root {request.root} {problem}; check --data-root") from error
    elif request.root is not None:
        raise DataError(
            f"data set {request.name!r} comes with polytimbre: leave out --data-root, which says "
            "where other data sets lie"
        )
    dataset = plugin.load(request.root, request.split or plugin.splits[0])
    if not isinstance(dataset, Dataset):
        raise PluginError(f"data set {request.name!r}: load must return a Dataset")
    dataset = replace(dataset, features=plugin.features)
    return choose(plugin, dataset, request.features, request.layer)


def divide_for(request: RunRequest) -> Division:
    """Load a request's data set and divide it under its protocol.

    Raises
    ------
    UnknownNameError, DataError, ProtocolError
    """
    if request.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", request.protocol, PROTOCOLS)
    return divide(load(request.data), PROTOCOLS[request.protocol])


def check_data(record: Record, division: Division) -> None:
    """Refuse other data, or another division into parts, than a run was made on.

    Raises
    ------
    DataError
        If the data's content is another.
    ProtocolError
        If the same data are divided in another way.
    """
    spec, data = record.spec, division.dataset
    if data.fingerprint != spec.fingerprint:
        raise DataError(
            f"{record.name} was made on other data: the fingerprint of data set {data.name!r}, "
            f"split {data.split!r}, is {data.fingerprint[:16]}, that of the run's data "
            f"{spec.fingerprint[:16]}. Get the data that it was made on, and check --data-root"
        )
    if division.id != spec.division_id:
        raise ProtocolError(
            f"{record.name} was made on another division of the same data into parts: it is "
            f"{division.id} now, recorded is {spec.division_id}. Check out the commit that the "
            "run was made at"
        )


def make_model(request: RunRequest) -> Model:
    """Make the unfitted model that was asked for.

    Raises
    ------
    UnknownNameError
        For an unknown model, preset or parameter, with the nearest known one.
    PluginError
        If the plugin can't be imported or made.
    """
    cls = request.model
    if isinstance(cls, str):
        cls = registry.models().get(cls)
    try:
        return cls.from_params(request.preset, **request.params)
    except PolytimbreError:
        raise
    except Exception as error:
        raise PluginError(f"model {cls.name!r} can't be made: {error}") from error


def training_rows(division: Division, fraction: float, order: int = 0) -> np.ndarray:
    """Return the rows of the fit part that a run trains on.

    Groups are taken in a random order, the same for all models, so that the 20 % contain the
    10 %: a learning curve's steps differ by what is added alone.

    Parameters
    ----------
    division : Division
    fraction : float
        Share of the fit part's groups, in (0, 1]; at least one group is taken.
    order : int
        Number of the random order.

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
    group_of, shuffled = _shuffled(division, rows, order)
    taken = shuffled[: max(1, round(fraction * len(shuffled)))]
    return rows[np.isin(group_of, taken)]


def _shuffled(division: Division, rows: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's group as a number, and these numbers in a random order."""
    groups, group_of = np.unique(division.dataset.groups[rows], return_inverse=True)
    purpose = ("learning curve", order) if order else ("learning curve",)
    seed = derive_seed(division.protocol.seed, *purpose)
    return group_of, np.random.default_rng(seed).permutation(len(groups))


def few_positives(
    division: Division, rows: np.ndarray, part: Part, positives: int, order: int
) -> Part:
    """Return clips as if each class had been heard in a few groups alone.

    Of each class those groups count that come first in a random order, the same for all models
    and classes: the ten contain the five. Its other positives count as not observed; negatives
    stay as they are.

    Parameters
    ----------
    division : Division
    rows : ndarray of int
        Of the data set.
    part : Part
        The clips at these rows.
    positives : int
        Groups of each class.
    order : int
        Number of the random order.

    Raises
    ------
    ProtocolError
        For less than one.
    """
    if positives < 1:
        raise ProtocolError(f"each class needs one positive or more, got {positives}")
    group_of, shuffled = _shuffled(division, rows, order)
    place, y_mask = np.argsort(shuffled)[group_of], part.y_mask.copy()
    for c, positive in enumerate(part.y_positive.T):
        first = np.unique(place[positive])[:positives]
        y_mask[positive & ~np.isin(place, first), c] = False
    return replace(part, y_true=np.where(y_mask, part.y_true, np.float32(0)), y_mask=y_mask)


def specify(request: RunRequest, division: Division, threads: int) -> tuple[RunSpec, str]:
    """Return the spec of a request on a division, and its run id at a thread count."""
    model = make_model(request)
    training_rows(division, request.fraction, request.order)  # refused before anything is computed
    data = division.dataset
    spec = RunSpec(
        dataset=data.name,
        split=data.split,
        official=data.official,
        fingerprint=data.fingerprint,
        division_id=division.id,
        protocol_id=division.protocol.id,
        model=model.name,
        preset=request.preset,
        params=json.loads(json.dumps(model.get_params())),
        seed=request.seed if model.seeded else 0,
        source=source_hash(type(model)),
        fraction=float(request.fraction),
        study=request.chosen and request.chosen.study,
        trial=request.chosen and request.chosen.trial,
        refit=request.refit,
        order=0 if request.whole else request.order,
        features=data.features,
        features_sha256=data.features_sha256,
        positives=request.positives,
    )
    versions = environment.library_versions(model.libraries)
    return spec, run_id(spec, versions, threads)
