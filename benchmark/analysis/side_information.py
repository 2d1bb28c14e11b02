"""What further features add: runs on some features beside runs on these and others, paired.

Runs on ``vggish+tags`` beside runs on ``vggish`` say whether knowing the genre helps: over all
clips, in each class, and on the clips of each value of the attribute that bears the name of what
was added, as ``tags``, which says where it misleads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.slices import LEAST_A_CLASS, LEAST_CLIPS
from benchmark.analysis.training_gap import Interval
from benchmark.contracts.seeds import derive_seed
from benchmark.runs.features import features_of
from benchmark.scoring.bootstrap import Bootstrap, basic_interval, bootstrap, p_value
from benchmark.scoring.ranking import holm, resamples_needed

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Pair:
    """A model on some features, and the same model on more."""

    label: str
    added: str
    without: Entry
    more: Entry


@dataclass(frozen=True, eq=False)
class Gain:
    """What the further features add to one model.

    Attributes
    ----------
    label : str
        The model, and what it is on without them.
    added : str
        The further features.
    on : str
        ``"all clips"``, a slice of them as in ``"tags: unusual"``, or a class as in
        ``"class: flute"``.
    clips, classes : int
        That count; a class counts on a slice with 10 positives and 10 negatives there.
    without, more : float
        mAP, or average precision of the class, mean over seeds.
    gain : Interval
        Of `more` minus `without`, paired by clips.
    p : float
        Two-sided; Holm's correction over all models, apart for classes and for the others.
    at_floor : bool
        Whether `p` is the least that the resamples can show.
    """

    label: str
    added: str
    on: str
    clips: int
    classes: int
    without: float
    more: float
    gain: Interval
    p: float
    at_floor: bool


def pairs(result: Comparison) -> list[Pair]:
    """Return each model that ran on some features and on these joined with others."""
    found = []
    for without in result.entries:
        few = features_of(without.records[0].spec) if without.records else ""
        for more in result.entries:
            many = features_of(more.records[0].spec) if more.records else ""
            if few and many.startswith(f"{few}+") and _alike(without, more):
                label = f"{without.records[0].spec.label} on {few}"
                found.append(Pair(label, many.removeprefix(f"{few}+"), without, more))
    return found


def _alike(one: Entry, other: Entry) -> bool:
    keys = [
        (r.spec.label, r.spec.params, r.spec.source, r.versions, r.threads)
        for r in (one.records[0], other.records[0])
    ]
    return keys[0] == keys[1]


def measure(
    result: Comparison,
    attributes: Mapping[str, np.ndarray],
    n_resamples: int = 2000,
) -> list[Gain]:
    """Measure what further features add, on the part that is compared.

    Parameters
    ----------
    result : Comparison
    attributes : mapping of str to ndarray of str, shape (n_clips,)
        Of its clips.
    n_resamples : int
        Of the bootstrap; as many as the correction takes, at least.

    Returns
    -------
    list of Gain
        Empty where no model ran on some features and on these with others.
    """
    found = pairs(result)
    if not found:
        return []
    every = len(found) * len(result.classes)
    settings = {
        "n_resamples": max(n_resamples, resamples_needed(every, LEVEL)),
        "seed": derive_seed(0, "side information"),
    }
    whole, classes = [], []
    for on, rows, scored in _parts(result, attributes, {pair.added for pair in found}):
        labels = result.labels
        drawn = bootstrap(
            labels.y_positive[rows],
            labels.y_mask[rows],
            [e.scores[:, rows] for pair in found for e in (pair.without, pair.more)],
            groups=labels.groups[rows],
            classes=scored,
            **settings,
        )
        some = [pair if on == "all clips" or on.startswith(f"{pair.added}: ") else None
                for pair in found]  # fmt: skip
        whole += _gains(some, on, int(rows.sum()), drawn, [int(c) for c in scored])
        if on == "all clips":
            for c in scored:
                name = f"class: {result.classes[c]}"
                classes += _gains(some, name, int(rows.sum()), drawn, [int(c)])
    return [*_corrected(whole), *_corrected(classes)]


def _parts(
    result: Comparison, attributes: Mapping[str, np.ndarray], added: set[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield all clips and each slice that is large enough: name, rows, and the classes scored."""
    labels, every = result.labels, np.ones(len(result.labels), bool)
    parts = [("all clips", every, 1)]
    for name in sorted(added & set(attributes)):
        values = attributes[name]
        parts += [
            (f"{name}: {value}", values == value, LEAST_A_CLASS)
            for value in np.unique(values[values != ""])
        ]
    for on, rows, least in parts:
        positive = labels.y_positive[rows].sum(axis=0)
        absent = labels.y_mask[rows].sum(axis=0) - positive
        scored = np.flatnonzero(np.minimum(positive, absent) >= least)
        if len(scored) and rows.sum() >= LEAST_CLIPS:
            yield on, rows, scored


def _gains(
    some: Sequence[Pair | None], on: str, clips: int, drawn: Bootstrap, classes: list[int]
) -> list[tuple[Gain, float]]:
    """Return each pair's gain, not yet corrected, and the least p-value that it can have."""
    estimate = drawn.class_estimate[:, classes].mean(axis=1)
    values = drawn.class_values[:, :, classes].mean(axis=2)
    gains = []
    for i, pair in enumerate(some):
        if pair is None:
            continue
        without, more = estimate[2 * i : 2 * i + 2]
        gap, resampled = more - without, values[:, 2 * i + 1] - values[:, 2 * i]
        low, high = basic_interval(gap, resampled, LEVEL)
        p = float(p_value(gap, resampled))
        least = 2 / ((~np.isnan(resampled)).sum() + 1)
        interval = Interval(float(gap), float(low), float(high))
        known = pair.label, pair.added, on, clips, len(classes), float(without), float(more)
        gains.append((Gain(*known, interval, p, False), least))
    return gains


def _corrected(gains: list[tuple[Gain, float]]) -> list[Gain]:
    """Correct the p-values of one family of tests by Holm."""
    corrected = holm(np.array([one.p for one, _ in gains]))
    return [
        replace(one, p=float(p), at_floor=bool(p <= min(1, len(gains) * least) * (1 + 1e-9)))
        for (one, least), p in zip(gains, corrected, strict=True)
    ]
