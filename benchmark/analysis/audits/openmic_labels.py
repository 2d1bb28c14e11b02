"""OpenMIC-2018's labels by official partition, read without its features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.analysis.audits.masks import partition_labels
from benchmark.contracts.dataset import CLASSES, Dataset
from benchmark.datasets.openmic2018 import MAX_CLIPS, MAX_LIST_BYTES
from benchmark.errors import DataError
from benchmark.reading.files import read_text
from benchmark.reading.npz import load_npz
from benchmark.runs.reading import StoredLabels

#: File beside ``labels.npz`` that names the clips of the official test partition.
TEST_KEYS = Path("partitions") / "split01_test.csv"


@dataclass(frozen=True, eq=False)
class OpenMICLabels:
    """OpenMIC-2018's labels by official partition; `train` may hold only some of its clips."""

    train: StoredLabels
    test: StoredLabels


def read_labels(path: Path) -> OpenMICLabels:
    """Read OpenMIC-2018's labels without its features.

    Parameters
    ----------
    path : Path
        A ``.npz`` with `sample_key` (n_clips,) str and `label` (n_clips, 20) int8: 1 where the
        relevance is above 0.5, -1 where it is below, 0 where the label was not observed. The
        keys of the test clips lie beside it, in ``partitions/split01_test.csv``, one a line.

    Raises
    ------
    DataError
        Where a file is missing or damaged, or clips of the test partition are missing.
    """
    keys, label = _read_npz(Path(path))
    listed = Path(path).parent / TEST_KEYS
    test_keys = set(read_text(listed, MAX_LIST_BYTES, "OpenMIC-2018 has it").split())
    in_test = np.array([key in test_keys for key in keys.tolist()])
    if in_test.sum() != len(test_keys) or in_test.all() or not in_test.any():
        raise DataError(
            f"{path} must hold all {len(test_keys)} clips of {listed} and some training clips; it "
            f"holds {in_test.sum()} and {(~in_test).sum()}"
        )
    return OpenMICLabels(_labels(keys, label, ~in_test), _labels(keys, label, in_test))


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    expected = {"sample_key": ("U", ("clips",)), "label": ("i1", ("clips", len(CLASSES)))}
    try:
        arrays = load_npz(path, expected, clips=MAX_CLIPS)
    except DataError as error:
        raise DataError(
            f"{error}. Labels are an .npz with sample_key (n_clips,) of str and label "
            f"(n_clips, {len(CLASSES)}) of int8"
        ) from error
    keys, label = arrays["sample_key"], arrays["label"]
    if not len(keys) or not np.isin(label, (-1, 0, 1)).all() or len(np.unique(keys)) != len(keys):
        raise DataError(
            f"the labels {path} must hold a clip or more, each once, and labels of 1, -1 and 0; it "
            f"has {len(keys)} clips, and labels from {label.min(initial=0)} to "
            f"{label.max(initial=0)}"
        )
    return keys, label


def _labels(keys: np.ndarray, label: np.ndarray, rows: np.ndarray) -> StoredLabels:
    keys, label = keys[rows], label[rows]
    # the artists are not in this file, and nothing here is divided by group
    return StoredLabels((label == 1).astype(np.float32), label != 0, keys, keys, classes=CLASSES)


def openmic_labels(dataset: Dataset) -> OpenMICLabels:
    """Return the labels of a loaded data set by partition."""
    return OpenMICLabels(partition_labels(dataset, "train"), partition_labels(dataset, "test"))
