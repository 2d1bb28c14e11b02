"""Join sets of features along the features axis."""

from collections.abc import Sequence

import numpy as np

from benchmark.errors import DataError


def join(names: Sequence[str], sets: Sequence[np.ndarray]) -> np.ndarray:
    """Join the features of the same clips.

    Parameters
    ----------
    names : sequence of str
        Of the sets, for errors.
    sets : sequence of ndarray, each of shape (n_clips, n_frames, n_features)
        A set of one frame is repeated over the frames of the others.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, total), uint8 or float32
        uint8 where all sets are.

    Raises
    ------
    DataError
        Where two sets have different numbers of clips, or of frames.
    """
    n_clips, n_frames = len(sets[0]), max(features.shape[1] for features in sets)
    for name, features in zip(names, sets, strict=True):
        if len(features) != n_clips:
            raise DataError(
                f"{name!r} has {len(features)} clips and {names[0]!r} has {n_clips}: features are"
                " joined clip by clip"
            )
        if features.shape[1] not in (1, n_frames):
            raise DataError(
                f"{name!r} has {features.shape[1]} frames a clip, another set that it is joined"
                f" with has {n_frames}; only a set of one frame is repeated"
            )
    dtype = np.uint8 if all(f.dtype == np.uint8 for f in sets) else np.float32
    repeated = [np.broadcast_to(f, (n_clips, n_frames, f.shape[2])) for f in sets]
    return np.concatenate(repeated, axis=2, dtype=dtype)
