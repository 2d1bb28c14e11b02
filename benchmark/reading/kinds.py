"""What JSON holds, against type hints such as ``dict[str, list[float]]``."""

from types import UnionType
from typing import Any, get_args, get_origin


def is_kind(value: Any, kind: Any) -> bool:
    """Whether a JSON value is what a type hint says."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is UnionType:
        return any(is_kind(value, one) for one in args)
    if origin is dict:
        return isinstance(value, dict) and all(is_kind(one, args[1]) for one in value.values())
    if origin is list:
        return isinstance(value, list) and all(is_kind(one, args[0]) for one in value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def in_words(kind: Any) -> str:
    """Return what a type hint says in words, as in "text or null"."""
    words = {
        str: "text", int: "a whole number", float: "a number", bool: "true or false",
        dict: "a mapping", list: "a list", type(None): "null", Any: "anything",
    }  # fmt: skip
    origin, args = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return " or ".join(map(in_words, args))
    if args and args[-1] is not Any:
        return f"{words[origin]} whose values are {in_words(args[-1])}"
    return words[origin or kind]
