"""Mask audit: what comparisons on partly observed labels are worth.

The same scores are scored on all labels and on the observed ones alone: under a given mask, or
under masks drawn at OpenMIC-2018's rates. What comes out is each metric's bias and spread, and
how far the ranking of the models agrees.

References
----------
M. G. Kendall, "A new measure of rank correlation", *Biometrika* 30, 1938.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmark.analysis.audits.masks import (
    OPENMIC_RATES,
    Rates,
    align,
    observation_chances,
    openmic_like_mask,
    preselected_mask,
)
from benchmark.analysis.comparison import Entry
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record
from benchmark.scoring.metrics import Ranking, decisions, macro
from benchmark.scoring.thresholds import decide

#: Metrics in the order of the tables; "F1" is macro F1 at the global threshold.
METRICS = ("mAP", "F1", "ROC-AUC")

#: Multiples of OpenMIC's rates at which masks are drawn.
SHARES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)

#: A level of observation can be trusted where tau reaches `TRUSTED_TAU` in `TRUSTED_DRAWS` of
#: the masks drawn.
TRUSTED_TAU, TRUSTED_DRAWS = 0.9, 0.95


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """One model's scores on the clips of the audit, one array a seed.

    Attributes
    ----------
    label : str
    scores : tuple of ndarray, shape (n_clips, n_classes)
    predictions : tuple of ndarray of bool, shape (n_clips, n_classes)
        Scores at or above the global threshold, which was chosen on the select part: one and
        the same under every mask, so that nothing but the scored labels changes.
    """

    label: str
    scores: tuple[np.ndarray, ...]
    predictions: tuple[np.ndarray, ...]


def scored_models(
    entries: Sequence[Entry], store: Runs, seed: int | None = None
) -> list[ScoredModel]:
    """Return the stored scores of a comparison's entries on test, and what they decide.

    With a `seed`, those of runs of this seed alone; an entry without one is left out.
    """
    models = []
    for entry in entries:
        scores, predictions = [], []
        for record, evaluation in zip(entry.records, entry.evaluations, strict=True):
            if seed is None or record.spec.seed == seed:
                scores.append(store.scores(record)["test"])
                predictions.append(decide(scores[-1], evaluation.thresholds["global"]))
        if scores:
            models.append(ScoredModel(entry.label, tuple(scores), tuple(predictions)))
    return models


def first_seed(records: Iterable[Record]) -> int:
    """Return the seed of the runs that :func:`audit_given_mask` is made of.

    One seed is enough to say what a mask does to a metric; a published set holds these runs'
    scores of all test labels, and of other runs those of observed labels.
    """
    return min(record.spec.seed for record in records)


@dataclass(frozen=True, eq=False)
class Level:
    """Metrics and rankings under masks that leave one share of the labels observed.

    Attributes
    ----------
    share : float or None
        Multiple of OpenMIC's rates; None for a given mask.
    present, labels : float
        Mean number of observed positives, and of observed labels, per class and mask.
    prevalence : float
        Share of positives among the observed labels, mean over masks.
    n_classes : float
        Mean number of classes that can be scored.
    capped : int
        Classes of which all positives or all negatives are observed, as the rates ask for more.
    values : ndarray, shape (n_masks, n_metrics, n_models)
        Macro values, mean over seeds; NaN where a mask leaves no class to score.
    tau : ndarray, shape (n_masks, n_metrics)
        Kendall's tau-b between the models' values under the mask and on all labels.
    """

    share: float | None
    present: float
    labels: float
    prevalence: float
    n_classes: float
    capped: int
    values: np.ndarray
    tau: np.ndarray

    def masked(self) -> np.ndarray:
        """Each metric's mean over masks, shape (n_metrics, n_models)."""
        return self._scored.mean(axis=0) if len(self._scored) else self._nothing

    def spread(self) -> np.ndarray:
        """Return the standard deviation over masks, (n_metrics, n_models); NaN for one mask."""
        return self._scored.std(axis=0, ddof=1) if len(self._scored) > 1 else self._nothing

    @cached_property
    def _scored(self) -> np.ndarray:
        """Values under the masks that leave a class to score."""
        return self.values[~np.isnan(self.values).any(axis=(1, 2))]

    @property
    def _nothing(self) -> np.ndarray:
        return np.full(self.values.shape[1:], np.nan)

    def mean_tau(self) -> np.ndarray:
        """Kendall's tau, mean over masks, shape (n_metrics,); NaN where there is none."""
        return np.array([known.mean() if len(known) else np.nan for known in self._known_taus])

    def low_tau(self) -> np.ndarray:
        """Kendall's tau, 5 % quantile over masks, shape (n_metrics,); NaN where there is none."""
        taus = self._known_taus
        return np.array([np.quantile(t, 0.05) if len(t) else np.nan for t in taus])

    @property
    def _known_taus(self) -> list[np.ndarray]:
        return [column[~np.isnan(column)] for column in self.tau.T]

    def agreeing(self) -> np.ndarray:
        """Share of the masks with a tau of at least `TRUSTED_TAU`, shape (n_metrics,).

        A mask whose ranking can't be compared does not agree.
        """
        # the tolerance lets a tau of exactly the bound pass in spite of rounding
        return (np.nan_to_num(self.tau, nan=-1.0) >= TRUSTED_TAU - 1e-9).mean(axis=0)


@dataclass(frozen=True, eq=False)
class Preselected:
    """Rankings where one of the models chose the clips whose labels are observed.

    Attributes
    ----------
    level : Level
    rank_change : ndarray, shape (n_metrics,)
        Mean change of the rank of the model that chose; above 0 where it falls behind.
    """

    level: Level
    rank_change: np.ndarray


@dataclass(frozen=True, eq=False)
class MaskAudit:
    """Metrics and rankings under masks against those on all labels.

    Attributes
    ----------
    models : tuple of str
    n_clips : int
    present, labels : float
        Mean number of positives, and of labels, per class that has labels.
    prevalence : float
        Share of positives among all labels.
    full : ndarray, shape (n_metrics, n_models)
        Macro values on all labels, mean over seeds.
    levels : tuple of Level
        By rising share; one for a given mask.
    preselected : Preselected or None
        Under masks at OpenMIC's own rates whose clips a model chose; None for a given mask.
    """

    models: tuple[str, ...]
    n_clips: int
    present: float
    labels: float
    prevalence: float
    full: np.ndarray
    levels: tuple[Level, ...]
    preselected: Preselected | None = None

    def same_winner(self, level: Level) -> np.ndarray:
        """Return the share of masks under which the best model on all labels is the best.

        Returns
        -------
        ndarray, shape (n_metrics,)
            A mask that leaves no class to score has no best model.
        """
        values = np.nan_to_num(level.values, nan=-1.0)
        return (values.argmax(axis=2) == self.full.argmax(axis=1)).mean(axis=0)

    @property
    def reference(self) -> Level:
        """The given mask, or the level nearest to OpenMIC's own rates."""
        return min(self.levels, key=lambda x: abs(np.log(x.share)) if x.share else 0.0)

    def bias(self, level: Level) -> np.ndarray:
        """How far each metric is off, mean over masks, shape (n_metrics, n_models)."""
        return level.masked() - self.full

    def enough(self, metric: str) -> Level | None:
        """Return the least level from which on the ranking can be trusted, or None.

        At it and at every level above, `TRUSTED_DRAWS` of the masks keep the ranking with a
        tau of at least `TRUSTED_TAU`.
        """
        least = None
        for level in reversed(self.levels):
            if level.agreeing()[METRICS.index(metric)] < TRUSTED_DRAWS:
                break
            least = level
        return least


def audit_given_mask(
    full: StoredLabels, observed: StoredLabels, models: Sequence[ScoredModel]
) -> MaskAudit:
    """Score the same runs on all labels and under the mask a data set came with.

    Parameters
    ----------
    full : StoredLabels
        Complete labels, for instance those of ``rendered-full``; clips are matched by key.
    observed : StoredLabels
        The clips that `models` scored, partly observed.
    models : sequence of ScoredModel

    Raises
    ------
    ProtocolError
        If there are fewer than two models, if clips don't match, or if an observed label
        contradicts the complete one.
    """
    full = align(full, observed.keys)
    both = full.y_mask & observed.y_mask
    wrong = int((both & (full.y_positive != observed.y_positive)).sum())
    if wrong or (observed.y_mask & ~full.y_mask).any():
        raise ProtocolError(
            f"{wrong} observed label(s) contradict the complete ones, or are not among them: "
            "these are not two masks of the same labels"
        )
    values = _full_values(full, models)
    return _audit(full, models, values, [_level(full, [both], models, values, None, 0)])


def audit_masks(
    full: StoredLabels,
    models: Sequence[ScoredModel],
    *,
    rates: Rates = OPENMIC_RATES,
    shares: Sequence[float] = SHARES,
    draws: int = 50,
    seed: int = 0,
) -> MaskAudit:
    """Score the same runs on all labels and under masks drawn at OpenMIC's rates.

    Parameters
    ----------
    full : StoredLabels
        Complete labels of the clips that `models` scored.
    models : sequence of ScoredModel
    rates : Rates
        Observed labels per class and clip.
    shares : sequence of float
        Multiples of `rates`.
    draws : int
        Masks drawn at each share.
    seed : int

    Raises
    ------
    ProtocolError
        If there are fewer than two models or no draw.
    """
    if draws < 1 or not shares:
        raise ProtocolError("a mask audit needs at least one share and one draw")
    values = _full_values(full, models)
    levels = []
    for share in sorted(shares):
        seeds = (derive_seed(seed, "draw", i) for i in range(draws))
        drawn = (openmic_like_mask(full.y_positive, rates, s, share) for s in seeds)
        masks = [full.y_mask & mask for mask in drawn]
        chances = observation_chances(full.y_positive, rates, share)
        capped = int(((chances[0] == 1) | (chances[1] == 1))[full.y_mask.any(axis=0)].sum())
        levels.append(_level(full, masks, models, values, share, capped))
    chosen = _preselected(full, models, values, rates, draws, seed)
    return replace(_audit(full, models, values, levels), preselected=chosen)


def _preselected(
    full: StoredLabels,
    models: Sequence[ScoredModel],
    values: np.ndarray,
    rates: Rates,
    draws: int,
    seed: int,
) -> Preselected:
    """Let every model in turn choose the clips, `draws` times in all, or a few times more."""
    each = -(-draws // len(models))
    choosing = np.repeat(np.arange(len(models)), each)
    masks = [
        full.y_mask
        & preselected_mask(
            full.y_positive, models[m].scores[0], rates, derive_seed(seed, "preselection", n)
        )
        for n, m in enumerate(choosing.tolist())
    ]
    level = _level(full, masks, models, values, 1.0, 0)
    ranks = (level.values[:, :, None] > level.values[..., None]).sum(axis=3)
    before = (values[:, None] > values[..., None]).sum(axis=2)
    change = ranks[np.arange(len(choosing)), :, choosing] - before[:, choosing].T
    return Preselected(level, change.mean(axis=0))


def _audit(
    full: StoredLabels, models: Sequence[ScoredModel], values: np.ndarray, levels: Sequence[Level]
) -> MaskAudit:
    known = full.y_mask.any(axis=0)
    present, labels = full.y_positive.sum(axis=0)[known], full.y_mask.sum(axis=0)[known]
    return MaskAudit(
        models=tuple(model.label for model in models),
        n_clips=len(full),
        present=float(present.mean()),
        labels=float(labels.mean()),
        prevalence=float(present.sum() / labels.sum()),
        full=values,
        levels=tuple(levels),
    )


def _full_values(full: StoredLabels, models: Sequence[ScoredModel]) -> np.ndarray:
    if len(models) < 2:
        raise ProtocolError(
            f"a ranking needs at least two models, got {len(models)}. Run more models first"
        )
    for model in models:
        if any(np.isnan(scores[full.y_mask]).any() for scores in model.scores):
            raise ProtocolError(
                f"scores of {model.label} on labels that were not observed are not here: "
                "published sets leave some out. Name a store that holds its runs with --store"
            )
    return _values(full.y_positive, full.y_mask, models)


def _level(
    full: StoredLabels,
    masks: Sequence[np.ndarray],
    models: Sequence[ScoredModel],
    values_on_all: np.ndarray,
    share: float | None,
    capped: int,
) -> Level:
    known, y_positive = full.y_mask.any(axis=0), full.y_positive
    counts = []
    for mask in masks:
        present, labels = (mask & y_positive).sum(axis=0)[known], mask.sum(axis=0)[known]
        prevalence = present.sum() / labels.sum() if labels.any() else np.nan
        scorable = (present > 0) & (present < labels)
        counts.append((present.mean(), labels.mean(), prevalence, scorable.sum()))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy sorts outside Python's lock
        values = np.array(list(pool.map(lambda mask: _values(y_positive, mask, models), masks)))
    taus = [[_tau(*pair) for pair in zip(values_on_all, v, strict=True)] for v in values]
    return Level(share, *np.mean(counts, axis=0).tolist(), capped, values, np.array(taus))


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import kendalltau

    # rounded, so that sums in another order don't untie equal values
    return float(kendalltau(a.round(12), b.round(12)).statistic)


def _values(y_positive: np.ndarray, mask: np.ndarray, models: Sequence[ScoredModel]) -> np.ndarray:
    """Macro values of each model, mean over seeds, shape (n_metrics, n_models)."""
    # Most labels are not observed: sorting the observed ones alone is several times faster.
    n_rows = max(int(mask.sum(axis=0).max()), 1)
    rows = np.argsort(~mask, axis=0, kind="stable")[:n_rows]
    truth, observed = (np.take_along_axis(a, rows, axis=0) for a in (y_positive, mask))
    scorable = (truth & observed).any(axis=0) & (~truth & observed).any(axis=0)
    if not scorable.any():
        return np.full((len(METRICS), len(models)), np.nan)
    columns = []
    for model in models:
        runs = []
        for y_score, y_pred in zip(model.scores, model.predictions, strict=True):
            y_score, y_pred = (np.take_along_axis(a, rows, axis=0) for a in (y_score, y_pred))
            ranking = Ranking.of(truth, y_score, observed)
            f1 = decisions(truth, y_pred, observed).f1
            runs.append([macro(v) for v in (ranking.average_precision(), f1, ranking.roc_auc())])
        columns.append(np.mean(runs, axis=0))
    return np.stack(columns, axis=1)
