"""How many positives a class takes, of models that know other classes and of those that don't."""

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.transfer import Transfer
from reports.tables.declaration import Content, Table
from reports.tables.text import FLOOR, HIGH, LOW, p_value, with_interval


def _transfer(analysis: Analysis) -> Content:
    found = analysis.transfer
    rows, runs = [], {}
    for one in found.taught:
        shown = "all" if one.positives is None else str(one.positives)
        rows.append(
            {
                "positives": shown,
                "model": one.label,
                "seeds": len({record.spec.seed for record in one.records}),
                "orders": len({record.spec.order for record in one.records}),
                "mAP": one.mAP,
                "mAP" + LOW: one.lower,
                "mAP" + HIGH: one.upper,
            }
        )
        runs[f"{shown} + {one.label}"] = [record.run_id for record in one.records]
    frame = pd.DataFrame(rows).join(_behind(found))
    notes = (
        *_sentences(found),
        f"all: {found.known.min()} to {found.known.max()} positives a class; where there are "
        "fewer than a row says, all are shown",
        "behind: paired by clips, seeds and orders resampled too; p: Holm's correction over all "
        "rows. A model that stops early has seen the labels of the stop part, too",
    )
    return Content(frame, notes + tuple(analysis.trained.notes), {"runs": runs})


def _behind(found: Transfer) -> pd.DataFrame:
    """Return the columns that hold each row against the best of as many positives."""
    columns = {name: np.full(len(found.taught), np.nan) for name in _BEHIND}
    columns["p" + FLOOR] = np.zeros(len(found.taught), bool)
    if (tests := found.behind) is not None:
        rows = [row for _, row in tests.pairs]
        values = tests.difference, tests.lower, tests.upper, tests.p_holm, tests.at_floor
        for name, value in zip((*_BEHIND, "p" + FLOOR), values, strict=True):
            columns[name][rows] = value
    return pd.DataFrame(columns)


_BEHIND = ("behind", "behind" + LOW, "behind" + HIGH, "p")


def _sentences(found: Transfer) -> list[str]:
    """Say of each number of positives which model is best, and how far the next one is behind."""
    said, tests = [], found.behind
    for n, (best, other) in enumerate(tests.pairs if tests else ()):
        if other != best + 1:  # another than the second
            continue
        first, second = found.taught[best], found.taught[other]
        known = "all positives" if first.positives is None else f"{first.positives} positives"
        gap = with_interval(tests.difference[n], tests.lower[n], tests.upper[n])
        p = p_value(tests.p_holm[n], bool(tests.at_floor[n]))
        said.append(f"{known}: {first.label} is best, {second.label} {gap} behind, p {p}")
    return said


TRANSFER = Table(
    name="transfer",
    title="few positives a class",
    about="How models fare that were shown few positives of each class.",
    keys=("positives", "model"),
    derive=_transfer,
    columns={
        "positives": "groups in which each class is known to be heard; its other positives count "
        "as not observed",
        "orders": "random orders in which these groups were taken",
        "behind": "mAP of the best model of as many positives minus this one's",
        "p": "p-value of that difference",
    },
    command="transfer --dataset {}",
    optional=True,
    order=14,
)
