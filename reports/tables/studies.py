"""What tuning did: studies, their trials, and which parameters mattered."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.errors import StoreError
from benchmark.protocol import N_FOLDS
from benchmark.tuning import choice
from benchmark.tuning.history import StudyHistory
from reports.tables.declaration import Content, Table, number_columns
from reports.tables.words import count


def _shown(params: dict[str, Any]) -> str:
    def one(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name}={one(value)}" for name, value in params.items()) or "the default"


def trials(history: StudyHistory, n_best: int | None = None) -> pd.DataFrame:
    """Return one row a trial, in the order in which they ended.

    Parameters
    ----------
    history : StudyHistory
    n_best : int, optional
        The complete trials of highest *select* mAP alone, best first.
    """
    rows = history.trials
    if n_best is not None:
        complete = [t for t in rows if t.state == "complete"]
        rows = sorted(complete, key=lambda t: (-t.select_mAP, t.number))[:n_best]
    columns = {
        "trial": [t.number for t in rows],
        "state": [t.state for t in rows],
        "capped": [bool(t.capped) for t in rows],
        "select mAP": [t.select_mAP for t in rows],
        "cross-validated": [t.cross_validated for t in rows],
        "best so far": [t.best_so_far for t in rows],
        "stop mAP": [t.stop_mAP for t in rows],
        "stands at": [f"{t.best} of {t.last}" if t.last else "" for t in rows],
        "seconds": [round(t.seconds, 1) for t in rows],
        "parameters": [_shown(t.params) for t in rows],
    }
    if n_best is None:
        columns["reason"] = [t.reason for t in rows]
    return pd.DataFrame(columns)


def importances(history: StudyHistory) -> pd.DataFrame:
    """Return one row a parameter: the share of variance that it explains alone."""
    return pd.DataFrame(
        {
            "parameter": list(history.importances),
            "importance": list(history.importances.values()),
        }
    )


def sentences(history: StudyHistory) -> list[str]:
    """Return what the study found, in words."""
    states = [t.state for t in history.trials]
    counts = f"{states.count('complete')} complete, {states.count('pruned')} pruned"
    counts += f", {states.count('failed')} failed"
    said = [
        f"{len(states)} of {history.planned} trials have ended ({counts}), "
        f"{history.seconds:,.0f} s in all"
    ]
    best, default = history.best, next((t for t in history.trials if t.number == 0), None)
    if best is not None:
        text = f"chosen: trial {best.number}, select mAP {best.select_mAP:.3f}"
        if default is not None and default.state == "complete":
            text += f"; trial 0, the default: {default.select_mAP:.3f}"
        said += [text, _again(history), f"its parameters: {_shown(best.params)}"]
    return said


def _again(history: StudyHistory) -> str:
    """Say what chose among the best trials."""
    compared = [t for t in history.trials if t.cross_validated == t.cross_validated]
    if not compared:
        reasons = choice.failures(history.study)
        why = (
            f"failed ({reasons[0]})" if reasons else "has not been done: `polytimbre tune` does it"
        )
        return f"chosen by select mAP alone: comparing the best trials on all training clips {why}"
    compared.sort(key=lambda t: -t.cross_validated)
    shown = ", ".join(f"trial {t.number} {t.cross_validated:.3f}" for t in compared)
    if left := len(choice.missing(history.study)):
        return (
            "not decided yet: the comparison of the best trials on all training clips lacks "
            f"{count(left, 'fit')}, which `polytimbre tune` does; so far {shown}"
        )
    return (
        f"chosen among the best {len(choice.leaders(history.study))} on select by mean mAP over "
        f"{N_FOLDS} folds of all training clips: {shown} ({history.seconds_again:,.0f} s more)"
    )


def check_one_a_model(models: Sequence[str]) -> None:
    """Raise StoreError where two studies are of one model."""
    for model in models:
        if models.count(model) > 1:
            raise StoreError(f"two studies are of model {model!r}: publish one of them")


def _studies(histories: Sequence[StudyHistory]) -> Content:
    check_one_a_model([history.model for history in histories])
    notes = [f"{h.name}: {sentence}" for h in histories for sentence in sentences(h)]
    return Content(pd.DataFrame(map(_study, histories)), tuple(notes))


def _study(history: StudyHistory) -> dict[str, Any]:
    states = [trial.state for trial in history.trials]
    default = next((t.select_mAP for t in history.trials if t.number == 0), float("nan"))
    complete = [trial for trial in history.trials if trial.state == "complete"]
    best = max(complete, key=lambda t: (t.select_mAP, -t.number), default=None)
    value, chosen = best.select_mAP if best else float("nan"), history.best
    return {
        "model": history.model,
        "study": history.name,
        "trials": len(states),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        "seconds": history.seconds,
        "default": default,
        "best": value,
        "gain": value - default,
        "best trial": best.number if best else -1,
        "chosen": chosen.number if chosen else -1,
        "cross-validated": chosen.cross_validated if chosen else float("nan"),
        "seconds again": history.seconds_again,
    }


STUDIES = Table(
    name="studies",
    title="what tuning found on select",
    about="What each tuning study tried, and the best that it found.",
    keys=("model",),
    derive=_studies,
    columns={
        "trials": "that ended",
        "complete": "trained to their end",
        "pruned": "stopped early, as the stop part promised little",
        "failed": "diverged, crashed or took too long",
        "seconds": "of all trials, each from its start to its end",
        "default": "select mAP of trial 0, the model's default",
        "best": "highest select mAP of any trial",
        "gain": "the second minus the first",
        "chosen": "trial that is chosen: highest mean mAP over folds of all training clips",
        "cross-validated": "mean mAP of the chosen trial over folds of all training clips",
        "seconds again": "of the fits that compare the best trials over these folds",
    },
    command="study {}-MODEL",
    source="studies",
    rests_on="nothing",
    order=40,
)

TRIALS = Table(
    name="trials",
    title="trials of tuning",
    about="Every trial of tuning, with its mAP on select.",
    keys=("model", "trial"),
    derive=lambda histories: _joined(trials, histories),
    columns={
        "trial": "number; 0 is the model's default",
        "state": "complete, pruned or failed",
        "capped": "ended by the limit on a trial's processor time",
        "select mAP": "mAP on the select part, by which trials are searched",
        "cross-validated": "mean mAP over folds of all training clips: decides among the best",
        "best so far": "highest select mAP up to this trial",
        "stop mAP": "mAP on the stop part, which ends training and prunes",
        "stands at": "epoch, round or tree that the model keeps, of how many",
        "seconds": "from its start to its end",
        "reason": "why it failed or was pruned",
    },
    command="study {}-MODEL",
    source="studies",
    rests_on="nothing",
    order=41,
    holds={
        "trial": int,
        "state": str,
        "capped": bool,
        **number_columns("best so far"),
        **number_columns("select mAP", gaps=True),
    },
)

IMPORTANCES = Table(
    name="importances",
    title="importances of parameters",
    about="Which parameters mattered in tuning.",
    keys=("model", "parameter"),
    derive=lambda histories: _joined(importances, histories),
    columns={"importance": "share of the variance of select mAP that it explains alone"},
    command="study {}-MODEL --importances",
    source="studies",
    rests_on="nothing",
    order=42,
    holds=number_columns("importance"),
)


def _joined(table: Any, histories: Sequence[StudyHistory]) -> Content | None:
    """Put one table of every study together, each with its model; None if no study has a row."""
    frames = [table(history).assign(model=history.model) for history in histories]
    frame = pd.concat(frames, ignore_index=True)
    return Content(frame) if len(frame) else None
