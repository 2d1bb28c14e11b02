"""The gap between training and validation: how much is optimism, how much is shift.

A model's mAP falls from the clips it was fitted on (*fit*) to clips that chose nothing about
it but may have chosen it among others (*select*), and again to those of the official partition
(*test*). The first step is its *optimism* (Efron, 1983), what it owes to having seen the
clips; the second is a *shift* between the partitions, plus what was won by choosing on
select. A model that ranks at random has a mAP too, so both are also shares of what the model has
above it.

A large gap is not over-fitting yet: a model may learn its training clips by heart and still know
others better than any. A setting is called over-fitted where another setting of the same model, on
the same features, fits the training clips less closely and is the better one elsewhere (Mitchell,
1997).

Parts share no group, so their clips are resampled independently; a run's seeds are the same in
all parts. mAP on few positives is biased upward, by more on select than on test: the intervals
take that into account, and values less their bias stand beside the plain ones.

References
----------
T. M. Mitchell, *Machine Learning*, McGraw-Hill, 1997: section 3.7.1, the definition.
B. Efron, "Estimating the error rate of a prediction rule: improvement on cross-validation",
*Journal of the American Statistical Association* 78 (382), 316-331, 1983.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from benchmark.analysis.comparison import Entry
from benchmark.analysis.losses import Losses
from benchmark.analysis.training_curves import Turn, turn
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.features import features_of
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.bootstrap import Bootstrap, basic_interval, bootstrap
from benchmark.scoring.ranking import paired

#: Parts in the order of the gap's two steps.
GAP_PARTS = ("fit", "select", "test")

VERDICTS = ("over-fitted", "not shown to be over-fitted")

#: The rule behind :attr:`Gap.verdict`, as it is printed under the table.
RULE = (
    "Over-fitted: another setting of the same model, on the same features, has a lower fit mAP and "
    "a significantly higher test mAP (paired by clips, Holm over all such pairs, at 5 %). A gap "
    "alone is no verdict. Earlier stages of training can't be tested: of them only the mAP on fit "
    "and stop is stored, and stop chose the stage."
)


@dataclass(frozen=True, eq=False)
class Interval:
    """A value with its 95 % basic bootstrap interval: floats, or one entry a class."""

    value: Any
    lower: Any
    upper: Any

    @property
    def above_zero(self) -> Any:
        """Whether the whole interval lies above 0."""
        return np.asarray(self.lower) > 0


@dataclass(frozen=True, eq=False)
class PartScores:
    """One model's mAP and loss on one part, over classes that all three parts can score.

    Attributes
    ----------
    run_mAP, run_loss : ndarray, shape (n_seeds,)
        mAP, and masked log loss in nats a label (of all observed labels).
    class_ap, class_loss : ndarray, shape (n_classes,)
        Means over seeds; NaN where a class can't be scored, or has no observed label.
    corrected_mAP : float
        Mean over seeds less its small-sample bias, as the bootstrap estimates it.
    corrected_ap : ndarray, shape (n_classes,)
        The same of each class.
    chance : float
        mAP of a model that scores all clips alike.
    """

    run_mAP: np.ndarray
    run_loss: np.ndarray
    class_ap: np.ndarray
    class_loss: np.ndarray
    corrected_mAP: float
    corrected_ap: np.ndarray
    chance: float

    @property
    def mAP(self) -> float:
        """mAP, mean over seeds."""
        return float(self.run_mAP.mean())

    @property
    def loss(self) -> float:
        """Loss in nats a label, mean over seeds."""
        return float(self.run_loss.mean())


@dataclass(frozen=True, eq=False)
class Drop:
    """How much mAP and loss get worse from one part to the next; positive is worse.

    Attributes
    ----------
    mAP, loss : Interval
        Of macro mAP, and of the loss in nats a label. The loss's interval is over clips alone,
        with every seed kept.
    class_ap, class_loss : Interval
        Arrays of shape (n_classes,), NaN where a class can't be scored.
    """

    mAP: Interval
    loss: Interval
    class_ap: Interval
    class_loss: Interval


@dataclass(frozen=True, eq=False)
class Gap:
    """One model's training gap.

    Attributes
    ----------
    label : str
    classes : tuple of str
    unscored : list of str
        Classes left out of every mAP, as one of the parts can't score them.
    parts : dict of str to PartScores
        By part: ``"fit"``, ``"select"``, ``"test"``.
    optimism, shift : Drop
        From fit to select, and from select to test.
    lost_share : Interval
        Of the fit mAP above chance, what is lost from fit to select; NaN where the fit mAP is not
        shown to be above chance.
    turned : Turn or None
        None for a model that reports no stage.
    surpassed_by : tuple of str
        Labels of the settings of the same model that make this one over-fitted.
    """

    label: str
    classes: tuple[str, ...]
    unscored: list[str]
    parts: dict[str, PartScores]
    optimism: Drop
    shift: Drop
    lost_share: Interval
    turned: Turn | None
    surpassed_by: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`, by `RULE`."""
        return VERDICTS[0 if self.surpassed_by else 1]


def measure(
    entries: Sequence[Entry],
    store: Runs,
    labels: dict[str, StoredLabels],
    *,
    n_resamples: int = 1000,
) -> list[Gap]:
    """Measure every model's training gap.

    Parameters
    ----------
    entries : sequence of Entry
        Of one comparison, trained on the whole fit part.
    store : Runs
        Holds their scores.
    labels : dict of str to StoredLabels
        By part, as :meth:`benchmark.runs.reading.Runs.labels` returns them.
    n_resamples : int
        Of the bootstrap.

    Returns
    -------
    list of Gap
        In the order of `entries`.

    Raises
    ------
    ProtocolError
        If no class can be scored in all three parts, if runs trained on less than the fit
        part (their fit scores are no training scores), or for too few resamples.
    """
    for entry in entries:
        if not entry.records[0].spec.whole:
            raise ProtocolError(
                f"{entry.label} trained on a share of the fit part, or of its positives: its "
                "training gap would mix clips it saw with clips it did not"
            )
    stored = [[store.scores(record) for record in entry.records] for entry in entries]
    common = _common(labels)
    ap, losses = {}, {}
    for part in GAP_PARTS:
        scores = [np.stack([run[part] for run in runs]) for runs in stored]
        ap[part] = _resample_ap(labels[part], scores, common, n_resamples, part)
        losses[part] = Losses.of(labels[part], scores, n_resamples, derive_seed(0, part))
    names, surpassed = labels["fit"].classes, _surpassed(entries, ap)
    return [
        Gap(
            label=entry.label,
            classes=names,
            unscored=[name for c, name in enumerate(names) if c not in common],
            parts={p: _part_scores(ap[p], losses[p], m, common) for p in GAP_PARTS},
            # mAP is better when higher, a loss when lower: both steps are positive if worse
            optimism=_step(ap["fit"], ap["select"], losses["fit"], losses["select"], m, common),
            shift=_step(ap["select"], ap["test"], losses["select"], losses["test"], m, common),
            lost_share=_lost_share(ap["fit"], ap["select"], m),
            turned=turn(entry.records),
            surpassed_by=tuple(entries[better].label for better in surpassed[m]),
        )
        for m, entry in enumerate(entries)
    ]


def _common(labels: dict[str, StoredLabels]) -> np.ndarray:
    """Return the numbers of the classes that can be scored in all parts."""
    scorable = np.ones(len(labels["fit"].classes), bool)
    for part in GAP_PARTS:
        positive, observed = labels[part].y_positive, labels[part].y_mask
        scorable &= positive.any(axis=0) & (observed & ~positive).any(axis=0)
    if not scorable.any():
        raise ProtocolError(
            "no class can be scored in all of fit, select and test: each lacks an observed "
            "positive or an observed negative in one of them. Use data with more observed labels"
        )
    return np.flatnonzero(scorable)


def _resample_ap(
    labels: StoredLabels,
    scores: list[np.ndarray],
    common: np.ndarray,
    n_resamples: int,
    part: str,
) -> Bootstrap:
    """Resample the models, and after them one that scores all clips alike."""
    alike = np.zeros((1, *labels.y_mask.shape), np.float32)
    return bootstrap(
        labels.y_positive,
        labels.y_mask,
        [*scores, alike],
        groups=labels.groups,
        classes=common.tolist(),
        n_resamples=n_resamples,
        seed=derive_seed(0, "training gap", part),  # clips are drawn independently
        weights_seed=derive_seed(0, "training gap"),  # a run's seed is the same in all parts
    )


def _surpassed(entries: Sequence[Entry], ap: dict[str, Bootstrap]) -> dict[int, list[int]]:
    """Return by entry the settings of its model that fit less closely and are the better ones.

    On the same features: better ones say nothing of how closely a model may fit.
    """
    specs = [entry.records[0].spec for entry in entries]
    models = [(spec.model, features_of(spec), spec.refit) for spec in specs]
    fit = ap["fit"].estimate
    pairs = [
        (i, j)
        for i, j in permutations(range(len(entries)), 2)
        if models[i] == models[j] and fit[i] < fit[j]
    ]
    found: dict[int, list[int]] = {m: [] for m in range(len(entries))}
    if pairs:
        tests = paired(ap["test"], pairs)
        for (i, j), better in zip(pairs, tests.significant & (tests.difference > 0), strict=True):
            if better:
                found[j].append(i)
    return found


def _lost_share(fit: Bootstrap, select: Bootstrap, m: int) -> Interval:
    """Return which share of model `m`'s fit mAP above chance is lost from fit to select."""
    above, drawn = [], []
    for ap in (fit, select):
        macro = ap.class_values[:, :, ap.scored].mean(axis=2)
        above.append(ap.estimate[m] - ap.estimate[-1])
        drawn.append(macro[:, m] - macro[:, -1])
    if not _interval(above[0], drawn[0]).above_zero:
        return Interval(np.nan, np.nan, np.nan)
    return _interval(1 - above[1] / above[0], 1 - drawn[1] / drawn[0])


def _part_scores(ap: Bootstrap, losses: Losses, model: int, common: np.ndarray) -> PartScores:
    runs = ap.run_values[model]
    class_ap = np.full(runs.shape[1], np.nan)
    class_ap[common] = runs[:, common].mean(axis=0)
    return PartScores(
        run_mAP=runs[:, common].mean(axis=1),
        run_loss=losses.run_values[model],
        class_ap=class_ap,
        class_loss=losses.class_value[model],
        corrected_mAP=float(ap.corrected[model]),
        corrected_ap=class_ap - ap.class_bias[model],
        chance=float(ap.estimate[-1]),
    )


def _step(
    ap: Bootstrap, next_ap: Bootstrap, loss: Losses, next_loss: Losses, m: int, common: np.ndarray
) -> Drop:
    """Return what model `m` loses from one part to the next."""
    drawn = ap.class_values[:, m][:, common] - next_ap.class_values[:, m][:, common]
    runs, next_runs = ap.run_values[m][:, common], next_ap.run_values[m][:, common]
    lost = runs.mean(axis=0) - next_runs.mean(axis=0)
    n_classes = ap.run_values[m].shape[1]
    risen = next_loss.class_value[m] - loss.class_value[m]
    known = np.flatnonzero(~np.isnan(risen))
    risen_drawn = next_loss.class_values[:, m][:, known] - loss.class_values[:, m][:, known]
    return Drop(
        # a resample that lost a class gives NaN, which the interval leaves out
        mAP=_interval(lost.mean(), drawn.mean(axis=1)),
        loss=_interval(
            next_loss.value[m] - loss.value[m], next_loss.values[:, m] - loss.values[:, m]
        ),
        class_ap=_spread(_interval(lost, drawn), common, n_classes),
        class_loss=_spread(_interval(risen[known], risen_drawn), known, n_classes),
    )


def _interval(value: Any, values: np.ndarray) -> Interval:
    lower, upper = basic_interval(value, values)
    if np.ndim(value) == 0:
        return Interval(float(value), float(lower), float(upper))
    return Interval(value, lower, upper)


def _spread(interval: Interval, classes: np.ndarray, n_classes: int) -> Interval:
    """Put an interval of some classes into arrays of all, NaN elsewhere."""
    arrays = []
    for values in (interval.value, interval.lower, interval.upper):
        array = np.full(n_classes, np.nan)
        array[classes] = values
        arrays.append(array)
    return Interval(*arrays)
