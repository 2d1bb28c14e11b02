"""What a model's parameters may be: declared beside their defaults, by annotation.

``units: Annotated[int, Within("[1, inf)")] = 256`` allows whole numbers from 1;
``kind: Literal["1d", "2d"] = "1d"`` one of two names; ``X | None`` None too. ``Sequence[...]``
is a list with at least one entry. A parameter without an annotation may be anything that fits
into JSON.
"""

import inspect
import json
import math
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from benchmark.errors import ParameterError, PluginError


@dataclass(frozen=True)
class Within:
    """An interval of numbers, written as in mathematics: ``"(0, 1]"``, ``"[1, inf)"``."""

    interval: str

    def __post_init__(self) -> None:
        if not isinstance(self.interval, str):
            raise PluginError(f'an interval is a text such as "(0, 1]", got {self.interval!r}')
        first, last = self.interval[:1], self.interval[-1:]
        try:
            ordered = float(self.ends()[0]) < float(self.ends()[1])
        except (ValueError, IndexError):
            ordered = False
        if not (ordered and first in ("[", "(") and last in ("]", ")")):
            raise PluginError(f'{self.interval!r} is no interval: write it as in "(0, 1]"')

    def ends(self) -> list[str]:
        """Return both ends as they are written."""
        return self.interval[1:-1].replace(" ", "").split(",")

    def __contains__(self, value: float) -> bool:
        low, high = map(float, self.ends())
        above = value >= low if self.interval[0] == "[" else value > low
        return above and (value <= high if self.interval[-1] == "]" else value < high)

    def limits(self) -> Iterator[float]:
        """Yield the ends of the interval that belong to it."""
        low, high = map(float, self.ends())
        if self.interval[0] == "[":
            yield low
        if self.interval[-1] == "]":
            yield high


@dataclass(frozen=True)
class Allowed:
    """What one parameter may be.

    Attributes
    ----------
    kinds : tuple of type
        Of ``bool``, ``int``, ``float``, ``str``, ``list`` and ``NoneType``; ``object`` is all.
    names : tuple
        Single values that are allowed.
    within : Within or None
        Where numbers must lie.
    entries : Allowed or None
        What the entries of a list may be.
    """

    kinds: tuple[type, ...] = (object,)
    names: tuple[Any, ...] = ()
    within: Within | None = None
    entries: "Allowed | None" = None

    def holds(self, value: Any) -> bool:
        """Say whether a value is allowed."""
        if object in self.kinds or any(value == n and type(value) is type(n) for n in self.names):
            return True
        if value is None or isinstance(value, bool | str):
            return type(value) in self.kinds
        if isinstance(value, list | tuple):
            return list in self.kinds and len(value) > 0 and all(map(self.entries.holds, value))
        if not (isinstance(value, float) or type(value) is int):
            return False
        fits = float in self.kinds or (int in self.kinds and type(value) is int)
        return fits and math.isfinite(value) and (self.within is None or value in self.within)

    def as_declared(self, value: Any) -> Any:
        """Return a value in its declared type: 1 is 1.0 where a float is meant."""
        if isinstance(value, list | tuple) and self.entries is not None:
            return type(value)(map(self.entries.as_declared, value))
        is_float = float in self.kinds and int not in self.kinds
        return float(value) if is_float and type(value) is int else value

    def limits(self) -> Iterator[Any]:
        """Yield the smallest and the largest value, as far as there are such."""
        for end in self.within.limits() if self.within is not None else ():
            yield int(end) if int in self.kinds else end
        for value in self.entries.limits() if self.entries is not None else ():
            yield [value]

    def __str__(self) -> str:
        words = [repr(name) for name in self.names]
        if str in self.kinds:
            words.append("a text")
        if bool in self.kinds:
            words.append("true or false")
        if int in self.kinds or float in self.kinds:
            number = "a number" if float in self.kinds else "a whole number"
            words.append(number + (f" in {self.within.interval}" if self.within else ""))
        if list in self.kinds:
            words.append(f"a list of at least one entry, each {self.entries}")
        if types.NoneType in self.kinds:
            words.append("null (None)")
        return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else words[0]


#: What most parameters are.
Count = Annotated[int, Within("[1, inf)")]
Share = Annotated[float, Within("[0, 1)")]
Fraction = Annotated[float, Within("(0, 1]")]
Positive = Annotated[float, Within("(0, inf)")]
NotNegative = Annotated[float, Within("[0, inf)")]


def declared(cls: type) -> dict[str, Allowed]:
    """Return what each parameter of ``__init__`` may be.

    Raises
    ------
    PluginError
        If a parameter is no single name, or an annotation can't be read.
    """
    if cls.__init__ is object.__init__:
        return {}
    parameters = [*inspect.signature(cls.__init__).parameters.values()][1:]
    for one in parameters:
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            raise PluginError(
                f"model {cls.name!r}: __init__ takes {str(one)!r}; name each parameter, so that "
                "runs can record it"
            )
    try:
        hints = get_type_hints(cls.__init__, include_extras=True)
    except Exception as error:
        raise PluginError(
            f"model {cls.name!r}: the annotations of __init__ can't be read: {error}"
        ) from error
    return {one.name: _read(hints.get(one.name, object)) for one in parameters}


def _read(hint: Any) -> Allowed:
    """Turn an annotation into what it allows; what is not understood allows everything."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = _read(arguments[0])
        within = next((a for a in arguments[1:] if isinstance(a, Within)), None)
        return Allowed(inner.kinds, inner.names, within or inner.within, inner.entries)
    if origin is Literal:
        return Allowed((), arguments)
    if origin in (Union, types.UnionType):
        parts = [_read(argument) for argument in arguments]
        return Allowed(
            tuple(kind for part in parts for kind in part.kinds),
            tuple(name for part in parts for name in part.names),
            next((part.within for part in parts if part.within), None),
            next((part.entries for part in parts if part.entries), None),
        )
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return Allowed((list,), entries=_read(arguments[0]))
    return Allowed((hint,)) if hint in (bool, int, float, str, types.NoneType) else Allowed()


def check(cls: type, name: str, allowed: Allowed, value: Any) -> None:
    """Refuse a value that a parameter may not have.

    Raises
    ------
    ParameterError
        With what is allowed.
    PluginError
        If it could not be recorded.
    """
    if not allowed.holds(value):
        raise ParameterError(
            f"parameter {name!r} of model {cls.name!r} must be {allowed}, got {value!r}"
        )
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"parameter {name!r} of model {cls.name!r} is {value!r}, which a run's record can't "
            "hold: use Python's own numbers, texts, booleans and lists"
        ) from error
