"""Look for bytes that a binary reader answers with anything but an expected error (atheris).

Guided by what the readers' code reaches. Not part of the tests; with ``pip install atheris numpy``,
from the repository's root, ten minutes::

    PYTHONPATH=. python tests/fuzz/fuzz_readers.py -max_total_time=600 -rss_limit_mb=1024 FOLDER

FOLDER keeps the bytes that reached something new; the first of them are real files.
"""

import io
import struct
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["benchmark", "zipfile", "pickle", "numpy.lib"]):
    import numpy as np

    from benchmark.datasets.reading.tfrecord import crc32c, masked, read_records
    from benchmark.errors import DataError
    from benchmark.features.embeddings import read as read_embeddings
    from benchmark.reading.npz import load_npz
    from benchmark.reading.pickled import NotStringsError, parse_pickled_strings
    from benchmark.runs.files import read_arrays

EXPECTED = {"key": ("U", ("clips",)), "X": ("f4", ("clips", 4))}
PATH = Path(tempfile.mkdtemp()) / "a.npz"

#: Each reader, and what it may raise.
READERS = (
    (lambda content: load_npz(PATH, EXPECTED, clips=100), DataError),
    (lambda content: read_embeddings(PATH), DataError),
    (lambda content: list(read_records(PATH)), DataError),
    (read_arrays, ValueError),
    (parse_pickled_strings, NotStringsError),
)


def one(data: bytes) -> None:
    """Give bytes to the reader that the first of them names."""
    if not data:
        return
    read, expected = READERS[data[0] % len(READERS)]
    PATH.write_bytes(data[1:])
    try:
        read(data[1:])
    except expected as error:
        assert str(error)


def write_seeds(folder: Path) -> None:
    """Write a real file for each reader."""
    names = np.array(["a", "b", "c"])
    archive, keys = io.BytesIO(), io.BytesIO()
    np.savez_compressed(archive, key=names, X=np.zeros((3, 4), np.float32))
    np.lib.format.write_array(keys, names.astype(object), allow_pickle=True)
    length = struct.pack("<Q", 5)
    shard = length + struct.pack("<I", masked(crc32c(length))) + b"abcde"
    shard += struct.pack("<I", masked(crc32c(b"abcde")))
    contents = [archive.getvalue()] * 2 + [shard, archive.getvalue(), keys.getvalue()[128:]]
    for number, content in enumerate(contents):
        (folder / f"real-{number}").write_bytes(bytes([number]) + content)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        write_seeds(folder)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
