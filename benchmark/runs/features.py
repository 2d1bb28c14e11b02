"""The features that a run is on: a data set's own, others of its clips, or a file of somebody's.

Features are named by the front end that they come from, which a data set brings along or which
``polytimbre features extract`` has computed, or by a file of embeddings; ``A+B`` joins them.
"""

import os
import re
import warnings
from collections.abc import Sequence
from multiprocessing import parent_process
from pathlib import Path

import numpy as np

from benchmark.contracts.dataset import OWN, Dataset, DatasetPlugin
from benchmark.datasets.reading.embedded import read_features
from benchmark.errors import DataError, UnknownNameError
from benchmark.features import embeddings
from benchmark.features.joining import join
from benchmark.plugins import registry
from benchmark.runs import extracted
from benchmark.runs.record import RunSpec


class EmbeddingsWarning(UserWarning):
    """A file of embeddings may be meant otherwise than it is read."""


def parse(asked: str | Path | None) -> tuple[str, ...]:
    """Return the names of the features that ``A+B`` joins, files by their absolute paths.

    Raises
    ------
    DataError
        Where a name is empty, or there twice, or a file is not there.
    """
    if asked is None:
        return ()
    text = os.fspath(asked)
    parts = [text] if Path(text).exists() else text.split("+")
    if "" in parts:
        raise DataError(f"the features {text!r} lack a name: write them as in logmel+FILE.npz")
    if len(set(parts)) < len(parts):
        raise DataError(f"the features {text!r} name the same twice")
    for part in parts:
        if _is_file(part) and not Path(part).exists():
            raise DataError(
                f"there is no file {part}, which --features names (features= in Python)"
            )
    return tuple(str(Path(part).absolute()) if _is_file(part) else part for part in parts)


def features_of(spec: RunSpec) -> str:
    """Return what a run's features are called; of an old record, those of its data set."""
    return own_features(spec.dataset) if spec.features is None else spec.features


def own_features(dataset: str) -> str:
    """Return what the features are called that a data set is loaded with."""
    plugin = registry.datasets().plugins.get(dataset)
    return OWN if plugin is None else plugin.features


def without_hash(name: str) -> str:
    """Return what features are called without the hashes that tell files of one name apart."""
    return re.sub(r":[0-9a-f]{8}\b", "", name)


def _is_file(part: str) -> bool:
    named = part in registry.frontends().plugins
    is_path = os.sep in part or Path(part).suffix in embeddings.SUFFIXES or Path(part).is_dir()
    return is_path and not named


def choose(
    plugin: DatasetPlugin, dataset: Dataset, asked: Sequence[str], layer: int | None = None
) -> Dataset:
    """Return a data set on the features that were asked for.

    Parameters
    ----------
    plugin : DatasetPlugin
    dataset : Dataset
        As it was loaded.
    asked : sequence of str
        See :func:`parse`; none for the data set's own.
    layer : int, optional
        Of the file that is among them.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    DataError
        Where they aren't there, with what to do, or can't be used.
    """
    if layer is not None and not any(map(_is_file, asked)):
        raise DataError("--layer chooses one of a file's layers: name the file with --features")
    if not asked or tuple(asked) == (dataset.features,):
        return dataset
    sets = [_one(plugin, dataset, part, layer) for part in asked]
    names = [name for name, _ in sets]
    return dataset.with_features("+".join(names), join(names, [X for _, X in sets]))


def _one(
    plugin: DatasetPlugin, dataset: Dataset, part: str, layer: int | None
) -> tuple[str, np.ndarray]:
    if part == dataset.features:
        return part, dataset.X
    if part in dataset.further_features:
        return part, dataset.further_features[part]
    if part in plugin.feature_files:
        return part, read_features(plugin.feature_files[part], dataset.keys)
    if part in registry.frontends().plugins:
        return part, extracted.read(dataset, registry.frontends().get(part))
    if not _is_file(part):
        known = {
            dataset.features,
            *dataset.further_features,
            *plugin.feature_files,
            *registry.frontends().names(),
        }
        raise UnknownNameError("features", part, known, where=f"of data set {dataset.name}")
    found = embeddings.read(Path(part), layer)
    X, ignored = found.of(dataset.keys)
    told = []
    if ignored:
        told.append(
            f"{found.name} holds {ignored} clip(s) that data set {dataset.name!r} does not have;"
            " they are ignored"
        )
    if layer is None and X.ndim == 3 and X.shape[1] not in (1, dataset.X.shape[1]):
        told.append(
            f"{found.name} is read as {X.shape[1]} frames a clip; were these layers, --layer"
            " (layer= in Python) would take one"
        )
    for sentence in told if parent_process() is None else ():  # once, not by every worker
        warnings.warn(sentence, EmbeddingsWarning, stacklevel=4)
    return found.name, X
