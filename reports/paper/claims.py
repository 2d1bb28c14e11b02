"""Claims: assertions over stored values, as in ``{a/b/c/d} - {e/f/g/h} > 0.01 and …``.

A value that has an interval counts with the end that makes the claim harder: ``{x} > 0.5`` holds
where the whole interval of x lies above 0.5. A claim whose interval crosses its bound fails.

An assertion is read as a Python expression, of which only comparisons joined by ``and``, sums,
numbers, texts, ``true`` and ``false`` are known here: nothing in it is called or run.
"""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.errors import PolytimbreError
from reports.paper.formats import number

#: A stored value's name in braces, or a text in quotes, in which braces are braces.
_NAME = re.compile(r"'[^']*'|\{([^{}]*)\}")
_RELATIONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_EQUAL = (ast.Eq, ast.LtE, ast.GtE)
#: Sums of stored values are rounded: equal up to this.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Spanned:
    """A number, or a sum of several, between the ends of its interval; those of a sum add up."""

    value: Any
    low: Any
    high: Any

    def __add__(self, other: "Spanned") -> "Spanned":
        return Spanned(self.value + other.value, self.low + other.low, self.high + other.high)

    def __neg__(self) -> "Spanned":
        return Spanned(-self.value, -self.high, -self.low)


def names(assertion: str) -> list[str]:
    """Return the names of the stored values that an assertion is about, each once."""
    named = (match.group(1) for match in _NAME.finditer(assertion))
    return list(dict.fromkeys(name.strip() for name in named if name is not None))


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
        Gives a name's stored value, as a :class:`Spanned` where it has an interval.

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


class _Reader:
    """Reads an assertion's syntax tree, one function a kind of node."""

    def __init__(self, assertion: str, value: Callable[[str], Any]) -> None:
        self.assertion, self.value = assertion, value

    def read(self) -> tuple[bool, str]:
        code = self._with(lambda name: f"_[{name!r}]")
        try:
            tree = ast.parse(f"({code})", mode="eval").body
            joined = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
            true = [self._comparison(node) for node in (tree.values if joined else [tree])]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._fail("it must be as {rendered/comparison/cnn/mAP} > 0.5, names in braces")
        return all(true), self._with(lambda name: _shown(self.value(name)))

    def _with(self, replace: Callable[[str], str]) -> str:
        """Return the assertion with something in the place of each name."""
        return _NAME.sub(lambda m: m[0] if m[1] is None else replace(m[1].strip()), self.assertion)

    def _comparison(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Compare):
            self._fail("it compares nothing; add <, <=, >, >=, == or !=")
        sides = [self._sum(side) for side in (node.left, *node.comparators)]
        return all([*map(self._related, sides, map(type, node.ops), sides[1:])])

    def _related(self, left: Any, kind: type[ast.cmpop], right: Any) -> bool:
        if kind not in _RELATIONS:
            self._fail("values are compared by <, <=, >, >=, == and != alone")
        numbers = [isinstance(side, Spanned) for side in (left, right)]
        if all(numbers):
            left, right = _nearest(left, right, kind)
            equal = abs(left - right) <= TOLERANCE
            return kind in _EQUAL if equal else _RELATIONS[kind](left, right)
        if any(numbers) or type(left) is not type(right) or kind not in (ast.Eq, ast.NotEq):
            self._fail(f"{left!r} and {right!r} can't be compared so")
        return _RELATIONS[kind](left, right)

    def _sum(self, node: ast.expr) -> Any:
        match node:
            case ast.Subscript(value=ast.Name(id="_"), slice=ast.Constant(value=str(name))):
                stored = self.value(name)
                if stored is None or stored != stored:
                    self._fail(f"{{{name}}} holds no value")
                return _spanned(stored)
            case ast.Name(id="true" | "false" as word):
                return word == "true"
            case ast.Constant(value=literal) if type(literal) in (int, float, str):
                return _spanned(literal)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._number(left) + self._number(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._number(left) + -self._number(right)
        self._fail(f"{ast.unparse(node)!r} is not expected there")

    def _number(self, node: ast.expr) -> Spanned:
        number = self._sum(node)
        if not isinstance(number, Spanned):
            self._fail("only numbers are added, or negative")
        return number

    def _fail(self, problem: str) -> Any:
        raise PolytimbreError(f"the claim {self.assertion!r} can't be read: {problem}")


def _spanned(value: Any) -> Any:
    """Return a number as its own interval; anything else, and an interval, as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Spanned(value, value, value) if is_number else value


def _nearest(left: Spanned, right: Spanned, kind: type[ast.cmpop]) -> tuple[Any, Any]:
    """Return the ends of two intervals between which a relation is the hardest to meet."""
    if kind in (ast.Lt, ast.LtE):
        return left.high, right.low
    if kind in (ast.Gt, ast.GtE):
        return left.low, right.high
    return left.value, right.value


def _shown(value: Any) -> str:
    if isinstance(value, Spanned):
        return f"{_shown(value.value)} ({_shown(value.low)} to {_shown(value.high)})"
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else repr(value)
