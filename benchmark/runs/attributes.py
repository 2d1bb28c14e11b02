"""Files of attributes: what is known of a division's clips beside their labels.

``labels/<division_id>-attributes.npz`` holds an array of str, shape (n_clips,), for each part and
attribute, and the SHA-256 of these.
"""

import numpy as np

from benchmark.protocol import PARTS, Division
from benchmark.runs import files

#: Of a file of attributes: the SHA-256 of its other arrays.
_SHA256 = "sha256"


def attribute_arrays(division: Division) -> dict[str, np.ndarray]:
    """Return what a division's file of attributes holds but for its hash; empty without any."""
    attributes = division.dataset.attributes.items()
    return {f"{part}_{name}": v[division.rows[part]] for part in PARTS for name, v in attributes}


def packed_attributes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a file of attributes, its hash among them."""
    return {**arrays, _SHA256: np.array(files.hash_arrays(arrays))}


def checked_attributes(content: bytes) -> dict[str, np.ndarray]:
    """Read a file of attributes; raise ValueError where it is not what was written."""
    arrays = files.read_arrays(content)
    expected = str(arrays.pop(_SHA256, ""))
    if any(values.dtype.kind != "U" or values.ndim != 1 for values in arrays.values()):
        raise ValueError("it holds something else than text of each clip")
    if files.hash_arrays(arrays) != expected:
        raise ValueError("it does not match the SHA-256 in it")
    return arrays
