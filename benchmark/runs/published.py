"""The published set: runs that a report and a paper are built from, beside their source.

``<set>/set.json``   every file with its SHA-256, and what the runs are for
``<set>/runs/<run_id>/``   record.json, and scores.npz where the labels may be shipped
``<set>/labels/<division_id>.npz``   likewise
``<set>/results.json``   what was derived from them: tables, by name

A set holds the runs of one data set and is called after it. Nothing here writes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import StoreError, UnknownNameError
from benchmark.runs.record import Record, digest
from benchmark.runs.store import Store, sha256

FORMAT = 1

#: Where the published sets lie in a checkout.
DEFAULT = Path(__file__).resolve().parents[2] / "paper" / "results"


class DamagedError(StoreError):
    """A file of a published set is missing or changed.

    Attributes
    ----------
    name : str
        Of the set.
    file : str
        Relative to the set's folder.
    """

    def __init__(self, path: Path, file: str, problem: str) -> None:
        self.name, self.file = path.name, file
        super().__init__(
            f"the published set {path.name!r}: {path / file} {problem}. Restore it with git, or "
            "publish the runs again"
        )

    @property
    def run_id(self) -> str | None:
        """The run that the file belongs to."""
        parts = Path(self.file).parts
        return parts[1] if parts[0] == "runs" else None


class PublishedSet(Store):
    """The published runs of one data set, read like a store.

    Parameters
    ----------
    path : Path
        The set's folder.

    Attributes
    ----------
    runs, audit : tuple of str
        Ids of the runs that are compared, and of those that were trained under another
        protocol for the protocol audit alone.
    complete : bool
        Whether scores and labels are there, so that all results can be derived again.

    Raises
    ------
    DamagedError
        If a file that the set names is missing, or any file was changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        content = self._read_manifest()
        self.files: dict[str, str] = content["files"]
        self.runs, self.audit = tuple(content["runs"]), tuple(content["audit"])
        self.complete: bool = content["complete"]

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.path.name

    def ids(self) -> list[str]:
        """Return the ids of all its runs, those of the audit last."""
        return [*self.runs, *self.audit]

    def _read_manifest(self) -> dict[str, Any]:
        problem = "can't be read"
        try:
            content = json.loads((self.path / "set.json").read_text(encoding="utf-8"))
            expected = content.pop("digest")
            if content["format"] != FORMAT:
                problem = f"is not of format {FORMAT}"
            elif digest(content) != expected:
                problem = "does not match its digest"
            else:
                return content
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem += f" ({error})"
        raise DamagedError(self.path, "set.json", problem)

    def verify(self) -> None:
        """Check every file against the set's list.

        Raises
        ------
        DamagedError
            For the first that is missing or changed.
        """
        for file in self.files:
            self._verify(file)

    def damaged(self) -> list[DamagedError]:
        """Return what :meth:`verify` would raise, for every file."""
        found = []
        for file in self.files:
            try:
                self._verify(file)
            except DamagedError as error:
                found.append(error)
        return found

    def _verify(self, file: str) -> None:
        if file not in self.files:
            raise DamagedError(self.path, file, "is not in the set's list")
        try:
            found = sha256(self.path / file)
        except OSError as error:
            raise DamagedError(self.path, file, f"can't be read ({error.strerror})") from error
        if found != self.files[file]:
            raise DamagedError(self.path, file, "does not match its SHA-256 in set.json")

    def find(self, run_id: str) -> Record | None:
        """Return a published run's record, or None.

        Raises
        ------
        DamagedError
        """
        if run_id not in self.ids():
            return None
        file = f"runs/{run_id}/record.json"
        self._verify(file)
        try:
            return Record.from_json((self.path / file).read_text(encoding="utf-8"))
        except StoreError as error:
            raise DamagedError(self.path, file, f"is damaged: {error}") from error

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a run's published scores by part, float32, (n_clips, n_classes)."""
        self._check_complete()
        file = f"runs/{record.run_id}/scores.npz"
        self._verify(file)
        with np.load(self.path / file, allow_pickle=False) as stored:
            return dict(stored)

    def labels(self, division_id: str) -> dict[str, Any]:
        """Return a division's labels by part; see :meth:`Store.labels`."""
        self._check_complete()
        self._verify(f"labels/{division_id}.npz")
        return super().labels(division_id)

    def _check_complete(self) -> None:
        if not self.complete:
            raise StoreError(
                f"scores and labels of {self.name!r} are not published: they may not be shipped. "
                "What was derived from them is: `polytimbre report` shows it"
            )

    def results(self) -> dict[str, Any]:
        """Return the tables that were derived, by name, as JSON content."""
        self._verify("results.json")
        return json.loads((self.path / "results.json").read_text(encoding="utf-8"))


def sets(path: Path) -> dict[str, PublishedSet]:
    """Return the published sets in a folder, by data set.

    Raises
    ------
    StoreError
        If there is none, or one is damaged.
    """
    folders = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
    folders = [p for p in folders if not p.name.startswith(".")]
    if not folders:
        raise StoreError(
            f"nothing is published in {path}. Run `polytimbre publish RUN_ID...` first, or name "
            "another folder with --results"
        )
    return {folder.name: PublishedSet(folder) for folder in folders}


def find(run_id: str, sources: Iterable[Store]) -> tuple[Store, Record]:
    """Return the first source that holds a run, and its record.

    Parameters
    ----------
    run_id : str
        Whole, or an unambiguous beginning.

    Raises
    ------
    UnknownNameError
        With the nearest id of all sources.
    """
    known: set[str] = set()
    for source in sources:
        ids = source.ids()
        known.update(ids)
        if run_id and any(one.startswith(run_id) for one in ids):
            return source, source.get(run_id)
    raise UnknownNameError("run", run_id, known)
