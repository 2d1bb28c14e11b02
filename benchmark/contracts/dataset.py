"""What a data set is, and what a data-set plugin has to offer."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from benchmark.contracts import facts
from benchmark.errors import DataError
from benchmark.scoring.metrics import positives

#: The 20 classes of OpenMIC-2018, in its order (Humphrey, Durand and McFee, ISMIR 2018).
CLASSES: tuple[str, ...] = (
    "accordion", "banjo", "bass", "cello", "clarinet", "cymbals", "drums", "flute", "guitar",
    "mallet_percussion", "mandolin", "organ", "piano", "saxophone", "synthesizer", "trombone",
    "trumpet", "ukulele", "violin", "voice",
)  # fmt: skip

#: What features are called that no front end is named for.
OWN = "own"


@dataclass(frozen=True, eq=False)
class Labels:
    """Which instruments are heard in each clip, as far as that was observed.

    Attributes
    ----------
    y_true : ndarray, shape (n_clips, n_classes), float32
        Relevance in [0, 1]; 0 wherever the label was not observed.
    y_mask : ndarray, shape (n_clips, n_classes), bool
        True where the label was observed. Entries that were not take no part in any loss.
    classes : tuple of str
    """

    y_true: np.ndarray
    y_mask: np.ndarray
    classes: tuple[str, ...] = field(default=CLASSES, kw_only=True)

    @cached_property
    def y_positive(self) -> np.ndarray:
        """Observed positives, shape (n_clips, n_classes), bool."""
        return positives(self.y_true, self.y_mask)

    def __len__(self) -> int:
        return len(self.y_true)


@dataclass(frozen=True, eq=False)
class Part(Labels):
    """Clips of one part of the protocol with their labels, as a model sees them.

    Attributes
    ----------
    X : ndarray, shape (n_clips, n_frames, n_features), uint8 or float32
        Frame-wise features.
    groups : ndarray of str, shape (n_clips,)
        Artist, work or video. A model that holds clips out of its own training needs them: clips
        of one group belong on one side.
    auxiliary : Auxiliary or None
        Beside the clips to train on: further clips with classes of their own. Only a model with
        ``uses_auxiliary = True`` gets them, and only from a data set that has some.
    """

    X: np.ndarray = field(kw_only=True)
    groups: np.ndarray = field(kw_only=True)
    auxiliary: "Auxiliary | None" = field(default=None, kw_only=True)

    def at(self, rows: np.ndarray) -> Self:
        """Return the clips at `rows` (int or bool indices)."""
        names = ("X", "y_true", "y_mask", "groups")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, eq=False)
class Auxiliary(Part):
    """Further training clips of a data set, labelled with classes of their own.

    A model may learn from them what helps with the classes that count: they are scored nowhere.
    The clips of the data set's own training partition may be among them.

    Attributes
    ----------
    X : ndarray
        Features of the same kind, frames and width as the data set's.
    y_true, y_mask : ndarray, shape (n_auxiliary, n_auxiliary_classes)
    groups : ndarray of str, shape (n_auxiliary,)
        Named like the data set's. The protocol keeps from a model every clip whose group has a
        clip that the model is not trained on.
    """

    def without(self, groups: np.ndarray) -> "Auxiliary":
        """Return the clips of other groups than these."""
        return self.at(~np.isin(self.groups, groups))


@dataclass(frozen=True, eq=False, repr=False)
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
    attributes : mapping of str to ndarray of str, shape (n_clips,), optional
        What else is known of each clip (genre, region, number of instruments ...), by name: for
        results on slices of the clips, never shown to a model and no part of `fingerprint`.
        Empty where it is not known of a clip.
    audio_path : callable, optional
        Maps a key to the clip's audio file.
    features : str
        The front end that `X` comes from, or what else these features are called; the engine
        fills in what the plugin declares.
    further_features : mapping of str to ndarray, shape (n_clips, n_frames, n_features)
        Other features of the clips that come with the data, by the name that ``--features`` takes.
    origin : str, optional
        Fingerprint of the data set whose features :meth:`with_features` has replaced.
    auxiliary : Auxiliary, optional
        Further clips to learn from, none of a group of the test partition.

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
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    audio_path: Callable[[str], Path] | None = field(default=None, repr=False)
    features: str = OWN
    further_features: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    origin: str | None = None
    auxiliary: Auxiliary | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("name", "split", "citation", "licence"):
            if not isinstance(value := getattr(self, name), str):
                self._fail(f"{name} must be text, got {value!r}")
        if not isinstance(self.attributes, Mapping):
            self._fail(f"attributes must be a mapping, got {type(self.attributes).__name__}")
        if not isinstance(self.auxiliary, Auxiliary | None):
            self._fail(f"auxiliary must be an Auxiliary, got {type(self.auxiliary).__name__}")
        for name in ("keys", "groups", "partition"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        attributes = {name: np.array(values) for name, values in self.attributes.items()}
        object.__setattr__(self, "attributes", attributes)
        _check_labelled(self, ("keys", "groups", "partition"), self._fail)
        self._check_keys()
        self._check_partition()
        self._check_attributes()
        _freeze(self)
        for values in self.attributes.values():
            values.flags.writeable = False
        if self.auxiliary is not None:
            # a copy: what the data set holds is checked and immutable
            object.__setattr__(self, "auxiliary", replace(self.auxiliary))
            self._check_auxiliary(self.auxiliary)
            _freeze(self.auxiliary)

    def _fail(self, problem: str) -> None:
        raise DataError(f"data set {self.name!r}: {problem}")

    def _check_auxiliary(self, auxiliary: Auxiliary) -> None:
        _check_labelled(auxiliary, ("groups",), lambda text: self._fail(f"auxiliary clips: {text}"))
        for what, own, theirs in (
            ("frames and features", self.X.shape[1:], auxiliary.X.shape[1:]),
            ("type", self.X.dtype, auxiliary.X.dtype),
        ):
            if own != theirs:
                self._fail(f"auxiliary clips must have the {what} of X, {own}, got {theirs}")
        shared = sorted({*auxiliary.groups.tolist()} & self._groups_of("test"))
        if shared:
            self._fail(f"{len(shared)} test group(s) have auxiliary clips, first {shared[0]!r}")

    def _groups_of(self, partition: str) -> set[str]:
        return set(self.groups[self.partition == partition].tolist())

    def _check_keys(self) -> None:
        unique, counts = np.unique(self.keys, return_counts=True)
        if len(unique) != len(self.keys):
            self._fail(f"duplicate key {str(unique[counts > 1][0])!r}")

    def _check_partition(self) -> None:
        unknown = sorted(set(self.partition.tolist()) - {"train", "test"})
        if unknown:
            self._fail(f"partition must hold 'train' and 'test' only, got {unknown[0]!r}")
        train, test = self._groups_of("train"), self._groups_of("test")
        if not train or not test:
            self._fail(f"the {'train' if not train else 'test'} partition is empty")
        if shared := sorted(train & test):
            self._fail(f"{len(shared)} group(s) are in both partitions, first {shared[0]!r}")

    def _check_attributes(self) -> None:
        for name, values in self.attributes.items():
            if not isinstance(name, str) or not name or name != name.strip():
                self._fail(f"an attribute's name must be text, got {name!r}")
            if values.shape != self.keys.shape or values.dtype.kind != "U":
                self._fail(
                    f"attribute {name!r} must be an array of str of shape {self.keys.shape}, "
                    f"got {values.dtype} of shape {values.shape}"
                )

    def __len__(self) -> int:
        return len(self.X)

    def _facts(self) -> dict[str, str]:
        train = self.partition == "train"
        observed = f"{100 * self.y_mask.mean():.1f} %"
        return {
            "split": self.split if self.official else f"{self.split}, NOT OFFICIAL",
            "clips": f"{len(self):,}: {train.sum():,} train, {(~train).sum():,} test",
            "groups": f"{len(set(self.groups.tolist())):,}",
            "features": f"{self.features}, {self.X.shape[1]} frames x {self.X.shape[2]},"
            f" {self.X.dtype}",
            "classes": f"{len(self.classes)}, {observed} of the labels observed",
            **({"attributes": ", ".join(self.attributes)} if self.attributes else {}),
            **self._auxiliary_facts(),
        }

    def _auxiliary_facts(self) -> dict[str, str]:
        if self.auxiliary is None:
            return {}
        return {
            "auxiliary": f"{len(self.auxiliary):,} clips of {len(self.auxiliary.classes)} classes"
        }

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {'; '.join(map(' '.join, self._facts().items()))}>"

    def _repr_html_(self) -> str:
        about = {"licence": self.licence, "cite": self.citation}
        return facts.html(f"Data set {self.name}", self._facts() | about)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: features, labels, masks, keys, groups, partition, auxiliary.

        Of a data set on other features than its own, that of the data set on its own: so runs
        on either are divided into the same parts and can be compared.
        """
        if self.origin is not None:
            return self.origin
        digest = hashlib.sha256()
        own = ("X", "y_true", "y_mask", "keys", "groups", "partition")
        _digest(digest, self, own)
        if self.auxiliary is not None:
            digest.update(b"auxiliary")
            _digest(digest, self.auxiliary, ("X", "y_true", "y_mask", "groups"))
        return digest.hexdigest()

    @cached_property
    def features_sha256(self) -> str:
        """SHA-256 of the features alone: of dtype, shape and values."""
        digest = hashlib.sha256(f"{self.X.dtype} {self.X.shape}".encode())
        digest.update(np.ascontiguousarray(self.X).data)
        return digest.hexdigest()

    def with_features(self, name: str, X: np.ndarray) -> "Dataset":
        """Return the same clips and labels with other features.

        Parameters
        ----------
        name : str
            What tables call the features.
        X : ndarray, shape (n_clips, n_frames, n_features), uint8 or float32
            In the order of `keys`.

        Raises
        ------
        DataError
            Where shape, dtype or values can't be used.

        Examples
        --------
        >>> import numpy as np
        >>> import polytimbre as pt
        >>> data = pt.load("rendered")
        >>> loudness = data.X[:, :, :64].mean(axis=2, keepdims=True, dtype=np.float32)
        >>> data.with_features("loudness", loudness).X.shape
        (6000, 10, 1)
        """
        # auxiliary clips have the data set's own features
        return replace(self, features=name, X=X, origin=self.fingerprint, auxiliary=None)

    def identical(self) -> list[np.ndarray]:
        """Return the rows of clips whose features are the same to the last bit, set by set."""
        rows_of: dict[bytes, list[int]] = {}
        for row, features in enumerate(self.X):
            digest = hashlib.sha256(np.ascontiguousarray(features).data).digest()
            rows_of.setdefault(digest, []).append(row)
        return [np.array(rows) for rows in rows_of.values() if len(rows) > 1]

    def part(self, rows: np.ndarray) -> Part:
        """Return the clips at `rows` (int or bool indices) as a :class:`Part`."""
        return Part(
            self.y_true[rows],
            self.y_mask[rows],
            classes=self.classes,
            X=self.X[rows],
            groups=self.groups[rows],
        )


def _check_labelled(one: Any, names: tuple[str, ...], fail: Callable[[str], None]) -> None:
    """Check features and labels of clips, and the arrays of `names`, one text a clip."""
    for name in ("X", "y_true", "y_mask", *names):
        array = getattr(one, name)
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            fail(f"{name} must be a NumPy array without a mask, got {type(array).__name__}")
    if not isinstance(one.classes, (tuple, list)) or not all(
        isinstance(c, str) for c in one.classes
    ):
        fail(f"classes must be a tuple of text, got {one.classes!r}")
    if one.X.ndim != 3 or 0 in one.X.shape:
        fail(f"X must have shape (n_clips, n_frames, n_features), got {one.X.shape}")
    if one.X.dtype not in (np.uint8, np.float32):
        fail(f"X must be uint8 or float32, got {one.X.dtype}")
    if len(set(one.classes)) != len(one.classes):
        fail("classes holds a name twice")
    labels = (len(one.X), len(one.classes))
    for name, dtype, shape in (
        ("y_true", np.dtype("float32"), labels),
        ("y_mask", np.dtype("bool"), labels),
        *((name, None, labels[:1]) for name in names),
    ):
        array = getattr(one, name)
        if array.shape != shape:
            fail(f"{name} must have shape {shape}, got {array.shape}")
        if dtype is None and array.dtype.kind != "U":
            fail(f"{name} must be an array of str, got {array.dtype}")
        if dtype is not None and array.dtype != dtype:
            fail(f"{name} must be {dtype}, got {array.dtype}")
    if one.X.dtype == np.float32 and not np.isfinite(one.X).all():
        bad = getattr(one, names[0])[~np.isfinite(one.X).all(axis=(1, 2))]
        fail(f"X holds NaN or infinite values, first in clip {str(bad[0])!r}")
    observed = one.y_true[one.y_mask]
    if not np.isfinite(observed).all():
        fail("y_true holds NaN or infinite values where y_mask is True")
    if observed.size and (observed.min() < 0 or observed.max() > 1):
        fail("y_true holds relevance outside [0, 1]")


def _freeze(one: Any) -> None:
    """Set labels that were not observed to 0, and make every array read-only."""
    object.__setattr__(one, "y_true", np.where(one.y_mask, one.y_true, np.float32(0)))
    for item in fields(one):
        value = getattr(one, item.name)
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
            object.__setattr__(one, item.name, value)


def _digest(digest: Any, one: Any, names: tuple[str, ...]) -> None:
    """Hash arrays of clips, by name, and the classes."""
    for name in names:
        array = getattr(one, name)
        if array.dtype.kind == "U":
            content = "\n".join(array.tolist()).encode()
        else:
            content = np.ascontiguousarray(array).data
        digest.update(f"{name} {array.shape}".encode())
        digest.update(content)
    digest.update("\n".join(one.classes).encode())


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
    #: Name of the data set that holds the same clips with every label observed, if there is one.
    complete: ClassVar[str | None] = None
    #: The front end that the features come from which `load` returns.
    features: ClassVar[str] = OWN
    #: Files with more features of the same clips, by the front end that they come from; see
    #: :mod:`benchmark.datasets.reading.embedded`.
    feature_files: ClassVar[Mapping[str, Path]] = {}
    #: Whether clips were rendered by a program, so that results do not speak of recordings.
    rendered: ClassVar[bool] = False
    #: Whether `load` gives auxiliary clips: where not, models that want some run only by name.
    offers_auxiliary: ClassVar[bool] = False

    @abstractmethod
    def load(self, root: Path | None, split: str) -> Dataset:
        """Load from `root`; raise DataError where something is missing or damaged."""

    def render(self, key: str) -> tuple[np.ndarray, int]:
        """Make the audio of a clip, where there is no file of it: float, mono, and its rate."""
        raise DataError(
            f"data set {self.name!r} has no audio here: no features can be computed from it. Where"
            " audio lies in an archive, unpack it and name the folder with --data-root"
        )

    def download(self, root: Path) -> Path:
        """Download into `root` and return the path to pass as ``--data-root``."""
        instead = "name the folder of its files with --data-root"
        if not self.needs_root:
            instead = "it comes along, and is used as it is"
        raise DataError(f"data set {self.name!r} can't be downloaded: {instead}")
