"""Every cell of the published tables by name, and the runs that it rests on.

A name reads ``SET/TABLE/ROW/COLUMN``, as in ``rendered/per_class/violin + cnn tuned/AP``: the
row is called after the key columns that its table declares, joined by ``+``. In a row

- ``cnn`` is the model on the features that its data set is loaded with, where a set holds several;
- ``best``, ``best network``, ``best cnn tuned`` or ``best trees on musicnn`` is the model with the
  highest mAP on *select* of that family or name, fitted so and on these features;
- ``mean of * models`` is the one row of which all but the star is written.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.errors import PolytimbreError, UnknownNameError
from benchmark.plugins import registry
from benchmark.runs.features import features_of, own_features
from benchmark.runs.published import PublishedSet
from benchmark.runs.record import RunSpec, digest
from reports.tables.declaration import Results, tables
from reports.tables.results import read

#: Digits of an id that the source carries.
DIGITS = 8
SIGNED = ("difference",)


@dataclass(frozen=True)
class Value:
    """One cell of a published table.

    Attributes
    ----------
    name, dataset : str
    content : float, int, bool, str or None
    low, high : float or None
        Ends of its interval.
    runs : tuple of str
        Ids of the runs it rests on; none if it rests on the labels alone.
    at_floor : bool
        Whether it is the least p-value that the resamples can show.
    binding : str
        What the source carries: the beginnings of the ids; ``all:`` and a hash for all runs of
        a set, ``results:`` and a hash for what no run is behind.
    """

    name: str
    dataset: str
    content: Any
    low: float | None
    high: float | None
    at_floor: bool
    runs: tuple[str, ...]
    binding: str


@dataclass(frozen=True)
class Tables:
    """The tables of one published set.

    Attributes
    ----------
    source : PublishedSet
    results : dict of str to Result
    specs : dict of str to RunSpec
        Of every published run whose record can be read.
    """

    source: PublishedSet
    results: Results
    specs: dict[str, RunSpec] = field(default_factory=dict)

    @classmethod
    def read(cls, source: PublishedSet) -> "Tables":
        """Read a set. Damaged records are left out: verifying it names them.

        Raises
        ------
        DamagedError
            If its tables are damaged.
        """
        specs = {}
        for run_id in (*source.runs, *source.audit):
            path = source.path / "runs" / run_id / "record.json"
            try:
                specs[run_id] = RunSpec(**json.loads(path.read_text(encoding="utf-8"))["spec"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return cls(source, read(source), specs)

    @cached_property
    def index(self) -> dict[str, dict[str, list[int]]]:
        """Row numbers by table and by the rows' names."""
        numbers: dict[str, dict[str, list[int]]] = {}
        for name, one in self.results.items():
            rows = numbers.setdefault(name, {})
            for number, row in enumerate(one.frame[self._keys(name)].itertuples(index=False)):
                rows.setdefault(" + ".join(map(_word, row)), []).append(number)
        return numbers

    def _keys(self, table: str) -> list[str]:
        """Return the columns that a table's rows are called after: those that it declares."""
        declared = tables().get(table)
        return list(declared.keys if declared else self.results[table].frame.columns[:1])

    @cached_property
    def runs_of(self) -> dict[str, tuple[str, ...]]:
        """Ids of the compared runs by model, as the table `runs` has them."""
        if "runs" not in self.results:
            return {}
        frame = self.results["runs"].frame
        return {m: tuple(ids) for m, ids in frame.groupby("model", sort=False)["run"]}

    def behind(self, table: str, row: dict[str, Any]) -> tuple[str, ...] | None:
        """Return ids of the runs that a row rests on; None for all that are compared."""
        declared = tables().get(table)
        rests_on = declared.rests_on if declared else "runs"
        if "run" in row:
            return (row["run"],)
        if rests_on == "nothing":
            return ()
        listed = self.results[table].facts.get("runs")
        if listed is not None:
            return tuple(listed[" + ".join(_word(row[key]) for key in self._keys(table))])
        ids: list[str] = []
        for model in (row[column] for column in ("model", "against") if column in row):
            runs = self.runs_of.get(model, ())
            if not runs and rests_on != "pool":
                raise PolytimbreError(
                    f"it rests on runs of {model!r}, and the published set "
                    f"{self.source.name!r} holds none. Publish them with the others"
                )
            ids += runs
        return tuple(ids) or None

    def row(self, table: str, name: str) -> tuple[str, bool]:
        """Find the row that is written as the module says.

        Returns
        -------
        str
            What the table calls it.
        bool
            Whether it is a pair that the table has the other way round.

        Raises
        ------
        UnknownNameError
            With the nearest row.
        PolytimbreError
            If no model is of a family, or a star stands for several.
        """
        known = self.index[table]
        if name in known:
            return name, False
        words = [*map(self._model, name.split(" + "))]
        meant, turned = " + ".join(words), " + ".join(reversed(words))
        if table == "pairs" and meant not in known and turned in known:
            return turned, True
        if "*" in meant:
            found = [row for row in known if fnmatchcase(row, meant)]
            if len(found) > 1:
                raise PolytimbreError(f"{name!r} may be {' or '.join(map(repr, found))}: say which")
            meant = found[0] if found else meant
        return _known("row", meant, known, f"of {self.source.name}/{table}"), False

    def _model(self, word: str) -> str:
        """Return the model that a part of a row's name means; any other part as it is."""
        if re.match(r"best\b", word):
            return self._best(word)
        on = f"{word} on {own_features(self.source.name)}"
        return on if word not in self.runs_of and on in self.runs_of else word

    def _best(self, word: str) -> str:
        """Return the model with the highest mAP on *select* among those that a word is about."""
        asked = re.fullmatch(r"best(?: (\w+?))??( tuned| default)?(?: on (\S+))?", word)
        gap, found = self.results.get("gap"), {}
        if asked is None or gap is None:
            raise PolytimbreError(
                f"{word!r} can't be chosen: write it as 'best cnn tuned on musicnn'"
            )
        kind, how, features = asked.groups()
        for label, value in zip(gap.frame["model"], gap.frame["select mAP"], strict=True):
            spec = self.specs[self.runs_of[label][0]]
            plugin = registry.models().plugins.get(spec.model)
            if (
                kind in (None, spec.model, getattr(plugin, "family", None))
                and how in (None, " tuned" if spec.study else " default")
                and features in (None, features_of(spec))
            ):
                found[label] = value
        if not found:
            raise UnknownNameError(
                "model", word, gap.frame["model"], where=f"of {self.source.name}"
            )
        return max(found, key=lambda label: found[label])


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def value(sets: dict[str, Tables], name: str) -> Value:
    """Return one cell by name.

    Parameters
    ----------
    sets : dict of str to Tables
    name : str
        ``SET/TABLE/ROW/COLUMN``; a pair's row may name its models in either order.

    Raises
    ------
    UnknownNameError
        With the nearest name of a set, table, row or column.
    PolytimbreError
        If several rows bear the name, no model is what it says, or the runs it rests on are not
        published.
    """
    parts = [part.strip() for part in name.split("/", 3)]
    if len(parts) < 4:
        raise PolytimbreError(f"{name!r} is no name of a value: write SET/TABLE/ROW/COLUMN")
    dataset, table, row, column = parts
    one = sets[_known("published set", dataset, sets)]
    result = one.results[_known("table", table, one.results, f"of {dataset}")]
    row, turned = one.row(table, row)
    numbers = one.index[table][row]
    if len(numbers) > 1:
        raise PolytimbreError(f"{name!r} names {len(numbers)} rows of that table, not one")
    cells = dict(zip(result.frame.columns, _cells(result.frame, numbers[0]), strict=True))
    content = cells[_known("column", column, cells, f"of {dataset}/{table}")]
    low, high = cells.get(f"{column} low"), cells.get(f"{column} high")
    if turned:
        content, low, high = _turned(cells, column)
    at_floor = bool(cells.get(f"{column} at floor"))
    runs = one.behind(table, cells)
    return Value(name, dataset, content, low, high, at_floor, *_binding(one, runs))


def _known(kind: str, name: str, known: Iterable[str], where: str = "") -> str:
    if name not in known:
        raise UnknownNameError(kind, name, known, where=where)
    return name


def _cells(frame: Any, number: int) -> list[Any]:
    cells = []
    for cell in frame.iloc[number].tolist():
        cell = cell.item() if hasattr(cell, "item") else cell
        cells.append(None if isinstance(cell, float) and cell != cell else cell)
    return cells


def _turned(cells: dict[str, Any], column: str) -> tuple[Any, Any, Any]:
    """Read a pair the other way round: the difference changes its sign."""
    if column == "better":  # the better one of a pair stands first
        return False, None, None
    ends = {"difference low": "difference high", "difference high": "difference low"}
    if not column.startswith(SIGNED):
        return cells[column], None, None
    content = -cells[ends.get(column, column)]
    if column in ends:
        return content, None, None
    return content, -cells["difference high"], -cells["difference low"]


def _binding(one: Tables, runs: tuple[str, ...] | None) -> tuple[tuple[str, ...], str]:
    if runs is None:
        runs = tuple(run for ids in one.runs_of.values() for run in ids)
        return runs, f"all:{digest(sorted(runs))[:DIGITS]}"
    if not runs:
        return (), f"results:{one.source.files['results.json'][:DIGITS]}"
    return runs, " ".join(run[:DIGITS] for run in runs)


def bound(values: Iterable[Value]) -> str:
    """Return the run ids that the paper's source names for several values: each id once."""
    tokens = [token for one in values for token in one.binding.split()]
    return " ".join(dict.fromkeys(tokens))


def folders(path: Path) -> list[Path]:
    """Return the folders of published sets, whether they are whole or not."""
    inside = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
    return [p for p in inside if not p.name.startswith(".")]
