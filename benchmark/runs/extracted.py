"""Features that were computed from a data set's audio, kept in the user's cache folder.

One ``.npz`` for each data set and front end, with ``key`` and ``X`` like any file of embeddings,
and its SHA-256 beside it. The name holds a hash of all that the features follow from.
"""

import hashlib
from pathlib import Path

import numpy as np

from benchmark import features as front_ends
from benchmark.audio.resampling import QUALITY
from benchmark.audio.windows import CLIP_FRAMES
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.frontend import FrontEnd
from benchmark.errors import DataError
from benchmark.features import embeddings
from benchmark.features.pretrained import files
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.runs.record import digest

#: Raised by hand when the way from a clip's audio to the file changes.
FORMAT = 1


def path_of(dataset: Dataset, front_end: type[FrontEnd]) -> Path:
    """Return where the features of a data set's clips lie, or will.

    Labels and split play no part, so that data sets of the same clips share them.

    Parameters
    ----------
    dataset : Dataset
        On its own features, which tell one version of its audio from another.
    front_end : subclass of FrontEnd
    """
    content = {
        "format": FORMAT,
        "keys": hashlib.sha256("\n".join(dataset.keys.tolist()).encode()).hexdigest(),
        "clips": dataset.features_sha256,
        "front end": source_hash(front_end, (front_ends.__name__,)),
        "weights": [weights.checksum for weights in front_end.weights],
        "resampler": QUALITY,
        "frames": CLIP_FRAMES,
    }
    name = f"{dataset.name}-{front_end.name}-{digest(content)}.npz"
    return files.folder() / "features" / name


def checksum_of(path: Path) -> Path:
    """Return the file with the SHA-256 of an extracted one; it is written last."""
    return path.with_suffix(".sha256")


def damage(path: Path) -> str | None:
    """Say why an extracted file can't be used; None where it is there and whole."""
    noted = checksum_of(path)
    try:
        found = files.checksum(path, "sha256").removeprefix("sha256:")
        whole = noted.read_bytes().startswith(found.encode())
    except OSError as error:
        return f"{error.filename or path} can't be read ({error.strerror or error})"
    return None if whole else f"its SHA-256 is {found[:12]}..., {noted.name} says another"


def read(dataset: Dataset, front_end: type[FrontEnd]) -> np.ndarray:
    """Read extracted features in the order of a data set's clips.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_features)

    Raises
    ------
    DataError
        Where they were not extracted yet, with the command that does it, or are damaged.
    """
    path = path_of(dataset, front_end)
    command = f"polytimbre features extract --dataset {dataset.name} --features {front_end.name}"
    plugin = registry.datasets().plugins.get(dataset.name)
    command += " --data-root FOLDER" if plugin is not None and plugin.needs_root else ""
    if not checksum_of(path).exists():
        raise DataError(
            f"the {front_end.name} features of data set {dataset.name!r} are not here yet:"
            f" `{command}` computes them once from its audio ({path} is missing)"
        )
    if why := damage(path):
        raise DataError(f"{path} is damaged: {why}. `{command}` computes it again")
    return embeddings.read(path).of(dataset.keys)[0]
