"""All tables of a data set: derived from its runs, written to ``results.json``, read, compared."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmark.analysis.audits.protocol_audit import LabelAudit
from benchmark.analysis.derivation import Analysis
from benchmark.errors import ProtocolError
from benchmark.reading.kinds import in_words, is_kind
from benchmark.runs.published import DamagedError, PublishedSet
from benchmark.runs.reading import StoredLabels
from benchmark.tuning.history import StudyHistory
from reports.tables.declaration import Result, Results, Table, facts_of, tables
from reports.tables.studies import check_one_a_model
from reports.tables.text import BESIDE, FLOOR, HIGH, LOW

#: Facts of every table that is about a data set.
COMMON = {"dataset": str, "split": str, "official": bool, "part": str, "n_clips": int}


#: By how much numbers may differ from stored ones: other processors round differently.
TOLERANCE = 1e-9
#: Decimal places of what is stored: within this tolerance, and half the bytes of all digits.
DIGITS = 10


def read(source: PublishedSet) -> Results:
    """Read the tables of a published set, and hold each to what its declaration says.

    Raises
    ------
    DamagedError
        If the file was changed, or a table does not hold what is read of it: a column or a fact is
        missing or of another type, or rows are missing or there twice.
    """
    content, declared = source.results(), tables()
    try:
        for name, one in content.items():
            _check_intervals(name, one["columns"])
            if name in declared:
                _check(declared[name], one)
    except ValueError as error:
        raise DamagedError(source.path, "results.json", f"can't be used: {error}") from error
    return {name: Result.from_dict(one) for name, one in content.items()}


def _check_intervals(name: str, columns: Sequence[str]) -> None:
    """Raise ValueError where an interval lacks an end, or its value."""
    for end in BESIDE:
        for column in (one.removesuffix(end) for one in columns if one.endswith(end)):
            for needed in (column,) if end == FLOOR else (column, column + LOW, column + HIGH):
                if needed not in columns:
                    raise ValueError(f"its table {name!r} lacks the column {needed!r}")


def _check(table: Table, content: dict[str, Any]) -> None:
    """Raise ValueError where a published table's content is not what its declaration says."""
    where, columns, rows = f"its table {table.name!r}", content["columns"], content["rows"]
    ends = [name for name in columns if name.endswith((LOW, HIGH))]
    kinds = {**dict.fromkeys(table.keys, str), **dict.fromkeys(ends, float | None), **table.holds}
    for name, kind in kinds.items():
        if name not in columns:
            if name in table.sometimes:
                continue
            raise ValueError(f"{where} lacks the column {name!r}")
        cells = [row[columns.index(name)] for row in rows]
        for cell in cells:
            if not is_kind(cell, kind):
                raise ValueError(f"{where}: {name!r} must be {in_words(kind)}, got {cell!r}")
    _check_rows(table, where, columns, rows)
    held = content.get("facts", {})
    common = COMMON if "dataset" in held else {}
    for name, kind in {**common, **table.facts}.items():
        if name not in held or not is_kind(held[name], kind):
            raise ValueError(f"{where}: the fact {name!r} must be {in_words(kind)}")


def _check_rows(table: Table, where: str, columns: list[str], rows: list[list]) -> None:
    """Raise ValueError where rows are missing, or there twice."""
    at = [columns.index(key) for key in table.keys]
    keys = [tuple(row[i] for i in at) for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{where} has the row {' + '.join(map(str, twice))!r} twice")
    if not rows and table.keys == ("model",) and table.source == "runs":
        raise ValueError(f"{where} has no rows")
    if table.even:
        _check_even(table, where, keys)


def _check_even(table: Table, where: str, keys: list[tuple]) -> None:
    """Raise ValueError where a model lacks a row that another one has."""
    model = table.keys.index("model")
    rows_of: dict[str, set] = {}
    for key in keys:
        rows_of.setdefault(key[model], set()).add(key[:model] + key[model + 1 :])
    every = set().union(*rows_of.values())
    for name, there in rows_of.items():
        if missing := sorted(every - there):
            lacking = " + ".join(map(str, missing[0]))
            raise ValueError(f"{where} lacks the row of {name!r} for {lacking!r}")


def write(results: Results) -> str:
    """Return tables as the text of ``results.json``, one line a row."""
    lines = []
    for name, one in results.items():
        content = one.as_dict()
        rows = ",\n".join(
            json.dumps(_short(row), ensure_ascii=False) for row in content.pop("rows")
        )
        head = json.dumps(content, ensure_ascii=False)[:-1]
        lines.append(f'{json.dumps(name)}: {head}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _short(row: list) -> list:
    """Leave out digits of a row's numbers that say nothing beyond `TOLERANCE`."""
    return [round(cell, DIGITS) if isinstance(cell, float) else cell for cell in row]


def different(derived: Results, stored: Results) -> list[str]:
    """Return one sentence for each table of `derived` that is not as it is `stored`."""
    sentences = []
    for name, one in derived.items():
        new, old = one.as_dict(), stored[name].as_dict() if name in stored else None
        if old is None:
            sentences.append(f"table {name!r} is not stored")
        elif new["columns"] != old["columns"] or len(new["rows"]) != len(old["rows"]):
            sentences.append(f"table {name!r} has other rows or columns than the stored one")
        else:
            sentences += _different_cell(name, new, old)
            sentences += _different_fact(name, new["facts"], old["facts"])
    return sentences


def _different_cell(name: str, new: dict, old: dict) -> list[str]:
    for row, stored in zip(new["rows"], old["rows"], strict=True):
        for column, a, b in zip(new["columns"], row, stored, strict=True):
            if not _same(a, b):
                return [f"table {name!r}, row {row[0]!r}: {column} is {a}, stored is {b}"]
    return []


def _different_fact(name: str, new: dict, old: dict) -> list[str]:
    for fact in sorted({*new, *old}):
        if not _same(new.get(fact), old.get(fact)):
            return [f"table {name!r}: the fact {fact!r} is not as it is stored"]
    return []


def _same(a: Any, b: Any) -> bool:
    numbers = isinstance(a, float) and isinstance(b, float)
    return abs(a - b) <= TOLERANCE if numbers else a == b


def _published(source: str) -> list[Table]:
    return [one for one in tables().values() if one.source == source and one.published]


def derive(analysis: Analysis, follow: Callable[[list], Iterable] = iter) -> Results:
    """Derive every published table from a data set's runs.

    Parameters
    ----------
    analysis : Analysis
    follow : callable
        Gets the tables and gives them back one by one, to show how far it is.

    Raises
    ------
    ProtocolError
        If the runs can't be compared.
    """
    facts, results = facts_of(analysis), from_labels(analysis.labels, facts_of(analysis))
    for table in follow(_published("runs")):
        try:
            result = table.make(analysis, facts)
        except ProtocolError:
            if not table.optional:
                raise
            continue
        if result is not None:
            results[table.name] = result
    return {name: results[name] for name in tables() if name in results}


def from_labels(labels: Mapping[str, StoredLabels], facts: Mapping[str, Any]) -> Results:
    """Derive the tables that rest on labels alone, from those of each part."""
    return _made("labels", labels, facts)


def from_studies(histories: Sequence[StudyHistory], kept: Results | None = None) -> Results:
    """Derive all studies' tables, each row with its model; nothing without a study.

    Parameters
    ----------
    histories : sequence of StudyHistory
    kept : Results, optional
        What was published of other studies; see :func:`of_studies`.

    Raises
    ------
    StoreError
        If two studies are of one model.
    """
    made = _made("studies", histories, {}) if histories else {}
    kept = kept or {}
    both = {name: _beside(made[name], kept[name]) for name in made.keys() & kept.keys()}
    if "studies" in both:
        check_one_a_model(list(both["studies"].frame["model"]))
    return made | kept | both


def _beside(one: Result, other: Result) -> Result:
    """Put two tables' rows and notes together, by model and by study."""
    frame = pd.concat([one.frame, other.frame], ignore_index=True)
    frame = frame.sort_values("model", kind="stable", ignore_index=True)
    notes = sorted((*one.notes, *other.notes), key=lambda note: note.partition(":")[0])
    return replace(one, frame=frame, notes=tuple(notes))


def of_studies(published: Results, trials: Mapping[str, Collection[int]]) -> Results:
    """Return what a published set holds of some studies; nothing where it has none of them.

    Parameters
    ----------
    published : Results
        All tables of the set.
    trials : mapping of str to collection of int
        By a study's name the trials that runs are of: a study that chose another one is another
        study of that name, and is left out.
    """
    if "studies" not in published:
        return {}
    frame = published["studies"].frame
    chosen = zip(frame["study"], frame["chosen"], strict=True)
    frame = frame[[set(trials.get(study, ())) == {trial} for study, trial in chosen]]
    studies, models = set(frame["study"]), frame["model"]
    kept = {}
    for name in (table.name for table in _published("studies") if table.name in published):
        result = published[name]
        frame = result.frame[result.frame["model"].isin(models)].reset_index(drop=True)
        notes = tuple(note for note in result.notes if note.partition(":")[0] in studies)
        if len(frame):
            kept[name] = replace(result, frame=frame, notes=notes)
    return kept


def from_claim(audit: LabelAudit) -> Results:
    """Derive what OpenMIC-2018's labels alone say about the published claim."""
    return _made("claim", audit, {})


def _made(source: str, given: Any, facts: Mapping[str, Any]) -> Results:
    made = {table.name: table.make(given, facts) for table in _published(source)}
    return {name: result for name, result in made.items() if result is not None}
