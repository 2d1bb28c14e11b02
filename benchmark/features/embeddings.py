"""Features that somebody else computed: one array a data set, by the clips' keys."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from benchmark.errors import DataError
from benchmark.reading.files import open_binary
from benchmark.reading.npz import MAX_CHARACTERS, MAX_FILE_BYTES, NpzReader

#: Of an array that is read: 20,000 clips of 100 frames with 1,024 features have as many.
MAX_VALUES = 1 << 31
#: Bytes of the largest ``.npy`` file of one clip: 100 frames of 25 layers with 1,024 features have
#: 20 MB as float64.
MAX_CLIP_BYTES = 1 << 26
#: What a file may be called.
SUFFIXES = (".npz", ".parquet")
#: Bytes that an archive may hold unpacked, whatever it takes packed; beyond, `RATIO` times that.
UNPACKED, RATIO = 1 << 26, 50


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of clips, as they were found.

    Attributes
    ----------
    name : str
        The file's name and the first digits of its content's hash, as in ``"mert.npz:1a2b3c4d"``:
        what tables call it.
    sha256 : str
        Of the content.
    keys : ndarray of str, shape (n,)
    X : ndarray, shape (n, n_frames, n_features), uint8 or float32
    """

    name: str
    sha256: str
    keys: np.ndarray
    X: np.ndarray

    def of(self, keys: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the features of a data set's clips, in its order.

        Parameters
        ----------
        keys : ndarray of str, shape (n_clips,)

        Returns
        -------
        X : ndarray, shape (n_clips, n_frames, n_features)
        ignored : int
            How many clips of the file the data set does not have.

        Raises
        ------
        DataError
            Where a clip is missing.
        """
        rows = {key: row for row, key in enumerate(self.keys.tolist())}
        missing = [key for key in keys.tolist() if key not in rows]
        if missing:
            raise DataError(
                f"{self.name} lacks {len(missing)} of the data set's {len(keys)} clips, the first"
                f" is {missing[0]!r}; its own first key is {str(self.keys[0])!r}."
                " Every clip must be there, extra ones are ignored"
            )
        chosen = np.array([rows[key] for key in keys.tolist()])
        in_order = np.array_equal(chosen, np.arange(len(self.keys)))
        X = self.X if in_order else self.X[chosen]  # a copy may be as large as the memory
        if not np.isfinite(X).all():
            bad = keys[~np.isfinite(X).all(axis=(1, 2))]
            raise DataError(
                f"{self.name} holds values that are NaN or infinite as float32, the first in the"
                f" clip {str(bad[0])!r}"
            )
        return X, len(self.keys) - len(np.unique(chosen))


def read(path: Path, layer: int | None = None) -> Embeddings:
    """Read embeddings from a file or a folder.

    Parameters
    ----------
    path : Path
        ``FILE.npz`` with ``key`` (n,) and ``X``; ``FILE.parquet`` with these columns; or a
        folder with one ``KEY.npy`` a clip. ``X`` has shape (n, n_features),
        (n, n_frames, n_features), or, with `layer`, (n, n_layers, n_features). It is uint8, or
        of any kind of float and taken as float32.
    layer : int, optional
        The layer to take, counted from 0; from the last, if negative.

    Returns
    -------
    Embeddings

    Raises
    ------
    DataError
        Where something is missing, has a wrong shape or type, or would have to be unpickled.
    """
    path = Path(path)
    if path.is_dir():
        content = _read_folder(path)
    elif path.suffix in SUFFIXES:
        content = (_read_npz if path.suffix == ".npz" else _read_parquet)(path)
    else:
        raise DataError(f"{path} is no embeddings: name a {' or '.join(SUFFIXES)}, or a folder")
    sha256, keys, X = content
    if layer is not None and X.ndim == 3 and -X.shape[1] <= layer < X.shape[1]:
        layer %= X.shape[1]  # one name for one layer
    X = _check(path, keys, X, layer)
    label = path.name if layer is None else f"{path.name}[{layer}]"
    return Embeddings(f"{label}:{sha256[:8]}", sha256, keys, X)


def _check(path: Path, keys: np.ndarray, X: np.ndarray, layer: int | None) -> np.ndarray:
    """Return X as (n, frames, features), uint8 or float32."""
    if keys.dtype.kind != "U" or keys.ndim != 1:
        raise DataError(f"{path}: `key` must be text of shape (n,), got {keys.dtype} {keys.shape}")
    if not len(keys) or X.shape[:1] != keys.shape:
        raise DataError(f"{path}: {len(keys)} keys, and X of shape {X.shape}: one row a key")
    names, counts = np.unique(keys, return_counts=True)
    if counts.max() > 1:
        raise DataError(f"{path}: the key {str(names[counts.argmax()])!r} is there twice")
    if X.dtype != np.uint8 and X.dtype.kind != "f":
        raise DataError(f"{path}: X must be uint8 or floats, got {X.dtype}")
    if X.ndim not in (2, 3) or 0 in X.shape:
        raise DataError(
            f"{path}: X must have shape (n, features), (n, frames, features) or, with --layer,"
            f" (n, layers, features), got {X.shape}"
        )
    if layer is not None:
        if X.ndim != 3 or not 0 <= layer < X.shape[1]:
            raise DataError(f"{path}: there is no layer {layer} in X of shape {X.shape}")
        X = X[:, layer]
    X = X[:, None] if X.ndim == 2 else X
    with np.errstate(over="ignore"):  # what is infinite then is refused where a clip needs it
        return X if X.dtype == np.uint8 else X.astype(np.float32)


def _read_npz(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    with NpzReader(path) as npz:
        npz.require("key", "X", advice="write it by np.savez(FILE, key=keys, X=embeddings)")
        try:
            _check_claim(path, npz.claimed)
        except ValueError as error:
            npz.fail(f"{error}, more than such a file can")
        shapes = {name: npz.shape(name) for name in ("key", "X")}
        for name, shape in shapes.items():
            if math.prod(shape) > MAX_VALUES:
                npz.fail(f"array {name!r} of shape {shape} has more than {MAX_VALUES:,} values")
        keys, X = npz.read("key", "U", shapes["key"]), npz.read("X", "fu", shapes["X"])
    return _sha256(path), keys, X


def _load(path: Path, expected: tuple[tuple[int, ...], np.dtype] | None = None) -> np.ndarray:
    """Read one clip's array, whose size its header says and the file has.

    `expected`, if given, is the only accepted shape and dtype.
    """
    with open_binary(path, MAX_CLIP_BYTES, "write it by numpy.save") as file:
        try:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = header(file)
            if dtype.hasobject:
                raise ValueError("a pickle")
            held = path.stat().st_size - file.tell()
            if math.prod(shape) * dtype.itemsize != held:
                raise ValueError(f"it holds {held} bytes, its header says another number")
            if expected in (None, (shape, dtype)):
                file.seek(0)
                return npy.read_array(file, allow_pickle=False)
        except Exception as error:  # numpy raises many kinds
            objects = "it holds Python objects (a pickle), which are never loaded"
            reason = objects if "ickle" in str(error) else error or type(error).__name__
            raise DataError(f"{path} can't be read: {reason}. Write it by numpy.save") from error
    raise DataError(
        f"{path} has shape {shape} and type {dtype}, the first file has {expected[0]} and"
        f" {expected[1]}: all clips' must be alike"
    )


def _check_claim(path: Path, claimed: int) -> None:
    """Raise ValueError where a file says that it holds more than a file of its size can."""
    if claimed > UNPACKED + RATIO * path.stat().st_size:
        raise ValueError(f"it claims to hold {claimed >> 20} MiB")


def _read_folder(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    # macOS leaves some that begin so beside what it copies
    files = sorted(file for file in path.rglob("*.npy") if not file.name.startswith("._"))
    if not files:
        raise DataError(f"{path} holds no .npy file: one a clip is needed, named after its key")
    first = _load(files[0])
    if len(files) * first.size > MAX_VALUES:
        raise DataError(
            f"{path} holds {len(files):,} arrays of shape {first.shape}, together more than"
            f" {MAX_VALUES:,} values"
        )
    digest, X = hashlib.sha256(), np.empty((len(files), *first.shape), first.dtype)
    for row, file in enumerate(files):
        X[row] = _load(file, (first.shape, first.dtype))
        line = f"{file.stem} {_sha256(file)}\n"
        digest.update(line.encode(errors="surrogateescape"))  # a name need not be UTF-8
    return digest.hexdigest(), np.array([file.stem for file in files]), X


def _read_parquet(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f'{path} needs pyarrow: `pip install "polytimbre[parquet]"`, or write a .npz'
        ) from error
    with open_binary(path, MAX_FILE_BYTES, "write it by pyarrow") as file:
        try:
            stored = parquet.ParquetFile(file)
            _check_claim(path, _claimed(stored.metadata))
            held = stored.schema_arrow.names
            for name in ("key", "X"):
                if (count := held.count(name)) != 1:
                    raise DataError(
                        f"{path} must have one column `{name}`, it has {count} among:"
                        f" {', '.join(held[:20]) or 'none'}"
                    )
            table = stored.read(["key", "X"])
            keys, X = _texts(path, table["key"]), _values(path, table["X"].combine_chunks())
        except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
            raise DataError(f"{path} can't be read: {error}") from error
    return _sha256(path), keys, X


def _claimed(metadata: Any) -> int:
    """Return the bytes that a table takes: its pages hold a value that repeats only once."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    return sum(max(one.total_uncompressed_size, 4 * one.num_values) for one in columns)


def _texts(path: Path, column: Any) -> np.ndarray:
    """Return a column of text as an array of str; bytes pass for text, as in a .npz."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary())
    if kind not in texts or column.null_count:
        raise DataError(
            f"{path}: the column `key` must hold a text in each row, got {column.type},"
            f" {column.null_count} of {len(column)} rows empty"
        )
    found = column.cast(pa.large_string()).to_pylist()
    if max(map(len, found), default=0) > MAX_CHARACTERS:
        raise DataError(
            f"{path}: the column `key` has texts of more than {MAX_CHARACTERS} characters"
        )
    return np.array(found, dtype=str)


def _values(path: Path, column: Any) -> np.ndarray:
    """Return a column of numbers, or of lists of them that are all as long, as an array."""
    from pyarrow import types

    shape, of = [len(column)], column.type
    is_list = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    while any(is_one(column.type) for is_one in is_list):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if column.null_count or len(lengths) > 1:
            raise DataError(f"{path}: the column `X` must hold lists that are all as long")
        shape.append(int(lengths.max(initial=0)))
        column = column.flatten()
    if not (types.is_floating(column.type) or types.is_uint8(column.type)):
        raise DataError(f"{path}: the column `X` must hold lists of floats or uint8, got {of}")
    if column.null_count:
        raise DataError(f"{path}: the column `X` has gaps")
    return column.to_numpy(zero_copy_only=False).reshape(shape)


def _sha256(path: Path) -> str:
    with open_binary(path, MAX_FILE_BYTES, "write it anew") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
