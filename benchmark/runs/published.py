"""The published set: runs that a report and a paper are built from, beside their source.

``<set>/set.json``   every file with its SHA-256, and what the runs are for
``<set>/runs/<run_id>/``   record.json, and scores.npz where the labels may be shipped
``<set>/runs/<run_id>/model/``   what its model saved, of runs that are shipped to be used
``<set>/labels/<division_id>.npz``   likewise, and attributes of the clips, where there are any
``<set>/labels/<division_id>-scored.npz``   of which clips and classes the scores are published
``<set>/results.json``   what was derived from them: tables, by name

A set holds the runs of one data set and is called after it. Nothing here writes.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import StoreError, UnknownNameError
from benchmark.runs import files
from benchmark.runs.reading import MODEL, SCORES, Runs, StoredLabels, Warn, checked_scores
from benchmark.runs.record import Record, digest

FORMAT = 3
#: In format 1 every score of a part is published, in format 2 as numbers.
READABLE = (1, 2, FORMAT)

#: The file that lists a set's files.
LIST = "set.json"

#: The file of a set's tables.
TABLES = "results.json"

#: Parts that each run of a set has scores of.
LEAST_PARTS = ("select", "test")

#: Where the published sets lie in a checkout.
DEFAULT = Path(__file__).resolve().parents[2] / "paper" / "results"


def scored_file(division_id: str) -> str:
    """Name the file that says whose scores are published."""
    return f"{division_id}-scored.npz"


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


class PublishedSet(Runs):
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
        content = _read_list(Path(path))
        self.files: dict[str, str] = content["files"]
        self.runs, self.audit = tuple(content["runs"]), tuple(content["audit"])
        self.complete: bool = content["complete"]
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        super().__init__(path)

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.path.resolve().name

    def ids(self) -> list[str]:
        """Return the ids of all its runs, those of the audit last."""
        return [*self.runs, *self.audit]

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
        errors = []
        for file in self.files:
            try:
                self._verify(file)
            except DamagedError as error:
                errors.append(error)
        return errors

    def unlisted(self) -> list[str]:
        """Return the files and links in its folder that its list does not name, but hidden ones."""
        found = (p for p in self.path.rglob("*") if p.is_symlink() or not p.is_dir())
        there = (p.relative_to(self.path) for p in found)
        shown = (p for p in there if not any(part.startswith(".") for part in p.parts))
        return sorted({p.as_posix() for p in shown} - {*self.files, LIST})

    def _verify(self, file: str, read: Callable[[Path], Any] = files.sha256) -> Any:
        """Check one file against the set's list; return what `read` makes of it."""
        if file not in self.files:
            raise DamagedError(self.path, file, "is not in the set's list")
        try:
            if files.sha256(self.path / file) == self.files[file]:
                return read(self.path / file)
        except OSError as error:
            raise DamagedError(self.path, file, f"can't be read ({error.strerror})") from error
        raise DamagedError(self.path, file, "does not match its SHA-256 in set.json")

    def find(self, run_id: str) -> Record | None:
        """Return a published run's record, or None.

        Raises
        ------
        DamagedError
        """
        return self._record(run_id) if run_id in self.ids() else None

    def _record(self, run_id: str) -> Record:
        file = f"runs/{run_id}/record.json"
        content = self._verify(file, files.read_json)
        try:
            record = Record.from_json(content.decode("utf-8"))
        except (StoreError, UnicodeDecodeError) as error:
            raise DamagedError(self.path, file, f"is damaged: {error}") from error
        if record.run_id != run_id:
            raise DamagedError(self.path, file, f"is the record of run {record.run_id}")
        return record

    def asked(self, record: Record) -> str:
        """Return when a published run was made; later requests for it are not noted."""
        return record.created

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a run's published scores by part, float32, (n_clips, n_classes).

        A score that no table rests on is not published, and is NaN: that of a label that was not
        observed, but for the clips of *select* and *test* that the protocol audit keeps, and for
        those runs' *test* that a data set's complete labels are held against.
        """
        self._check_complete()
        file = f"runs/{record.run_id}/{SCORES}"
        content = self._verify(file, files.read_bytes)
        kept = self._scored(record.spec.division_id)
        try:
            arrays = checked_scores(content, record, self.files[file], kept)
        except ValueError as error:
            raise DamagedError(self.path, file, str(error)) from error
        if missing := [part for part in LEAST_PARTS if part not in arrays]:
            raise DamagedError(self.path, file, f"holds no scores of {missing[0]}")
        if problem := self._other_classes(record, arrays):
            raise DamagedError(self.path, file, problem)
        return arrays

    def _scored(self, division_id: str) -> dict[str, np.ndarray] | None:
        """Return by part whose scores are published; None where all are."""
        file = f"labels/{scored_file(division_id)}"
        if file not in self.files:
            return None
        if division_id not in self._kept:
            try:
                arrays = files.read_arrays(self._verify(file, files.read_bytes))
            except ValueError as error:
                raise DamagedError(self.path, file, f"can't be read ({error})") from error
            if any(one.dtype != bool or one.ndim != 2 for one in arrays.values()):
                raise DamagedError(self.path, file, "does not say yes or no by clip and class")
            for part, labels in self.labels(division_id).items():
                if part in arrays and (
                    arrays[part].shape != labels.y_mask.shape
                    or (labels.y_mask & ~arrays[part]).any()
                ):
                    raise DamagedError(self.path, file, f"leaves out observed labels of {part}")
            self._kept[division_id] = arrays
        return self._kept[division_id]

    def has_model(self, record: Record) -> bool:
        """Whether the run is shipped with what its model saved."""
        return any(name.startswith(f"runs/{record.run_id}/{MODEL}/") for name in self.files)

    def model_folder(self, record: Record) -> Path:
        """Return the folder of what the run's model saved, each file checked.

        Raises
        ------
        StoreError
            If it is not shipped.
        DamagedError
            If a file is not the one that the record names.
        """
        folder = super().model_folder(record)
        for name, expected in record.files.items():
            if name.startswith(f"{MODEL}/"):
                file = f"runs/{record.run_id}/{name}"
                if self._verify(file) != expected:
                    raise DamagedError(self.path, file, "does not match its SHA-256 in the record")
        return folder

    def labels(self, division_id: str) -> dict[str, StoredLabels]:
        """Return a division's labels by part; see :meth:`Runs.labels`."""
        self._check_complete()
        self._verify(f"labels/{division_id}.npz")
        return super().labels(division_id)

    def attributes(self, division_id: str, part: str) -> dict[str, np.ndarray]:
        """Return what is known of a part's clips; see :meth:`Runs.attributes`."""
        file = f"labels/{self._attributes_path(division_id).name}"
        if file not in self.files:
            return {}
        self._verify(file)
        return super().attributes(division_id, part)

    def _bad_labels(self, division_id: str, problem: str) -> StoreError:
        return DamagedError(self.path, f"labels/{division_id}.npz", f"can't be used: {problem}")

    def _check_complete(self) -> None:
        if not self.complete:
            raise StoreError(
                f"scores and labels of {self.name!r} may not be shipped, so that nothing can be "
                "computed from them here. The tables that were are: `polytimbre table NAME --store "
                f"{self.path}`, as in comparison or per_class, prints one (in Python: `.tables`)"
            )

    def results(self) -> dict[str, Any]:
        """Return the tables that were derived, by name, as JSON content."""
        content = self._verify(TABLES, files.read_json)
        try:
            tables = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DamagedError(self.path, TABLES, f"is not valid JSON ({error})") from error
        try:
            _check_tables(tables)
        except (ValueError, KeyError, TypeError) as error:
            problem = f"does not hold tables by name ({error})"
            raise DamagedError(self.path, TABLES, problem) from error
        return tables


def _read_list(path: Path) -> dict[str, Any]:
    """Read the list of a set's files and runs."""
    problem = "can't be read"
    try:
        content = json.loads(files.read_json(path / LIST))
        expected = content.pop("digest")
        if content["format"] not in READABLE:
            problem = f"is not of format {FORMAT}"
        elif digest(content) != expected:
            problem = "does not match its digest"
        else:
            _check_list(content)
            return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem += f" ({error})"
    raise DamagedError(path, LIST, problem)


def _check_list(content: dict[str, Any]) -> None:
    """Raise ValueError where the list of a set's files and runs does not hold what it should."""
    listed = content["files"]
    if not isinstance(listed, dict) or not all(isinstance(one, str) for one in listed.values()):
        raise ValueError("`files` must be a mapping of names to SHA-256")
    for name in listed:
        if not files.is_inside(name):
            raise ValueError(f"it lists a file outside its folder, {name!r}")
    for field in ("runs", "audit"):
        ids = content[field]
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise ValueError(f"`{field}` must be a list of ids")
    if not isinstance(content["complete"], bool):
        raise ValueError("`complete` must be true or false")


def _check_tables(tables: Any) -> None:
    """Raise ValueError, KeyError or TypeError where something isn't tables by name."""
    if not isinstance(tables, dict):
        raise ValueError("it is no mapping")
    for name, one in tables.items():
        columns, rows = one["columns"], one["rows"]
        texts = [one["title"], *columns, *one["notes"]]
        if not all(isinstance(text, str) for text in texts) or len({*columns}) < len(columns):
            raise ValueError(f"title, columns and notes of {name!r} must be text")
        if not isinstance(one.get("facts", {}), dict):
            raise ValueError(f"the facts of {name!r} must be a mapping")
        if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            raise ValueError(f"each row of {name!r} must be a list with a cell for each column")
        if not all(_is_cell(value) for row in rows for value in row):
            raise ValueError(f"cells of {name!r} must be text, finite numbers, true, false or null")


def _is_cell(value: Any) -> bool:
    """Whether a JSON value can be a cell of a table."""
    if type(value) in (int, float):
        return abs(value) < 2**63  # neither NaN nor infinite
    return value is None or isinstance(value, str | bool)


def open_runs(path: Path, warn: Warn = lambda sentence: None) -> Runs:
    """Open the runs in a folder to look at them: a store's, or a published set's.

    Parameters
    ----------
    path : Path
    warn : callable, optional
        See :class:`~benchmark.runs.reading.Runs`.

    Raises
    ------
    StoreError
        If the folder is neither, or a published set is damaged.
    """
    path = Path(path)
    try:
        names = {one.name for one in path.iterdir()}
        shown = (one for one in names if not one.startswith("."))
        published = sorted(one for one in shown if (path / one / LIST).is_file())
    except OSError:
        return Runs(path, warn)  # says why not
    if LIST in names:
        return PublishedSet(path)
    if "runs" not in names and published:
        raise StoreError(
            f"{path} holds published sets: name one of them, {', '.join(published)}, as in "
            f"--store {path / published[0]}"
        )
    return Runs(path, warn)


def sets(path: Path) -> dict[str, PublishedSet]:
    """Return the published sets in a folder, by data set.

    Raises
    ------
    StoreError
        If there is none, or one is damaged.
    """
    folders = set_folders(path)
    if not folders:
        raise StoreError(
            f"nothing is published in {path}. Run `polytimbre publish RUN_ID...` first, or name "
            "another folder with --results"
        )
    return {folder.name: PublishedSet(folder) for folder in folders}


def set_folders(path: Path) -> list[Path]:
    """Return the folders of published sets in a folder, damaged or not; others are left alone."""
    folders = sorted(path.iterdir()) if path.is_dir() else []
    return [
        folder
        for folder in folders
        if not folder.name.startswith(".")
        and any(os.path.lexists(folder / name) for name in (LIST, TABLES))
    ]


def find(run_id: str, sources: Iterable[Runs]) -> tuple[Runs, Record]:
    """Return the first source that holds a run, and its record.

    Parameters
    ----------
    run_id : str
        Whole, or an unambiguous beginning.

    Raises
    ------
    UnknownNameError
        With the nearest id of all sources, or how to list them.
    """
    known: set[str] = set()
    for source in sources:
        ids = source.ids()
        known.update(ids)
        if run_id and any(one.startswith(run_id) for one in ids):
            return source, source.get(run_id)
    many = (
        f"It is none of {len(known):,} stored and published ones: `polytimbre list runs` lists "
        "what is stored, with --store paper/results/NAME what is published"
    )
    raise UnknownNameError("run", run_id, known, many=many)
