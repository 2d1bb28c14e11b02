"""What a spreadsheet makes of a CSV file: text that begins like a formula would be computed."""

from collections.abc import Sequence
from typing import Any

#: How a formula begins, in one spreadsheet or another.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")

#: Names of the column that says which clip a row is about.
KEYS = ("clip", "file", "key", "name")
#: Columns that are named where one is missing.
MOST_NAMES = 8


def inert(value: Any) -> Any:
    """Return a cell of a CSV file as no spreadsheet computes it: text behind an apostrophe.

    Examples
    --------
    >>> inert("=1+1"), inert("cnn"), inert(-1.5)
    ("'=1+1", 'cnn', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def describe(heads: Sequence[str]) -> str:
    """Say of a heading that lacks a column what it has: another separator, or other names.

    Examples
    --------
    >>> describe(["clip;cello"])
    'its cells are separated by semicolons: save it with commas'
    """
    if not any(heads):
        return "its first line is empty"
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(heads) == 1 and mark in heads[0]:
            return f"its cells are separated by {name}: save it with commas"
    more = f" and {len(heads) - MOST_NAMES} more" if len(heads) > MOST_NAMES else ""
    return f"its columns are {', '.join(repr(head[:40]) for head in heads[:MOST_NAMES])}{more}"
