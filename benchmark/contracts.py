"""The contracts that plugins and engine share: data sets, models, histories.

A data-set plugin returns a :class:`Dataset`; a model plugin subclasses :class:`Model`.
Both may use this module and the rest of the first floor, and nothing above it.
"""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmark.errors import DataError, UnknownNameError
from benchmark.metrics import log_loss, mean_average_precision, positives

#: The 20 classes of OpenMIC-2018, in its order (Humphrey, Durand and McFee, ISMIR 2018).
CLASSES: tuple[str, ...] = (
    "accordion", "banjo", "bass", "cello", "clarinet", "cymbals", "drums", "flute", "guitar",
    "mallet_percussion", "mandolin", "organ", "piano", "saxophone", "synthesizer", "trombone",
    "trumpet", "ukulele", "violin", "voice",
)  # fmt: skip


def derive_seed(root: int, *names: object) -> int:
    """Derive a 32-bit seed from a root seed and the name of the part that uses it.

    Parameters
    ----------
    root : int
        The run's seed.
    *names : object
        What the seed is for, for example ``"forest", "banjo"``.

    Returns
    -------
    int
        In [0, 2**32), the same for the same arguments on every machine.
    """
    text = "\x1f".join(str(part) for part in (root, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@dataclass(frozen=True, eq=False)
class Part:
    """Clips of one part of the protocol, as a model sees them.

    Attributes
    ----------
    X : ndarray, shape (n_clips, n_frames, n_features), uint8 or float32
        Frame-wise features.
    y_true : ndarray, shape (n_clips, n_classes), float32
        Relevance in [0, 1]; 0 wherever the label was not observed.
    y_mask : ndarray, shape (n_clips, n_classes), bool
        True where the label was observed. Entries that were not take no part in any loss.
    """

    X: np.ndarray
    y_true: np.ndarray
    y_mask: np.ndarray
    classes: tuple[str, ...] = CLASSES

    @cached_property
    def y_positive(self) -> np.ndarray:
        """Observed positives, shape (n_clips, n_classes), bool."""
        return positives(self.y_true, self.y_mask)

    def __len__(self) -> int:
        return len(self.X)


@dataclass(frozen=True, eq=False)
class Dataset:
    """An immutable, validated data set.

    Attributes
    ----------
    name : str
    X : ndarray, shape (n_clips, n_frames, n_features), uint8 or float32
        Frame-wise features.
    y_true : ndarray, shape (n_clips, n_classes), float32
        Relevance in [0, 1]. Set to 0 where a label was not observed, so that no model and
        no fingerprint depends on a hidden label.
    y_mask : ndarray, shape (n_clips, n_classes), bool
        True where the label was observed.
    keys : ndarray of str, shape (n_clips,)
        Unique clip names.
    groups : ndarray of str, shape (n_clips,)
        Artist, work or video; no group crosses a split.
    partition : ndarray of str, shape (n_clips,)
        ``"train"`` or ``"test"``.
    split : str
        Name of the partition. `official` is False for any but the publisher's own.
    audio_path : callable, optional
        Maps a key to the clip's audio file.

    Raises
    ------
    DataError
        With one sentence on the first rule that is broken.
    """

    name: str
    X: np.ndarray
    y_true: np.ndarray
    y_mask: np.ndarray
    keys: np.ndarray
    groups: np.ndarray
    partition: np.ndarray
    citation: str
    licence: str
    split: str = "official"
    official: bool = True
    classes: tuple[str, ...] = CLASSES
    audio_path: Callable[[str], Path] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("keys", "groups", "partition"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        self._check_shapes()
        self._check_values()
        self._check_partition()
        object.__setattr__(self, "y_true", np.where(self.y_mask, self.y_true, np.float32(0)))
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value = value.view()
                value.flags.writeable = False
                object.__setattr__(self, item.name, value)

    def _fail(self, problem: str) -> None:
        raise DataError(f"data set {self.name!r}: {problem}")

    def _check_shapes(self) -> None:
        if self.X.ndim != 3 or 0 in self.X.shape:
            self._fail(f"X must have shape (n_clips, n_frames, n_features), got {self.X.shape}")
        if self.X.dtype not in (np.uint8, np.float32):
            self._fail(f"X must be uint8 or float32, got {self.X.dtype}")
        if len(set(self.classes)) != len(self.classes):
            self._fail("classes holds a name twice")
        labels = (len(self.X), len(self.classes))
        for name, dtype, shape in (
            ("y_true", np.dtype("float32"), labels),
            ("y_mask", np.dtype("bool"), labels),
            ("keys", None, labels[:1]),
            ("groups", None, labels[:1]),
            ("partition", None, labels[:1]),
        ):
            array = getattr(self, name)
            if array.shape != shape:
                self._fail(f"{name} must have shape {shape}, got {array.shape}")
            if dtype is None and array.dtype.kind != "U":
                self._fail(f"{name} must be an array of str, got {array.dtype}")
            if dtype is not None and array.dtype != dtype:
                self._fail(f"{name} must be {dtype}, got {array.dtype}")

    def _check_values(self) -> None:
        if self.X.dtype == np.float32 and not np.isfinite(self.X).all():
            bad = self.keys[~np.isfinite(self.X).all(axis=(1, 2))]
            self._fail(f"X holds NaN or infinite values, first in clip {str(bad[0])!r}")
        observed = self.y_true[self.y_mask]
        if not np.isfinite(observed).all():
            self._fail("y_true holds NaN or infinite values where y_mask is True")
        if observed.size and (observed.min() < 0 or observed.max() > 1):
            self._fail("y_true holds relevance outside [0, 1]")
        unique, counts = np.unique(self.keys, return_counts=True)
        if len(unique) != len(self.keys):
            self._fail(f"duplicate key {str(unique[counts > 1][0])!r}")

    def _check_partition(self) -> None:
        unknown = sorted(set(self.partition.tolist()) - {"train", "test"})
        if unknown:
            self._fail(f"partition must hold 'train' and 'test' only, got {unknown[0]!r}")
        train, test = (set(self.groups[self.partition == p].tolist()) for p in ("train", "test"))
        if not train or not test:
            self._fail(f"the {'train' if not train else 'test'} partition is empty")
        if shared := sorted(train & test):
            self._fail(f"{len(shared)} group(s) are in both partitions, first {shared[0]!r}")

    def __len__(self) -> int:
        return len(self.X)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: features, labels, masks, keys, groups and partition."""
        digest = hashlib.sha256()
        for name in ("X", "y_true", "y_mask", "keys", "groups", "partition"):
            array = getattr(self, name)
            if array.dtype.kind == "U":
                content = "\n".join(array.tolist()).encode()
            else:
                content = np.ascontiguousarray(array).data
            digest.update(f"{name} {array.shape}".encode())
            digest.update(content)
        digest.update("\n".join(self.classes).encode())
        return digest.hexdigest()

    def part(self, rows: np.ndarray) -> Part:
        """Return the clips at `rows` (int or bool indices) as a :class:`Part`."""
        return Part(self.X[rows], self.y_true[rows], self.y_mask[rows], self.classes)


class DatasetPlugin(ABC):
    """A data set that can be listed, found and loaded.

    A plugin is one file in ``benchmark/datasets/`` (or an entry point of the group
    ``polytimbre.datasets``) that defines one subclass.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    #: Split names that can be asked for; the first is the official one and the default.
    splits: ClassVar[tuple[str, ...]] = ("official",)
    #: Whether `load` needs ``--data-root``; embedded data sets do not.
    needs_root: ClassVar[bool] = True

    @abstractmethod
    def load(self, root: Path | None, split: str) -> Dataset:
        """Load from `root`; raise DataError where something is missing or damaged."""

    def download(self, root: Path) -> Path:
        """Download into `root` and return the path to pass as ``--data-root``."""
        raise DataError(f"data set {self.name!r} can't be downloaded; {self.description}")


class Stage(NamedTuple):
    """Masked loss and mAP after one epoch, boosting round or forest size."""

    number: int
    fit_loss: float
    stop_loss: float
    fit_mAP: float
    stop_mAP: float


#: Called after each stage with the stage; a true answer asks the model to stop.
Report = Callable[[Stage], bool | None]


@dataclass
class History:
    """Training history of one fit.

    Attributes
    ----------
    unit : str
        What a stage counts: ``"epoch"``, ``"round"``, ``"tree"`` or ``"fit"``.
    stages : list of Stage
    best : int
        Number of the stage the fitted model stands at (early stopping may go back).
    """

    unit: str
    stages: list[Stage] = field(default_factory=list)
    best: int = 0

    def record(
        self,
        number: int,
        train: Part,
        stop: Part,
        fit_scores: np.ndarray,
        stop_scores: np.ndarray,
        report: Report | None = None,
    ) -> bool:
        """Score both parts, append the stage and report it.

        Parameters
        ----------
        number : int
            Epochs, rounds or trees so far.
        fit_scores, stop_scores : ndarray, shape (n_clips, n_classes)
            Probabilities on `train` and on `stop`.

        Returns
        -------
        bool
            True where `report` asks to stop.
        """
        stage = Stage(
            number,
            log_loss(train.y_true, fit_scores, train.y_mask),
            log_loss(stop.y_true, stop_scores, stop.y_mask),
            mean_average_precision(train.y_positive, fit_scores, train.y_mask),
            mean_average_precision(stop.y_positive, stop_scores, stop.y_mask),
        )
        self.stages.append(stage)
        self.best = number
        return bool(report and report(stage))

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists for the record's JSON."""
        columns = {name: [row[i] for row in self.stages] for i, name in enumerate(Stage._fields)}
        return {**asdict(self), "stages": columns}


class Model(ABC):
    """A classifier: scikit-learn's habits, labels that are only partly observed.

    Parameters go into ``__init__`` and are stored under their own names; what `fit` learns
    gets a name that ends in an underscore. Heavy libraries are imported inside methods.

    A plugin is one file in ``models/`` (or an entry point of the group
    ``polytimbre.models``) that defines one subclass with a ``name``.
    """

    name: ClassVar[str]
    #: Distributions whose versions the result rests on, for example ``("scikit-learn",)``.
    libraries: ClassVar[tuple[str, ...]] = ()
    #: Named parameter settings, asked for as ``model:preset``.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: What `search_space` has to be told, under the names that it suggests and that are no
    #: parameters', to give the defaults: tuning then learns from its first trial, the default.
    default_point: ClassVar[Mapping[str, Any]] = {}
    #: What a parameter may be, where it is one of a few names.
    choices: ClassVar[Mapping[str, Collection[str]]] = {}
    #: False for a model that ignores its seed: it runs once.
    seeded: ClassVar[bool] = True

    @abstractmethod
    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Fit on `train`; `stop` is for early stopping alone.

        Parameters
        ----------
        train, stop : Part
            Only entries with ``y_mask`` True may be used.
        seed : int
            In [0, 2**32). The same seed gives the same bits.
        report : callable, optional
            Pass it on to :meth:`History.record`, and stop where that returns True.
        """

    @abstractmethod
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return scores in [0, 1], float32, shape (n_clips, n_classes)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted model into the existing `folder`, without pickle."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote; the files' SHA-256 were checked before the call."""

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest parameters for an Optuna trial; the default searches nothing."""
        return {}

    def n_parameters(self, n_frames: int, n_features: int, n_classes: int) -> int | None:
        """Return how many weights a fit on such clips would learn, None if that isn't fixed.

        Tuning asks before it fits, and leaves out what is too large.
        """
        return None

    def at_best(self, best: int) -> dict[str, Any]:
        """Return the parameters of a fit that stands at stage `best` without early stopping.

        A refit on all training clips has none left to stop on. The default is for models
        that never stop early.

        Parameters
        ----------
        best : int
            :attr:`History.best` of a fit with early stopping.
        """
        return {}

    @classmethod
    def param_names(cls) -> list[str]:
        """Return the names of the parameters of ``__init__``."""
        return [p for p in inspect.signature(cls.__init__).parameters if p != "self"]

    def get_params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in self.param_names()}

    @classmethod
    def from_params(cls, preset: str | None = None, **params: Any) -> "Model":
        """Make an unfitted model from a preset and parameters that override it.

        Raises
        ------
        UnknownNameError
            For a preset, a parameter or a parameter's choice that does not exist.
        """
        chosen: dict[str, Any] = {}
        if preset is not None:
            if preset not in cls.presets:
                raise UnknownNameError(f"preset of model {cls.name}", preset, cls.presets)
            chosen.update(cls.presets[preset])
        for name in params:
            if name not in cls.param_names():
                raise UnknownNameError(f"parameter of model {cls.name}", name, cls.param_names())
        model = cls(**{**chosen, **params})
        for name, known in cls.choices.items():
            if getattr(model, name) not in known:
                kind = f"{name} of model {cls.name}"
                raise UnknownNameError(kind, str(getattr(model, name)), known)
        return model
