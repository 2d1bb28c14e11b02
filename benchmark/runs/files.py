"""Files of stored runs: read only where they are regular, and hold what they claim.

Whoever hands over a store or a published set can put anything into it. A link to a device or
a named pipe would be read for ever, a small archive can claim terabytes: both are refused.
"""

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

#: Bytes that an archive may hold unpacked, whatever it takes packed; beyond, `RATIO` times that.
UNPACKED = 64 * 2**20
RATIO = 50

#: Bytes of the largest record, or list of a published set, that is read.
LARGEST_JSON = 16 * 2**20


class NotRegularError(OSError):
    """What is read is a device, a named pipe, a socket or a folder."""

    def __init__(self) -> None:
        super().__init__(None, "it is not a regular file")


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read; where it is not a regular one, raise OSError without waiting."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotRegularError
    return os.fdopen(handle, "rb")


def read_bytes(path: Path) -> bytes:
    """Return a regular file's content."""
    with open_regular(path) as file:
        return file.read()


def read_json(path: Path) -> bytes:
    """Return the content of a regular file of JSON; raise OSError where it is far too large."""
    with open_regular(path) as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise OSError(None, f"it is larger than {LARGEST_JSON // 2**20} MiB")
    return content


def sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file's content, in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_inside(name: str) -> bool:
    """Whether a file's recorded name stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


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
