"""Read arrays of a ``.npz`` file that somebody else wrote, in bounded memory.

:func:`numpy.load` takes the memory that a file's headers ask for, and unpickles what they call
objects. Here each array must have the dtype and shape that the caller says, before memory is
taken for it; large integers are narrowed chunk by chunk; a pickled array of str is read by
:mod:`benchmark.reading.pickled`.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.lib import format as npy

from benchmark.errors import DataError
from benchmark.reading.files import open_binary
from benchmark.reading.pickled import NotStringsError, parse_pickled_strings

#: Bytes of a foreign array that are held beside the array that is made of it.
CHUNK_BYTES = 1 << 20
#: Bytes of the largest file that is opened: features of 20,000 clips as int64 have 205 MB.
MAX_FILE_BYTES = 1 << 33
#: Characters of the longest text in an array of str.
MAX_CHARACTERS = 256

#: Kinds of dtypes by numpy's code, as people say them.
_SAID = {
    "i": "int", "u": "uint", "f": "float", "b": "bool", "U": "str", "S": "str", "O": "object"
}  # fmt: skip

#: An array's dtype, and its shape: an axis is a length, or a name that stands for one.
Expected = tuple[str, tuple[int | str, ...]]


def load_npz(path: Path, expected: Mapping[str, Expected], **limits: int) -> dict[str, np.ndarray]:
    """Read arrays whose dtypes and shapes are known.

    Parameters
    ----------
    path : Path
    expected : mapping of str to (str, tuple)
        Each array's dtype and shape. The dtype is codes of numpy's kinds, as in ``"f"`` or
        ``"iu"``, or one dtype, as in ``"u1"`` or ``"f4"``. An axis of the shape is its length,
        or a name: the axes of one name have one length.
    **limits : int
        The largest length of each named axis. It bounds the memory.

    Returns
    -------
    dict of str to ndarray
        In the order of `expected`; what else the file holds is not read.

    Raises
    ------
    DataError
        Naming file and array, where it is missing, damaged, or of another dtype or shape.

    Examples
    --------
    >>> load_npz(path, {"X": ("u1", ("clips", 10, 128)), "keys": ("U", ("clips",))}, clips=20_000)
    """
    lengths: dict[str, int] = {}
    arrays = {}
    with NpzReader(path) as npz:
        npz.require(*expected)
        for name, (dtype, axes) in expected.items():
            shape = npz.shape(name)
            if len(shape) == len(axes):
                for axis, length in zip(axes, shape, strict=True):
                    if isinstance(axis, str) and axis not in lengths:
                        if length > limits[axis]:
                            npz.fail(
                                f"array {name!r} is for {length:,} {axis}, more than the "
                                f"{limits[axis]:,} that such a file can have"
                            )
                        lengths[axis] = length
                axes = tuple(lengths[axis] if isinstance(axis, str) else axis for axis in axes)
            arrays[name] = npz.read(name, dtype, axes)
    return arrays


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
        self._file = open_binary(self.path, MAX_FILE_BYTES, "get the file again")
        try:
            self._zip = zipfile.ZipFile(self._file)
        except Exception as error:  # zipfile raises many kinds on a damaged file
            self._file.close()
            raise DataError(f"{self.path} is not a readable .npz file: {error}") from error

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()
        self._file.close()

    def fail(self, problem: str, cause: BaseException | None = None) -> NoReturn:
        """Raise a DataError that names the file."""
        raise DataError(f"{self.path}: {problem}") from cause

    @property
    def claimed(self) -> int:
        """Bytes that all arrays take unpacked, as the archive says."""
        return sum(member.file_size for member in self._zip.infolist())

    def require(self, *names: str, advice: str = "get the file again") -> None:
        """Check that the arrays `names` are in the file; say what to do if they aren't."""
        missing = [name for name in names if f"{name}.npy" not in self._zip.namelist()]
        if missing:
            self.fail(f"array {', '.join(map(repr, missing))} is missing; {advice}")

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
        """Yield a stream that stands at the data of `name`, its shape and its dtype."""
        self.require(name)
        member = self._zip.getinfo(f"{name}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self.fail(f"array {name!r} is compressed in another way than numpy does")
        try:
            with self._zip.open(member) as stream:
                version = npy.read_magic(stream)
                if version != (1, 0):  # a later one lets the header be of any length
                    self.fail(f"array {name!r} has the unknown .npy version {version}")
                shape, fortran, dtype = npy.read_array_header_1_0(stream)
                if fortran and len(shape) > 1:
                    self.fail(f"array {name!r} is in Fortran order; save it in C order")
                self._check_size(name, member.file_size - stream.tell(), shape, dtype)
                yield stream, shape, dtype
        except DataError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise many kinds on damage
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
            Codes of the accepted dtype kinds, as in ``"f"`` or ``"iu"``, or one dtype, as in
            ``"u1"``. Bytes pass for text, ``"U"``, and come back as text.
        shape : tuple of int
            The only accepted shape: it bounds the memory.
        """
        with self._open(name) as (stream, stored, dtype):
            self._check(name, stored, shape, dtype, f"{kind}S" if kind == "U" else kind)
            array = np.empty(shape, dtype)
            self._fill(stream, memoryview(array.reshape(-1).view(np.uint8)))
            if dtype.kind in "US":
                array = array.astype(str)
                "".join(array.ravel().tolist()).encode()  # any four bytes are a character to numpy
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
        with self._open(name) as (stream, stored, dtype):
            self._check(name, stored, shape, dtype, "iu")
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
            The number of entries that the array must have.
        """
        with self._open(name) as (stream, stored, dtype):
            self._check(name, stored, (length,), dtype, "OUS")
            if dtype.kind != "O":
                return self.read(name, "U", (length,)).tolist()
            limit = 1024 + 40 * length
            data = stream.read(limit + 1)
        if len(data) > limit:
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

    def _check_size(self, name: str, there: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Check the header's size against the file's before memory is asked for."""
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != there:
            self.fail(
                f"array {name!r} holds {there} bytes, its header says another number; "
                "get the file again"
            )

    def _check(
        self, name: str, stored: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype, kind: str
    ) -> None:
        if stored != shape:
            self.fail(f"array {name!r} must have shape {shape}, got {stored}")
        if dtype.kind not in kind or (kind[-1].isdigit() and dtype.str[1:] != kind):
            kinds = dict.fromkeys(_SAID[code] for code in kind) if kind[-1].isalpha() else {}
            wanted = " or ".join(kinds) or np.dtype(kind)
            remedy = "; write texts as `.astype(str)` gives them" if "U" in kind else ""
            pickled = f" (a pickle, which is never loaded{remedy})" if dtype.hasobject else ""
            self.fail(f"array {name!r} must be {wanted}, got {dtype}{pickled}")
        if dtype.kind in "US" and dtype.itemsize > 4 * MAX_CHARACTERS:
            self.fail(f"array {name!r} has texts of more than {MAX_CHARACTERS} characters")

    @staticmethod
    def _fill(stream: IO[bytes], target: memoryview) -> None:
        """Read exactly ``len(target)`` bytes."""
        done = 0
        while done < len(target):
            count = stream.readinto(target[done : done + CHUNK_BYTES])  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"it ends {len(target) - done} bytes early")
            done += count
