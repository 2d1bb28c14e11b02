"""Read the records of a ``.tfrecord`` file, with their checksums, in bounded memory."""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.reading.files import open_binary

#: Bytes of the largest shard.
MAX_SHARD_BYTES = 1 << 30
#: Bytes of the largest record: a clip of AudioSet has about 1,500.
MAX_RECORD_BYTES = 1 << 16
#: CRC-32C's polynomial, lowest bit first.
_POLYNOMIAL = 0x82F63B78
#: Bytes that a checksum takes in at once.
_BLOCK = 2048

_AGAIN = "get the shard again"


@cache
def _tables() -> np.ndarray:
    """Return what each byte adds to a CRC-32C from each distance to the end: (_BLOCK, 256)."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = (crc >> 1) ^ np.where(crc & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    tables = np.empty((_BLOCK, 256), np.uint32)
    tables[0] = crc
    for distance in range(1, _BLOCK):
        last = tables[distance - 1]
        tables[distance] = crc[last & 255] ^ (last >> 8)
    return tables


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes."""
    crc = 0xFFFFFFFF
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[start : start + _BLOCK], np.uint8).copy()
        head = min(4, len(block))
        block[:head] ^= np.frombuffer(struct.pack("<I", crc), np.uint8)[:head]
        distances = np.arange(len(block))[::-1]
        crc = int(np.bitwise_xor.reduce(_tables()[distances, block])) ^ (crc >> 8 * head)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return a checksum as TensorFlow stores it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[bytes]:
    """Yield a shard's records, each after its checksums were checked.

    Parameters
    ----------
    path : Path

    Yields
    ------
    bytes

    Raises
    ------
    DataError
        Naming shard and record, counted from 0, where a length or a checksum is wrong or the
        shard ends too early.
    """
    with open_binary(path, MAX_SHARD_BYTES, _AGAIN) as stream:
        number = 0
        while head := stream.read(12):
            problem, data = None, b""
            if len(head) < 12:
                problem = "it ends within the record's length"
            elif masked(crc32c(head[:8])) != struct.unpack("<I", head[8:])[0]:
                problem = "the checksum of the record's length is wrong"
            elif (length := struct.unpack("<Q", head[:8])[0]) > MAX_RECORD_BYTES:
                problem = f"it claims {length:,} bytes, more than a clip can have"
            elif len(data := stream.read(length + 4)) < length + 4:
                problem = "it ends within the record"
            elif masked(crc32c(data[:-4])) != struct.unpack("<I", data[-4:])[0]:
                problem = "the record's checksum is wrong"
            if problem:
                raise DataError(f"{path} is damaged at record {number}: {problem}; {_AGAIN}")
            yield data[:-4]
            number += 1
