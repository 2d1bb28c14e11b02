"""What became of a study's trials: the history of the best, and which parameters mattered."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.tuning import choice, studies


@dataclass(frozen=True)
class TrialRow:
    """One finished trial.

    Attributes
    ----------
    number : int
        Trial 0 is the model's default.
    state : {"complete", "pruned", "failed"}
    select_mAP : float
        NaN unless complete.
    cross_validated : float
        Mean mAP over the folds of all training clips; NaN unless it was compared again.
    best_so_far : float
        Of the complete trials up to this one, in the order in which they ended; NaN before
        the first.
    stop_mAP : float
        Of its last stage; NaN if there was none.
    best, last : int
        Epoch, round or size that its model stands at, and that its fit went to.
    seconds : float
        From its start to its end.
    capped : bool
        Whether its fit was asked to stop because it took too long.
    reason : str
        Why it was pruned or failed.
    params : dict
        Parameters it was fitted with, where they differ from the default.
    """

    number: int
    state: str
    select_mAP: float
    cross_validated: float
    best_so_far: float
    stop_mAP: float
    best: int
    last: int
    seconds: float
    capped: bool
    reason: str
    params: dict[str, Any]


@dataclass(frozen=True, eq=False)
class StudyHistory:
    """A stored study, to be shown.

    Attributes
    ----------
    name : str
    dataset, model : str
    planned : int
    trials : list of TrialRow
        In the order in which they ended.
    study : optuna.Study
        What all this was read from.
    """

    name: str
    dataset: str
    model: str
    planned: int
    trials: list[TrialRow]
    study: Any = field(repr=False)

    @cached_property
    def importances(self) -> dict[str, float]:
        """How much each parameter mattered; see :func:`importances`."""
        return importances(self.study)

    @property
    def best(self) -> TrialRow | None:
        """The trial that is chosen; see :func:`benchmark.tuning.choice.chosen`."""
        chosen = choice.chosen(self.study)
        return next((t for t in self.trials if chosen and t.number == chosen.number), None)

    @property
    def seconds(self) -> float:
        """Seconds of all finished trials."""
        return sum(t.seconds for t in self.trials)

    @property
    def seconds_again(self) -> float:
        """Seconds of comparing the best trials again."""
        return choice.seconds(self.study)


def read(name: str, address: str) -> StudyHistory:
    """Read a stored study.

    Parameters
    ----------
    name : str
    address : str
        Of its storage; see :func:`benchmark.tuning.storage.open_storage`.

    Raises
    ------
    StoreError, UnknownNameError
    """
    study = studies.read(name, address)
    spec = study.user_attrs.get("spec", {})
    setting = ":".join(filter(None, (spec.get("model", "?"), spec.get("preset"))))
    return StudyHistory(
        name=name,
        dataset=spec.get("dataset", "?"),
        model=setting,
        planned=study.user_attrs.get("planned", 0),
        trials=_rows(study),
        study=study,
    )


def _rows(study: Any) -> list[TrialRow]:
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    trials = [t for t in trials if "surplus" not in t.user_attrs]
    trials.sort(key=lambda t: (t.datetime_complete, t.number))
    rows, best = [], float("nan")
    for t in trials:
        value = t.value if t.state.name == "COMPLETE" else float("nan")
        best = float(np.fmax(best, value))
        last = max(t.intermediate_values, default=None)
        again = choice.cross_validated(study, t.number)
        rows.append(
            TrialRow(
                number=t.number,
                state={"COMPLETE": "complete", "PRUNED": "pruned"}.get(t.state.name, "failed"),
                select_mAP=value,
                cross_validated=float("nan") if again is None else again,
                best_so_far=best,
                stop_mAP=t.intermediate_values[last] if last is not None else float("nan"),
                best=t.user_attrs.get("best", 0),
                last=last or 0,
                seconds=t.user_attrs.get("seconds", 0.0),
                capped=t.user_attrs.get("capped", False),
                reason=t.user_attrs.get("reason", ""),
                params=t.user_attrs.get("params", {}),
            )
        )
    return rows


#: Complete trials below which importances say more about chance than about parameters.
ENOUGH = 6


def importances(study: Any) -> dict[str, float]:
    """Share of the variance of *select* mAP that each parameter explains alone.

    By fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014); the shares add up to 1.

    Parameters
    ----------
    study : optuna.Study

    Returns
    -------
    dict of str to float
        Largest first; of the parameters that every searched trial has. Empty with fewer than
        `ENOUGH` complete searched trials, or if all have one value or the same parameters.
    """
    import optuna

    complete = [
        t
        for t in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if t.params  # the default was not searched
    ]
    if len(complete) < ENOUGH or len({t.value for t in complete}) < 2:
        return {}
    copy = optuna.create_study(direction="maximize")
    for trial in complete:
        copy.add_trial(
            optuna.trial.create_trial(
                params=trial.params, distributions=trial.distributions, value=trial.value
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        shares = optuna.importance.get_param_importances(copy, evaluator=evaluator)
    except RuntimeError:  # what no parameter explains any of
        return {}
    return {name: float(value) for name, value in shares.items()}
