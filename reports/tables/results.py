"""All tables of a data set: derived from its runs, written to ``results.json``, read, compared."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmark.analysis.audits.protocol_audit import LabelAudit
from benchmark.analysis.derivation import Analysis
from benchmark.errors import ProtocolError
from benchmark.runs.reading import StoredLabels
from benchmark.tuning.history import StudyHistory
from reports.tables.declaration import Result, Results, Table, facts_of, tables


def read(content: dict[str, Any]) -> Results:
    """Read the tables of a published set's ``results.json``."""
    return {name: Result.from_dict(one) for name, one in content.items()}


def write(results: Results) -> str:
    """Return tables as the text of ``results.json``, one line a row."""
    lines = []
    for name, one in results.items():
        content = one.as_dict()
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in content.pop("rows"))
        head = json.dumps(content, ensure_ascii=False)[:-1]
        lines.append(f'{json.dumps(name)}: {head}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def different(derived: Results, stored: Results, tolerance: float = 1e-9) -> list[str]:
    """Return one sentence for each table of `derived` that is not as it is `stored`.

    Parameters
    ----------
    derived, stored : dict of str to Result
    tolerance : float
        By how much numbers may differ; other processors round differently.
    """
    sentences = []
    for name, one in derived.items():
        new, old = one.as_dict(), stored[name].as_dict() if name in stored else None
        if old is None:
            sentences.append(f"table {name!r} is not stored")
        elif new["columns"] != old["columns"] or len(new["rows"]) != len(old["rows"]):
            sentences.append(f"table {name!r} has other rows or columns than the stored one")
        else:
            sentences += _different_cell(name, new, old, tolerance)
            sentences += _different_fact(name, new["facts"], old["facts"], tolerance)
    return sentences


def _different_cell(name: str, new: dict, old: dict, tolerance: float) -> list[str]:
    for row, stored in zip(new["rows"], old["rows"], strict=True):
        for column, a, b in zip(new["columns"], row, stored, strict=True):
            if not _same(a, b, tolerance):
                return [f"table {name!r}, row {row[0]!r}: {column} is {a}, stored is {b}"]
    return []


def _different_fact(name: str, new: dict, old: dict, tolerance: float) -> list[str]:
    for fact in sorted({*new, *old}):
        if not _same(new.get(fact), old.get(fact), tolerance):
            return [f"table {name!r}: the fact {fact!r} is not as it is stored"]
    return []


def _same(a: Any, b: Any, tolerance: float) -> bool:
    numbers = isinstance(a, float) and isinstance(b, float)
    return abs(a - b) <= tolerance if numbers else a == b


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


def from_studies(histories: Sequence[StudyHistory]) -> Results:
    """Derive all studies' tables, each row with its model; nothing without a study.

    Raises
    ------
    StoreError
        If two studies are of one model.
    """
    return _made("studies", histories, {}) if histories else {}


def from_claim(audit: LabelAudit) -> Results:
    """Derive what OpenMIC-2018's labels alone say about the published claim."""
    return _made("claim", audit, {})


def _made(source: str, given: Any, facts: Mapping[str, Any]) -> Results:
    made = {table.name: table.make(given, facts) for table in _published(source)}
    return {name: result for name, result in made.items() if result is not None}
