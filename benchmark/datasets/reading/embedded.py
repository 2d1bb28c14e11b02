"""Files that come with a data set: arrays that repeat bit for bit, each with its SHA-256.

Besides the features that a data set is loaded with it may bring those of other front ends, in
8 bits as the front ends give them, one file each: :func:`write_features`.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.errors import DataError


def write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write arrays as a compressed ``.npz`` with fixed dates, and its SHA-256 beside it.

    Returns
    -------
    str
        The SHA-256, which goes to the same name with ``.sha256`` too.
    """
    path = Path(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue(), compresslevel=9)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Read a ``.npz`` after checking it against the ``.sha256`` beside it.

    Raises
    ------
    DataError
        Where either file is missing or they do not agree.
    """
    try:
        content = path.read_bytes()
        expected = path.with_suffix(".sha256").read_text().split()[0]
    except (OSError, IndexError) as error:
        raise DataError(
            f"the embedded data set can't be read ({error}); reinstall polytimbre"
        ) from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise DataError(
            f"{path} is damaged: its SHA-256 is {actual[:12]}..., {expected[:12]}... was expected;"
            " reinstall polytimbre or restore the file from the repository"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


def write_features(path: Path, keys: np.ndarray, X: np.ndarray) -> str:
    """Write one more set of features of a data set's clips, and its SHA-256 beside it.

    Parameters
    ----------
    path : Path
        The ``.npz``.
    keys : ndarray of str, shape (n_clips,)
    X : ndarray, shape (n_clips, n_frames, n_features), uint8
        As the front end gives it.

    Returns
    -------
    str
        The file's SHA-256.
    """
    if X.dtype != np.uint8 or X.ndim != 3 or len(X) != len(keys):
        raise DataError(
            f"features to embed must be uint8, one (n_frames, n_features) for each of"
            f" {len(keys)} keys, got {X.dtype} of shape {X.shape}"
        )
    # Frames that overlap differ little from one to the next, which compresses better.
    differences = np.diff(X, axis=1, prepend=np.uint8(0))
    return write_archive(path, {"keys": keys, "frame_differences": differences})


def read_features(path: Path, keys: np.ndarray) -> np.ndarray:
    """Read what :func:`write_features` wrote, uint8, for a data set's clips in its order.

    Raises
    ------
    DataError
        Where the file is missing, damaged, or of other clips.
    """
    arrays = read_archive(path)
    if not np.array_equal(arrays["keys"], keys):
        raise DataError(
            f"{path} holds features of other clips than the data set has; restore both from the"
            " repository, or write it anew"
        )
    return np.cumsum(arrays["frame_differences"], axis=1, dtype=np.uint8)
