"""One slice of the clips against the rest: both scored on the same resamples of groups.

Average precision depends on the share of positives, which differs between slices: among clips with
many instruments a random ranking scores better. A slice and the rest are therefore compared at
equal shares. At each positive, precision is computed from the share of positives and of negatives
ranked at or above it, as if the class had the same share of positives in both:
``share * tpr / (share * tpr + (1 - share) * fpr)``.

A class with one or two positives in a slice has no average precision worth looking at. What can be
pooled over classes without that weakness is ROC-AUC: how often a positive is ranked above a
negative of the same class, mean over all positives of the slice. It depends neither on the share
nor on the number of positives. The rest is given the slice's own mixture of classes: each of its
classes counts by the slice's positives.

References
----------
W. Siblini, J. Fréry, L. He-Guelton, F. Oblé and Y.-Q. Wang, "Master your metrics with
calibration", *Advances in Intelligent Data Analysis XVIII*, 2020: precision at a given share.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from benchmark.scoring.bootstrap import BLOCK, alike, clip_draws, n_processors, seed_weights
from benchmark.scoring.counting import ObservedColumns, count_draws

#: Quantities of a slice, in the order of the first axis of :class:`SliceValues`.
QUANTITIES = ("mAP", "equal-share mAP", "mAP difference", "ROC-AUC", "ROC-AUC difference")
#: Of each quantity: what is beyond is rounding.
DECIMALS = 12
#: Of the resamples, as in :func:`benchmark.scoring.bootstrap.bootstrap`.
_SEED = 0


@dataclass(frozen=True, eq=False)
class SliceValues:
    """How several models score on a slice, and how far from the other clips.

    Attributes
    ----------
    estimate : ndarray, shape (5, n_models)
        Of each of `QUANTITIES`, mean over seeds; NaN where no class is scored.
    values : ndarray, shape (5, n_resamples, n_models)
        The same resampled, seeds resampled too.
    """

    estimate: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class _Side:
    """The ranking of one run on a slice or on the rest, as sums of counts.

    As :class:`benchmark.scoring.counting.RankingPlan`, with ties in segments of their own.
    """

    matrix: sparse.csr_array
    start: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, observed: ObservedColumns, score: np.ndarray, share: np.ndarray) -> "_Side":
        return cls(*observed.ranked(score, ties_apart=True), share)

    def evaluate(self, counts: np.ndarray) -> np.ndarray:
        """Return average precision, that at equal shares, ROC-AUC and positives of each class.

        Returns
        -------
        ndarray, shape (4, n_classes, BLOCK)
            NaN, but for the positives, where a class has no positive or no negative.
        """
        sums, n = (self.matrix @ counts).astype(np.float64), self.start[-1]
        result = np.full((4, len(self.share), counts.shape[1]), np.nan)
        result[3] = 0
        for c, (first, last) in enumerate(zip(self.start, self.start[1:], strict=False)):
            if last - first < 2:  # no positive
                continue
            clips, gained = sums[first:last], sums[n + first + 1 : n + last : 2]
            tied = clips[1::2]
            hits, seen = (np.cumsum(each, axis=0) for each in (gained, clips[:-1:2] + tied))
            false, positives = seen - hits, hits[-1]
            negatives = false[-1] + clips[-1]
            # a pair of equal scores counts half
            lost = _dot(gained, false) - _dot(gained, tied - gained) / 2
            with np.errstate(invalid="ignore", divide="ignore"):
                weight = (1 / self.share[c] - 1) * positives / negatives
                area = 1 - lost / (positives * negatives)
            weight[~np.isfinite(weight)] = 1  # of what has no value
            false *= weight
            false += hits
            # nothing seen means nothing gained: 0 / 1 stands for 0 / 0
            plain = _dot(hits / np.maximum(seen, 1), gained)
            balanced = _dot(np.divide(hits, false, out=false, where=hits > 0), gained)
            scorable = (positives > 0) & (negatives > 0)
            n_hits = np.maximum(positives, 1)
            for row, each in enumerate((plain / n_hits, balanced / n_hits, area)):
                result[row, c] = np.where(scorable, each, np.nan)
            result[3, c] = positives
        return result


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the sum of products of each column."""
    return np.einsum("ij,ij->j", one, other)


def resample_slice(
    y_positive: np.ndarray,
    y_mask: np.ndarray,
    scores: Sequence[np.ndarray],
    inside: np.ndarray,
    *,
    groups: np.ndarray,
    scored: np.ndarray,
    pooled: np.ndarray,
    n_resamples: int,
) -> SliceValues:
    """Score models on a slice and on the rest, on the clips as they are and resampled by group.

    Parameters
    ----------
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
    scores : sequence of ndarray, shape (n_seeds, n_clips, n_classes)
        One a model.
    inside : ndarray of bool, shape (n_clips,)
        The slice; the other clips are the rest.
    groups : ndarray of int, shape (n_clips,)
        Numbers of the groups that are drawn together, from 0. Slices of the same clips are
        paired.
    scored, pooled : ndarray of bool, shape (n_classes,)
        Classes that count into mAP, and into ROC-AUC.
    n_resamples : int
    """
    share = y_positive.sum(axis=0) / np.maximum(y_mask.sum(axis=0), 1)
    masks = [y_mask & (scored | pooled) & side[:, None] for side in (inside, ~inside)]
    sides = [ObservedColumns.of(y_positive, mask, groups) for mask in masks]
    plans = [
        [[_Side.of(labels, run, share) for labels in sides] for run in score] for score in scores
    ]
    once = np.ones((sides[0].n_groups, 1), sides[0].dtype)
    first = alike(scores)

    def evaluate(counts: np.ndarray, runs: list[list[_Side]]) -> np.ndarray:
        """Return the quantities of each run, shape (n_seeds, 5, n_resamples)."""
        pairs = [[side.evaluate(counts) for side in run] for run in runs]
        return np.stack([_quantities(own, rest, scored, pooled) for own, rest in pairs])

    def block(number: int) -> np.ndarray:
        counts = count_draws(clip_draws(sides[0].n_groups, _SEED, number), sides[0].dtype)
        drawn = []
        for m, runs in enumerate(plans):
            weights = seed_weights(len(runs), _SEED, number, first[m])
            drawn.append((evaluate(counts, runs) * weights[:, None]).sum(axis=0))
        return np.stack(drawn, axis=-1)

    with ThreadPoolExecutor(n_processors()) as pool:
        blocks = list(pool.map(block, range(-(-n_resamples // BLOCK))))
    estimate = np.stack([evaluate(once, runs).mean(axis=0)[:, 0] for runs in plans], axis=-1)
    return SliceValues(estimate, np.concatenate(blocks, axis=1)[:, :n_resamples])


def _quantities(
    own: np.ndarray, rest: np.ndarray, scored: np.ndarray, pooled: np.ndarray
) -> np.ndarray:
    """Return the values of `QUANTITIES` from those of each class, shape (5, n_resamples)."""
    nothing = np.full(own.shape[2], np.nan)
    plain = balanced = difference = area = behind = nothing
    if scored.any():
        plain, balanced = own[0, scored].mean(axis=0), own[1, scored].mean(axis=0)
        difference = balanced - rest[1, scored].mean(axis=0)
    if pooled.any():
        positives = own[3, pooled]
        # a class whose positives were not drawn counts nothing
        values, others = (np.where(positives > 0, one[2, pooled], 0) for one in (own, rest))
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (values * positives).sum(axis=0) / positives.sum(axis=0)
            behind = area - (others * positives).sum(axis=0) / positives.sum(axis=0)
    # a model that scores all clips alike differs by rounding alone, and not significantly
    return np.stack([plain, balanced, difference, area, behind]).round(DECIMALS)
