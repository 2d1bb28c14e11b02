"""Training gap, learning curve and calibration as tables and sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.calibration import Calibration
from benchmark.analysis.comparison import Entry
from benchmark.analysis.history import curves as mean_curves
from benchmark.analysis.learning_curve import LearningCurve
from benchmark.analysis.training_gap import GAP_PARTS, Gap, Interval
from reports.tables import HIGH, LOW, cell


def gap(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return one row a model: mAP and loss by part, the gap's two steps, turn and verdict.

    ``optimism`` and ``shift`` are differences of mAP with their 95 % intervals in the columns
    ``… low`` and ``… high``; ``loss optimism`` and ``loss shift`` are those of the loss, in
    nats a label, positive where the later part is worse. ``lowest at`` is the stage of the
    lowest stopping loss and ``rise`` how far it had risen by the last, relative to it.
    """
    return pd.DataFrame([_gap_row(one) for one in gaps])


def _gap_row(one: Gap) -> dict[str, Any]:
    row: dict[str, Any] = {"model": one.label, "seeds": len(one.parts["fit"].run_mAP)}
    row |= {f"{part} mAP": one.parts[part].mAP for part in GAP_PARTS}
    row |= _columns("optimism", one.optimism.mAP) | _columns("shift", one.shift.mAP)
    row |= {f"{part} loss": one.parts[part].loss for part in GAP_PARTS}
    row |= _columns("loss optimism", one.optimism.loss) | _columns("loss shift", one.shift.loss)
    turned = one.turned
    row["lowest at"] = f"{turned.unit} {turned.stage} of {turned.last}" if turned else "–"
    row["rise"] = turned.rise if turned else np.nan
    row["verdict"] = one.verdict
    return row


def _columns(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.value, name + LOW: interval.lower, name + HIGH: interval.upper}


def summary(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return the columns of :func:`gap` that fit a terminal."""
    steps = [name + end for name in ("optimism", "shift") for end in ("", LOW, HIGH)]
    mAP, loss = ([f"{part} {kind}" for part in GAP_PARTS] for kind in ("mAP", "loss"))
    return gap(gaps)[["model", *mAP, *steps, *loss, "lowest at", "verdict"]]


def _with_interval(value: float, lower: float, upper: float) -> str:
    return "–" if np.isnan(value) else f"{cell(value)} ({cell(lower)} to {cell(upper)})"


def gap_per_class(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return one row a model and class: AP and loss by part, the gap's two steps.

    Values are NaN where a class can't be scored in one of the parts.
    """
    frames = []
    for one in gaps:
        columns: dict[str, Any] = {"model": one.label, "class": one.classes}
        columns |= {f"{part} AP": one.parts[part].class_ap for part in GAP_PARTS}
        columns |= _columns("optimism", one.optimism.class_ap)
        columns |= _columns("shift", one.shift.class_ap)
        columns |= {f"{part} loss": one.parts[part].class_loss for part in GAP_PARTS}
        columns |= _columns("loss optimism", one.optimism.class_loss)
        columns |= _columns("loss shift", one.shift.class_loss)
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def gap_sentences(gaps: Sequence[Gap]) -> list[str]:
    """Return one sentence a model: its verdict and what it rests on."""
    return [_gap_sentence(one) for one in gaps]


def _gap_sentence(one: Gap) -> str:
    steps = [
        _with_interval(s.mAP.value, s.mAP.lower, s.mAP.upper) for s in (one.optimism, one.shift)
    ]
    sentence = (
        f"{one.label} is {one.verdict}: of a fit mAP of {one.parts['fit'].mAP:.3f}, {steps[0]} "
        f"is optimism and {steps[1]} is lost from select to test"
    )
    turned = one.turned
    if turned is None or turned.last == turned.stage == 1:
        return f"{sentence}."
    where = f"its stopping loss was lowest at {turned.unit} {turned.stage}"
    if turned.stage < turned.last:
        after = f" and had risen by {turned.rise:.1%} by {turned.unit} {turned.last}"
    else:
        still = f"and still falling: by {turned.fall:.1%} since {turned.unit} {turned.since}"
        after = f", the last, {still if turned.still_falling else 'where it was level'}"
    return f"{sentence}; {where}{after}."


def curves(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one row a model and stage: losses and mAP on fit and stop, mean and sd over seeds.

    ``seeds`` counts the runs that reached the stage.
    """
    frames = []
    for entry in entries:
        found = mean_curves(entry.records)
        frames.append(pd.DataFrame({"model": entry.label, **found}))
    return pd.concat(frames, ignore_index=True)


def learning_curve(found: Sequence[LearningCurve]) -> pd.DataFrame:
    """Return one row a model and fraction: clips trained on, mAP there and on select, its gain."""
    frames = [
        pd.DataFrame(
            {
                "model": one.label,
                "fraction": [f"{100 * share:g} %" for share in one.fractions],
                "clips": one.clips,
                "seeds": one.seeds,
                "training mAP": one.training_mAP,
                "select mAP": one.mAP,
                "select mAP" + LOW: one.lower,
                "select mAP" + HIGH: one.upper,
                "gain": one.gain.value,
                "gain" + LOW: one.gain.lower,
                "gain" + HIGH: one.gain.upper,
            }
        )
        for one in found
    ]
    return pd.concat(frames, ignore_index=True)


def learning_curve_sentences(found: Sequence[LearningCurve]) -> list[str]:
    """Return one sentence a model: what would pay, and what says so."""
    return [_learning_curve_sentence(one) for one in found]


def _learning_curve_sentence(one: LearningCurve) -> str:
    gain = _with_interval(*(a[-1] for a in (one.gain.value, one.gain.lower, one.gain.upper)))
    step = f"from {100 * one.fractions[-2]:g} to 100 % of the training groups select mAP"
    fitted = f"training mAP of {one.training_mAP[-1]:.3f} against {one.mAP[-1]:.3f} on select"
    if one.verdict == "more data":
        return f"{one.label}: more data would pay; {step} rose by {gain}."
    if one.verdict == "more regularisation":
        return (
            f"{one.label}: more regularisation would pay; {step} changed by {gain}, which shows "
            f"no gain, at a {fitted}."
        )
    return (
        f"{one.label}: neither more data nor more regularisation is shown to pay; {step} "
        f"changed by {gain}, at a {fitted}."
    )


def calibration(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model: expected calibration error and Brier score, means over seeds."""
    return pd.DataFrame(
        {
            "model": [one.label for one in found],
            "seeds": [len(one.runs) for one in found],
            "ECE": [one.ece for one in found],
            "pooled ECE": [one.pooled_ece for one in found],
            "Brier": [one.brier for one in found],
        }
    )


def calibration_per_class(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model and class: expected calibration error and Brier score."""
    columns = [
        {"model": one.label, "class": one.classes, "ECE": one.class_ece, "Brier": one.class_brier}
        for one in found
    ]
    return pd.concat([pd.DataFrame(c) for c in columns], ignore_index=True)


def reliability(found: Sequence[Calibration]) -> pd.DataFrame:
    """Return one row a model, class and bin that holds labels, all seeds together.

    The class ``"all"`` pools the labels of every class.
    """
    frames = []
    for one in found:
        together = one.together
        frames += [
            _bins(one.label, "all", together.pooled, 0),
            *(_bins(one.label, name, together, c) for c, name in enumerate(one.classes)),
        ]
    return pd.concat(frames, ignore_index=True)


def _bins(label: str, name: str, found: Any, row: int) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "model": label,
            "class": name,
            "lower edge": found.edges[:-1],
            "upper edge": found.edges[1:],
            "mean score": found.mean_score[row],
            "share of positives": found.positive_share[row],
            "labels": found.count[row],
        }
    )
    return frame[frame["labels"] > 0]
