"""Every cell of the published tables by name, and the runs that it rests on.

A name reads ``SET/TABLE/ROW/COLUMN``, as in ``rendered/per_class/violin + cnn tuned/AP``: the
row is called after its key columns (:data:`KEYS`), joined by ``+``.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.errors import PolytimbreError, UnknownNameError
from benchmark.runs.published import PublishedSet
from benchmark.runs.record import RunSpec, digest
from reports.tables.results import Results, read

#: The columns that tell a table's rows apart; of other tables the first column does.
KEYS: dict[str, tuple[str, ...]] = {
    "runs": ("model", "seed"),
    "pairs": ("model", "against"),
    "comparison": ("model",), "ensembles": ("model",), "ranks": ("model",),
    "per_class": ("class", "model"),
    "cooccurrence": ("class", "with"),
    "confusions": ("class", "with", "model"),
    "curves": ("model", "number"),
    "gap": ("model",),
    "gap_per_class": ("model", "class"),
    "calibration": ("model",),
    "reliability": ("model", "class", "upper edge"),
    "learning_curve": ("model", "fraction"),
    "thresholds": ("model", "policy"),
    "protocol_audit": ("model",), "protocol_averages": ("model",),
    "mask_audit": ("metric", "model"), "mask_levels": ("metric", "positives"),
    "parts": ("part",),
    "studies": ("model",), "trials": ("model", "trial"), "importances": ("model", "parameter"),
    "labels": ("class",), "strategies": ("scored",), "precision": ("class",),
}  # fmt: skip

#: Tables that no published run is behind: they rest on results.json itself.
WITHOUT_RUNS = (
    "labels", "strategies", "precision", "totals", "parts", "kept", "cooccurrence",
    "studies", "trials", "importances",
)  # fmt: skip
#: Tables some rows of which rest on all runs.
POOLED = ("ensembles", "thresholds", "mask_levels")
#: The audit's row that no model is behind.
ALWAYS_YES = "always yes"
AUDITED = " (trained as published)"
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
    binding : str
        What the source carries: the beginnings of the ids; ``all:`` and a hash for all runs of
        a set, ``results:`` and a hash for what no run is behind.
    """

    name: str
    dataset: str
    content: Any
    low: float | None
    high: float | None
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
        return cls(source, read(source.results()), specs)

    @cached_property
    def index(self) -> dict[str, dict[str, list[int]]]:
        """Numbers of the rows that bear a name, by table."""
        found: dict[str, dict[str, list[int]]] = {}
        for name, one in self.results.items():
            rows = found.setdefault(name, {})
            keys = KEYS.get(name, tuple(one.frame.columns[:1]))
            for number, row in enumerate(one.frame[list(keys)].itertuples(index=False)):
                rows.setdefault(" + ".join(map(_word, row)), []).append(number)
        return found

    @cached_property
    def runs_of(self) -> dict[str, tuple[str, ...]]:
        """Ids of the compared runs by model, as the table `runs` has them."""
        if "runs" not in self.results:
            return {}
        frame = self.results["runs"].frame
        return {m: tuple(ids) for m, ids in frame.groupby("model", sort=False)["run"]}

    def behind(self, table: str, row: dict[str, Any]) -> tuple[str, ...] | None:
        """Return ids of the runs that a row rests on; None for all that are compared."""
        if table == "runs":
            return (row["run"],)
        if table in WITHOUT_RUNS or (table == "protocol_audit" and row["model"] == ALWAYS_YES):
            return ()
        found: list[str] = []
        for column in ("model", "against"):
            if column not in row:
                continue
            runs = self._runs(row[column], row.get("fraction", "100 %"))
            if not runs and table not in POOLED:
                raise PolytimbreError(
                    f"it rests on runs of {row[column]!r}, and the published set "
                    f"{self.source.name!r} holds none. Publish them with the others"
                )
            found += runs
        return tuple(found) or None

    def _runs(self, model: str, fraction: str) -> tuple[str, ...]:
        if model.endswith(AUDITED):
            name = model.removesuffix(AUDITED)
            return tuple(i for i in self.source.audit if self._label(i) == name)
        whole = self.runs_of.get(model, ())
        if fraction == "100 %":
            return whole
        sources = {self.specs[i].source for i in whole if i in self.specs}
        return tuple(
            i
            for i in self.source.runs
            if self._label(i) == f"{model} {fraction}" and self.specs[i].source in sources
        )

    def _label(self, run_id: str) -> str:
        spec = self.specs.get(run_id)
        # tables name models without their preset
        return replace(spec, preset=None).label if spec else ""


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def value(tables: dict[str, Tables], name: str) -> Value:
    """Return one cell by name.

    Parameters
    ----------
    tables : dict of str to Tables
        By set.
    name : str
        ``SET/TABLE/ROW/COLUMN``; a pair's row may name its models in either order.

    Raises
    ------
    UnknownNameError
        With the nearest name of a set, table, row or column.
    PolytimbreError
        If several rows bear the name, or the runs it rests on are not published.
    """
    parts = [part.strip() for part in name.split("/", 3)]
    if len(parts) < 4:
        raise PolytimbreError(f"{name!r} is no name of a value: write SET/TABLE/ROW/COLUMN")
    dataset, table, row, column = parts
    one = tables[_known("published set", dataset, tables)]
    result = one.results[_known(f"table of {dataset}", table, one.results)]
    turned = table == "pairs" and row not in one.index[table]
    if turned:
        row = " + ".join(reversed(row.split(" + ")))
        row = row if row in one.index[table] else parts[2]
    rows = one.index[table]
    numbers = rows[_known(f"row of {dataset}/{table}", row, rows)]
    if len(numbers) > 1:
        raise PolytimbreError(f"{name!r} names {len(numbers)} rows of that table, not one")
    cells = dict(zip(result.frame.columns, _cells(result.frame, numbers[0]), strict=True))
    content = cells[_known(f"column of {dataset}/{table}", column, cells)]
    low, high = cells.get(f"{column} low"), cells.get(f"{column} high")
    if turned:
        content, low, high = _turned(cells, column)
    runs = one.behind(table, cells)
    return Value(name, dataset, content, low, high, *_binding(one, runs))


def _known(kind: str, name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return name


def _cells(frame: Any, number: int) -> list[Any]:
    found = []
    for cell in frame.iloc[number].tolist():
        cell = cell.item() if hasattr(cell, "item") else cell
        found.append(None if isinstance(cell, float) and cell != cell else cell)
    return found


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
    """Return what the source carries for several values together: every id once."""
    tokens = [token for one in values for token in one.binding.split()]
    return " ".join(dict.fromkeys(tokens))


def folders(path: Path) -> list[Path]:
    """Return the folders of published sets, whether they are whole or not."""
    found = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
    return [p for p in found if not p.name.startswith(".")]
