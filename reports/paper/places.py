"""The places of the paper that rest on stored runs: numbers, claims, rows and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.errors import PolytimbreError, UnknownNameError
from reports.paper import claims
from reports.paper.evidence import Evidence
from reports.paper.formats import FORMS, printed
from reports.paper.source import GIVEN, Call, Source, Text, without
from reports.paper.values import Value, bound, value
from reports.tables.declaration import tables

#: Joins the parts of a key in ``numbers.json``; ``bindings.typ`` joins alike.
BETWEEN = " | "


@dataclass(frozen=True)
class Place:
    """One place of the source that is bound.

    Attributes
    ----------
    line : int
    what : {"number", "claim", "row", "figure"}
    name : str
        Of the value, the assertion, the row or the figure.
    shown : str
        What is printed there, or the claim with its values.
    sentence : str
        Around the place.
    sets : tuple of str
        The published sets it rests on.
    values : tuple of Value
    ids : Text or None
        The ids that the source carries; a figure carries none.
    whole : bool
        Whether all its values are known.
    """

    line: int
    what: str
    name: str
    shown: str
    sentence: str
    sets: tuple[str, ...]
    values: tuple[Value, ...] = ()
    ids: Text | None = None
    whole: bool = True

    @property
    def expected(self) -> str:
        """Ids of the runs that the values rest on in the published sets."""
        return bound(self.values)

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of all runs behind it."""
        return tuple(dict.fromkeys(run for one in self.values for run in one.runs))


@dataclass
class Reading:
    """The places that were found in the paper's source, and what is wrong with it.

    Attributes
    ----------
    places : list of Place
    problems : list of (int, str)
        Line and sentence.
    printed : dict
        Content of ``numbers.json``.
    figures : list of str
        Names of the figures to be drawn.
    left_out : list of (int, str)
        Line of each block on what no set holds, and the table or row that it is about.
    text : str
        The source without the blocks on what is not published.
    """

    places: list[Place] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    printed: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            kind: {} for kind in ("num", "claim", "table", "figure", "findings")
        }
    )
    figures: list[str] = field(default_factory=list)
    left_out: list[tuple[int, str]] = field(default_factory=list)
    text: str = ""


def read(source: Source, evidence: Evidence) -> Reading:
    """Resolve every call of the source; what fails becomes a problem, all of them at once.

    Blocks on tables or rows that no set holds are left out first.
    """
    blocks = [call for call in source.calls if call.function == "published"]
    gone = [call for call in blocks if not _is_published(call, evidence)]
    left_out = [(source.line(call.start), call.positional[0].content) for call in gone]
    if gone:
        source = Source(source.name, without(source.text, gone))
    reading = Reading(left_out=left_out, text=source.text)
    reader = _Reader(source, evidence, reading)
    for call in source.calls:
        try:
            reader.read(call)
        except PolytimbreError as error:
            reader.problem(call, error)
    for at, typed in source.typed:
        sentence = source.sentence(at, at + len(typed))
        reading.problems.append(
            (
                source.line(at),
                f"{sentence!r} has the number {typed.strip()!r} typed by hand. Bind it with "
                f'#num(...), or say where it comes from with #{GIVEN}("{typed.strip()}", "source")',
            )
        )
    return reading


def _is_published(call: Call, evidence: Evidence) -> bool:
    """Whether a set holds what a block is about: a table, or one of its rows.

    True for what can't be read, such as the name of a table that is none: reading it says so.
    """
    path = call.positional[0] if call.positional else None
    dataset, _, rest = path.content.partition("/") if isinstance(path, Text) else ("", "", "")
    table, _, row = rest.partition("/")
    if table not in tables() or dataset in evidence.missing():
        return True
    one = evidence.tables.get(dataset)
    if one is None or table not in one.results:
        return False
    try:
        return not row or bool(one.row(table, row))
    except UnknownNameError:
        return False
    except PolytimbreError:  # told when the block is read
        return True


class _Reader:
    """Resolves calls; each function of ``bindings.typ`` has a method here."""

    def __init__(self, source: Source, evidence: Evidence, reading: Reading) -> None:
        self.source, self.evidence, self.reading = source, evidence, reading

    def read(self, call: Call) -> None:
        kinds: dict[str, Callable[[Call], None]] = {
            "num": self._number, "claim": self._claim,
            "table-of": self._table, "figure-of": self._figure, "findings": self._findings,
            "published": self._published, GIVEN: self._given,
        }  # fmt: skip
        kinds[call.function](call)

    def problem(self, call: Call, error: PolytimbreError) -> None:
        self.reading.problems.append(
            (self.source.line(call.start), f"{self._sentence(call)!r}: {error}")
        )

    def _sentence(self, call: Call) -> str:
        if call.body:
            return " ".join(self.source.plain(*call.body).split())
        return self.source.sentence(call.start, call.end)

    def _value(self, name: str) -> Value | None:
        """Return a value, or None where its set can't be read, which is told elsewhere."""
        if name.split("/")[0].strip() in self.evidence.missing():
            return None
        return value(self.evidence.tables, name)

    def _add(
        self,
        call: Call,
        what: str,
        name: str,
        shown: str,
        names: Sequence[str],
        values: Sequence[Value | None],
        ids: Text | None,
        sentence: str = "",
    ) -> None:
        place = Place(
            line=self.source.line(ids.start if ids else call.start),
            what=what,
            name=name,
            shown=shown,
            sentence=sentence or self._sentence(call),
            sets=tuple(dict.fromkeys(one.split("/")[0].strip() for one in names)),
            values=tuple(one for one in values if one is not None),
            ids=ids,
            whole=sum(one is not None for one in values) == len(names) > 0,
        )
        self.reading.places.append(place)
        if ids is not None and place.whole:
            self._check_ids(place, ids)

    def _check_ids(self, place: Place, ids: Text) -> None:
        expected = place.expected
        if ids.content == expected:
            return
        if not ids.content.strip():
            told = f"{place.sentence!r}: {place.name!r} is not bound to its runs"
        else:
            told = (
                f"{place.sentence!r}: {place.name!r} is of other runs: it rests on "
                f"{_shortened(expected)}, the source says {_shortened(ids.content)}"
            )
        advice = ("If that is meant, run" if ids.content else "Run") + " `polytimbre paper --bind`"
        self.reading.problems.append((place.line, f"{told}. {advice}"))

    def _number(self, call: Call) -> None:
        name, ids = _texts(call, "name", "ids")
        form = _named(call, "form", "number")
        stored = self._value(name.content)
        shown = ""
        if stored:
            try:
                shown = _printed(stored, form)
            except PolytimbreError as error:
                raise PolytimbreError(f"{name.content!r}: {error}") from error
        self.reading.printed["num"][BETWEEN.join((name.content, ids.content, form))] = shown
        self._add(call, "number", name.content, shown, [name.content], [stored], ids)

    def _claim(self, call: Call) -> None:
        assertion, ids = _texts(call, "assertion", "ids")
        if call.body is None:
            raise PolytimbreError("a claim needs its sentence in square brackets behind it")
        names = claims.names(assertion.content)
        stored = {name: self._value(name) for name in names}
        shown = ""
        if None not in stored.values():
            true, shown = claims.holds(assertion.content, lambda name: _held(stored[name]))
            if not true:
                told = f"does not hold any more: {assertion.content} is {shown}"
                advice = "Say what the runs show, or change the assertion"
                told = f"{self._sentence(call)!r} {told}. {advice}"
                self.reading.problems.append((self.source.line(call.start), told))
        self.reading.printed["claim"][BETWEEN.join((assertion.content, ids.content))] = shown
        self._add(call, "claim", assertion.content, shown, names, [*stored.values()], ids)

    def _table(self, call: Call) -> None:
        (path,) = _texts(call, "set and table")
        columns, rows = _pairs(call, "columns"), _pairs(call, "rows")
        cells = [self._row(call, path.content, row, ids, columns) for row, ids in rows]
        key = [path.content, *(f"{head.content}={spec.content}" for head, spec in columns)]
        key += [f"{row.content}={ids.content}" for row, ids in rows]
        self.reading.printed["table"][BETWEEN.join(key)] = cells

    def _row(self, call: Call, path: str, row: Text, ids: Text, columns: Any) -> list[str]:
        names, values, shown = [], [], []
        for _, spec in columns:
            column, _, form = (part.strip() for part in spec.content.partition("|"))
            name = column.replace("*", row.content) if "*" in column else ""
            name = name or f"{path}/{row.content}/{column}"
            names.append(name)
            try:
                stored = self._value(name)
                values.append(stored)
                shown.append(_cell(stored, form or "number") if stored else "")
            except PolytimbreError as error:
                told = f"table of {path!r}, row {row.content!r}: {error}"
                self.reading.problems.append((self.source.line(row.start), told))
        sentence = f"table of {path}, row {row.content}"
        joined = " ; ".join(shown)
        self._add(call, "row", f"{path}/{row.content}", joined, names, values, ids, sentence)
        return shown

    def _figure(self, call: Call) -> None:
        (name,) = _texts(call, "name")
        known = sorted({*self.evidence.tables, *self.evidence.missing()}, key=len)
        sets = [one for one in known if name.content.startswith(f"{one}-")][-1:]
        if name.content not in self.reading.figures:
            self.reading.figures.append(name.content)
        sentence = f"figure {name.content}"
        self._add(call, "figure", name.content, "", sets or known, (), None, sentence)

    def _findings(self, call: Call) -> None:
        """Print what a table's notes say, if a set holds it: nothing where it is not published."""
        (path,) = _texts(call, "set and table")
        dataset, _, name = path.content.partition("/")
        if name not in tables():
            raise UnknownNameError("table", name, tables())
        found = self.evidence.results.get(dataset, {}).get(name)
        self.reading.printed["findings"][path.content] = list(found.notes) if found else []

    def _published(self, call: Call) -> None:
        """Check a block that stands because what it is about is published."""
        (path,) = _texts(call, "set and table")
        dataset, _, rest = path.content.partition("/")
        name, _, row = rest.partition("/")
        if name not in tables():
            raise UnknownNameError("table", name, tables())
        if row and dataset in self.evidence.tables:
            self.evidence.tables[dataset].row(name, row)
        if call.body is None:
            raise PolytimbreError("#published needs its text in square brackets behind it")

    def _given(self, call: Call) -> None:
        _, origin = _texts(call, "figure", "source")
        if not origin.content.strip():
            raise PolytimbreError("a given figure must say where it comes from")


def _held(stored: Value) -> Any:
    """Return what a claim holds against others: a value with its interval, if it has one."""
    if stored.low is None or stored.high is None:
        return stored.content
    return claims.Spanned(stored.content, stored.low, stored.high)


def _texts(call: Call, *what: str) -> tuple[Text, ...]:
    """Return the first arguments, which have to be string literals."""
    texts = tuple(call.positional[: len(what)])
    for number, name in enumerate(what):
        if number >= len(texts) or not isinstance(texts[number], Text):
            empty = ' (an empty "" is filled in by `polytimbre paper --bind`)'
            raise PolytimbreError(
                f"#{call.function} needs its {name} as a text in quotes, argument {number + 1}"
                f"{empty if name == 'ids' else ''}"
            )
    return texts


def _named(call: Call, name: str, default: str) -> str:
    named = call.named.get(name)
    if named is None and name not in call.named:
        return default
    if not isinstance(named, Text) or named.content not in FORMS:
        raise UnknownNameError(name, named.content if isinstance(named, Text) else "?", FORMS)
    return named.content


def _pairs(call: Call, name: str) -> list[tuple[Text, Text]]:
    named = call.named.get(name)
    pairs = named if isinstance(named, list) else []
    whole = [p for p in pairs if isinstance(p, tuple) and all(isinstance(t, Text) for t in p)]
    if not whole or len(whole) < len(pairs):
        raise PolytimbreError(
            f"#{call.function} needs {name} as texts in quotes, "
            + ('("heading": "column")' if name == "columns" else '("row": "ids")')
        )
    return whole


def _printed(stored: Value, form: str) -> str:
    return printed(stored.content, stored.low, stored.high, form, stored.at_floor)


def _cell(stored: Value, form: str) -> str:
    """Print a table's cell: nothing is a dash, and a p value has no relation of equality."""
    if stored.content is None:
        return "–"
    try:
        return _printed(stored, form).removeprefix("= ")
    except PolytimbreError as error:
        raise PolytimbreError(f"{stored.name!r}: {error}") from error


def _shortened(ids: str) -> str:
    return ids if len(ids) <= 60 else f"{ids[:59]}…"
