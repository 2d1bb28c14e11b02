"""How thresholds should be chosen: policies are searched on *select* alone.

A policy that is judged by the F1 of the clips its thresholds were fitted on is flattered, the more
so the freer it is. Here each is judged by its *cross-fitted* F1: the select part is cut into folds
by group; thresholds, and calibrations, are fitted on all folds but one and applied to that one;
the decisions of all folds together give each class's F1. Of a class with ten positives a fold
holds two, too few for an F1 of its own, and none may be left to fit on: pooling needs only that
the whole part has a positive and a negative, and is the less biased way (Forman and Scholz, 2010).
The folds are drawn `N_REPEATS` times and the values averaged, as another draw moves macro F1 by
about as much as policies differ.

A searched strength, and ``"tuned"``, the policy of highest cross-fitted F1 of all, are the best
of many, and flattered by the folds that chose them. Their held-out decisions are therefore those
of a nested search: for each fold the search is made once more, on the other folds alone.

One flattery is left. Where positives are few, macro F1 itself favours thresholds
that follow each class's chance share of positives, as held-out clips belong to the same part:
counts of held-out decisions are unbiased, ratios of small counts are not. On made clips per-class
thresholds are overrated against one global threshold by 0.035 with 8 positives a class and by
0.004 with 34; at a strength of 0.3 it is 0.008 and 0.001.

The strength of shrinking is searched by Optuna's TPE for each calibration apart, so that none gets
fewer trials because another looked better early.

References
----------
G. Forman and M. Scholz, "Apples-to-apples in cross-validation studies: pitfalls in classifier
performance measurement", *ACM SIGKDD Explorations* 12 (1), 49-57, 2010.
T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: a next-generation hyperparameter
optimization framework", *KDD* 2019.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.contracts.seeds import derive_seed
from benchmark.protocol import folds
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.metrics import Ranking, decisions, macro
from benchmark.scoring.thresholds import CALIBRATIONS, RULES, Optima, Policy, calibrator, decide

#: How often the select part is cut into folds.
N_REPEATS = 3

#: Folds of a nested search, drawn once: it is made for each of the folds above.
INNER_FOLDS = 3

#: Strengths tried for each calibration, unless told otherwise.
N_TRIALS = 30

#: Strengths that are searched; the ends 0 and 1 are the rules "global" and "per_class".
STRENGTHS = (0.05, 0.95)

#: All policies but "tuned", simplest first; the search fills in strengths. Calibration can't move
#: a class's own optimum to another clip: a sigmoid rises strictly, and the steps of isotonic
#: regression end where the ROC curve meets its convex hull, as does the threshold of highest F1.
SPACE = tuple(
    Policy(rule, calibration)
    for calibration in CALIBRATIONS
    for rule in RULES
    if rule != "per_class" or calibration == "none"
)

#: Name of the policy that was chosen among them.
TUNED = "tuned"


def take(labels: StoredLabels, rows: np.ndarray) -> StoredLabels:
    """Return the labels of some clips."""
    fields = ("y_true", "y_mask", "keys", "groups")
    return StoredLabels(*(getattr(labels, name)[rows] for name in fields), classes=labels.classes)


def draw_folds(labels: StoredLabels, seed: int = 0) -> list[np.ndarray]:
    """Cut a part into folds `N_REPEATS` times; see :func:`benchmark.protocol.folds`."""
    return [folds(labels, seed=derive_seed(seed, "folds", n)) for n in range(N_REPEATS)]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A run's calibration, and the best thresholds of calibrated scores, of the same clips."""

    calibrate: Callable[[np.ndarray], np.ndarray]
    optima: Optima

    @classmethod
    def of(
        cls, calibration: str, y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray
    ) -> "Fitted":
        """Fit calibration and thresholds to observed labels."""
        calibrate = calibrator(calibration, y_positive, y_score, y_mask)
        return cls(calibrate, Optima.of(Ranking.of(y_positive, calibrate(y_score), y_mask)))


@dataclass(frozen=True, eq=False)
class _Held:
    """One calibration of one run under one draw of folds.

    Attributes
    ----------
    fold : ndarray of int, shape (n_clips,)
    scores : ndarray, shape (n_clips, n_classes)
        Of each clip, calibrated on the other folds.
    optima : list of Optima
        Of all folds but the first, but the second, and so on.
    """

    fold: np.ndarray
    scores: np.ndarray
    optima: list[Optima]

    def decide(self, policy: Policy) -> np.ndarray:
        """Decide each clip by thresholds of the other folds, bool, (n_clips, n_classes)."""
        thresholds = np.stack([optima.thresholds(policy) for optima in self.optima])
        return decide(self.scores, thresholds[self.fold])


class CrossFit:
    """One run's select part, ready to score any policy on clips that it was not fitted on.

    Parameters
    ----------
    labels : StoredLabels
        Of the select part.
    y_score : ndarray, shape (n_clips, n_classes)
    draws : sequence of ndarray of int, shape (n_clips,)
        Folds, as :func:`folds` returns them.
    """

    def __init__(
        self, labels: StoredLabels, y_score: np.ndarray, draws: Sequence[np.ndarray]
    ) -> None:
        self._known = labels.y_positive, y_score, labels.y_mask
        self._draws = draws
        self._held: dict[str, list[_Held]] = {}

    def _hold_out(self, calibration: str, fold: np.ndarray) -> _Held:
        y_score = self._known[1]
        kind = y_score.dtype if calibration == "none" else np.float64
        scores, optima = np.empty(y_score.shape, kind), []
        for number in range(fold.max() + 1):
            held = fold == number
            fitted = Fitted.of(calibration, *(a[~held] for a in self._known))
            scores[held] = fitted.calibrate(y_score[held])
            optima.append(fitted.optima)
        return _Held(fold, scores, optima)

    def decide(self, policy: Policy) -> np.ndarray:
        """Return the decisions on held-out clips, bool, (n_draws, n_clips, n_classes)."""
        name = policy.calibration
        if name not in self._held:
            self._held[name] = [self._hold_out(name, fold) for fold in self._draws]
        return np.stack([held.decide(policy) for held in self._held[name]])

    def f1(self, policy: Policy) -> float:
        """Return the macro F1 of the decisions on held-out clips, mean over the draws."""
        y_positive, _, y_mask = self._known
        return _f1(y_positive, self.decide(policy), y_mask)


def _f1(y_positive: np.ndarray, draws: np.ndarray, y_mask: np.ndarray) -> float:
    return float(np.mean([macro(decisions(y_positive, yes, y_mask).f1) for yes in draws]))


@dataclass(frozen=True, eq=False)
class Choice:
    """What the search found for one run; policies come in the order of `SPACE`, then `TUNED`.

    Attributes
    ----------
    policies : dict of str to Policy
        By name, strengths filled in.
    in_sample : dict of str to float
        Macro F1 on the select clips that thresholds and calibration were fitted on.
    chosen_by : dict of str to float
        Macro F1 on select clips that thresholds were not fitted on, but that chose strengths and
        the tuned policy: too good for what was searched.
    cross_fitted : dict of str to float
        Macro F1 on select clips that had no part in anything.
    held_out : ndarray of bool, shape (n_draws, n_policies, n_clips, n_classes)
        The decisions behind `cross_fitted`.
    """

    policies: dict[str, Policy]
    in_sample: dict[str, float]
    chosen_by: dict[str, float]
    cross_fitted: dict[str, float]
    held_out: np.ndarray
    _fitted: dict[str, Fitted]

    @property
    def tuned(self) -> Policy:
        """The policy of highest cross-fitted F1."""
        return self.policies[TUNED]

    def decide(self, y_score: np.ndarray) -> np.ndarray:
        """Decide clips by every policy, fitted on all of select.

        Parameters
        ----------
        y_score : ndarray, shape (n_clips, n_classes)

        Returns
        -------
        ndarray of bool, shape (n_policies, n_clips, n_classes)
        """
        return _decide(self._fitted, self.policies, y_score)

    def decide_anew(
        self, labels: StoredLabels, on_select: np.ndarray, rows: np.ndarray, y_score: np.ndarray
    ) -> np.ndarray:
        """Decide clips by every policy, fitted on other select clips.

        Strengths stay what they are; thresholds and calibrations are fitted anew.

        Parameters
        ----------
        labels : StoredLabels
            Of select.
        on_select : ndarray, shape (n_select, n_classes)
            Scores.
        rows : ndarray of int
            Clips of select to fit on; one may be there several times.
        y_score : ndarray, shape (n_clips, n_classes)
            Of the clips that are decided.

        Returns
        -------
        ndarray of bool, shape (n_policies, n_clips, n_classes)
        """
        return _decide(_fit(labels, on_select, rows), self.policies, y_score)


def _fit(labels: StoredLabels, y_score: np.ndarray, rows: np.ndarray | slice) -> dict[str, Fitted]:
    """Fit every calibration, and the optima after it, on some clips."""
    known = labels.y_positive[rows], y_score[rows], labels.y_mask[rows]
    return {name: Fitted.of(name, *known) for name in CALIBRATIONS}


def _decide(
    fitted: dict[str, Fitted], policies: dict[str, Policy], y_score: np.ndarray
) -> np.ndarray:
    calibrated = {name: one.calibrate(y_score) for name, one in fitted.items()}
    return np.stack(
        [
            decide(calibrated[p.calibration], fitted[p.calibration].optima.thresholds(p))
            for p in policies.values()
        ]
    )


def choose(
    labels: StoredLabels,
    y_score: np.ndarray,
    draws: Sequence[np.ndarray] | None = None,
    *,
    n_trials: int = N_TRIALS,
    seed: int = 0,
) -> Choice:
    """Choose a run's policy by cross-fitted F1 on its select part.

    Parameters
    ----------
    labels : StoredLabels
        Of the select part.
    y_score : ndarray, shape (n_clips, n_classes)
        Scores in [0, 1].
    draws : sequence of ndarray of int, shape (n_clips,), optional
        Folds; the same for all runs that are to be compared. By default :func:`draw_folds`.
    n_trials : int
        Strengths tried for each calibration; a third of it in the nested search.
    seed : int
        Of the search, and of the folds where they are not given.

    Returns
    -------
    Choice
        Among policies of equal cross-fitted F1 the first of `SPACE` is taken, and of equal
        strengths the weakest.

    Raises
    ------
    ProtocolError
        If no class can be scored, or there is only one group.
    """
    y_positive, y_mask = labels.y_positive, labels.y_mask
    draws = draws or draw_folds(labels, seed)
    policies, chosen_by = _best(CrossFit(labels, y_score, draws), n_trials, seed)
    fitted = _fit(labels, y_score, slice(None))
    decided = _decide(fitted, policies, y_score)
    held_out = np.stack([_decide_nested(labels, y_score, fold, n_trials, seed) for fold in draws])
    return Choice(
        policies=policies,
        in_sample={n: _f1(y_positive, [y], y_mask) for n, y in zip(policies, decided, strict=True)},
        chosen_by=chosen_by,
        cross_fitted={
            name: _f1(y_positive, held_out[:, i], y_mask) for i, name in enumerate(policies)
        },
        held_out=held_out,
        _fitted=fitted,
    )


def _best(
    crossed: CrossFit, n_trials: int, seed: int
) -> tuple[dict[str, Policy], dict[str, float]]:
    """Fill in strengths and add the tuned policy; return the F1 that chose them, too."""
    policies = {
        policy.name: _search(crossed, policy, n_trials, seed) if policy.rule == "shrunk" else policy
        for policy in SPACE
    }
    f1 = {name: crossed.f1(policy) for name, policy in policies.items()}
    best = max(f1, key=f1.__getitem__)  # the first of equal ones
    policies[TUNED], f1[TUNED] = policies[best], f1[best]
    return policies, f1


def _decide_nested(
    labels: StoredLabels, y_score: np.ndarray, fold: np.ndarray, n_trials: int, seed: int
) -> np.ndarray:
    """Decide each clip by what was searched and fitted on the other folds.

    Two groups leave nothing to search on within the other fold: there every strength is the
    middle one, and the tuned policy the first of `SPACE`.

    Returns
    -------
    ndarray of bool, shape (n_policies, n_clips, n_classes)
    """
    decided = np.empty((len(SPACE) + 1, *y_score.shape), bool)
    for number in range(fold.max() + 1):
        rest = np.flatnonzero(fold != number)
        part = take(labels, rest)
        if len(np.unique(part.groups)) > 1:
            inner = [folds(part, INNER_FOLDS, derive_seed(seed, "nested folds"))]
            crossed = CrossFit(part, y_score[rest], inner)
            policies, _ = _best(crossed, -(-n_trials // 3), seed)
        else:
            middle = sum(STRENGTHS) / 2
            policies = {
                p.name: replace(p, strength=middle) if p.rule == "shrunk" else p for p in SPACE
            }
            policies[TUNED] = SPACE[0]
        held = fold == number
        decided[:, held] = _decide(_fit(labels, y_score, rest), policies, y_score[held])
    return decided


def _search(crossed: CrossFit, policy: Policy, n_trials: int, seed: int) -> Policy:
    """Return the policy with the strength of highest cross-fitted F1."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        return crossed.f1(replace(policy, strength=trial.suggest_float("strength", *STRENGTHS)))

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=derive_seed(seed, policy.name))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=n_trials)
    finally:
        optuna.logging.set_verbosity(before)
    best = max(study.trials, key=lambda trial: (trial.value, -trial.params["strength"]))
    return replace(policy, strength=best.params["strength"])
