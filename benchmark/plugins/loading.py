"""Fitted models read from their files, none of which is a pickle: those run what they say."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.contracts.model import Model
from benchmark.errors import PluginError

#: Whose pickles are refused just now; nobody's where it is empty.
_whose: ContextVar[str] = ContextVar("whose", default="")
#: Where files are listed that are opened just now.
_files: ContextVar[set[tuple[str, bool]] | None] = ContextVar("files", default=None)


def load_model(model: Model, folder: Path) -> None:
    """Let a model read what it has saved.

    Raises
    ------
    PluginError
        If it unpickles anything that names a class or a function, in whatever file it lies.
    """
    with no_pickles(f"model {model.name!r}"):
        model.load(folder)


@contextmanager
def no_pickles(whose: str) -> Iterator[None]:
    """Refuse pickles that name a class or a function, in this thread, until the end."""
    _watch()
    token = _whose.set(whose)
    try:
        yield
    finally:
        _whose.reset(token)


@contextmanager
def opened() -> Iterator[set[tuple[str, bool]]]:
    """Give a set to which each file is added that Python opens in this thread until the end.

    Each with its whole path, and whether it is opened for writing.
    """
    _watch()
    token = _files.set(files := set())
    try:
        yield files
    finally:
        _files.reset(token)


@cache
def _watch() -> None:
    """Hook into Python, once: every unpickler and every `open` tells it, and it can't go."""
    sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and (whose := _whose.get()):
        raise PluginError(
            f"{whose}: load reads a pickle, and none is ever loaded: write numbers with np.savez, "
            "the rest as JSON or in its library's own format"
        )
    files = _files.get()
    if event == "open" and files is not None and isinstance(args[0], str | bytes):
        writes = bool(args[2] & (os.O_WRONLY | os.O_RDWR))
        files.add((os.path.realpath(os.fsdecode(args[0])), writes))
