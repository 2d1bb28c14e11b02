"""polytimbre from Python: load data, run models, compare them, look at what is published.

>>> import polytimbre as pt
>>> data = pt.load("rendered-full")
>>> run = pt.run("logistic_regression", data)
>>> print(f"{run.metrics['mAP']:.2f}")
0.29
>>> pt.compare(run, pt.published("rendered-full")).plot()  # doctest: +SKIP

A model, a data set, a script or a notebook needs nothing but what this module names. A name is
imported when it is first used, so that ``import polytimbre`` itself takes no time.
"""

import os
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; a test holds it against EXPORTS
    from benchmark import __version__ as __version__
    from benchmark.api.comparing import Result as Result
    from benchmark.api.comparing import compare as compare
    from benchmark.api.hearing import Prediction as Prediction
    from benchmark.api.hearing import predict as predict
    from benchmark.api.running import Run as Run
    from benchmark.api.running import datasets as datasets
    from benchmark.api.running import load as load
    from benchmark.api.running import models as models
    from benchmark.api.running import run as run
    from benchmark.api.stored import PublishedRuns as PublishedRuns
    from benchmark.api.stored import StoredRuns as StoredRuns
    from benchmark.api.stored import published as published
    from benchmark.api.stored import published_sets as published_sets
    from benchmark.api.stored import store as store
    from benchmark.api.tables import ShownTable as ShownTable
    from benchmark.bases.network import NeuralNetwork as NeuralNetwork
    from benchmark.bases.per_class import BinaryRelevance as BinaryRelevance
    from benchmark.contracts.dataset import CLASSES as CLASSES
    from benchmark.contracts.dataset import Auxiliary as Auxiliary
    from benchmark.contracts.dataset import Dataset as Dataset
    from benchmark.contracts.dataset import DatasetPlugin as DatasetPlugin
    from benchmark.contracts.dataset import Part as Part
    from benchmark.contracts.model import History as History
    from benchmark.contracts.model import Model as Model
    from benchmark.contracts.parameters import Within as Within
    from benchmark.contracts.seeds import derive_seed as derive_seed
    from benchmark.errors import DataError as DataError
    from benchmark.errors import ParameterError as ParameterError
    from benchmark.errors import PluginError as PluginError
    from benchmark.errors import PolytimbreError as PolytimbreError
    from benchmark.errors import ProtocolError as ProtocolError
    from benchmark.errors import StoreError as StoreError
    from benchmark.errors import UnknownNameError as UnknownNameError
    from benchmark.plugins.checks import check_dataset as check_dataset
    from benchmark.plugins.checks import check_model as check_model
    from benchmark.protocol import divide as divide

#: Every name that this module hands out, by where it is defined.
EXPORTS = {
    "benchmark": ("__version__",),
    "benchmark.api.running": ("models", "datasets", "load", "run", "Run"),
    "benchmark.api.stored": (
        "store", "published", "published_sets", "StoredRuns", "PublishedRuns",
    ),
    "benchmark.api.comparing": ("compare", "Result"),
    "benchmark.api.tables": ("ShownTable",),
    "benchmark.api.hearing": ("predict", "Prediction"),
    "benchmark.protocol": ("divide",),
    "benchmark.contracts.dataset": ("Dataset", "Part", "Auxiliary", "DatasetPlugin", "CLASSES"),
    "benchmark.contracts.model": ("Model", "History"),
    "benchmark.contracts.parameters": ("Within",),
    "benchmark.contracts.seeds": ("derive_seed",),
    "benchmark.bases.network": ("NeuralNetwork",),
    "benchmark.bases.per_class": ("BinaryRelevance",),
    "benchmark.plugins.checks": ("check_model", "check_dataset"),
    "benchmark.errors": (
        "PolytimbreError", "UnknownNameError", "ParameterError", "DataError", "PluginError",
        "StoreError", "ProtocolError",
    ),
}  # fmt: skip

#: Keras takes its backend when it is first imported, which may be before the engine is.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "jax"

_MODULES = {name: module for module, names in EXPORTS.items() for name in names}

__all__ = [name for name in _MODULES if not name.startswith("_")]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'polytimbre' has no attribute {name!r}")
    _check_engine()
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def _check_engine() -> None:
    """Refuse a module of the engine's name that lies before it on the path.

    Raises
    ------
    ImportError
        Naming the file.
    """
    spec = getattr(sys.modules.get("benchmark"), "__spec__", None) or find_spec("benchmark")
    origin = Path(spec.origin) if spec and spec.origin else None
    if origin is None or origin.resolve().parent != Path(__file__).resolve().parent / "benchmark":
        raise ImportError(
            f"{origin or 'a folder named benchmark'} hides polytimbre's own package 'benchmark': "
            "rename it, or start Python in another folder"
        )


def main() -> None:
    """Run the command ``polytimbre``."""
    try:
        _check_engine()
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    # the import itself may warn
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    import_module("benchmark.cli").main()


def __dir__() -> list[str]:
    return sorted(_MODULES)
