"""Any folder with ``labels.csv`` and audio, or features, is a data set.

``labels.csv`` has one row a clip and these columns, in any order:

``key``            the clip's name, none twice; without it, ``clip``, ``file`` or ``name``
``group``          optional: artist, work or recording; each clip is its own without it
``partition``      optional: ``train`` or ``test``; without it a quarter of the groups is the test
                   partition, which every table marks as not official
``@NAME``          an attribute, for results on slices
any other name     a class: relevance in [0, 1], empty where nobody listened for it

Features are those of ``features.npz`` or ``features.parquet`` (see
:mod:`benchmark.features.embeddings`), else log-mel features of the audio files in the folder and
below: a key is a file's path in the folder without its ending. A clip is heard for the first 9.6 s,
and repeated where it is shorter. What was computed is kept in the cache folder, by the content of
the audio files.
"""

import csv
import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.audio.files import find_recordings, open_recording
from benchmark.audio.windows import CLIP_FRAMES, cut
from benchmark.contracts.dataset import OWN, Dataset, DatasetPlugin
from benchmark.errors import DataError, UnknownNameError
from benchmark.features import embeddings
from benchmark.features.logmel import LogMel
from benchmark.features.pretrained import files
from benchmark.protocol import stratify_clips
from benchmark.reading.files import open_text
from benchmark.reading.spreadsheets import KEYS, describe
from benchmark.scoring.metrics import POSITIVE_RELEVANCE

LABELS = "labels.csv"
FEATURES = ("features.npz", "features.parquet")
#: Bytes of the largest table of labels.
MAX_TABLE_BYTES = 1 << 28
#: Share of the clips that become the test partition where the table names none.
TEST_SHARE = 0.25

_ADVICE = "`--data-root` names a folder with labels.csv; benchmark/datasets/README.md shows one"


class Folder(DatasetPlugin):
    """Clips of one's own: a table of labels beside audio or features."""

    name: ClassVar[str] = "folder"
    description: ClassVar[str] = (
        "your own clips: --data-root names a folder with labels.csv and audio or features.npz"
    )
    citation: ClassVar[str] = "whoever made the folder"
    licence: ClassVar[str] = "the folder's own"
    splits: ClassVar[tuple[str, ...]] = ("official", "made")

    def load(self, root: Path | None, split: str = "official") -> Dataset:
        """Read labels, and features or audio.

        Parameters
        ----------
        root : Path
            See the module's description.
        split : str
            ``"official"``: as the table says; ``"made"``: divided by group, stratified over
            labels, the same every time. A table without partitions has the latter alone.

        Raises
        ------
        DataError
            Where something is missing, damaged or contradicts itself.
        UnknownNameError
            For any other split.
        """
        if split not in self.splits:
            raise UnknownNameError("split", split, self.splits, where="of data set folder")
        if root is None:
            raise DataError(f"data set 'folder' needs a data root; {_ADVICE}")
        table = _read(root / LABELS)
        keys = np.array(table.pop("key"), str)
        groups = np.array(table.pop("group", None) or keys, str)
        stated = table.pop("partition", None)
        attributes = {n[1:].strip(): np.array(table.pop(n), str) for n in [*table] if n[0] == "@"}
        y_true, y_mask = _labels(root / LABELS, keys, table)
        partition, made = _partition(root / LABELS, keys, stated), False
        if partition is None or split == "made":
            partition, made = _divided(groups, y_true, y_mask), True
        X, paths = _found(root, keys)
        _check_positives(root / LABELS, tuple(table), y_true, partition == "train")
        X = _heard(paths) if X is None else X  # last, as it takes long
        # of the instance: the engine takes from it what the features are called
        self.features = LogMel.name if paths else OWN
        return Dataset(
            name=self.name,
            X=X,
            y_true=y_true,
            y_mask=y_mask,
            keys=keys,
            groups=groups,
            partition=partition,
            citation=self.citation,
            licence=self.licence,
            split="made" if made else "official",
            official=not made,
            classes=tuple(table),
            attributes=attributes,
            audio_path=partial(_path_of, paths) if paths else None,
        )


def _path_of(paths: dict[str, Path], key: str) -> Path:
    return paths[key]


def _read(path: Path) -> dict[str, list[str]]:
    """Return the table's columns, cells stripped, by name."""
    try:
        with open_text(path, MAX_TABLE_BYTES, _ADVICE) as stream:
            rows = [row for row in csv.reader(stream, strict=True) if any(row)]
    except csv.Error as error:
        raise DataError(f"{path} can't be read as CSV ({error}); {_ADVICE}") from error
    if len(rows) < 2:
        raise DataError(f"{path} needs a heading and a row a clip; {_ADVICE}")
    heads = [head.strip() for head in rows[0]]
    named = next((name for name in ("key", *KEYS) if name in heads), None)
    if named is None:
        raise DataError(
            f"{path} has no column 'key', the clips' names; {describe(heads)}; {_ADVICE}"
        )
    if unnamed := {"", "@"} & {*heads}:
        raise DataError(f"{path} has a column {min(unnamed)!r}, which needs a name")
    if twice := [name for name in heads if heads.count(name) > 1]:
        raise DataError(f"{path} has two columns {twice[0]!r}; rename one")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(heads):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells, the heading has {len(heads)}"
            )
    columns = [[cell.strip() for cell in column] for column in zip(*rows[1:], strict=True)]
    table = dict(zip(heads, columns, strict=True))
    table["key"] = table.pop(named)
    if not set(table) - {"key", "group", "partition"} - {n for n in table if n[0] == "@"}:
        raise DataError(f"{path} has no column of a class; {_ADVICE}")
    _check_keys(path, table)
    return table


def _check_keys(path: Path, table: dict[str, list[str]]) -> None:
    """Refuse clips without a name or group, and one that is there twice."""
    for name in ("key", "group"):
        if "" in table.get(name, ()):
            raise DataError(f"{path}: row {table[name].index('') + 1} has no {name}")
    row_of: dict[str, int] = {}
    for number, key in enumerate(table["key"], 1):
        if key in row_of:
            raise DataError(f"{path}: the key {key!r} is in rows {row_of[key]} and {number}")
        row_of[key] = number


def _labels(
    path: Path, keys: np.ndarray, table: dict[str, list[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return relevance, 0 where nobody listened, and where somebody did."""
    y_mask = np.array([[cell != "" for cell in cells] for cells in table.values()]).T
    y_true = np.zeros(y_mask.shape, np.float32)
    for c, (name, cells) in enumerate(table.items()):
        for row in np.flatnonzero(y_mask[:, c]):
            try:
                y_true[row, c] = float(cells[row])
            except ValueError:
                y_true[row, c] = np.nan
            if not 0 <= y_true[row, c] <= 1:
                raise DataError(
                    f"{path}: clip {str(keys[row])!r} has {cells[row]!r} for {name!r}: a label is a"
                    " relevance in [0, 1], or empty where nobody listened; an attribute's column is"
                    f" called '@{name}'"
                )
    return y_true, y_mask


def _partition(path: Path, keys: np.ndarray, stated: list[str] | None) -> np.ndarray | None:
    """Return the partitions that the table states, if it does."""
    if stated is None:
        return None
    for key, name in zip(keys.tolist(), stated, strict=True):
        if name not in ("train", "test"):
            raise DataError(
                f"{path}: clip {key!r} is in partition {name!r}; write 'train' or 'test', or leave"
                " the column out"
            )
    return np.array(stated)


def _divided(groups: np.ndarray, y_true: np.ndarray, y_mask: np.ndarray) -> np.ndarray:
    """Divide clips by group, stratified over labels."""
    y_positive = (y_true >= POSITIVE_RELEVANCE) & y_mask
    shares, rng = np.array([1 - TEST_SHARE, TEST_SHARE]), np.random.default_rng(0)
    return np.where(stratify_clips(groups, y_positive, y_mask, shares, rng) == 0, "train", "test")


def _check_positives(
    path: Path, classes: tuple[str, ...], y_true: np.ndarray, train: np.ndarray
) -> None:
    if not train.any():
        raise DataError(
            f"{path}: no clip is in partition 'train'; write it beside the clips to be learnt from"
        )
    heard = (y_true[train] >= POSITIVE_RELEVANCE).any(axis=0)
    if not heard.all():
        lacking = ", ".join(repr(classes[c]) for c in np.flatnonzero(~heard))
        raise DataError(
            f"{path}: nothing can be learnt of {lacking}, heard in no training clip (a relevance of"
            f" {POSITIVE_RELEVANCE} or more): leave each such column out"
        )


def _found(root: Path, keys: np.ndarray) -> tuple[np.ndarray | None, dict[str, Path]]:
    """Return the clips' features, or None and the audio files that they are to be heard in."""
    for name in FEATURES:
        if (root / name).is_file():
            return embeddings.read(root / name).of(keys)[0], {}
    paths: dict[str, Path] = {}
    for path in find_recordings(root):
        key = path.relative_to(root).with_suffix("").as_posix()
        if key in paths and key in keys:
            raise DataError(f"{paths[key]} and {path} are of one key, {key!r}; move one away")
        paths[key] = path
    missing = [key for key in keys.tolist() if key not in paths]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(keys)} clips of {root / LABELS} have no audio file, the "
            f"first is {missing[0]!r}: a key is a file's path in {root} without its ending"
        )
    return None, {key: paths[key] for key in keys.tolist()}


def _heard(paths: dict[str, Path]) -> np.ndarray:
    """Return log-mel features of audio files, computed once."""
    digest = hashlib.sha256(f"logmel {CLIP_FRAMES}".encode())
    for key, path in paths.items():
        with path.open("rb") as file:
            digest.update(f"{key} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    kept = files.folder() / "folders" / f"{digest.hexdigest()[:32]}.npz"
    keys = np.array([*paths])
    if kept.is_file():
        with suppress(DataError):  # what is damaged is computed again
            return embeddings.read(kept).of(keys)[0]
    X = np.stack([_hear(path) for path in paths.values()])
    with files.keeping(kept) as beside:
        np.savez(beside, key=keys, X=X)
    return X


def _hear(path: Path) -> np.ndarray:
    front_end, recording = LogMel(), open_recording(path)
    blocks = recording.blocks()
    window = next(cut(blocks, recording.sample_rate, (front_end,), CLIP_FRAMES, CLIP_FRAMES))
    return front_end.extract(window.signals[0])
