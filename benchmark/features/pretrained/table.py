"""Read LevelDB's table format, the container of TensorFlow's checkpoints, old and new.

A table is a run of blocks of sorted keys and values, an index block that says where each of
them lies, and a footer of 48 bytes that says where the index is. A block is stored as it is
or compressed by Snappy. The format is described in LevelDB's ``doc/table_format.md``.
"""

import struct
from collections.abc import Iterator

from benchmark.errors import DataError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
#: How a block is stored.
PLAIN, SNAPPY = 0, 1
#: Wire types of protocol buffers: the kind of value that follows a field's number.
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def entries(table: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a table, in its order.

    Parameters
    ----------
    table : memoryview
        The whole file.

    Raises
    ------
    DataError
        Where it is no such table, or damaged.
    """
    if len(table) < FOOTER or struct.unpack("<Q", table[-8:])[0] != MAGIC:
        raise DataError("it is not a TensorFlow checkpoint: its last eight bytes are others")
    try:
        at = len(table) - FOOTER
        for _ in range(2):  # the offset and the size of a block that isn't needed
            _, at = varint(table, at)
        for _, handle in _block_entries(_block(table, at)):
            yield from _block_entries(_block(handle, 0, table))
    except (IndexError, struct.error) as error:
        raise DataError(f"it is damaged: a block ends too early ({error})") from error


def _block(handle: memoryview, at: int, table: memoryview | None = None) -> memoryview:
    """Return the block whose offset and size stand at `at` in `handle`."""
    table = handle if table is None else table
    offset, at = varint(handle, at)
    size, _ = varint(handle, at)
    content, kind = table[offset : offset + size], table[offset + size]
    if kind not in (PLAIN, SNAPPY):
        raise DataError(f"it is damaged: a block is compressed in the unknown way {kind}")
    return content if kind == PLAIN else memoryview(unsnap(content))


def _block_entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield a block's entries; a key is stored as what differs from the one before."""
    (n_restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * n_restarts
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        key = key[:shared] + bytes(block[at : at + own])
        yield key, block[at + own : at + own + size]
        at += own + size


def varint(content: memoryview, at: int) -> tuple[int, int]:
    """Read a number of variable length; return it and where the next thing begins."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field of a protocol-buffer message.

    A value of fixed length is given as its bytes.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = varint(message, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if kind == EIGHT_BYTES else 4
        else:
            raise DataError(f"it is damaged: a message holds the unknown wire type {kind}")
        yield tag >> 3, message[at : at + size]
        at += size


def shape(message: memoryview) -> tuple[int, ...]:
    """Read a tensor's shape from its message ``TensorShapeProto``."""
    dims = [dict(fields(value)) for number, value in fields(message) if number == 2]
    return tuple(int(dim.get(1, 0)) for dim in dims)


def unsnap(content: memoryview) -> bytearray:
    """Decompress what Snappy compressed.

    Raises
    ------
    DataError
        Where the content is not as long as it says.
    """
    length, at = varint(content, 0)
    out = bytearray()
    while at < len(content):
        tag = content[at]
        at += 1
        if tag & 3 == 0:  # bytes as they are
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(content[at : at + extra], "little")
                at += extra
            out += content[at : at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:  # a copy from not far back
            size, back = 4 + (tag >> 2 & 7), (tag >> 5) << 8 | content[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            size, back = 1 + (tag >> 2), int.from_bytes(content[at : at + width], "little")
            at += width
        if not 0 < back <= len(out):
            raise DataError("it is damaged: a compressed block refers to what is before it")
        start = len(out) - back
        piece = out[start : start + size]
        out += (piece * (size // back + 1))[:size]  # a copy may overlap itself
    if len(out) != length:
        raise DataError(f"it is damaged: a block has {len(out)} bytes instead of {length}")
    return out
