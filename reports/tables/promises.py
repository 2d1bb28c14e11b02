"""What tuning promised on select and kept on test, study by study."""

from typing import Any

import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.promises import Promise
from reports.tables.comparison import TUNED
from reports.tables.declaration import Content, Table
from reports.tables.text import HIGH, LOW, with_interval


def _promises(analysis: Analysis) -> Content | None:
    found = analysis.promises
    if not found:
        return None
    notes = (sentence(found[-1]), "intervals: 95 %, paired by clips, over seeds, not corrected")
    return Content(pd.DataFrame(map(_row, found)), notes)


def _row(one: Promise) -> dict[str, Any]:
    row: dict[str, Any] = {"model": one.label, "against": one.against, "promised": one.promised}
    for name, gain in (("select gain", one.select), ("test gain", one.test)):
        row |= {name: gain.value, name + LOW: gain.lower, name + HIGH: gain.upper}
    return row


def sentence(one: Promise) -> str:
    """Say what was promised and what was kept."""
    gains = [with_interval(g.value, g.lower, g.upper) for g in (one.select, one.test)]
    return (
        f"{one.label}: the trials that were chosen promised {one.promised:+.3f} select mAP over "
        f"the default; their runs gained {gains[0]} there, and {gains[1]} on test"
    )


PROMISES = Table(
    name="promises",
    title="what tuning promised and kept",
    about="What tuning gained on select, and what of it was left on test.",
    keys=("model",),
    derive=_promises,
    columns={
        "model": "tuned",
        "against": "the same model by default",
        "promised": "select mAP of the trial that was chosen, of one fit, minus the mean of the "
        "default's runs; it can be below 0, as folds of all training clips chose that trial, and "
        "not its select mAP alone",
        "select gain": "mAP of the tuned runs minus that of the default's, on the select part",
        "test gain": "the same on the test part, which chose nothing",
    },
    first=("model", "promised", "test gain", "select gain"),
    takes=TUNED,
    rests_on="pool",
    optional=True,
    order=7,
)
