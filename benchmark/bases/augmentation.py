"""Augmentation of training clips, drawn anew each epoch."""

import numpy as np


def roll(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Start each clip at a random frame and go on with its beginning.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_features)
    """
    n_clips, n_frames, _ = X.shape
    order = (np.arange(n_frames) + rng.integers(n_frames, size=(n_clips, 1))) % n_frames
    return np.take_along_axis(X, order[:, :, None], axis=1)


def mask_frames(X: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a random share of each clip's frames to 0, the mean of standardised features.

    Time masking as in SpecAugment (Park et al., Interspeech 2019), one frame at a time.
    """
    kept = rng.random((*X.shape[:2], 1)) >= share
    return X * kept.astype(X.dtype)


def mix(
    X: np.ndarray, target: np.ndarray, weight: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mix each clip with another one: mixup (Zhang et al., ICLR 2018) on partial labels.

    The mixed clip's loss is both clips' losses, mixed. Cross-entropy is linear in its target,
    so that is one loss with the mean target, weighted by the share that was observed.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_features)
    target, weight : ndarray, shape (n_clips, n_classes)
        Relevance, and its weight in the loss: 0 where the label was not observed.
    alpha : float
        Both parameters of the Beta distribution that shares are drawn from.

    Returns
    -------
    tuple of ndarray
        The mixed `X`, `target` and `weight`.
    """
    share = rng.beta(alpha, alpha, size=(len(X), 1)).astype(np.float32)
    other = rng.permutation(len(X))
    both = share * weight + (1 - share) * weight[other]
    summed = share * weight * target + (1 - share) * (weight * target)[other]
    mixed = share[:, :, None] * X + (1 - share)[:, :, None] * X[other]
    return mixed, summed / np.maximum(both, np.float32(1e-12)), both
