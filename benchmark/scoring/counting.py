"""Average precision and F1 under resampling counts.

A resample of clips is a vector of counts: how often each clip, or group of clips, was drawn.
The metrics need no resampled data set and no new sorting, only sums of counts: average
precision those of the clips and of the positives down each class's ranking, F1 those of its
true and false positives and negatives. The sums of one run are one sparse matrix of ones, built
once; its product with the counts of a block of resamples does nearly all the work, on observed
labels alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class ObservedColumns:
    """The observed clips of each scored class, as columns; shared by all runs.

    Attributes
    ----------
    columns : list of (ndarray of int, ndarray of bool)
        Each class's observed clips, and which of them are positive.
    hit : ndarray of bool
        Positives of all columns, one after the other.
    group : ndarray of int32
        Group of the clips of all columns.
    """

    columns: list[tuple[np.ndarray, np.ndarray]]
    hit: np.ndarray
    group: np.ndarray
    n_groups: int
    dtype: np.dtype

    @classmethod
    def of(cls, y_positive: np.ndarray, y_mask: np.ndarray, group: np.ndarray) -> "ObservedColumns":
        """Collect each class's observed clips; `group` numbers the clips' groups from 0."""
        clips = [np.flatnonzero(mask) for mask in y_mask.T]
        columns = [(rows, y_positive[rows, c]) for c, rows in enumerate(clips)]
        sizes = np.bincount(group)
        # the narrowest type that holds the largest number of clips a resample can have: the
        # sums take time in proportion to its width
        dtype = np.min_scalar_type(len(sizes) * int(sizes.max()))
        hit = np.concatenate([h for _, h in columns])
        return cls(columns, hit, group[np.concatenate(clips)].astype(np.int32), len(sizes), dtype)

    def matrix(self, rows: np.ndarray, n_rows: int) -> sparse.csr_array:
        """Return the matrix that adds counts of groups into `rows`.

        `rows` has one entry a label, optionally followed by one a positive.
        """
        columns = self.group
        if len(rows) > len(columns):
            columns = np.concatenate([columns, columns[self.hit]])
        ones = np.ones(len(rows), self.dtype)
        return sparse.csr_array((ones, (rows, columns)), shape=(n_rows, self.n_groups))

    def ranked(
        self, score: np.ndarray, *, ties_apart: bool = False
    ) -> tuple[sparse.csr_array, np.ndarray]:
        """Cut each class's clips, sorted by falling score, into segments, and sum these up.

        A segment ends behind each run of ties that holds a positive; the last one is the rest.
        The others join the next such run, since only their sum is needed.

        Parameters
        ----------
        score : ndarray, shape (n_clips, n_classes)
        ties_apart : bool
            Whether a segment, empty or not, ends before such a run as well, so that its ties
            stand alone: in every other segment of the class, from the second on.

        Returns
        -------
        matrix : csr_array
            Adds counts of groups into segments: the upper half of its rows all clips, the lower
            half the positives.
        start : ndarray of int, shape (n_classes + 1,)
            Class c owns the segments from ``start[c]`` to ``start[c + 1]``.
        """
        segments, start = [], [0]
        for (clips, hit), column in zip(self.columns, score.T, strict=True):
            order = np.argsort(-column[clips], kind="stable")
            falling = column[clips][order]
            run = np.zeros(len(order), np.int64)
            run[1:] = np.cumsum(falling[1:] != falling[:-1])
            own = np.zeros(len(order), np.int64)
            own[run[hit[order]]] = 1
            before = np.cumsum(own) - own
            segment = np.empty_like(run)
            segment[order] = ((2 * before + own) if ties_apart else before)[run]
            segments.append(segment + start[-1])
            n_segments = (1 + ties_apart) * int(own.sum()) + 1
            start.append(start[-1] + (n_segments if len(order) else 0))
        segment = np.concatenate(segments)
        rows = np.concatenate([segment, segment[self.hit] + start[-1]])
        return self.matrix(rows, 2 * start[-1]), np.array(start)


@dataclass(frozen=True, eq=False)
class RankingPlan:
    """What average precision needs of one run: sums of counts, in the order of its scores.

    See :meth:`ObservedColumns.ranked` for `matrix` and `start`.
    """

    matrix: sparse.csr_array
    start: np.ndarray

    @classmethod
    def of(cls, observed: ObservedColumns, score: np.ndarray) -> "RankingPlan":
        """Sort one run's scores, shape (n_clips, n_classes), once."""
        return cls(*observed.ranked(score))

    def evaluate(self, counts: np.ndarray) -> np.ndarray:
        """Return average precision, shape (n_classes, BLOCK)."""
        n_segments = self.start[-1]
        sums = self.matrix @ counts
        values = np.full((len(self.start) - 1, counts.shape[1]), np.nan)
        for c, (first, last) in enumerate(zip(self.start, self.start[1:], strict=False)):
            if first == last:
                continue
            gained = sums[n_segments + first : n_segments + last]
            hits = np.cumsum(gained, axis=0, dtype=np.int32)
            seen = np.cumsum(sums[first:last], axis=0, dtype=np.int32)
            scorable = (hits[-1] > 0) & (hits[-1] < seen[-1])
            # nothing seen means nothing gained: 0 / 1 stands for 0 / 0
            total = np.einsum("ij,ij->j", hits / np.maximum(seen, 1), gained)
            np.divide(total, hits[-1], out=values[c], where=scorable)
        return values


@dataclass(frozen=True, eq=False)
class DecisionPlan:
    """What F1 needs of one run: sums of counts over its four kinds of clips, class by class."""

    matrix: sparse.csr_array

    @classmethod
    def of(
        cls, observed: ObservedColumns, score: np.ndarray, threshold: np.ndarray
    ) -> "DecisionPlan":
        """Decide one run's scores at thresholds of shape (n_classes,)."""
        kinds = []
        for c, (clips, hit) in enumerate(observed.columns):
            # compared in the scores' type, or a threshold may miss the score it was taken from
            yes = score[clips, c] >= threshold[c].astype(score.dtype)
            kinds.append(4 * c + 2 * yes + hit)
        return cls(observed.matrix(np.concatenate(kinds), 4 * len(observed.columns)))

    def evaluate(self, counts: np.ndarray) -> np.ndarray:
        """Return F1 of the positive class, shape (n_classes, BLOCK)."""
        sums = (self.matrix @ counts).astype(np.int64)
        tn, fn, fp, tp = sums.reshape(-1, 4, counts.shape[1]).transpose(1, 0, 2)
        scorable = (tp + fn > 0) & (tn + fp > 0)
        return np.divide(2 * tp, 2 * tp + fp + fn, out=np.full(tp.shape, np.nan), where=scorable)


def count_draws(draws: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return how often each group was drawn, shape (n_groups, BLOCK)."""
    n_rows, n_groups = draws.shape
    ones = np.ones(draws.size, np.uint8)  # 1 draw a group on average: 255 is out of reach
    ends = np.arange(0, draws.size + 1, n_groups)
    # a sparse matrix with repeated entries adds them up when it is written out
    counts = sparse.csr_array((ones, draws.ravel(), ends), shape=(n_rows, n_groups)).toarray()
    return np.ascontiguousarray(counts.T, dtype=dtype)
