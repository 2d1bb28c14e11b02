"""What a spreadsheet makes of a CSV file: text that begins like a formula would be computed."""

from typing import Any

#: How a formula begins, in one spreadsheet or another.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def inert(value: Any) -> Any:
    """Return a cell of a CSV file as no spreadsheet computes it: text behind an apostrophe.

    Examples
    --------
    >>> inert("=1+1"), inert("cnn"), inert(-1.5)
    ("'=1+1", 'cnn', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
