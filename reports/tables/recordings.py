"""The table of a run on labelled recordings, next to its own test part."""

import numpy as np
import pandas as pd

from benchmark.analysis.slices import LEAST_A_CLASS
from benchmark.contracts.dataset import Labels
from benchmark.predict.choosing import HearingRun
from benchmark.predict.knowledge import resampled
from benchmark.scoring.bootstrap import Bootstrap
from benchmark.scoring.metrics import macro

#: What mAP's row is called among the classes.
MEAN = "mAP"


def result(
    run: HearingRun, labels: Labels, scores: np.ndarray, resamples: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a class and one of their mean, and what is to be known of them.

    Parameters
    ----------
    run : HearingRun
    labels : Labels
        Of the recordings, a row each.
    scores : ndarray, shape (n_recordings, n_classes)
    resamples : int
        Of the recordings, for intervals.
    """
    found = resampled(labels, scores, n=resamples)
    observed = labels.y_mask.sum(axis=0)
    chance = labels.y_positive.sum(axis=0) / np.maximum(observed, 1)
    test = run.knowledge
    frame = pd.DataFrame({"class": run.classes})
    frame["positives"], frame["observed"] = labels.y_positive.sum(axis=0), observed
    frame["chance"] = np.where(observed, chance, np.nan)
    nothing = np.full(len(run.classes), np.nan)
    frame["AP"], frame["AP low"], frame["AP high"] = nothing, nothing, nothing
    if found is not None:
        frame["AP"] = found.class_estimate[0]
        (frame["AP low"],), (frame["AP high"],) = found.class_interval()
    frame["AP on test"], frame["AP on test low"], frame["AP on test high"] = (
        test.average_precision, test.low, test.high,
    )  # fmt: skip
    frame["chance on test"] = test.prior
    scored = frame["AP"].notna()
    left_out = frame["class"][~scored]
    # resamples with both repeat one clip, and score as before
    single = scored & (np.minimum(frame["positives"], observed - frame["positives"]) < 2)
    frame.loc[single, ["AP low", "AP high"]] = np.nan
    few = frame["class"][scored & ~single & (frame["positives"] < LEAST_A_CLASS)]
    notes = [
        f"{len(labels)} recordings, scored by run {run.record.run_id}: {run.title}",
        "intervals of 95 % from resampled recordings, and of the test part from its groups",
    ]
    if single.any():
        alone = ", ".join(frame["class"][single])
        notes.append(f"without an interval, as one positive or one negative gives none: {alone}")
    if len(few):
        notes.append(
            f"fewer than {LEAST_A_CLASS} positives, so that the interval may be far too short: "
            + ", ".join(few)
        )
    if len(left_out):
        notes.append(
            "without an observed positive and an observed negative, and in no mean: "
            + ", ".join(left_out)
        )
    if found is not None:
        row = _mean(frame[scored], found)
        if single[scored].all():
            row |= {"AP low": np.nan, "AP high": np.nan}
        frame.loc[len(frame)] = row
        notes.append("the mean over test is that of the same classes")
    return frame, notes


def _mean(scored: pd.DataFrame, found: Bootstrap) -> dict[str, object]:
    """Return the row of the mean over the classes that can be scored."""
    (low,), (high,) = found.interval()
    return {
        "class": MEAN,
        "positives": int(scored["positives"].sum()),
        "observed": int(scored["observed"].sum()),
        "chance": macro(scored["chance"].to_numpy()),
        "AP": float(found.estimate[0]),
        "AP low": float(low),
        "AP high": float(high),
        "AP on test": macro(scored["AP on test"].to_numpy()),
        "AP on test low": np.nan,
        "AP on test high": np.nan,
        "chance on test": macro(scored["chance on test"].to_numpy()),
    }
