"""Checks of what the bootstrap is given, with one clear sentence for each fault."""

from collections.abc import Sequence

import numpy as np

from benchmark.errors import ProtocolError


def check_labels(y_positive: np.ndarray, y_mask: np.ndarray) -> None:
    """Refuse labels that are not bool, or not of the mask's shape."""
    for name, array in (("y_positive", y_positive), ("y_mask", y_mask)):
        if array.dtype != bool or array.ndim != 2:
            raise ProtocolError(
                f"{name} must be bool of shape (n_clips, n_classes), got {array.dtype} of "
                f"shape {array.shape}"
            )
    if y_positive.shape != y_mask.shape:
        raise ProtocolError(
            f"y_positive has shape {y_positive.shape}, but y_mask has {y_mask.shape}"
        )


def check_scores(scores: Sequence[np.ndarray], y_mask: np.ndarray) -> list[np.ndarray]:
    """Return one array (n_seeds, n_clips, n_classes) a model."""
    if not len(scores):
        raise ProtocolError("there is no model to resample: scores is empty")
    checked = []
    for m, score in enumerate(scores):
        score = np.asarray(score)
        if score.dtype.kind != "f":
            score = score.astype(np.float64)
        score = score[None] if score.ndim == 2 else score
        if score.shape[1:] != y_mask.shape or not len(score):
            raise ProtocolError(
                f"scores of model {m} must have shape (n_seeds, {y_mask.shape[0]}, "
                f"{y_mask.shape[1]}), got {score.shape}"
            )
        if np.isnan(score[:, y_mask]).any():
            raise ProtocolError(f"scores of model {m} hold NaN at observed labels")
        checked.append(score)
    return checked


def scored_classes(
    y_positive: np.ndarray, y_mask: np.ndarray, classes: Sequence[int] | None
) -> np.ndarray:
    """Return the classes that are scored, bool, shape (n_classes,): those asked for, or all."""
    positive = (y_positive & y_mask).any(axis=0)
    scorable = positive & (~y_positive & y_mask).any(axis=0)
    if classes is None:
        if not scorable.any():
            raise ProtocolError(
                "no class can be scored: none has both an observed positive and an observed "
                "negative in this part. Score a part with more observed labels"
            )
        return scorable
    if not len(classes):
        raise ProtocolError("there is no class to score: classes is empty")
    for c in classes:
        if not 0 <= c < len(scorable):
            raise ProtocolError(
                f"there is no class {c}: classes are numbered from 0 to {len(scorable) - 1}"
            )
        if not scorable[c]:
            lacks = "negative" if positive[c] else "positive"
            raise ProtocolError(
                f"class {c} can't be scored: this part has no observed {lacks} of it. Leave "
                f"the class out or score a part with more observed labels"
            )
    return np.isin(np.arange(y_mask.shape[1]), classes)


def group_numbers(groups: np.ndarray | None, n_clips: int) -> np.ndarray:
    """Number the groups of the clips from 0."""
    if groups is None:
        return np.arange(n_clips)
    if np.shape(groups) != (n_clips,):
        raise ProtocolError(f"groups must have shape ({n_clips},), got {np.shape(groups)}")
    return np.unique(groups, return_inverse=True)[1]


def spread_thresholds(thresholds: object, scores: list[np.ndarray]) -> list[np.ndarray]:
    """Broadcast to one array (n_seeds, n_classes) a model."""
    if thresholds is None:
        raise ProtocolError("metric 'f1' needs thresholds: choose them on the select part")
    if np.isscalar(thresholds) or (isinstance(thresholds, np.ndarray) and thresholds.ndim < 2):
        thresholds = [thresholds] * len(scores)
    if len(thresholds) != len(scores):
        raise ProtocolError(f"thresholds for {len(thresholds)} models, scores for {len(scores)}")
    return [
        np.broadcast_to(t, (len(score), score.shape[2]))
        for t, score in zip(thresholds, scores, strict=True)
    ]
