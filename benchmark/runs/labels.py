"""Files of labels: what ``labels/<division_id>.npz`` holds beside the runs of a division."""

import numpy as np

from benchmark.contracts.dataset import Dataset
from benchmark.protocol import PARTS, Division

#: What is held of each part.
LABEL_FIELDS = ("y_true", "y_mask", "keys", "groups")


def label_arrays(division: Division) -> dict[str, np.ndarray]:
    """Return what a division's file of labels holds."""
    data: Dataset = division.dataset
    arrays = {"classes": np.array(data.classes)}
    for name in PARTS:
        for field in LABEL_FIELDS:
            arrays[f"{name}_{field}"] = getattr(data, field)[division.rows[name]]
    return arrays


def check_labels(arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError unless arrays are those of a file of labels."""
    names = {"classes", *(f"{name}_{field}" for name in PARTS for field in LABEL_FIELDS)}
    if different := sorted(names ^ arrays.keys()):
        raise ValueError(f"it lacks the array {different[0]!r}, or should not hold it")
    n_classes = arrays["classes"].size
    for name in PARTS:
        n_clips = len(np.atleast_1d(arrays[f"{name}_keys"]))
        table, column = (n_clips, n_classes), (n_clips,)
        expected = {"y_true": ("f", table), "y_mask": ("b", table), "keys": ("U", column)}
        for field, (kind, shape) in {**expected, "groups": ("U", column)}.items():
            array = arrays[f"{name}_{field}"]
            if array.dtype.kind != kind or array.shape != shape:
                raise ValueError(f"its {name}_{field} is {array.dtype} of shape {array.shape}")
        relevance = arrays[f"{name}_y_true"]
        if not ((relevance >= 0) & (relevance <= 1)).all():
            raise ValueError(f"its {name}_y_true holds relevance outside [0, 1]")
