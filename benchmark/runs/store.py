"""The store: a folder of runs that are computed into it; it survives kills, races and damage.

Beside what :mod:`benchmark.runs.reading` describes, it holds

``aside/``   runs and labels that were replaced, damaged ones among them
``locks/``, ``tmp/``   work in progress
"""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmark.errors import StoreError
from benchmark.protocol import Division
from benchmark.reading.folders import FULL, in_the_way
from benchmark.runs import files
from benchmark.runs.attributes import attribute_arrays, packed_attributes
from benchmark.runs.reading import ASKED, Runs, Warn, label_arrays
from benchmark.runs.record import Record

DEFAULT = "polytimbre-store"


def default_path() -> Path:
    """Return ``$POLYTIMBRE_STORE``, or ``polytimbre-store`` in the working folder."""
    return Path(os.environ.get("POLYTIMBRE_STORE") or DEFAULT).resolve()


def now() -> str:
    """Return the time as records hold it: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Store(Runs):
    """Runs in a folder that can be added to.

    Parameters
    ----------
    path : Path
        Made if it isn't there.
    warn : callable, optional
        Called with one sentence for each run that can't be read.

    Raises
    ------
    StoreError
        If the folder can't be made or written, or is a published set.
    """

    def __init__(self, path: Path, warn: Warn = lambda sentence: None) -> None:
        self.path = Path(path)
        with self.writing():
            if (self.path / "set.json").exists():
                raise StoreError(
                    f"{self.path} is a published set, and nothing is computed into one. Name "
                    "another folder with --store"
                )
            for name in ("runs", "labels", "aside", "locks", "tmp"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.path / "tmp").close()  # of which a kill leaves nothing
        super().__init__(path, warn)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an error of the file system inside into a sentence about this store."""
        try:
            yield
        except OSError as error:
            problem, reason = "can't be used", error.strerror or error
            advice = "Check its permissions"
            if error.errno in FULL:
                problem, advice = "is full", "Free some space"
            elif blocked := in_the_way(error):
                reason, advice = blocked, "Move it away"
            raise StoreError(
                f"the store {self.path} {problem} ({reason}). "
                f"{advice}, or name another with --store"
            ) from error

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
        with self.writing():
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, record: Record, folder: Path) -> None:
        """Put a record and the files of its staging folder into the store.

        Everything is written and synced before one rename makes it visible. A finished run
        is never replaced; a failed or damaged one is set aside.

        Raises
        ------
        StoreError
            If the store is full or can't be written, or holds a run of this id that can't be
            read.
        """
        with self.writing():
            written = [p for p in sorted(folder.rglob("*")) if p.is_file()]
            record.files = {p.relative_to(folder).as_posix(): files.sha256(p) for p in written}
            path = folder / "record.json"
            path.write_text(record.to_json(), encoding="utf-8")
            for file in (*written, path, folder):
                _sync(file)
            known = self.usable(record.run_id)
            if known is not None and known.finished:
                return
            self.set_aside(record.run_id)
            target = self._folder(record.run_id)
            folder.rename(target)
            _sync(target.parent)

    def take(self, record: Record, source: Runs) -> None:
        """Put a copy of another store's run into this one, with its model and labels."""
        with self.lock(record.run_id), self.staging(record.run_id) as folder:
            with self.writing():
                for name in record.files:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source._folder(record.run_id) / name, folder / name)
                labels = source._labels_path(record.spec.division_id)
                shutil.copyfile(labels, self.path / "labels" / labels.name)
            self.add(record, folder)

    def set_aside(self, run_id: str) -> None:
        """Move a run, if there is one, to where it is kept but no longer looked at."""
        if self._folder(run_id).exists():
            with self.writing():
                self._folder(run_id).rename(self._place_aside(run_id))

    def _place_aside(self, name: str) -> Path:
        return self.path / "aside" / f"{name}-{time.time_ns()}"

    def note_asked(self, run_id: str) -> None:
        """Note that a stored run was asked for now: of several versions the last one counts."""
        temporary = self.path / "tmp" / f"asked-{uuid.uuid4().hex}"
        with self.writing():
            temporary.write_text(now(), encoding="ascii")
            temporary.replace(self._folder(run_id) / ASKED)

    def forget(self, run_id: str) -> None:
        """Remove a run and its files for good."""
        gone = self.path / "tmp" / f"{run_id}-forgotten-{uuid.uuid4().hex[:8]}"
        with self.lock(run_id), self.writing(), suppress(FileNotFoundError):
            self._folder(run_id).rename(gone)  # at once, or a kill would leave half of it
            shutil.rmtree(gone)

    def add_labels(self, division: Division) -> str:
        """Store a division's labels and attributes: scores can then be scored without the data.

        What is stored already stays, unless it is damaged or another: then it is set aside.

        Returns
        -------
        str
            Their SHA-256, for the records of the runs that are scored with them.
        """
        arrays = label_arrays(division)
        path = self._labels_path(division.id)
        self._add_beside(path, arrays, lambda: self.holds_labels(division))
        path = self._attributes_path(division.id)
        known = packed_attributes(attribute_arrays(division))
        self._add_beside(path, known, lambda: self.holds_attributes(division))
        return files.hash_arrays(arrays)

    def _add_beside(
        self, target: Path, arrays: dict[str, np.ndarray], there: Callable[[], bool]
    ) -> None:
        """Write arrays into a file unless they are there; what is there instead is set aside."""
        if there():
            return
        with self.lock(f"labels-{target.stem}"):
            if there():  # written while this process waited
                return
            temporary = self.path / "tmp" / f"labels-{uuid.uuid4().hex}.npz"
            with self.writing():
                np.savez_compressed(temporary, **arrays)
                _sync(temporary)
                with suppress(FileNotFoundError):
                    target.rename(self._place_aside(f"labels-{target.stem}"))
                temporary.rename(target)
