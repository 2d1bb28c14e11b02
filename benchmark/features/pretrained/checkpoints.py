"""Read float tensors from TensorFlow's checkpoints, without TensorFlow.

The newer format (a tensor bundle) is a table of where each tensor lies in a second file; the
older one is a single table that holds the tensors' values.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.features.pretrained.table import entries, fields, shape

#: TensorFlow's number for float32.
FLOAT = 1


def read_bundle(index: Path, data: Path) -> dict[str, np.ndarray]:
    """Read every float32 tensor of a tensor bundle in one shard.

    Parameters
    ----------
    index, data : Path
        The files ``.index`` and ``.data-00000-of-00001``.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        Where a file can't be read, is no such file or is damaged.
    """
    table, content = _content(index), _content(data)
    tensors = {}
    try:
        for key, value in entries(table):
            if not key:  # the header: number of shards, byte order, version
                header = dict(fields(value))
                if header.get(1, 1) != 1 or header.get(2, 0) != 0:
                    raise DataError("it has several shards, or big-endian numbers")
                continue
            entry = dict(fields(value))
            if entry[1] != FLOAT:
                continue
            offset, size = entry.get(4, 0), entry[5]
            values = np.frombuffer(content[offset : offset + size], "<f4")
            tensors[key.decode()] = values.reshape(shape(entry[2]) if 2 in entry else ())
    except DataError as error:
        raise DataError(f"{index} can't be read: {error}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{index} and {data} do not belong together, or are damaged") from error
    return tensors


def read_single_file(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read named float32 tensors from a checkpoint of the older format.

    Parameters
    ----------
    path : Path
    names : collection of str
        What is needed: such a file may also hold an optimizer's state.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        Where the file can't be read, is no such file, is damaged or lacks a name.
    """
    shapes, values = {}, {}
    try:
        for key, message in entries(_content(path)):
            content = dict(fields(message))
            if not key:  # the meta data: each tensor's name, shape and type
                for number, tensor in fields(content[1]):
                    if number == 1:
                        meta = dict(fields(tensor))
                        shapes[bytes(meta[1]).decode()] = shape(meta.get(2, memoryview(b"")))
                continue
            part = dict(fields(content[2]))
            name = bytes(part[1]).decode()
            if name in values:
                raise DataError(f"its tensor {name!r} is stored in slices")
            if name in names:
                values[name] = _floats(part[3])
        missing = sorted(set(names) - set(values))
        if missing:
            raise DataError(f"it lacks the tensor {missing[0]!r} ({len(missing)} are missing)")
        return {name: values[name].reshape(shapes[name]) for name in names}
    except DataError as error:
        raise DataError(f"{path} can't be read: {error}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: tensors lack their shapes") from error


def _floats(tensor: memoryview) -> np.ndarray:
    """Return the values of a ``TensorProto``: packed, one by one, or as they lie in memory."""
    pieces = [value for number, value in fields(tensor) if number in (4, 5)]
    return np.frombuffer(b"".join(pieces), "<f4")


def _content(path: Path) -> memoryview:
    try:
        return memoryview(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from error
