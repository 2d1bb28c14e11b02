"""Load data, run a model on it, and look at the run."""

import os
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis import comparison
from benchmark.api.arguments import PLACE, check_arguments
from benchmark.contracts import facts
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.model import Model
from benchmark.errors import (
    PluginError,
    PolytimbreError,
    ProtocolError,
    StoreError,
    UnknownNameError,
)
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.plugins.loading import load_model
from benchmark.protocol import PARTS, PROTOCOLS
from benchmark.runs import request as requests
from benchmark.runs.features import features_of, parse
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record
from benchmark.runs.run import execute
from benchmark.workers.in_process import InProcess
from benchmark.workers.jobs import Job
from benchmark.workers.processes import Processes
from benchmark.workers.threads import SINGLE_THREAD


def models() -> list[str]:
    """Return the names of the models that can be run.

    Examples
    --------
    >>> import polytimbre as pt
    >>> "cnn" in pt.models()
    True
    """
    return registry.models().names()


def datasets() -> list[str]:
    """Return the names of the data sets that can be loaded.

    Examples
    --------
    >>> import polytimbre as pt
    >>> "rendered" in pt.datasets()
    True
    """
    return registry.datasets().names()


def load(
    name: str,
    data_root: str | Path | None = None,
    split: str | None = None,
    features: str | Path | None = None,
    layer: int | None = None,
) -> Dataset:
    """Load a data set by name, on its own features or on others.

    Parameters
    ----------
    name : str
        One of :func:`datasets`.
    data_root : str or Path, optional
        File or folder of a data set that is not embedded.
    split : str, optional
        Another partition than the official one.
    features : str or Path, optional
        A front end whose features come with the data set or were extracted, a file of
        embeddings, or several joined as in ``"logmel+mert.npz"``; the data set's own if None.
    layer : int, optional
        Of a file that holds several, counted from 0.

    Raises
    ------
    UnknownNameError, DataError

    Examples
    --------
    >>> import polytimbre as pt
    >>> data = pt.load("rendered")
    >>> data.X.shape, data.y_true.shape
    ((6000, 10, 128), (6000, 20))
    """
    check_arguments(
        name=(name, str),
        data_root=(data_root, *PLACE, None),
        split=(split, str, None),
        features=(features, *PLACE, None),
        layer=(layer, Integral, None),
    )
    root = None if data_root is None else Path(data_root).resolve()
    return requests.load(requests.DataRequest(name, root, split, parse(features), layer))


def run(
    model: str | type[Model] | Model,
    data: Dataset,
    seed: int = 0,
    *,
    store: str | Path | None = None,
    protocol: str = "default",
    **params: Any,
) -> "Run":
    """Fit a model on a data set's training clips, score every part, and return the run.

    The run has the same bits, and the same id, as the command ``polytimbre run`` gives: it is
    computed on one thread, in a process of its own. A class that is no registered plugin may
    exist in this script or notebook alone: it is run in this process, which keeps one thread
    from then on, and is refused where JAX was imported with more.

    Parameters
    ----------
    model : str, subclass of Model, or Model
        A name such as ``"cnn"`` or ``"cnn:published"``, a class, or an unfitted model.
    data : Dataset
    seed : int
        A model that ignores its seed has seed 0.
    store : str or Path, optional
        Folder to keep the run in; a run that it holds is not computed again. Without one the
        run is gone when the returned object is.
    protocol : {"default", "published"}
        ``"published"`` takes missing labels as present; see ``polytimbre audit``.
    **params
        Parameters of the model, in place of its defaults.

    Returns
    -------
    Run

    Raises
    ------
    UnknownNameError
        For a model, preset, parameter or protocol that does not exist.
    PluginError
        If the model breaks its contract or fails; its traceback is in the error's notes.

    Examples
    --------
    >>> import polytimbre as pt
    >>> run = pt.run("constant", pt.load("rendered"))
    >>> run.scores["test"].shape
    (1435, 20)
    >>> list(run.history.columns)
    ['fit_loss', 'stop_loss', 'fit_mAP', 'stop_mAP']
    """
    _check(data, seed, store, protocol)
    request = _request(model, data, int(seed), protocol, params)
    cls = type(requests.make_model(request))  # a wrong name is refused before a process starts
    folder = None
    if store is None:
        folder = tempfile.TemporaryDirectory(prefix="polytimbre-run-")
    path = Path(folder.name if folder else store).resolve()
    record = _compute(request, path)
    if not record.finished:
        error = PluginError(f"model {cls.name!r} failed: {record.error}")
        error.add_note(record.traceback or "")
        raise error
    return Run(Runs(path), record, cls, folder)


def _check(data: object, seed: object, store: str | Path | None, protocol: str) -> None:
    """Refuse what :func:`run` can't be given."""
    if not isinstance(data, Dataset):
        raise ProtocolError(f"run takes a data set, as load returns it, got {type(data).__name__}")
    check_arguments(protocol=(protocol, str), store=(store, *PLACE, None))
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**32:
        raise ProtocolError(f"seed must be a whole number in [0, 2**32), got {seed!r}")


def _request(
    model: str | type[Model] | Model,
    data: Dataset,
    seed: int,
    protocol: str,
    params: dict[str, Any],
) -> requests.RunRequest:
    params = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
    data = replace(data, audio_path=None)  # a function that may not reach another process
    preset = None
    if isinstance(model, str):
        model, _, preset = model.partition(":")
    else:
        if isinstance(model, Model):
            model, params = type(model), {**model.get_params(), **params}
        registry.check_class("model", model, Model)
        if registry.models().plugins.get(model.name) is model:
            model = model.name
    return requests.RunRequest(data, model, seed, preset or None, params, protocol=protocol)


def _compute(request: requests.RunRequest, path: Path) -> Record:
    registered = isinstance(request.model, str)
    executor = Processes(1) if registered else InProcess()
    job = Job("run", execute, (request, path))
    with executor, closing(executor.run([job])) as events:
        for event in events:
            if event.kind == "done":
                return event.value
            if event.kind in ("refused", "crashed"):
                raise PolytimbreError(str(event.value))
    raise AssertionError("an executor ends each job with an event")


class Run:
    """One run: what it scored, how it was trained, and its record.

    Made by :func:`run`, or read from a store by :func:`store` and :func:`published`.

    Attributes
    ----------
    record : Record
        All that is known of the run: parameters, seed, versions, machine, seconds.

    Examples
    --------
    >>> import polytimbre as pt
    >>> run = next(iter(pt.published("rendered")))
    >>> sorted(run.metrics)[:3]
    ['brier', 'f1_global', 'f1_half']
    """

    def __init__(
        self,
        source: Runs,
        record: Record,
        cls: type[Model] | None = None,
        folder: tempfile.TemporaryDirectory | None = None,
    ) -> None:
        self.record = record
        self._source = source
        self._class = cls
        self._folder = folder  # lives as long as this object

    @property
    def id(self) -> str:
        """Return the run's id: equal ids were computed by the same code from the same data."""
        return self.record.run_id

    @property
    def label(self) -> str:
        """Return model, preset and how it was trained, as in ``cnn tuned``."""
        return self.record.spec.label

    @property
    def asked(self) -> str:
        """Return when the run was last asked for: made, or found stored by a later command."""
        return self._source.asked(self.record)

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Return the scores of ``"fit"``, ``"stop"``, ``"select"`` and ``"test"``.

        Each is float32 of shape (n_clips, n_classes), rows in the order of :attr:`labels`. A
        published run may lack *stop*, and is NaN where no table rests on a score: at labels that
        nobody observed.
        """
        self._check_finished()
        return self._source.scores(self.record)

    @cached_property
    def labels(self) -> dict[str, StoredLabels]:
        """Return the labels of each part: ``y_true``, ``y_mask``, ``keys`` and ``groups``."""
        return self._source.labels(self.record.spec.division_id)

    def attributes(self, part: str = "test") -> dict[str, np.ndarray]:
        """Return what is known of a part's clips, by name: arrays of str, shape (n_clips,).

        Raises
        ------
        UnknownNameError
            If there is no such part.
        """
        if part not in PARTS:
            raise UnknownNameError("part", part, PARTS)
        return self._source.attributes(self.record.spec.division_id, part)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Return the metrics on the test part by name, macro averages over classes.

        Thresholds are chosen on the select part: one for all classes (``f1_global``), one a
        class (``f1_per_class``); ``f1_half`` is at 0.5.
        """
        return comparison.evaluate(self.scores, self.labels).summary()

    @cached_property
    def history(self) -> pd.DataFrame:
        """Return masked loss and mAP on fit and stop, one row an epoch, round or forest size."""
        self._check_finished()
        stages = pd.DataFrame(self.record.history["stages"])
        return stages.rename(columns={"number": self.record.history["unit"]}).set_index(
            self.record.history["unit"]
        )

    @cached_property
    def model(self) -> Model:
        """Return the fitted model.

        Raises
        ------
        StoreError
            If the model is not kept, as with most published runs, or its code was changed since.
        """
        self._check_finished()
        spec = self.record.spec
        folder = self._source.model_folder(self.record)
        cls = self._class or registry.models().get(spec.model)
        if source_hash(cls) != spec.source:
            raise StoreError(
                f"the code of model {spec.model!r} was changed since run {self.id}: run it again"
            )
        if "jax" not in sys.modules:
            os.environ.update(SINGLE_THREAD)  # so that it predicts the bits that were stored
        model = cls(**spec.params)
        load_model(model, folder)
        return model

    def _check_finished(self) -> None:
        if not self.record.finished:
            raise ProtocolError(f"run {self.id} of {self.label} failed: {self.record.error}")

    def _facts(self) -> dict[str, str]:
        spec = self.record.spec
        facts = {"run": self.id, "model": self.label, "seed": str(spec.seed)}
        facts |= {"data set": spec.dataset, "features": features_of(spec)}
        error = f"failed: {self.record.error}" if self.record.error else ""
        facts |= {"status": error or self.record.status}
        if self.record.finished and getattr(self._source, "complete", True):
            facts |= {name: f"{self.metrics[name]:.3f}" for name in ("mAP", "f1_global")}
        return facts

    def __repr__(self) -> str:
        facts = self._facts()
        told = [f"{facts['model']} on {facts['data set']}", f"seed {facts['seed']}"]
        told += [f"features {facts['features']}"]
        told += [f"mAP {facts['mAP']}"] if "mAP" in facts else [facts["status"]]
        return f"<Run {self.id}: {', '.join(told)}>"

    def _repr_html_(self) -> str:
        return facts.html("Run", self._facts())
