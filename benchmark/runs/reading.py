"""Runs that are stored, to be looked at: nothing here writes.

A folder of runs holds

``runs/<run_id>/``   record.json, scores.npz, model/; `asked` says when it was last asked for
``labels/<division_id>.npz``   labels, masks, keys and groups of every part
``labels/<division_id>-attributes.npz``   what else is known of the clips, if anything is

A file is *damaged* where its content is not what was recorded of it. What can't be opened, or
is of a newer format, may be sound: it is named and left alone.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmark.contracts.dataset import Labels
from benchmark.errors import PolytimbreError, StoreError, UnknownNameError
from benchmark.protocol import PARTS, Division
from benchmark.runs import files
from benchmark.runs.attributes import attribute_arrays, checked_attributes
from benchmark.runs.labels import LABEL_FIELDS, check_labels, label_arrays
from benchmark.runs.record import FormatError, Record

SCORES = "scores.npz"
MODEL = "model"
ASKED = "asked"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")

Warn = Callable[[str], None]


class RunError(StoreError):
    """A stored run that can't be read.

    Attributes
    ----------
    damaged : bool
        Whether its content is proven to be not what was recorded.
    """

    def __init__(self, run_id: str, problem: str, *, damaged: bool) -> None:
        self.damaged = damaged
        state = "is damaged" if damaged else "can't be read"
        super().__init__(f"run {run_id} {state}: {problem}")


class AmbiguousError(PolytimbreError):
    """A shortened id with which several runs' ids begin."""

    def __init__(self, beginning: str, matches: list[str]) -> None:
        shown = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        super().__init__(
            f"{len(matches)} runs have an id that begins with {beginning!r}: {shown}. "
            "Give more of it"
        )


@dataclass(frozen=True, eq=False)
class StoredLabels(Labels):
    """Labels of one part, as they are stored beside runs.

    Attributes
    ----------
    keys, groups : ndarray of str, shape (n_clips,)
        Names of the clips, and the artist, work or video of each.
    """

    keys: np.ndarray
    groups: np.ndarray


class Runs:
    """The runs in a folder, read alone: a store, a copy of one, or another user's.

    Iterating gives every readable :class:`~benchmark.runs.record.Record`, oldest first.

    Parameters
    ----------
    path : Path
    warn : callable, optional
        Called with one sentence for each run that can't be read and is left out.

    Raises
    ------
    StoreError
        If the folder holds no runs, or can't be read.
    """

    def __init__(self, path: Path, warn: Warn = lambda sentence: None) -> None:
        self.path = Path(path)
        self.warn = warn
        self._n_classes: dict[str, int] = {}
        self.ids()

    def ids(self) -> list[str]:
        """Return the ids of all runs, sorted."""
        try:
            return sorted(p.name for p in (self.path / "runs").iterdir() if p.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"there is no store {self.path}. Run `polytimbre run` first, or name another "
                "folder with --store"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the store {self.path} can't be read ({error.strerror}). Check its permissions, "
                "or name another folder with --store"
            ) from error

    def __len__(self) -> int:
        return len(self.ids())

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def records(self) -> list[Record]:
        """Return every readable record, oldest first; the others are named by a warning."""
        readable = []
        for run_id in self.ids():
            try:
                record = self.find(run_id)
            except RunError as error:
                remedy = "`polytimbre run` computes it again" if error.damaged else "it stays"
                self.warn(f"{error}. It is left out here; {remedy}")
            else:
                readable += [record] if record else []
        return sorted(readable, key=lambda r: (r.created, r.run_id))

    def find(self, run_id: str) -> Record | None:
        """Return a run's record, all its files checked, or None where there is no such run.

        Raises
        ------
        RunError
            If it is damaged or can't be read.
        """
        if not self._folder(run_id).is_dir():
            return None
        record = self._record(run_id)
        for name, expected in record.files.items():
            if self._content_of(run_id, name, files.sha256) != expected:
                problem = f"its file {name} does not match the SHA-256 in the record"
                raise RunError(run_id, problem, damaged=True)
        return record

    def usable(self, run_id: str) -> Record | None:
        """Return a run's record, or None where it has to be computed.

        That is where it is missing or, with a warning, damaged.

        Raises
        ------
        StoreError
            If it is there and can't be read, but may be sound.
        """
        try:
            return self.find(run_id)
        except RunError as error:
            if not error.damaged:
                raise StoreError(
                    f"{error}. To compute it again all the same, name it to `polytimbre run` "
                    "with --force: what is there is then moved into the store's folder aside"
                ) from error
            self.warn(f"{error}. It is computed again, and then moved to {self.path / 'aside'}")
            return None

    def get(self, run_id: str) -> Record:
        """Return one run by its id or the unambiguous beginning of it.

        Raises
        ------
        UnknownNameError
            With the nearest known id.
        AmbiguousError
            With the ids that begin so.
        RunError
            If it is damaged or can't be read.
        """
        record = self.find(self.whole_id(run_id))
        if record is None:  # removed since
            raise UnknownNameError("run", run_id, self.ids())
        return record

    def whole_id(self, beginning: str) -> str:
        """Return the one id that begins so; raise UnknownNameError or AmbiguousError."""
        ids = self.ids()
        matches = [one for one in ids if one.startswith(beginning)] if beginning else []
        if len(matches) > 1 and beginning not in matches:
            raise AmbiguousError(beginning, matches)
        if not matches:
            raise UnknownNameError("run", beginning, ids)
        return min(matches)  # an id before one that it is the beginning of

    def asked(self, record: Record) -> str:
        """Return when a run was last asked for: made, or found stored by a later command.

        UTC, ISO 8601. What no command can have written is passed over.
        """
        try:
            noted = files.read_bytes(self._folder(record.run_id) / ASKED)[:64].decode("ascii")
        except (OSError, UnicodeDecodeError):
            return record.created
        return max(record.created, noted) if _TIME.fullmatch(noted) else record.created

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a finished run's scores by part, float32, (n_clips, n_classes).

        Raises
        ------
        RunError
            If they are damaged, or can't be read.
        """
        content = self._content_of(record.run_id, SCORES, files.read_bytes)
        try:
            arrays = checked_scores(content, record, record.files.get(SCORES))
        except ValueError as error:
            raise RunError(record.run_id, f"its {SCORES} {error}", damaged=True) from error
        if missing := [part for part in PARTS if part not in arrays]:
            problem = f"its {SCORES} holds no scores of {missing[0]}"
            raise RunError(record.run_id, problem, damaged=True)
        if problem := self._other_classes(record, arrays):
            raise RunError(record.run_id, f"its {SCORES} {problem}", damaged=True)
        return arrays

    def _other_classes(self, record: Record, scores: dict[str, np.ndarray]) -> str:
        """Say where scores are not of as many classes as the labels; empty where they are."""
        division = record.spec.division_id
        if division not in self._n_classes:
            try:
                self._n_classes[division] = self._label_arrays(division)["classes"].size
            except StoreError:
                return ""  # told where the labels are read
        expected, found = self._n_classes[division], next(iter(scores.values())).shape[1]
        return f"holds {found} classes, its labels have {expected}" if found != expected else ""

    def has_model(self, record: Record) -> bool:
        """Whether what the run's model saved is kept."""
        return (self._folder(record.run_id) / MODEL).is_dir()

    def model_folder(self, record: Record) -> Path:
        """Return the folder of what the run's model saved: the files of the record, no others.

        Raises
        ------
        StoreError
            If it is not kept.
        RunError
            If it holds a file that the record does not name.
        """
        folder = self._folder(record.run_id) / MODEL
        if not self.has_model(record):
            raise StoreError(
                f"the model of run {record.run_id} is not in {self.path}. `polytimbre reproduce"
                f" {record.run_id} --keep FOLDER` fits it again and keeps it there, for --store"
                " FOLDER"
            )
        found = [p.relative_to(folder.parent).as_posix() for p in sorted(folder.rglob("*"))]
        named = {str(one) for name in record.files for one in (name, *PurePosixPath(name).parents)}
        if unknown := [name for name in found if name not in named]:
            problem = f"it holds {unknown[0]}, which its record does not name"
            raise RunError(record.run_id, problem, damaged=True)
        return folder

    def labels(self, division_id: str) -> dict[str, StoredLabels]:
        """Return a division's labels by part.

        Raises
        ------
        StoreError
            If they are missing, damaged, or not those that a stored run was made with.
        """
        arrays = self._label_arrays(division_id)
        stored = files.hash_arrays(arrays)
        for run_id in self.ids():
            try:
                record = self._record(run_id)
            except RunError:
                continue  # named where runs are listed
            if record.spec.division_id == division_id and record.labels not in (None, stored):
                problem = f"they are not those that run {run_id} was made with"
                raise self._bad_labels(division_id, problem)
        classes = tuple(arrays["classes"].tolist())
        return {
            name: StoredLabels(
                *(arrays[f"{name}_{field}"] for field in LABEL_FIELDS), classes=classes
            )
            for name in PARTS
        }

    def holds_labels(self, division: Division) -> bool:
        """Whether the division's labels are stored and undamaged.

        Raises
        ------
        StoreError
            If their file is there, but can't be opened.
        """
        path = self._labels_path(division.id)
        try:
            arrays = files.read_arrays(files.read_bytes(path))
        except (FileNotFoundError, ValueError):
            return False
        except OSError as error:
            raise StoreError(f"the labels {path} can't be opened ({error.strerror})") from error
        return files.hash_arrays(arrays) == files.hash_arrays(label_arrays(division))

    def attributes(self, division_id: str, part: str) -> dict[str, np.ndarray]:
        """Return what is known of a part's clips, by name: arrays of str, shape (n_clips,).

        Empty where nothing is stored, as by versions of polytimbre that stored no attributes.

        Raises
        ------
        StoreError
            If they are damaged or can't be read.
        """
        try:
            arrays = self._attribute_arrays(division_id) or {}
        except ValueError as error:
            raise StoreError(
                f"the attributes {self._attributes_path(division_id)} can't be used: {error}. Run "
                "`polytimbre run` on that data set again: it stores them anew"
            ) from error
        prefix = f"{part}_"
        return {n.removeprefix(prefix): v for n, v in arrays.items() if n.startswith(prefix)}

    def holds_attributes(self, division: Division) -> bool:
        """Whether the division's attributes are stored as the data set has them now.

        Raises
        ------
        StoreError
            If their file is there, but can't be opened.
        """
        wanted = attribute_arrays(division)
        try:
            stored = self._attribute_arrays(division.id)
        except ValueError:
            return False
        return files.hash_arrays(stored or {}) == files.hash_arrays(wanted)

    def _attribute_arrays(self, division_id: str) -> dict[str, np.ndarray] | None:
        """Read a file of attributes, None without one; raise ValueError where it is damaged."""
        path = self._attributes_path(division_id)
        try:
            return checked_attributes(files.read_bytes(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = error.strerror or error
            raise StoreError(f"the attributes {path} can't be opened ({problem})") from error

    def _folder(self, run_id: str) -> Path:
        return self.path / "runs" / run_id

    def _labels_path(self, division_id: str) -> Path:
        return self.path / "labels" / f"{division_id}.npz"

    def _attributes_path(self, division_id: str) -> Path:
        return self.path / "labels" / f"{division_id}-attributes.npz"

    def _content_of(self, run_id: str, name: str, read: Callable[[Path], Any]) -> Any:
        """Return what `read` makes of one of a run's files."""
        try:
            return read(self._folder(run_id) / name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunError(run_id, f"its file {name} is missing", damaged=True) from error
        except OSError as error:
            problem = f"its file {name} can't be opened ({error.strerror or error}). Check it"
            raise RunError(run_id, problem, damaged=False) from error

    def _record(self, run_id: str) -> Record:
        """Return a run's record; the files beside it are not looked at."""
        content = self._content_of(run_id, "record.json", files.read_json)
        try:
            record = Record.from_json(content.decode("utf-8"))
        except FormatError as error:
            raise RunError(run_id, str(error), damaged=False) from error
        except StoreError as error:
            raise RunError(run_id, str(error), damaged=True) from error
        except UnicodeDecodeError as error:
            raise RunError(run_id, "its record is not UTF-8 text", damaged=True) from error
        if record.run_id != run_id:
            problem = f"its folder holds the record of run {record.run_id}"
            raise RunError(run_id, problem, damaged=True)
        return record

    def _label_arrays(self, division_id: str) -> dict[str, np.ndarray]:
        path = self._labels_path(division_id)
        try:
            arrays = files.read_arrays(files.read_bytes(path))
            check_labels(arrays)
        except FileNotFoundError as error:
            raise self._bad_labels(division_id, "the file is missing") from error
        except ValueError as error:
            raise self._bad_labels(division_id, str(error)) from error
        except OSError as error:
            raise StoreError(f"the labels {path} can't be opened ({error.strerror})") from error
        return arrays

    def _bad_labels(self, division_id: str, problem: str) -> StoreError:
        return StoreError(
            f"the labels {self._labels_path(division_id)} can't be used: {problem}. Run "
            "`polytimbre run` on that data set again: it stores them anew and keeps finished runs"
        )


def checked_scores(
    content: bytes,
    record: Record,
    expected: str | None,
    kept: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Read a run's scores and hold them to their contract.

    Parameters
    ----------
    content : bytes
        Of the file.
    record : Record
    expected : str or None
        The file's SHA-256.
    kept : mapping of str to ndarray of bool, shape (n_clips, n_classes), optional
        By part, whose scores the file holds, row by row, as :func:`as_bytes` gives them; all others
        are NaN. A file may hold all scores of a part, as the model gave them.

    Raises
    ------
    ValueError
        Saying what about the file is wrong.
    """
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("does not match the SHA-256 that was recorded")
    try:
        arrays = files.read_arrays(content)
    except ValueError as error:
        raise ValueError(f"can't be read ({error})") from error
    for name, scores in arrays.items():
        if name not in PARTS:
            raise ValueError(f"holds {name!r}, which is no part")
        stored, clips = scores, record.clips.get(name)
        if kept is not None and scores.dtype == np.uint8:
            stored = scores = from_bytes(scores)
        if kept is not None and scores.dtype == np.float32 and scores.ndim != 2:
            scores = arrays[name] = _spread(name, scores, kept)
        if scores.ndim != 2 or scores.dtype != np.float32 or len(scores) != clips:
            raise ValueError(
                f"holds {scores.dtype} of shape {scores.shape} on {name}, not one row of "
                f"float32 for each of {clips} clips"
            )
        if not (np.isfinite(stored).all() and (stored >= 0).all() and (stored <= 1).all()):
            raise ValueError(f"holds scores outside [0, 1] on {name}")
    if len({scores.shape[1] for scores in arrays.values()}) > 1:
        raise ValueError("holds scores of different numbers of classes")
    return arrays


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Return the first bytes of all float32 numbers, the second, and so on: uint8, shape (4, n).

    Packed, they take a tenth less than the numbers, whose first bytes differ little.
    """
    return np.ascontiguousarray(values.astype("<f4").view(np.uint8).reshape(-1, 4).T)


def from_bytes(rows: np.ndarray) -> np.ndarray:
    """Return the numbers of which :func:`as_bytes` returned the bytes; raise ValueError."""
    if rows.ndim != 2 or len(rows) != 4:
        raise ValueError(f"holds bytes of shape {rows.shape}, not four of each number")
    return np.ascontiguousarray(rows.T).view("<f4")[:, 0].astype(np.float32)


def _spread(part: str, scores: np.ndarray, kept: Mapping[str, np.ndarray]) -> np.ndarray:
    """Put the scores that are kept of a part into their places; all others are NaN."""
    if part not in kept or scores.shape != (n := kept[part].sum(),):
        wanted = f"the {n} scores" if part in kept else "scores"
        raise ValueError(
            f"holds an array of shape {scores.shape} on {part}, not {wanted} that are kept"
        )
    whole = np.full(kept[part].shape, np.nan, scores.dtype)
    whole[kept[part]] = scores
    return whole
