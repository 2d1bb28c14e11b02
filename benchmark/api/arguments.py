"""What the functions of the API may be given."""

import os
from numbers import Integral, Real
from typing import Any

from benchmark.errors import ProtocolError

#: Kinds of arguments, and what they are called.
WORDS = {
    str: "text", os.PathLike: "a path", Integral: "a whole number", Real: "a number", None: "None",
}  # fmt: skip
#: A file or folder.
PLACE = (str, os.PathLike)


def check_arguments(**arguments: tuple[Any, ...]) -> None:
    """Refuse arguments that are of no kind that is named for them.

    Parameters
    ----------
    **arguments : tuple
        By name: the value, and the kinds that it may have, of those in `WORDS`.

    Raises
    ------
    ProtocolError
    """
    for name, (value, *kinds) in arguments.items():
        if not any(_is_kind(value, kind) for kind in kinds):
            wanted = " or ".join(WORDS[kind] for kind in kinds)
            raise ProtocolError(f"{name} must be {wanted}, got {value!r}")
        if isinstance(value, str | os.PathLike) and "\0" in str(value):
            raise ProtocolError(f"{name} holds a null character, as no name does: {value!r}")
        if str in kinds and value is not None and not str(value):
            raise ProtocolError(
                f"{name} is empty" + ": leave it out, or name one" * (None in kinds)
            )


def _is_kind(value: Any, kind: Any) -> bool:
    if kind is None or isinstance(value, bool):
        return value is kind
    return isinstance(value, kind)
