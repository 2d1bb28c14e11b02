"""Open files that others wrote: regular files alone, up to a size, whatever their names say.

A link to a device or a FIFO would be read for ever, and a file of any size would be held whole;
both are refused before the first byte is read.
"""

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from benchmark.errors import DataError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; without this flag the opening of a FIFO waits for somebody who writes."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def open_binary(path: Path, limit: int, advice: str) -> BinaryIO:
    """Open a regular file to read bytes from.

    Parameters
    ----------
    path : Path
    limit : int
        Bytes that a file of this kind can have at most.
    advice : str
        What to do where the file can't be read, as the end of a sentence.

    Raises
    ------
    DataError
        Where it is missing, larger, no regular file, or can't be opened.
    """
    try:
        stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {advice}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read ({_said(error)}); {advice}") from error
    state = os.fstat(stream.fileno())
    problem = None
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "something else")
        problem = f"{path} is {kind}, not a file"
    elif state.st_size > limit:
        problem = (
            f"{path} has {state.st_size:,} bytes, more than the {limit:,} that such a file can have"
        )
    if problem:
        stream.close()
        raise DataError(f"{problem}; {advice}")
    return stream


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


@contextmanager
def open_text(path: Path, limit: int, advice: str, errors: str = "strict") -> Iterator[TextIO]:
    """Open a regular file to read UTF-8 text from, with or without a byte order mark.

    Parameters
    ----------
    path, limit, advice
        As in :func:`open_binary`.
    errors : str
        What happens to bytes that are no UTF-8; see :func:`open`.

    Raises
    ------
    DataError
        Where it can't be opened, or what is read is no UTF-8.
    """
    binary = open_binary(path, limit, advice)
    with io.TextIOWrapper(binary, encoding="utf-8-sig", errors=errors, newline="") as stream:
        try:
            yield stream
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} can't be read ({error}); {advice}") from error


def read_text(path: Path, limit: int, advice: str) -> str:
    """Return a small file's text; see :func:`open_text`."""
    with open_text(path, limit, advice) as stream:
        return stream.read()


def read_json(path: Path, limit: int, advice: str) -> Any:
    """Return what a small JSON file holds; see :func:`open_text`.

    Raises
    ------
    DataError
        Where it can't be opened, is no JSON, or is nested too deeply.
    """
    text = read_text(path, limit, advice)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError(f"{path} is no JSON that can be read (nested too deeply); {advice}") from (
            error
        )
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); {advice}") from error
