"""Read arrays of a foreign ``.npz`` file in bounded memory and without executing pickles.

:func:`numpy.load` does neither: an object array is unpickled, which runs whatever the file
says, and an int64 array is held whole before it can be narrowed. Here large integers are
narrowed chunk by chunk, and a pickled array of str is *read* as data: its opcodes are
listed by :func:`pickletools.genops`, which executes nothing, and replayed on a stack that
holds names instead of objects.
"""

import math
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

from benchmark.errors import DataError

#: Bytes of the foreign array held at once.
CHUNK_BYTES = 1 << 20
#: An array of names beyond this size is a damaged or hostile file.
MAX_NAMES_BYTES = 1 << 26

#: What a pickled numpy array refers to; numpy 2 renamed the package of the first.
_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_NDARRAY, _DTYPE, _ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
_KNOWN_NAMES = _RECONSTRUCT | {_NDARRAY, _DTYPE, _ENCODE}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}


#: What zipfile, zlib and numpy raise on a damaged, encrypted or foreign member.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)


class NotStringsError(ValueError):
    """The pickle holds anything but one numpy array of str."""


class _Name(str):
    """A global that a pickle names; never imported."""


class _Call(NamedTuple):
    """A call that a pickle asks for; never made."""

    function: Any
    arguments: Any


class _Built(NamedTuple):
    """An object whose state a pickle sets; never made."""

    made: Any
    state: Any


_MARK = object()


class _Replay:
    """The pickle machine with every action left out."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Replay one opcode; refuse the ones that a numpy array of str does not need."""
        stack = self.stack
        if opcode in ("PROTO", "FRAME", "STOP"):
            return
        if opcode in _VALUES:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode == "MARK":
            stack.append(_MARK)
        elif opcode == "EMPTY_LIST":
            stack.append([])
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif opcode in ("APPEND", "APPENDS"):
            items = self._pop(1) if opcode == "APPEND" else self._pop_to_mark()
            stack[-1] += items
        elif opcode in _PUTS or opcode == "MEMOIZE":
            self.memo[len(self.memo) if opcode == "MEMOIZE" else argument] = stack[-1]
        elif opcode in _GETS:
            stack.append(self.memo[argument])
        elif opcode in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument if opcode == "GLOBAL" else " ".join(self._pop(2)))
        elif opcode in ("REDUCE", "BUILD"):
            stack.append((_Call if opcode == "REDUCE" else _Built)(*self._pop(2)))
        else:
            raise NotStringsError(f"opcode {opcode}")

    def _name(self, name: str) -> None:
        if name not in _KNOWN_NAMES:
            raise NotStringsError(f"a reference to {name.replace(' ', '.')!r}")
        self.stack.append(_Name(name))

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise NotStringsError("an empty stack")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]


def _is_empty_array(made: Any) -> bool:
    """Whether `made` is the call that starts every pickled numpy array."""
    match made:
        case _Call(_Name() as function, (_Name() as kind, (0,), first)):
            # Protocol 2 has no bytes: Python 3 spells b"b" as a call, Python 2 as a str.
            latin = _Call(_Name(_ENCODE), ("b", "latin1"))
            return function in _RECONSTRUCT and kind == _NDARRAY and first in (b"b", "b", latin)
    return False


def _is_object_dtype(dtype: Any) -> bool:
    match dtype:
        case _Built(_Call(_Name() as name, ("O8" | "O4" | "O", *_)), tuple()):
            return name == _DTYPE
    return False


def parse_pickled_strings(data: bytes) -> list[str]:
    """Read a pickled one-dimensional numpy array of str without unpickling it.

    Parameters
    ----------
    data : bytes
        A pickle of protocol 2, 3 or 4, as ``numpy.save`` writes for an object array.

    Returns
    -------
    list of str

    Raises
    ------
    NotStringsError
        Where the pickle holds anything else. Nothing in it was executed or imported.
    """
    replay = _Replay()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            replay.step(opcode.name, argument)
    except NotStringsError:
        raise
    except (ValueError, LookupError, TypeError) as error:
        raise NotStringsError(f"a damaged pickle ({error})") from error
    match replay.stack:
        case [_Built(made, (1, (int() as count,), dtype, False, list() as items))]:
            if not (_is_empty_array(made) and _is_object_dtype(dtype)):
                raise NotStringsError("no numpy array")
            if not all(type(item) is str for item in items):
                raise NotStringsError("entries that are not str")
            if len(items) != count:
                raise NotStringsError(f"{len(items)} entries where its header says {count}")
            return items
    raise NotStringsError("no one-dimensional numpy array")


class NpzReader:
    """Arrays of one ``.npz`` file; use as a context manager.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        From every method, where the file or an array is missing, damaged or not what the
        caller says it must be.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise DataError(f"{self.path} does not exist") from error
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self.path} is not a readable .npz file: {error}") from error

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def fail(self, problem: str, cause: BaseException | None = None) -> NoReturn:
        """Raise a DataError that names the file."""
        raise DataError(f"{self.path}: {problem}") from cause

    def require(self, *names: str) -> None:
        """Check that the arrays `names` are in the file."""
        missing = [name for name in names if f"{name}.npy" not in self._zip.namelist()]
        if missing:
            self.fail(f"array {', '.join(map(repr, missing))} is missing; get the file again")

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
        """Yield a stream that stands at the data of `name`, its shape and its dtype."""
        self.require(name)
        try:
            with self._zip.open(f"{name}.npy") as stream:
                version = npy.read_magic(stream)
                read = npy.read_array_header_1_0 if version == (1, 0) else None
                read = npy.read_array_header_2_0 if version == (2, 0) else read
                if read is None:
                    self.fail(f"array {name!r} has the unknown .npy version {version}")
                shape, fortran, dtype = read(stream)
                if fortran and len(shape) > 1:
                    self.fail(f"array {name!r} is in Fortran order; save it in C order")
                self._check_size(name, stream.tell(), shape, dtype)
                yield stream, shape, dtype
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            self.fail(f"array {name!r} is damaged ({error}); get the file again", error)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of array `name` from its header alone."""
        with self._open(name) as (_, shape, _):
            return shape

    def read(self, name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a small array.

        Parameters
        ----------
        name : str
        kind : str
            Codes of the accepted dtype kinds, for example ``"f"`` or ``"iu"``.
        shape : tuple of int
            The only accepted shape: it bounds the memory.
        """
        with self._open(name) as (stream, found, dtype):
            self._check(name, found, shape, dtype, kind)
            array = np.empty(shape, dtype)
            self._fill(stream, memoryview(array.reshape(-1).view(np.uint8)))
            return array

    def read_as_uint8(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return an integer array of any width as uint8, never holding the wide copy.

        Parameters
        ----------
        name : str
        shape : tuple of int
            The only accepted shape.

        Returns
        -------
        ndarray, uint8
        """
        with self._open(name) as (stream, found, dtype):
            self._check(name, found, shape, dtype, "iu")
            array = np.empty(shape, np.uint8)
            flat = array.reshape(-1)
            buffer = np.empty(CHUNK_BYTES // dtype.itemsize, dtype)
            for start in range(0, flat.size, buffer.size):
                chunk = buffer[: min(buffer.size, flat.size - start)]
                self._fill(stream, memoryview(chunk.view(np.uint8)))
                if chunk.min() < 0 or chunk.max() > 255:
                    self.fail(f"array {name!r} holds values outside 0 to 255; get the file again")
                flat[start : start + chunk.size] = chunk
            return array

    def read_strings(self, name: str, length: int) -> list[str]:
        """Return a one-dimensional array of str, pickled or not.

        Parameters
        ----------
        name : str
        length : int
            The number of entries the array must have.
        """
        with self._open(name) as (stream, found, dtype):
            self._check(name, found, (length,), dtype, "OU")
            if dtype.kind == "U":
                array = np.empty(length, dtype)
                self._fill(stream, memoryview(array.view(np.uint8)))
                return array.tolist()
            data = stream.read(MAX_NAMES_BYTES + 1)
        if len(data) > MAX_NAMES_BYTES:
            self.fail(f"array {name!r} is too large to hold names")
        try:
            names = parse_pickled_strings(data)
        except NotStringsError as error:
            self.fail(
                f"array {name!r} is a pickle that holds {error}; only text is read from "
                "pickles and nothing of it was run, get the file from its publisher again",
                error,
            )
        if len(names) != length:
            self.fail(f"array {name!r} has {len(names)} entries, expected {length}")
        return names

    def _check_size(self, name: str, start: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Check the header's size against the file's before memory is asked for."""
        there = self._zip.getinfo(f"{name}.npy").file_size - start
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != there:
            self.fail(
                f"array {name!r} holds {there} bytes, its header says another number; "
                "get the file again"
            )

    def _check(
        self, name: str, found: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype, kind: str
    ) -> None:
        if found != shape:
            self.fail(f"array {name!r} must have shape {shape}, got {found}")
        if dtype.kind not in kind:
            kinds = {"i": "int", "u": "uint", "f": "float", "b": "bool", "U": "str", "O": "object"}
            wanted = " or ".join(kinds[code] for code in kind)
            self.fail(f"array {name!r} must be {wanted}, got {dtype}")

    @staticmethod
    def _fill(stream: IO[bytes], target: memoryview) -> None:
        """Read exactly ``len(target)`` bytes."""
        done = 0
        while done < len(target):
            count = stream.readinto(target[done:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"it ends {len(target) - done} bytes early")
            done += count
