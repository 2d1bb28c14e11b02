"""Recordings that somebody has labelled, to see whether a run is right."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.audio.files import find_recordings
from benchmark.contracts.dataset import Labels
from benchmark.errors import DataError
from benchmark.reading.files import open_text
from benchmark.reading.spreadsheets import KEYS, describe

#: Bytes that a file of labels can have at most.
LARGEST = 256 * 2**20

ADVICE = "name a CSV file with a column `clip`, and a column for each class"


@dataclass(frozen=True, eq=False)
class Recordings:
    """Audio files and what is known to sound in them.

    Attributes
    ----------
    files : list of Path
    labels : Labels
        A row a file; classes that the table does not have were not observed.
    ignored : list of str
        Columns that are no class.
    missing : list of str
        Names of which there is no audio.
    """

    files: list[Path]
    labels: Labels
    ignored: list[str]
    missing: list[str]


def read_labels(path: Path, folder: Path, classes: Sequence[str]) -> Recordings:
    """Read a table of labels, and find the audio of each row.

    Parameters
    ----------
    path : Path
        A CSV file: one column is called ``clip``, ``file``, ``key`` or ``name`` and holds a
        file's name or its path in `folder`, with or without its suffix; a column that is called
        like a class holds relevances in [0, 1], and is empty where nobody observed.
    folder : Path
        Of the audio, which may lie deeper.
    classes : sequence of str

    Raises
    ------
    DataError
        For a table that can't be read, lacks what it needs, or names no file that is there.
    """
    with open_text(path, LARGEST, ADVICE) as stream:
        try:
            rows = csv.DictReader(stream, strict=True)
            columns = list(rows.fieldnames or ())
            table = list(rows)
        except csv.Error as error:
            raise DataError(f"{path} is no CSV file ({error}); {ADVICE}") from error
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise DataError(f"{path} has two columns {twice[0]!r}: leave one out")
    key = next((name for name in KEYS if name in columns), None)
    if key is None:
        raise DataError(f"{path} has no column `clip`; {describe(columns)}; {ADVICE}")
    if not set(classes) & set(columns):
        raise DataError(
            f"{path} has no column that is called like a class: {describe(columns)}. Classes are"
            f" {', '.join(classes)}"
        )
    if not table:
        raise DataError(f"{path} holds no row; {ADVICE}")
    for number, row in enumerate(table, 1):  # csv's way to say: more cells, or fewer
        if None in row or None in row.values():
            raise DataError(f"{path}: row {number} has another number of cells than the heading")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: name the one that holds the recordings")
    known = _by_name(folder)
    named = [((row[key] or "").strip(), row) for row in table]
    missing = [name for name, _ in named if name not in known]
    if len(missing) == len(table):
        raise DataError(f"{path} names {missing[0]!r}, and {folder} holds no audio of that name")
    there = [(name, row) for name, row in named if name in known]
    y_true = np.zeros((len(there), len(classes)), dtype=np.float32)
    y_mask = np.zeros(y_true.shape, dtype=bool)
    files = []
    for i, (name, row) in enumerate(there):
        if len(known[name]) > 1:
            one, other = (file.relative_to(folder).as_posix() for file in known[name][:2])
            raise DataError(
                f"{path} names {name!r}, which may be {one} or {other} in {folder}: write that"
            )
        files.append(known[name][0])
        for c, text in _cells(row, classes):
            y_true[i, c], y_mask[i, c] = _relevance(path, name, classes[c], text), True
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise DataError(f"{path} names {twice.name} twice")
    if not y_mask.any():
        raise DataError(f"{path} observes no label: the cells of all classes are empty")
    ignored = [name for name in columns if name not in (*classes, key, "")]
    return Recordings(files, Labels(y_true, y_mask, classes=tuple(classes)), ignored, missing)


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Return the recordings that a name may mean: a path in the folder, or a name alone."""
    known: dict[str, list[Path]] = {}
    files = find_recordings(folder)
    inside = {file: file.relative_to(folder) for file in files} if folder.is_dir() else {}
    for file in files:
        key = inside.get(file, Path(file.name)).with_suffix("").as_posix()
        for name in {file.stem, file.name, key}:
            known.setdefault(name, []).append(file)
    return known | {path.as_posix(): [file] for file, path in inside.items()}


def _cells(row: dict[str, str | None], classes: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Give the number of each class that was observed, and its cell."""
    for c, name in enumerate(classes):
        text = (row.get(name) or "").strip()
        if text:
            yield c, text


def _relevance(path: Path, clip: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise DataError(
            f"{path} says {text!r} of {name} in {clip}: a label is 1, 0, a relevance between them,"
            " or empty where nobody observed"
        )
    return value
