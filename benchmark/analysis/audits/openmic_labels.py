"""OpenMIC-2018's labels by official partition, read without its features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.analysis.audits.masks import partition_labels
from benchmark.contracts.dataset import CLASSES, Dataset
from benchmark.errors import DataError
from benchmark.runs.store import Labels

#: File beside ``labels.npz`` that names the clips of the official test partition.
TEST_KEYS = Path("partitions") / "split01_test.csv"


@dataclass(frozen=True, eq=False)
class OpenMICLabels:
    """OpenMIC-2018's labels by official partition; `train` may hold only some of its clips."""

    train: Labels
    test: Labels


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
    try:
        test_keys = set(listed.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the test clips' keys can't be read from {listed} ({error}); OpenMIC-2018 has it"
        ) from error
    in_test = np.array([key in test_keys for key in keys.tolist()])
    if in_test.sum() != len(test_keys) or in_test.all() or not in_test.any():
        raise DataError(
            f"{path} must hold all {len(test_keys)} clips of {listed} and some training clips; it "
            f"holds {in_test.sum()} and {(~in_test).sum()}"
        )
    return OpenMICLabels(_labels(keys, label, ~in_test), _labels(keys, label, in_test))


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, label = stored["sample_key"], stored["label"]
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise DataError(
            f"the labels {path} can't be read ({error}); an .npz with the arrays sample_key and "
            "label is needed"
        ) from error
    shapes = keys.ndim == 1 and keys.dtype.kind == "U" and label.shape == (len(keys), len(CLASSES))
    if not shapes or not np.isin(label, (-1, 0, 1)).all() or len(np.unique(keys)) != len(keys):
        raise DataError(
            f"the labels {path} must be sample_key (n_clips,) of str, each once, and label "
            f"(n_clips, {len(CLASSES)}) of 1, -1 and 0; got {keys.dtype} {keys.shape} and "
            f"{label.dtype} {label.shape}"
        )
    return keys, label


def _labels(keys: np.ndarray, label: np.ndarray, rows: np.ndarray) -> Labels:
    keys, label = keys[rows], label[rows]
    # the artists are not in this file, and nothing here is divided by group
    return Labels((label == 1).astype(np.float32), label != 0, keys, keys, CLASSES)


def openmic_labels(dataset: Dataset) -> OpenMICLabels:
    """Return the labels of a loaded data set by partition."""
    return OpenMICLabels(partition_labels(dataset, "train"), partition_labels(dataset, "test"))
