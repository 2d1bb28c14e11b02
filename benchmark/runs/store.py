"""The store: a folder of run records that survives kills, races and damage.

``runs/<run_id>/``   record.json, scores.npz, model/
``labels/<division_id>.npz``   labels, masks, keys and groups of every part
``aside/``   records that were damaged or replaced
``locks/``, ``tmp/``   work in progress
"""

import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import StoreError, UnknownNameError
from benchmark.protocol import PARTS, Division
from benchmark.runs.record import Record
from benchmark.scoring.metrics import positives

DEFAULT = "polytimbre-store"


def default_path() -> Path:
    """Return ``$POLYTIMBRE_STORE``, or ``polytimbre-store`` in the working folder."""
    return Path(os.environ.get("POLYTIMBRE_STORE", DEFAULT)).resolve()


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one part.

    Attributes
    ----------
    y_true : ndarray, shape (n_clips, n_classes), float32
    y_mask : ndarray, shape (n_clips, n_classes), bool
    keys, groups : ndarray of str, shape (n_clips,)
    classes : tuple of str
    """

    y_true: np.ndarray
    y_mask: np.ndarray
    keys: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]

    @property
    def y_positive(self) -> np.ndarray:
        """Observed positives, bool."""
        return positives(self.y_true, self.y_mask)

    def __len__(self) -> int:
        return len(self.y_true)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Store:
    """Run records in a folder.

    Parameters
    ----------
    path : Path
        Made if it isn't there.
    warn : callable, optional
        Called with one sentence when a damaged record is set aside.

    Raises
    ------
    StoreError
        If the folder can't be made or written, or is a published set.
    """

    def __init__(self, path: Path, warn=lambda sentence: None) -> None:
        self.path = Path(path)
        self.warn = warn
        if (self.path / "set.json").exists():
            raise StoreError(
                f"{self.path} is a published set, and nothing is computed into one. Name another "
                "folder with --store"
            )
        with self._writing():
            for name in ("runs", "labels", "aside", "locks", "tmp"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            probe = self.path / "tmp" / f"probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"")
            probe.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            problem = "is full" if full else "can't be used"
            advice = "Free some space" if full else "Check its permissions"
            raise StoreError(
                f"the store {self.path} {problem} ({error.strerror or error}). "
                f"{advice}, or name another with --store"
            ) from error

    def _folder(self, run_id: str) -> Path:
        return self.path / "runs" / run_id

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        """Hold one run's lock, waiting for another process that computes it."""
        import filelock

        with filelock.FileLock(self.path / "locks" / f"{run_id}.lock"):
            for stale in (self.path / "tmp").glob(f"{run_id}-*"):  # left by a killed process
                shutil.rmtree(stale, ignore_errors=True)
            yield

    @contextmanager
    def staging(self, run_id: str) -> Iterator[Path]:
        """Give a folder to write a run's files into; removed unless :meth:`add` took it."""
        folder = self.path / "tmp" / f"{run_id}-{uuid.uuid4().hex[:8]}"
        with self._writing():
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, record: Record, folder: Path) -> None:
        """Put a record and the files of its staging folder into the store.

        Everything is written and synced before one rename makes it visible. A finished run
        is never replaced; a failed one is set aside.
        """
        with self._writing():
            files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
            record.files = {p.relative_to(folder).as_posix(): sha256(p) for p in files}
            path = folder / "record.json"
            path.write_text(record.to_json(), encoding="utf-8")
            for file in (*files, path, folder):
                _sync(file)
            target = self._folder(record.run_id)
            if target.exists():
                known = self.find(record.run_id)
                if known is not None and known.finished:
                    return
                if known is not None:
                    self._set_aside(record.run_id)
            folder.rename(target)
            _sync(target.parent)

    def put_back(self, run_id: str) -> None:
        """Set a stored run aside, so that it is computed again."""
        if self._folder(run_id).exists():
            self._set_aside(run_id)

    def _set_aside(self, run_id: str) -> Path:
        target = self.path / "aside" / f"{run_id}-{time.time_ns()}"
        with self._writing():
            self._folder(run_id).rename(target)
        return target

    def find(self, run_id: str) -> Record | None:
        """Return a run's record, or None; a damaged one is set aside and named."""
        folder = self._folder(run_id)
        if not folder.exists():
            return None
        try:
            return self._read(run_id)
        except StoreError as error:
            target = self._set_aside(run_id)
            self.warn(f"run {run_id} is damaged: {error}. It was moved to {target}")
            return None

    def _read(self, run_id: str) -> Record:
        folder = self._folder(run_id)
        try:
            record = Record.from_json((folder / "record.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"record.json can't be read ({error})") from error
        if record.run_id != run_id:
            raise StoreError(f"its folder holds the record of run {record.run_id}")
        for name, expected in record.files.items():
            try:
                found = sha256(folder / name)
            except OSError as error:
                raise StoreError(f"its file {name} can't be read ({error.strerror})") from error
            if found != expected:
                raise StoreError(f"its file {name} does not match the SHA-256 in the record")
        return record

    def ids(self) -> list[str]:
        """Return the ids of all runs, sorted."""
        return sorted(p.name for p in (self.path / "runs").iterdir() if p.is_dir())

    def records(self) -> list[Record]:
        """Return every readable record, oldest first."""
        found = [record for record in map(self.find, self.ids()) if record is not None]
        return sorted(found, key=lambda r: (r.created, r.run_id))

    def get(self, run_id: str) -> Record:
        """Return one run by its id or the unambiguous beginning of it.

        Raises
        ------
        UnknownNameError
            With the nearest known id.
        """
        ids = self.ids()
        matches = [i for i in ids if i.startswith(run_id)] if run_id else []
        record = self.find(matches[0]) if len(matches) == 1 else None
        if record is None:
            raise UnknownNameError("run", run_id, ids)
        return record

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a finished run's scores by part, float32, (n_clips, n_classes)."""
        with np.load(self._folder(record.run_id) / "scores.npz", allow_pickle=False) as stored:
            return {name: stored[name] for name in PARTS}

    def model_folder(self, record: Record) -> Path:
        """Return the folder that holds what the run's model saved."""
        return self._folder(record.run_id) / "model"

    def add_labels(self, division: Division) -> None:
        """Store a division's labels once, so that scores can be scored without the data."""
        target = self.path / "labels" / f"{division.id}.npz"
        if target.exists():
            return
        arrays = {"classes": np.array(division.dataset.classes)}
        for name in PARTS:
            rows = division.rows[name]
            for field in ("y_true", "y_mask", "keys", "groups"):
                arrays[f"{name}_{field}"] = getattr(division.dataset, field)[rows]
        temporary = self.path / "tmp" / f"labels-{uuid.uuid4().hex}.npz"
        with self._writing():
            np.savez_compressed(temporary, **arrays)
            _sync(temporary)
            temporary.rename(target)

    def labels(self, division_id: str) -> dict[str, Labels]:
        """Return a division's labels by part.

        Raises
        ------
        StoreError
            If they are missing or damaged.
        """
        path = self.path / "labels" / f"{division_id}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                classes = tuple(stored["classes"].tolist())
                fields = ("y_true", "y_mask", "keys", "groups")
                return {
                    name: Labels(*(stored[f"{name}_{field}"] for field in fields), classes)
                    for name in PARTS
                }
        except Exception as error:  # zipfile, zlib and NumPy raise many kinds
            raise StoreError(
                f"the labels {path} can't be read ({error}). Delete the file and run "
                "`polytimbre run` on that data set again: finished runs are kept"
            ) from error
