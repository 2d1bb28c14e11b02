"""When a fit ends early, and which of its stages it keeps."""

from typing import Literal

import numpy as np

from benchmark.contracts.model import History, Stage

#: Looks for the history alone, where nothing is watched: each costs the scoring of two parts.
FOR_HISTORY = 10

#: What is watched on the *stop* part: the masked loss, macro mAP, or nothing.
StopOn = Literal["loss", "mAP", "none"]


def kept(history: History, stop_on: StopOn) -> Stage:
    """Return the stage that a fit which ended now would keep.

    Parameters
    ----------
    history : History
        With at least one stage.
    stop_on : {"loss", "mAP", "none"}
        The stage of the lowest stopping loss, that of the highest mAP on *stop*, or the last.
        Equal mAPs, and parts on which no class has one, are told apart by the loss.
    """
    if stop_on == "none":
        return history.stages[-1]
    if stop_on == "loss":
        return min(history.stages, key=lambda stage: stage.stop_loss)
    return max(history.stages, key=lambda s: (np.nan_to_num(s.stop_mAP), -s.stop_loss))


def worn_out(history: History, stop_on: StopOn, patience: int) -> bool:
    """Say whether none of the last `patience` stages was better than the one to keep."""
    since = len(history.stages) - 1 - history.stages.index(kept(history, stop_on))
    return since >= patience


def looks(last: int, step: int, stop_on: StopOn) -> list[int]:
    """Return the rounds, up to `last`, at which a boosted model is scored: every `step`-th.

    Where nothing is watched, there are no more than some ten.
    """
    if stop_on == "none":
        step = max(step, last // FOR_HISTORY)
    return [*range(step, last, step), last]
