"""Files of stored runs: read up to a size, and only where they hold what they claim.

Whoever hands over a store or a published set can put anything into it. What
:func:`benchmark.reading.files.open_regular` refuses is refused, and so is an archive that claims
more than it can hold.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from benchmark.reading.files import open_regular

#: Bytes that an archive may hold unpacked, whatever it takes packed; beyond, `RATIO` times that.
UNPACKED = 64 * 2**20
RATIO = 50

#: Bytes of the largest record, or list of a published set, that is read; of the largest file of
#: scores or labels, which would do for three million clips; and of any file, as of a model.
LARGEST_JSON, LARGEST_ARRAYS, LARGEST = 2**24, 2**28, 2**33


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file of arrays; raise OSError where it is far too large."""
    with open_regular(path, LARGEST_ARRAYS) as file:
        return file.read()


def read_json(path: Path) -> bytes:
    """Return the content of a regular file of JSON; raise OSError where it is far too large."""
    with open_regular(path, LARGEST_JSON) as file:
        return file.read()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file's content, in hexadecimal digits."""
    with open_regular(path, LARGEST) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_inside(name: str) -> bool:
    """Whether a file's recorded name stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def put(target: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: what stood there stays until it is whole.

    Raises
    ------
    OSError
        Where it can't be written; nothing is left then.
    """
    if target.exists() and not target.is_file():  # a device or a pipe, as /dev/stdout may be
        target.write_bytes(content)
        return
    place = Path(os.path.realpath(target))  # a link to itself is replaced
    try:
        handle, name = tempfile.mkstemp(prefix=".polytimbre-", dir=place.parent)
    except OSError as error:
        error.filename = str(target)
        raise
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(place.stat().st_mode if place.exists() else 0o666 & ~umask)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file's content, by name.

    Raises
    ------
    ValueError
        If it is damaged, holds Python objects, or claims more than such a file can hold.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > UNPACKED + RATIO * len(content):
            raise ValueError(f"it claims to hold {claimed / 2**20:.0f} MiB")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise ValueError(str(error) or type(error).__name__) from error


def hash_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of what arrays hold, however they are packed."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.kind} {array.shape}\n".encode())
        if array.dtype.kind == "U":
            digest.update("\0".join(array.ravel().tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
