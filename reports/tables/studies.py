"""Tables and sentences of tuning: trials, parameter importances."""

from typing import Any

import pandas as pd

from benchmark.tuning.history import StudyHistory


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
        "state": [t.state + (" (capped)" if t.capped else "") for t in rows],
        "select mAP": [t.select_mAP for t in rows],
        "best so far": [t.best_so_far for t in rows],
        "stop mAP": [t.stop_mAP for t in rows],
        "stands at": [f"{t.best} of {t.stages}" for t in rows],
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
    found = [
        f"{len(states)} of {history.planned} trials have ended ({counts}), "
        f"{history.seconds:,.0f} s in all"
    ]
    best, default = history.best, next((t for t in history.trials if t.number == 0), None)
    if best is not None:
        text = f"best: trial {best.number}, select mAP {best.select_mAP:.3f}"
        if default is not None and default.state == "complete":
            text += f"; trial 0, the default: {default.select_mAP:.3f}"
        found += [text, f"its parameters: {_shown(best.params)}"]
    return found
