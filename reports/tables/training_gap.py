"""Training gap and training curves as tables and sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.comparison import Entry
from benchmark.analysis.training_curves import curves as mean_curves
from benchmark.analysis.training_gap import GAP_PARTS, Gap, Interval
from reports.tables.text import HIGH, LOW, _with_interval


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
