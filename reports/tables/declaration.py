"""What a table is: one declaration, read by the command line, the report and the paper.

A file in this folder that holds a :class:`Table` is found by itself. The table is then printed by
`polytimbre table NAME`, published by `polytimbre publish`, and shown in the report.
"""

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import reports.tables
from benchmark.errors import UnknownNameError
from benchmark.scoring.evaluation import METRICS
from reports.tables.text import BESIDE

#: What tables are derived from: the runs of one data set (an
#: :class:`benchmark.analysis.derivation.Analysis`), its labels by part, the tuning studies, or the
#: labels of OpenMIC-2018 that the published claim rests on.
SOURCES = ("runs", "labels", "studies", "claim")


@dataclass(frozen=True, eq=False)
class Content:
    """What a table's function returns.

    Attributes
    ----------
    frame : pandas.DataFrame
        A column ``X`` with an interval has its ends in ``X low`` and ``X high``; ``p at floor``
        says where the p-value ``p`` is the least that the resamples can show.
    notes : sequence of str
        How it is to be read, and what follows from it.
    facts : mapping
        What figures and the paper need beside the frame, as JSON content.
    shown : pandas.DataFrame, optional
        What a terminal shows in place of the frame, where that is too long or too wide.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """One table that was derived.

    Attributes
    ----------
    title : str
    frame, notes, facts, shown
        See :class:`Content`. Facts of runs also say ``dataset``, ``split``, ``official``,
        ``part`` and ``n_clips``.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: pd.DataFrame | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON content; what is not a number is null."""
        rows = [[_plain(value) for value in row] for row in self.frame.itertuples(index=False)]
        columns = list(map(str, self.frame.columns))
        return {
            "title": self.title, "facts": dict(self.facts), "columns": columns, "rows": rows,
            "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Result":
        """Read what :meth:`as_dict` returned."""
        frame = pd.DataFrame(content["rows"], columns=content["columns"])
        for name in frame.columns:
            if frame[name].isna().any() and not any(isinstance(v, str) for v in frame[name]):
                frame[name] = frame[name].astype(float)
        return cls(content["title"], frame, tuple(content["notes"]), content.get("facts", {}))


#: Tables by name.
Results = dict[str, Result]


def number_columns(*names: str, gaps: bool = False) -> dict[str, Any]:
    """Declare columns of numbers, with or without gaps; see :attr:`Table.holds`."""
    return dict.fromkeys(names, float | None if gaps else float)


def interval_columns(*names: str, gaps: bool = False) -> dict[str, Any]:
    """Declare columns of numbers with their intervals; see :attr:`Table.holds`."""
    columns = (name + end for name in names for end in ("", " low", " high"))
    return number_columns(*columns, gaps=gaps)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


@dataclass(frozen=True, eq=False)
class Table:
    """The declaration of one table.

    Attributes
    ----------
    name : str
        In ``results.json``, in the names of the paper's values, and of the report's CSV file.
    title : str
        What it shows; data set, part and clips are added.
    keys : tuple of str
        The columns that tell its rows apart.
    derive : callable
        Takes the source, returns a :class:`Content`, or None where there is nothing to show.
    columns : mapping of str to str
        What its columns mean, but for metrics, which say so themselves.
    about : str
        What it shows, as a sentence in the list of all tables; the title if empty.
    command : str, optional
        Prints it: what follows `polytimbre`, with ``{}`` for the data set. By default
        ``table NAME --dataset {}``.
    first : tuple of str
        The columns that a terminal shows first: a narrow one may have room for these alone.
    hidden : tuple of str
        The columns that a terminal leaves out.
    takes : str
        What it follows from: said where runs hold nothing for it.
    source : str
        One of `SOURCES`.
    rests_on : {"runs", "pool", "nothing"}
        Which runs a row rests on: those of the models it names, or those that the fact ``runs``
        lists for it; with ``"pool"``, all runs, where it names none; with ``"nothing"``, none.
    holds : mapping of str to type
        What report, notebooks and paper read of a published one: each column beside the keys, with
        the type of its cells; a key is text unless it stands here, too.
    sometimes : tuple of str
        Columns of `holds` that some published sets are without.
    facts : mapping of str to type
        Facts that they read, but for those that are true of every table of runs.
    even : bool
        Whether all models have rows for the same classes, metrics or slices.
    published : bool
        Whether it is part of a published set.
    optional : bool
        Whether a published set may be without it, as its runs are too few for it.
    order : int
        Where it stands among the others.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    derive: Callable[[Any], Content | None]
    columns: Mapping[str, str]
    about: str = ""
    command: str = ""
    first: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    takes: str = "more models, which `polytimbre run` runs"
    source: str = "runs"
    rests_on: str = "runs"
    holds: Mapping[str, Any] = field(default_factory=dict)
    sometimes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    even: bool = False
    published: bool = True
    optional: bool = False
    order: int = 100

    def make(self, source: Any, facts: Mapping[str, Any] | None = None) -> Result | None:
        """Derive the table.

        Parameters
        ----------
        source : object
            What `SOURCES` says.
        facts : mapping, optional
            What is true of every table from this source; see :func:`facts_of`.
        """
        content = self.derive(source)
        if content is None:
            return None
        told = {**(facts or {}), **content.facts}
        title = ", ".join(filter(None, (self.title, where(told))))
        return Result(title, content.frame, content.notes, told, content.shown)

    def command_for(self, dataset: str) -> str:
        """Return the command that prints it."""
        return f"polytimbre {self.command or f'table {self.name} --dataset {{}}'}".format(dataset)

    def published_in(self, name: str) -> str:
        """Return the command that prints it as it is published in a set of this name."""
        return f"polytimbre table {self.name} --store paper/results/{name}"

    def for_a_terminal(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return its rows with columns in the order and by the names that a terminal shows."""
        first = [name + end for name in self.first for end in ("", *BESIDE) if name + end in frame]
        told = (*first, *self.hidden)
        ordered = frame[[*first, *(name for name in frame if name not in told)]]
        return ordered.rename(columns={name: one.heading for name, one in METRICS.items()})

    def meaning(self, column: str) -> str:
        """Say what a column means; empty for one that is not declared."""
        if column in self.columns:
            return self.columns[column]
        for metric in METRICS.values():
            if column in (metric.heading, metric.name):
                return metric.meaning
        return ""


def where(facts: Mapping[str, Any]) -> str:
    """Return the data set, part and clips that a table is about, another split marked."""
    if "dataset" not in facts:
        return ""
    told = [facts["dataset"]]
    if not facts.get("official", True):
        told.append(f"split {facts['split']}, NOT OFFICIAL")
    if "mask" in facts:
        told.append(facts["mask"])
    if "part" in facts:
        told.append(f"{facts['part']} part")
    if "n_clips" in facts:
        told.append(f"{facts['n_clips']:,} clips")
    return ", ".join(told)


def facts_of(analysis: Any) -> dict[str, Any]:
    """Return what is true of every table of an :class:`Analysis`."""
    result = analysis.comparison
    return {
        "dataset": result.dataset, "split": result.split, "official": bool(result.official),
        "part": result.part, "n_clips": len(result.labels),
    }  # fmt: skip


def tables() -> dict[str, Table]:
    """Return every table that a file in this folder declares, by name, in their order.

    Raises
    ------
    ValueError
        If two tables bear one name.
    """
    declared: dict[str, Table] = {}
    for info in pkgutil.iter_modules(reports.tables.__path__):
        module = importlib.import_module(f"reports.tables.{info.name}")
        for one in vars(module).values():
            if not isinstance(one, Table):
                continue
            if declared.setdefault(one.name, one) is not one:
                raise ValueError(f"two tables are named {one.name!r}; one is in {module.__file__}")
    return dict(sorted(declared.items(), key=lambda item: item[1].order))


def table(name: str) -> Table:
    """Return one table by name.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    declared = tables()
    if name not in declared:
        raise UnknownNameError("table", name, declared)
    return declared[name]
