"""How a bound number is printed: a fixed list of forms, so that Typst only sets text."""

import math
from collections.abc import Callable
from typing import Any

from benchmark.errors import PolytimbreError, UnknownNameError

MINUS, NARROW = "\u2212", "\u202f"  # a true minus; a narrow space that never breaks


def number(value: float) -> str:
    """Three decimals without the leading zero, as in ``.552``; negative zero has no sign."""
    text = f"{abs(value):.3f}"
    sign = MINUS if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def signed(value: float) -> str:
    """Like :func:`number`, with a sign in any case but zero's."""
    text = number(value)
    return f"+{text}" if value > 0 and text != ".000" else text


def count(value: float) -> str:
    """A whole number with commas, as in ``1,464``."""
    return f"{round(value):,}".replace("-", MINUS)


def decimal(value: float) -> str:
    """One decimal, as in ``1.7``."""
    return f"{value:.1f}".replace("-", MINUS)


def percent(value: float) -> str:
    """A share in per cent, one decimal, as in ``91.6 %``."""
    return f"{decimal(100 * value)}{NARROW}%"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed, as in ``+23.8``."""
    return ("+" if value > 0 else "") + decimal(100 * value)


def seconds(value: float) -> str:
    """Seconds, or minutes and hours where they are many."""
    for size, unit in ((3600, "h"), (300, "min")):
        if value >= size:
            return f"{value / (60 if unit == 'min' else size):.1f}{NARROW}{unit}"
    return f"{value:.1f}{NARROW}s" if value >= 0.1 or not value else f"{value:.2g}{NARROW}s"


def milliseconds(value: float) -> str:
    """What is stored in milliseconds, two significant digits or whole ones."""
    return f"{value:,.0f}{NARROW}ms" if value >= 10 else f"{value:.2g}{NARROW}ms"


def size(value: float) -> str:
    """Bytes, as in ``0.7 MB``."""
    return f"{value / 1e6:,.1f}{NARROW}MB" if value >= 5e4 else f"{value / 1e3:,.1f}{NARROW}kB"


def p_value(value: float, at_floor: bool = False) -> str:
    """A p-value with its relation, as in ``= .004`` or ``< .001``.

    The least that resamples can show is printed as ``<`` as well.
    """
    if value < 0.001 or at_floor:
        return f"< {number(max(1, math.ceil(1000 * value - 1e-6)) / 1000)}"
    return f"= {number(value)}"


#: Forms of a single number.
SINGLE: dict[str, Callable[[float], str]] = {
    "number": number, "signed": signed, "percent": percent, "points": points, "count": count,
    "decimal": decimal, "seconds": seconds, "ms": milliseconds, "bytes": size, "p": p_value,
}  # fmt: skip

#: Forms of a number with its interval, and what its parts are printed by.
INTERVALS = {"interval": number, "signed interval": signed, "percent interval": percent}

#: Every form; ``text`` prints words as they are stored.
FORMS = (*SINGLE, *INTERVALS, "text")


def printed(
    value: Any, low: float | None, high: float | None, form: str, at_floor: bool = False
) -> str:
    """Print a stored value.

    Parameters
    ----------
    value : float, int, bool, str or None
    low, high : float or None
        Ends of its interval, where it has one.
    form : str
        One of `FORMS`.
    at_floor : bool
        Whether it is the least p-value that the resamples can show.

    Raises
    ------
    PolytimbreError
        If the form is unknown or does not suit the value.
    """
    if form not in FORMS:
        raise UnknownNameError("form", form, FORMS)
    if form == "text":
        return str(value)
    if isinstance(value, str | bool) or value is None or not math.isfinite(value):
        shown = "nothing" if value is None or value != value else repr(value)
        raise PolytimbreError(f"it holds {shown}, which can't be printed as {form!r}")
    if form == "p":
        return p_value(value, at_floor)
    if form in SINGLE:
        return SINGLE[form](value)
    if low is None or high is None:
        raise PolytimbreError(f"it has no interval, so {form!r} can't be printed")
    one = INTERVALS[form]
    return f"{one(value)} [{one(low)}, {one(high)}]"
