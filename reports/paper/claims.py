"""Claims: assertions over stored values, as in ``{a/b/c/d} - {e/f/g/h} > 0.01 and …``."""

import operator
import re
from collections.abc import Callable
from typing import Any

from benchmark.errors import PolytimbreError
from reports.paper.formats import number

_TOKEN = re.compile(
    r"\s*(?:(?P<name>\{[^{}]*\})|(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<text>'[^']*')"
    r"|(?P<sign><=|>=|==|!=|[-+<>()])|(?P<word>[A-Za-z]+))"
)
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_EQUAL = ("==", "<=", ">=")
_WORDS = {"true": True, "false": False}
#: Sums of stored values are rounded: equal up to this.
TOLERANCE = 1e-9


def names(assertion: str) -> list[str]:
    """Return the names of the stored values that an assertion is about, each once."""
    found = [token[1:-1].strip() for kind, token in _tokens(assertion) if kind == "name"]
    return list(dict.fromkeys(found))


def holds(assertion: str, value: Callable[[str], Any]) -> tuple[bool, str]:
    """Say whether an assertion holds.

    Parameters
    ----------
    assertion : str
        Comparisons joined by ``and``. A comparison relates two or more sums by ``<``, ``<=``,
        ``>``, ``>=``, ``==`` or ``!=``; a sum adds and subtracts names in braces, numbers and
        sums in round brackets; instead of a sum there may be a text in single quotes, ``true``
        or ``false``.
    value : callable
        Gives a name's stored value.

    Returns
    -------
    bool
    str
        The assertion with values in the names' places.

    Raises
    ------
    PolytimbreError
        If it can't be read, or compares what can't be compared.
    """
    return _Reader(assertion, value).read()


def _tokens(assertion: str) -> list[tuple[str, str]]:
    found, at = [], 0
    end = len(assertion.rstrip())
    while at < end:
        match = _TOKEN.match(assertion, at)
        if match is None:
            rest = assertion[at:].strip()
            raise PolytimbreError(
                f"the claim {assertion!r} can't be read from {rest[:20]!r} on; write names in "
                "braces, as in {rendered/comparison/cnn/mAP} > 0.5"
            )
        found.append((str(match.lastgroup), match.group(match.lastgroup or 0)))
        at = match.end()
    return found


class _Reader:
    """Reads tokens from left to right, one function a level of the grammar."""

    def __init__(self, assertion: str, value: Callable[[str], Any]) -> None:
        self.assertion, self.value = assertion, value
        self.tokens, self.at, self.shown = _tokens(assertion), 0, []

    def read(self) -> tuple[bool, str]:
        true = self._comparison()
        while self._take("and"):
            true = self._comparison() and true
        if self.at < len(self.tokens):
            self._fail(f"{self.tokens[self.at][1]!r} is not expected there")
        return true, " ".join(self.shown)

    def _comparison(self) -> bool:
        left, true, related = self._sum(), True, False
        while relation := next((sign for sign in _RELATIONS if self._take(sign)), None):
            right, related = self._sum(), True
            true = self._related(left, relation, right) and true
            left = right
        if not related:
            self._fail("it compares nothing; add <, <=, >, >=, == or !=")
        return true

    def _related(self, left: Any, relation: str, right: Any) -> bool:
        numbers = [_is_number(side) for side in (left, right)]
        if all(numbers):
            equal = abs(left - right) <= TOLERANCE
            return relation in _EQUAL if equal else _RELATIONS[relation](left, right)
        if any(numbers) or type(left) is not type(right) or relation not in ("==", "!="):
            self._fail(f"{left!r} {relation} {right!r} compares what can't be compared")
        return _RELATIONS[relation](left, right)

    def _sum(self) -> Any:
        total = self._term()
        while sign := next((sign for sign in "+-" if self._take(sign)), None):
            term = self._term()
            if not (_is_number(total) and _is_number(term)):
                self._fail("only numbers can be added")
            total = total + term if sign == "+" else total - term
        return total

    def _term(self) -> Any:
        if self._take("-"):
            term = self._term()
            return -term if _is_number(term) else self._fail("only a number can be negative")
        if self._take("("):
            total = self._sum()
            return total if self._take(")") else self._fail("a bracket is not closed")
        if self.at == len(self.tokens):
            self._fail("it ends too early")
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "name":
            found = self.value(token[1:-1].strip())
            if found is None or found != found:
                self._fail(f"{token} holds no value")
        elif kind == "number":
            found = float(token)
        elif kind == "text":
            found = token[1:-1]
        elif token in _WORDS:
            found = _WORDS[token]
        else:
            self._fail(f"{token!r} is not expected there")
        self.shown.append(_shown(found) if kind == "name" else token)
        return found

    def _take(self, token: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at][1] == token:
            self.at += 1
            self.shown.append(token)
            return True
        return False

    def _fail(self, problem: str) -> Any:
        raise PolytimbreError(f"the claim {self.assertion!r} can't be read: {problem}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else repr(value)
