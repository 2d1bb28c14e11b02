"""What threshold policies gain over one global threshold, on clips that chose none of them.

Every policy is fitted, and the searched ones chosen, on each run's *select* part
(:mod:`benchmark.analysis.threshold_policies`); decisions on *test* are scored by macro F1. Gains
are differences to the plain global threshold of the same run. They are resampled like any other
comparison here: groups are drawn with replacement, the same for all policies, models and seeds,
and then each model's seeds, the same for all its policies. The same is done with the held-out
decisions on select, which says how well cross-fitting can tell policies apart at all.

Thresholds come from one select part, whose luck is part of every gain: groups of *select* are
drawn with replacement too, the thresholds fitted anew on them and test decided again, `N_REFITS`
times. The deviations that this brings are added to those of the test clips. (Strengths stay what
the search on all of select found.)

What is best here is best for a select part of this size. On audioset20, thresholds of each class's
own gained nothing with 23 positives a class to fit on, and .016 with the 153 of all training clips,
scored out of fold (``benchmark/README.md``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from benchmark.analysis.comparison import Entry
from benchmark.analysis.threshold_policies import N_TRIALS, SPACE, TUNED, Choice, choose, draw_folds
from benchmark.analysis.training_gap import Interval
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.bootstrap import (
    BLOCK,
    Bootstrap,
    basic_interval,
    clip_draws,
    p_value,
    seed_weights,
)
from benchmark.scoring.counting import ObservedColumns, count_draws
from benchmark.scoring.metrics import decisions, macro
from benchmark.scoring.ranking import LEVEL, holm, resamples_needed

#: How often thresholds are fitted anew, on other select clips.
N_REFITS = 30

#: The policies of the tables; gains are over the first, one global threshold.
NAMES = (*(policy.name for policy in SPACE), TUNED)

#: Of folds, search and resampling; it has nothing to do with training seeds.
_SEED = 0


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """What one threshold policy gains on one model, or on average over models.

    Attributes
    ----------
    in_sample, chosen_by, cross_fitted : float
        Macro F1 on select: of the clips that thresholds were fitted on, of those that chose
        strengths and the tuned policy, and of clips that had no part in anything.
    held_out_gain : Interval
        `cross_fitted` minus that of the global threshold.
    test : Interval
        Macro F1 on test.
    gain : Interval
        `test` minus that of the global threshold.
    p : float
        Of `gain`, corrected by Holm over the policies of the model; NaN for the global one.
    at_floor : bool
        Whether `p` is the least that the resamples can show: it is to be read as "<".
    select_sd : float
        Standard deviation of `gain` from the luck of the select part alone.
    test_sd : float
        Standard deviation of `gain` from test clips alone.
    """

    in_sample: float
    chosen_by: float
    cross_fitted: float
    held_out_gain: Interval
    test: Interval
    gain: Interval
    p: float
    at_floor: bool
    select_sd: float
    test_sd: float

    @property
    def optimism(self) -> float:
        """F1 on the clips that chose the thresholds minus F1 on held-out ones."""
        return self.in_sample - self.cross_fitted


@dataclass(frozen=True, eq=False)
class Gains:
    """What every threshold policy gains on every model.

    Attributes
    ----------
    labels : tuple of str
        Of the models.
    seeds : list of list of int
        Training seeds of each model.
    choices : list of list of Choice
        By model and seed.
    telling : ndarray of bool, shape (n_models,)
        Models that score clips differently. Means over models leave the others out: whatever
        the threshold, their decisions are all "yes" or all "no".
    on_select, on_test : Bootstrap
        Macro F1 of ``len(NAMES)`` policies a model, one model after the other.
    refitted : ndarray, shape (N_REFITS, n_models, n_policies)
        Macro F1 on test, mean over seeds, with thresholds of resampled select clips.
    level : float
        Of the intervals; one minus that of the tests.
    """

    labels: tuple[str, ...]
    seeds: list[list[int]]
    choices: list[list[Choice]]
    telling: np.ndarray
    on_select: Bootstrap
    on_test: Bootstrap
    refitted: np.ndarray
    level: float

    def rows(self, model: int) -> dict[str, PolicyResult]:
        """Return one model's rows by policy."""
        return self._rows(np.arange(len(self.labels)) == model)

    @cached_property
    def average(self) -> dict[str, PolicyResult] | None:
        """Means over the models that score clips differently; None for fewer than two."""
        return self._rows(self.telling) if self.telling.sum() > 1 else None

    def _rows(self, models: np.ndarray) -> dict[str, PolicyResult]:
        test, clips = _means(self.on_test, self.on_test.values, models)
        held, held_values = _means(self.on_select, _class_means(self.on_select), models)
        luck = self._luck(models)
        _, still = _means(self.on_test, self.on_test.values_over_clips, models)
        test_values = clips + luck[np.arange(len(clips)) % len(luck)]
        gain, gain_values = test - test[0], test_values - test_values[:, :1]
        low, high = basic_interval(test, test_values, self.level)
        p = holm(p_value(gain, gain_values)[1:])
        floor = len(p) * 2 / (len(gain_values) + 1)
        choices = [runs for runs, kept in zip(self.choices, models, strict=True) if kept]
        columns = zip(
            _means_of_runs([[choice.in_sample for choice in runs] for runs in choices]),
            _means_of_runs([[choice.chosen_by for choice in runs] for runs in choices]),
            held,
            self._intervals(held - held[0], held_values - held_values[:, :1]),
            (Interval(*row) for row in zip(test, low.clip(0, 1), high.clip(0, 1), strict=True)),
            self._intervals(gain, gain_values),
            np.append(np.nan, p),
            np.append(False, p <= floor * (1 + 1e-9)),
            (luck - luck[:, :1]).std(axis=0),
            (still - still[:, :1]).std(axis=0),
            strict=True,
        )
        return {name: PolicyResult(*row) for name, row in zip(NAMES, columns, strict=True)}

    def _luck(self, models: np.ndarray) -> np.ndarray:
        """Return deviations that other select clips bring, shape (N_REFITS, n_policies).

        They have the mean 0: a resample holds fewer different clips than the part, so that its
        thresholds are a little worse, and only their spread is wanted.
        """
        values = self.refitted[:, models].mean(axis=1)
        return (values - values.mean(axis=0)) * np.sqrt(len(values) / (len(values) - 1))

    def _intervals(self, estimate: np.ndarray, values: np.ndarray) -> list[Interval]:
        ends = basic_interval(estimate, values, self.level)
        return [Interval(*row) for row in zip(estimate, *ends, strict=True)]


def _means(
    resampled: Bootstrap, values: np.ndarray, models: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimates (n_policies,) and resampled values (n_resamples, n_policies) over models."""
    shape = -1, len(resampled.run_values) // len(NAMES), len(NAMES)
    estimate = resampled.estimate.reshape(shape[1:])[models].mean(axis=0)
    return estimate, values.reshape(shape)[:, models].mean(axis=1)


def _class_means(resampled: Bootstrap) -> np.ndarray:
    """Return resampled macro values, of the classes that each resample can score.

    In a small part most resamples may lose the positives of some class, for all policies alike.
    """
    values = resampled.class_values
    n_scored = (~np.isnan(values)).sum(axis=2)
    total = np.nansum(values, axis=2)
    return np.divide(total, n_scored, out=np.full(total.shape, np.nan), where=n_scored > 0)


def _means_of_runs(f1: Sequence[Sequence[dict[str, float]]]) -> np.ndarray:
    """Return F1 by policy, mean over the seeds of each model and then over models."""
    values = [np.mean([[run[name] for name in NAMES] for run in runs], axis=0) for runs in f1]
    return np.mean(values, axis=0)


def measure(
    entries: Sequence[Entry],
    store: Runs,
    labels: dict[str, StoredLabels],
    *,
    n_trials: int = N_TRIALS,
    n_resamples: int = 2000,
    follow: Callable[[list[str]], Iterable[str]] = iter,
) -> Gains:
    """Choose thresholds on select, by every policy and for every run, and score them on test.

    Parameters
    ----------
    entries : sequence of Entry
        Of one comparison.
    store : Runs
        Holds their scores.
    labels : dict of str to StoredLabels
        By part.
    n_trials : int
        Strengths tried for each calibration of each run.
    n_resamples : int
    follow : callable
        Gets the model of each run and gives them back one by one, to show how far the search is.

    Returns
    -------
    Gains

    Raises
    ------
    ProtocolError
        For too few resamples, a select part of one group, or no class that can be scored.
    """
    from sklearn import config_context

    _check_resamples(n_resamples)
    select, test = labels["select"], labels["test"]
    draws, others = draw_folds(select, _SEED), list(_other_clips(select))
    found = {}
    records = [record for entry in entries for record in entry.records]
    models = [entry.label for entry in entries for _ in entry.records]
    for _, record in zip(follow(models), records, strict=True):
        # a published set leaves out scores of labels that nobody observed: they count nowhere
        known, asked = (
            np.nan_to_num(store.scores(record)[part], nan=0.5) for part in ("select", "test")
        )
        # thousands of small fits, on scores that were checked before
        with config_context(assume_finite=True, skip_parameter_validation=True):
            choice = choose(select, known, draws, n_trials=n_trials, seed=_SEED)
            anew = [
                _macro_f1(test, choice.decide_anew(select, known, rows, asked)) for rows in others
            ]
        found[record.run_id] = choice, choice.decide(asked)[None], anew
    runs = [[found[record.run_id] for record in entry.records] for entry in entries]
    choices = [[choice for choice, _, _ in one] for one in runs]
    on_select = [[choice.held_out for choice in one] for one in choices]
    on_test = [[decided for _, decided, _ in one] for one in runs]
    refitted = [np.mean([anew for _, _, anew in one], axis=0) for one in runs]
    return Gains(
        labels=tuple(entry.label for entry in entries),
        seeds=[[record.spec.seed for record in entry.records] for entry in entries],
        choices=choices,
        telling=np.array([_tells(store, entry, select) for entry in entries]),
        on_select=resample(select, on_select, n_resamples, _SEED),
        on_test=resample(test, on_test, n_resamples, _SEED),
        refitted=np.stack(refitted, axis=1),
        level=LEVEL,
    )


def _check_resamples(n_resamples: int) -> None:
    needed = resamples_needed(len(NAMES) - 1)
    if n_resamples < needed:
        raise ProtocolError(
            f"{n_resamples} resamples are too few to compare {len(NAMES) - 1} policies with the "
            f"global threshold at level {LEVEL:g}: it takes {needed}. Ask for more resamples"
        )


def _other_clips(select: StoredLabels) -> Iterable[np.ndarray]:
    """Draw the select part's groups with replacement, `N_REFITS` times; yield their clips."""
    numbers = np.unique(select.groups, return_inverse=True)[1]
    members = [np.flatnonzero(numbers == g) for g in range(numbers.max() + 1)]
    rng = np.random.default_rng(derive_seed(_SEED, "refits"))
    for _ in range(N_REFITS):
        drawn = rng.integers(0, len(members), len(members))
        yield np.concatenate([members[g] for g in drawn])


def _macro_f1(labels: StoredLabels, decided: np.ndarray) -> list[float]:
    """Return the macro F1 of each policy's decisions, shape (n_policies,)."""
    return [macro(decisions(labels.y_positive, yes, labels.y_mask).f1) for yes in decided]


def _tells(store: Runs, entry: Entry, labels: StoredLabels) -> bool:
    """Whether some class's observed clips get different scores."""
    scores = np.where(labels.y_mask, store.scores(entry.records[0])["select"], np.nan)
    observed = scores[:, labels.y_mask.any(axis=0)]
    return bool((np.nanmin(observed, axis=0) < np.nanmax(observed, axis=0)).any())


@dataclass(frozen=True, eq=False)
class _Yes:
    """What F1 needs of one run's decisions: sums of counts over its false and true positives."""

    matrix: sparse.csr_array
    shape: tuple[int, ...]

    @classmethod
    def of(cls, columns: ObservedColumns, group: np.ndarray, decided: np.ndarray) -> "_Yes":
        """Collect decisions of shape (n_draws, n_policies, n_clips, n_classes)."""
        shape = (*decided.shape[:2], decided.shape[3], 2)
        rows, groups = [], []
        for c, (clips, hit) in enumerate(columns.columns):
            draw, policy, n = np.nonzero(decided[:, :, clips, c])
            rows.append(np.ravel_multi_index((draw, policy, c, hit[n].astype(int)), shape))
            groups.append(group[clips[n]])
        rows, groups = np.concatenate(rows), np.concatenate(groups)
        entries = np.ones(len(rows), columns.dtype), (rows, groups)
        size = int(np.prod(shape)), columns.n_groups
        return cls(sparse.csr_array(entries, shape=size), shape)

    def f1(self, counts: np.ndarray, positive: np.ndarray, scorable: np.ndarray) -> np.ndarray:
        """Return F1, mean over draws, shape (n_policies, n_classes, BLOCK)."""
        sums = (self.matrix @ counts).astype(np.int64).reshape(*self.shape, -1)
        fp, tp = sums[..., 0, :], sums[..., 1, :]
        f1 = 2 * tp / np.maximum(tp + fp + positive, 1)
        return np.where(scorable, f1.mean(axis=0), np.nan)


def resample(
    labels: StoredLabels, decided: Sequence[Sequence[np.ndarray]], n_resamples: int, seed: int
) -> Bootstrap:
    """Resample clips by group, and each model's seeds, and score its decisions by F1.

    :func:`benchmark.scoring.bootstrap.bootstrap` draws the same clips and seeds and scores
    alike, but it resamples the seeds of everything that it compares independently. Policies of
    one model share its seeds.

    Parameters
    ----------
    labels : StoredLabels
    decided : sequence of sequence of ndarray of bool
        By model and training seed, each of shape (n_draws, n_policies, n_clips, n_classes). F1
        is averaged over draws.
    n_resamples, seed : int

    Returns
    -------
    Bootstrap
        With ``n_models * n_policies`` models, those of one model one after the other.
    """
    group = np.unique(labels.groups, return_inverse=True)[1]
    y_positive, y_mask = labels.y_positive, labels.y_mask
    scored = (y_positive & y_mask).any(axis=0) & (~y_positive & y_mask).any(axis=0)
    columns = ObservedColumns.of(y_positive, y_mask & scored, group)
    kinds = [2 * c + hit for c, (_, hit) in enumerate(columns.columns)]
    truth = columns.matrix(np.concatenate(kinds), 2 * len(scored))
    plans = [[_Yes.of(columns, group, run) for run in runs] for runs in decided]

    def score(counts: np.ndarray) -> list[np.ndarray]:
        negative, positive = (
            (truth @ counts).astype(np.int64).reshape(-1, 2, counts.shape[1]).swapaxes(0, 1)
        )
        scorable = (positive > 0) & (negative > 0)
        return [np.stack([run.f1(counts, positive, scorable) for run in runs]) for runs in plans]

    n_blocks, n_policies = -(-n_resamples // BLOCK), plans[0][0].shape[1]
    class_values = np.empty((n_blocks * BLOCK, len(plans), n_policies, len(scored)))
    clip_values = np.empty(class_values.shape[:3])
    for block in range(n_blocks):
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        values = score(count_draws(clip_draws(columns.n_groups, seed, block), columns.dtype))
        for m, runs in enumerate(values):
            weights = seed_weights(len(runs), seed, block, m)[:, None, None]
            class_values[rows, m] = (runs * weights).sum(axis=0).transpose(2, 0, 1)
            clip_values[rows, m] = runs[:, :, scored].mean(axis=(0, 2)).T
    once = [run[..., 0] for run in score(np.ones((columns.n_groups, 1), columns.dtype))]
    return Bootstrap(
        "f1",
        scored,
        tuple(run[:, p] for run in once for p in range(n_policies)),
        class_values.reshape(len(class_values), -1, len(scored))[:n_resamples],
        clip_values.reshape(len(clip_values), -1)[:n_resamples],
    )
