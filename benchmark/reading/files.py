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


class UnfitError(OSError):
    """What is to be read is no regular file, or larger than such a file can be."""

    def __init__(self, problem: str) -> None:
        super().__init__(None, problem)


def open_regular(path: Path, limit: int) -> BinaryIO:
    """Open a regular file to read bytes from, without waiting for anybody.

    Parameters
    ----------
    path : Path
    limit : int
        Bytes that a file of this kind can have at most.

    Raises
    ------
    OSError
        Where it is missing or can't be opened; UnfitError where it is larger, or a device, a
        FIFO, a socket or a folder.
    """
    # without O_NONBLOCK the opening of a FIFO waits for somebody who writes
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    state = os.fstat(handle)
    problem = None
    if not stat.S_ISREG(state.st_mode):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "something else")
        problem = f"it is {kind}, not a file"
    elif state.st_size > limit:
        problem = (
            f"it has {state.st_size:,} bytes, more than the {limit:,} that such a file can have"
        )
    if problem:
        os.close(handle)
        raise UnfitError(problem)
    return os.fdopen(handle, "rb")


def open_binary(path: Path, limit: int, advice: str) -> BinaryIO:
    """Open a regular file to read bytes from; what is wrong with it is one sentence.

    Parameters
    ----------
    path, limit
        As in :func:`open_regular`.
    advice : str
        What to do where the file can't be read, as the end of a sentence.

    Raises
    ------
    DataError
        Where it is missing, larger, no regular file, or can't be opened.
    """
    try:
        return open_regular(path, limit)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {advice}") from error
    except UnfitError as error:
        raise DataError(f"{path}: {error.strerror}; {advice}") from error
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise DataError(f"{path} can't be read ({said}); {advice}") from error


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
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}): save it as"
                f" that; {advice}"
            ) from error
        except OSError as error:
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
