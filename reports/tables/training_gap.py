"""The gap between training and unseen clips, and how training went."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.training_curves import curves
from benchmark.analysis.training_gap import GAP_PARTS, RULE, Gap, Interval
from reports.tables.declaration import Content, Table, interval_columns, number_columns
from reports.tables.text import HIGH, LOW
from reports.tables.words import count, listed, percent

#: What columns of both tables of gaps mean.
COLUMNS = {
    "optimism": "fit minus select: lost because the clips were fitted",
    "shift": "select minus test: lost from one partition to the other",
    "loss optimism": "select minus fit loss, nats a label",
    "loss shift": "test minus select loss, nats a label",
}

#: Columns of the table of curves.
MEASURED = ("fit_loss", "stop_loss", "fit_mAP", "stop_mAP")


def gap_table(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return one row a model: mAP and loss by part, their differences, the verdict."""
    return pd.DataFrame([_gap_row(one) for one in gaps])


def _gap(analysis: Analysis) -> Content:
    frame = gap_table(analysis.gaps)
    steps = [name + end for name in ("optimism", "shift") for end in ("", LOW, HIGH)]
    loss = [f"{part} loss" for part in GAP_PARTS]
    mAP, corrected = ([f"{part} {kind}" for part in GAP_PARTS] for kind in ("mAP", "corrected mAP"))
    notes = (*analysis.trained.notes, RULE, *sentences(analysis.gaps))
    share = [f"lost share{end}" for end in ("", LOW, HIGH)]
    first = [
        "model",
        *mAP,
        *steps,
        "verdict",
        "surpassed by",
    ]  # a narrow terminal has room for these
    shown = frame[[*first, *corrected, *share, *loss, "lowest at"]]
    return Content(frame, notes, shown=shown)


GAP = Table(
    name="gap",
    title="training gap",
    about="How much better models are on their training clips than on unseen ones.",
    keys=("model",),
    derive=_gap,
    first=("model", "fit mAP", "select mAP", "test mAP", "verdict", "optimism", "shift"),
    columns={
        **{f"{part} mAP": f"mAP on the {part} part" for part in GAP_PARTS},
        **{
            f"{part} corrected mAP": f"mAP on the {part} part less its bias from few positives, as "
            "the bootstrap estimates it"
            for part in GAP_PARTS
        },
        **{
            f"{part} chance": f"mAP on the {part} part of a model that scores all clips alike"
            for part in GAP_PARTS
        },
        **{f"{part} loss": f"loss on the {part} part, nats a label" for part in GAP_PARTS},
        **COLUMNS,
        "lost share": "optimism as a share of what the fit mAP is above chance, where it is",
        "lowest at": "epoch, round or tree of the lowest loss on stop, of how many",
        "rise": "of the loss on stop from there to the end, relative to the lowest",
        "verdict": "by the rule in the note that begins with Over-fitted",
        "surpassed by": "settings of the same model that make it over-fitted by that rule",
    },
    command="gap --dataset {}",
    order=10,
    holds={
        **number_columns(*(f"{part} mAP" for part in GAP_PARTS)),
        **interval_columns("optimism", "shift"),
        "verdict": str,
    },
)


def _gap_row(one: Gap) -> dict[str, Any]:
    row: dict[str, Any] = {"model": one.label, "seeds": len(one.parts["fit"].run_mAP)}
    row |= {f"{part} mAP": one.parts[part].mAP for part in GAP_PARTS}
    row |= {f"{part} corrected mAP": one.parts[part].corrected_mAP for part in GAP_PARTS}
    row |= {f"{part} chance": one.parts[part].chance for part in GAP_PARTS}
    row |= _columns("optimism", one.optimism.mAP) | _columns("shift", one.shift.mAP)
    row |= _columns("lost share", one.lost_share)
    row |= {f"{part} loss": one.parts[part].loss for part in GAP_PARTS}
    row |= _columns("loss optimism", one.optimism.loss) | _columns("loss shift", one.shift.loss)
    turned = one.turned
    row["lowest at"] = f"{turned.unit} {turned.stage} of {turned.last}" if turned else "–"
    row["rise"] = turned.rise if turned else np.nan
    row["verdict"], row["surpassed by"] = one.verdict, ", ".join(one.surpassed_by) or "–"
    return row


def _columns(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.value, name + LOW: interval.lower, name + HIGH: interval.upper}


def gap_by_class(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return one row a model and class: AP and loss by part, and their differences.

    Values are NaN where a class can't be scored in one of the parts.
    """
    frames = []
    for one in gaps:
        columns: dict[str, Any] = {"model": one.label, "class": one.classes}
        columns |= {f"{part} AP": one.parts[part].class_ap for part in GAP_PARTS}
        columns |= {f"{part} corrected AP": one.parts[part].corrected_ap for part in GAP_PARTS}
        columns |= _columns("optimism", one.optimism.class_ap)
        columns |= _columns("shift", one.shift.class_ap)
        columns |= {f"{part} loss": one.parts[part].class_loss for part in GAP_PARTS}
        columns |= _columns("loss optimism", one.optimism.class_loss)
        columns |= _columns("loss shift", one.shift.class_loss)
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


GAP_PER_CLASS = Table(
    name="gap_per_class",
    title="training gap by class",
    about="How much better models are on their training clips than on unseen ones, in each class.",
    keys=("model", "class"),
    derive=lambda analysis: Content(gap_by_class(analysis.gaps), tuple(analysis.trained.notes)),
    columns={
        **{f"{part} AP": f"average precision on the {part} part" for part in GAP_PARTS},
        **{
            f"{part} corrected AP": f"the same less its bias from few positives, {part} part"
            for part in GAP_PARTS
        },
        **{f"{part} loss": f"loss on the {part} part, nats a label" for part in GAP_PARTS},
        **COLUMNS,
    },
    command="gap --dataset {} --per-class",
    order=11,
    holds=interval_columns("optimism", "shift", gaps=True),
    even=True,
)


def sentences(gaps: Sequence[Gap]) -> list[str]:
    """Return what follows from all models' gaps, whose values stand in the table."""
    surpassed = [f"{g.label} (by {listed(g.surpassed_by)})" for g in gaps if g.surpassed_by]
    none = len(gaps) - len(surpassed)
    judged = [f"over-fitted: {'; '.join(surpassed)}"] if surpassed else []
    judged += [f"not shown to be over-fitted: {count(none, 'model')}"] if none else []
    shares = sorted((g.lost_share.value, g.label) for g in gaps if not np.isnan(g.lost_share.value))
    ends = [f"{percent(share)} ({label})" for share, label in (*shares[:1], *shares[1:][-1:])]
    falling = [
        f"{g.label} (by {percent(g.turned.fall)} since {g.turned.unit} {g.turned.since})"
        for g in gaps
        if g.turned and g.turned.stage == g.turned.last > 1 and g.turned.still_falling
    ]
    said = {
        "": "; ".join(judged),
        "optimism, of what fit mAP is above chance: ": " to ".join(ends),
        "stopping loss still falling when training ended: ": listed(falling),
    }
    return [f"{what}{told}" for what, told in said.items() if told]


def _curves(analysis: Analysis) -> Content:
    frames = [
        pd.DataFrame({"model": entry.label, **curves(entry.records)})
        for entry in analysis.trained.entries
    ]
    return Content(pd.concat(frames, ignore_index=True), tuple(analysis.trained.notes))


CURVES = Table(
    name="curves",
    title="training",
    about="Loss and mAP over the epochs, rounds or trees of training.",
    keys=("model", "number"),
    derive=_curves,
    columns={
        "unit": "of training: epoch, round, tree or fit",
        "number": "of the epoch, round or tree",
        "seeds": "runs that came that far",
        "fit_loss": "masked loss on the clips fitted, nats a label, mean over seeds",
        "stop_loss": "the same on the stop part",
        "fit_mAP": "mAP on the clips fitted, mean over seeds",
        "stop_mAP": "the same on the stop part",
    },
    command="gap --dataset {} --curves",
    order=9,
    holds={
        "unit": str,
        "number": int,
        **number_columns("seeds"),
        **number_columns(*MEASURED),
        **number_columns(*(f"{one} sd" for one in MEASURED), gaps=True),
    },
)
