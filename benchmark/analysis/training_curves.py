"""Training histories: curves over epochs, rounds or trees, and where the stopping loss turned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.contracts.model import Stage
from benchmark.runs.record import Record

#: A larger relative fall of the stopping loss over the final tenth of training is unfinished.
STILL_FALLING = 0.01


@dataclass(frozen=True)
class Turn:
    """Where the stopping loss turned.

    Attributes
    ----------
    unit : str
        ``"epoch"``, ``"round"``, ``"tree"`` or ``"fit"``.
    stage : int
        Stage of the lowest stopping loss, median over seeds.
    last : int
        Last stage, median over seeds.
    rise : float
        Rise of the stopping loss from there to the last stage, relative to the lowest; mean
        over seeds.
    since : int
        The last stage recorded before the final tenth of training, median over seeds.
    fall : float
        By how much the stopping loss fell below its lowest up to `since`, relative to the lowest
        of all; 0 where it didn't. Mean over seeds. Single stages are too noisy to compare.
    """

    unit: str
    stage: int
    last: int
    rise: float
    since: int
    fall: float

    @property
    def still_falling(self) -> bool:
        """Whether training ended before the stopping loss was done falling."""
        return self.fall > STILL_FALLING


def turn(records: Sequence[Record]) -> Turn | None:
    """Find where the stopping loss turned, over the seeds of one model.

    Parameters
    ----------
    records : sequence of Record

    Returns
    -------
    Turn or None
        None if no record has a stage with a stopping loss.
    """
    lowest, last, rises, since, falls = [], [], [], [], []
    for record in records:
        stages = record.history.get("stages", {})
        number = np.array(stages.get("number", []))
        loss = np.array(stages.get("stop_loss", []), dtype=np.float64)
        if not number.size or np.isnan(loss).any():
            continue
        best = int(loss.argmin())
        lowest.append(number[best])
        last.append(number[-1])
        rises.append(loss[-1] / loss[best] - 1)
        earlier = np.flatnonzero(number <= 0.9 * number[-1])
        before = int(earlier[-1]) if earlier.size else len(number) - 1
        since.append(number[before])
        falls.append(loss[: before + 1].min() / loss[best] - 1)
    if not lowest:
        return None
    return Turn(
        unit=records[0].history["unit"],
        stage=int(np.median(lowest)),
        last=int(np.median(last)),
        rise=float(np.mean(rises)),
        since=int(np.median(since)),
        fall=float(np.mean(falls)),
    )


def curves(records: Sequence[Record]) -> dict[str, Any]:
    """Average the histories of one model's seeds, stage by stage.

    Parameters
    ----------
    records : sequence of Record

    Returns
    -------
    dict
        ``unit`` (str), ``number`` and ``seeds`` (ndarray of int, shape (n_stages,): the stage,
        and the runs that reached it), and for each of ``fit_loss``, ``stop_loss``,
        ``fit_mAP``, ``stop_mAP`` the mean over those runs and, under the name with `` sd``,
        the standard deviation, NaN for one run.
    """
    reached: dict[int, list[list[float]]] = {}
    for record in records:
        stages = record.history.get("stages", {})
        columns = zip(*(stages.get(name, []) for name in Stage._fields), strict=True)
        for number, *values in columns:
            reached.setdefault(int(number), []).append(values)
    numbers = sorted(reached)
    averaged: dict[str, Any] = {
        "unit": records[0].history.get("unit", ""),
        "number": np.array(numbers, dtype=int),
        "seeds": np.array([len(reached[n]) for n in numbers], dtype=int),
    }
    for i, name in enumerate(Stage._fields[1:]):
        values = [np.array([row[i] for row in reached[n]]) for n in numbers]
        averaged[name] = np.array([v.mean() for v in values])
        averaged[f"{name} sd"] = np.array([v.std(ddof=1) if len(v) > 1 else np.nan for v in values])
    return averaged
