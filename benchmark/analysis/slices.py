"""How models fare on slices of the clips, by an attribute of theirs, against all other clips."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.analysis.comparison import Comparison
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.scoring.bootstrap import basic_interval, p_value
from benchmark.scoring.ranking import LEVEL, holm, resamples_needed
from benchmark.scoring.slicing import QUANTITIES, SliceValues, resample_slice

#: Clips, and positives over all classes, of the smallest slice that is looked at.
LEAST_CLIPS, LEAST_POSITIVES = 30, 20
#: A class counts into a slice's mAP with so many positives and negatives there and in the rest,
#: and a slice has a mAP where so many classes do, or all that the clips hold.
LEAST_A_CLASS, LEAST_CLASSES = 10, 5
#: Resamples at most; a table has many slices.
MOST_RESAMPLES = 2000
#: Resamples of single classes on slices, of which there are some hundreds.
CLASS_RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class Slice:
    """The clips of one value of an attribute.

    Attributes
    ----------
    value : str
    clips, positives : int
    classes : tuple of str
        Those that count into its mAP.
    measured : SliceValues
    """

    value: str
    clips: int
    positives: int
    classes: tuple[str, ...]
    measured: SliceValues


@dataclass(frozen=True, eq=False)
class Slices:
    """A comparison's models on the slices of one attribute.

    Attributes
    ----------
    attribute : str
    models : list of str
    slices : list of Slice
        In the order of their values.
    left_out : dict of str to str
        Values that no slice is looked at of, and why.
    unknown : int
        Clips whose attribute is not known; they are in no slice and in no rest.
    """

    attribute: str
    models: list[str]
    slices: list[Slice]
    left_out: dict[str, str]
    unknown: int

    def interval(self, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a quantity with its interval's ends, each of shape (n_slices, n_models)."""
        at = QUANTITIES.index(quantity)
        estimate = np.stack([one.measured.estimate[at] for one in self.slices])
        ends = np.full((2, *estimate.shape), np.nan)
        for s, one in enumerate(self.slices):
            if not np.isnan(estimate[s]).any():
                ends[:, s] = basic_interval(estimate[s], one.measured.values[at], LEVEL)
        if not quantity.endswith("difference"):
            ends = ends.clip(0, 1)
        return estimate, *ends

    def tests(self, quantity: str) -> tuple[np.ndarray, np.ndarray]:
        """Return p-values (Holm, over each model's slices), and which are the least possible.

        Each of shape (n_slices, n_models); NaN for a slice without the quantity.
        """
        at = QUANTITIES.index(quantity)
        estimate = np.stack([one.measured.estimate[at] for one in self.slices])
        p, floor = np.full(estimate.shape, np.nan), np.zeros(estimate.shape, bool)
        known = np.flatnonzero(~np.isnan(estimate).any(axis=1))
        if not len(known):
            return p, floor
        values = np.stack([self.slices[s].measured.values[at] for s in known], axis=1)
        plain = p_value(estimate[known], values)
        least = 2 / ((~np.isnan(values)).sum(axis=0) + 1)
        for m in range(len(self.models)):
            p[known, m] = holm(plain[:, m])
            floor[known, m] = p[known, m] <= np.minimum(1, len(known) * least[:, m]) * (1 + 1e-9)
        return p, floor


@dataclass(frozen=True)
class ClassOnSlice:
    """How one model ranks one class on one slice, against all other clips.

    Attributes
    ----------
    attribute, value, name : str
        The slice, and the class.
    positives : int
        Of the class in the slice.
    area, difference : tuple of float
        ROC-AUC in the slice, and minus that in the other clips: value, and the interval's ends.
    """

    attribute: str
    value: str
    name: str
    positives: int
    area: tuple[float, float, float]
    difference: tuple[float, float, float]


def check_attribute(dataset: str, attributes: Collection[str], name: str) -> None:
    """Refuse an attribute that is none of those that are known of the clips.

    Raises
    ------
    UnknownNameError
        With the nearest one, or all.
    ProtocolError
        If there is none.
    """
    if not attributes:
        raise ProtocolError(
            f"no attributes of these clips are stored: data set {dataset!r} has none, or its runs "
            f"are older than they are. `polytimbre run --dataset {dataset}` adds them, and keeps "
            "finished runs"
        )
    if name not in attributes:
        raise UnknownNameError("attribute", name, attributes)


def measure(
    result: Comparison,
    attributes: dict[str, np.ndarray],
    name: str,
    n_resamples: int,
) -> Slices:
    """Score a comparison's models on the slices of an attribute, each against the other clips.

    Parameters
    ----------
    result : Comparison
    attributes : dict of str to ndarray of str, shape (n_clips,)
        Of the clips that are compared.
    name : str
        Of the attribute.
    n_resamples : int
        `MOST_RESAMPLES` at most, but as many as the correction over the slices takes.

    Raises
    ------
    UnknownNameError
        If there is no such attribute.
    ProtocolError
        If no slice is large enough.
    """
    check_attribute(result.dataset, attributes, name)
    known = attributes[name] != ""
    values, labels = attributes[name][known], result.labels
    y_positive, y_mask = labels.y_positive[known], labels.y_mask[known]
    chosen, left_out = _large_enough(values, y_positive)
    if len(chosen) + len(left_out) < 2 or not chosen:
        raise ProtocolError(_nothing(name, values, left_out))
    groups = np.unique(labels.groups[known], return_inverse=True)[1]
    scores = [entry.scores[:, known] for entry in result.entries]
    n_resamples = max(min(n_resamples, MOST_RESAMPLES), resamples_needed(len(chosen)))
    slices = []
    for value in chosen:
        inside = values == value
        scored, pooled = _classes(inside, y_positive, y_mask)
        if not pooled.any():
            left_out[value] = "no class of it is in the other clips"
            continue
        measured = resample_slice(
            y_positive, y_mask, scores, inside,
            groups=groups, scored=scored, pooled=pooled, n_resamples=n_resamples,
        )  # fmt: skip
        classes = tuple(np.array(result.classes)[scored].tolist())
        counted = int(y_positive[inside].sum())
        slices.append(Slice(value, int(inside.sum()), counted, classes, measured))
    if not slices:
        raise ProtocolError(_nothing(name, values, left_out))
    models = [entry.label for entry in result.entries]
    return Slices(name, models, slices, left_out, int((~known).sum()))


def by_class(
    result: Comparison,
    attributes: dict[str, np.ndarray],
    measured: Sequence[Slices],
    model: str,
    n_resamples: int,
) -> list[ClassOnSlice]:
    """Score one model on single classes in slices, each against the other clips.

    Parameters
    ----------
    result : Comparison
    attributes : dict of str to ndarray of str, shape (n_clips,)
    measured : sequence of Slices
        The slices that are looked at; classes that are too rare in one are left out of it.
    model : str
        Its label.
    n_resamples : int
        `CLASS_RESAMPLES` at most.
    """
    labels = result.labels
    scores = next(entry.scores for entry in result.entries if entry.label == model)
    found = []
    for one in measured:
        known = attributes[one.attribute] != ""
        values, groups = attributes[one.attribute][known], labels.groups[known]
        groups = np.unique(groups, return_inverse=True)[1]
        y_positive, y_mask = labels.y_positive[known], labels.y_mask[known]
        for piece in one.slices:
            inside = values == piece.value
            rare = _fewest(inside, y_positive, y_mask) < LEAST_A_CLASS
            for c in np.flatnonzero(~rare):
                drawn = resample_slice(
                    y_positive[:, [c]], y_mask[:, [c]], [scores[:, known][:, :, [c]]], inside,
                    groups=groups, scored=np.zeros(1, bool), pooled=np.ones(1, bool),
                    n_resamples=min(n_resamples, CLASS_RESAMPLES),
                )  # fmt: skip
                area, difference = (_span(drawn, name) for name in QUANTITIES[3:])
                positives = int(y_positive[inside, c].sum())
                at = one.attribute, piece.value, result.classes[c]
                found.append(ClassOnSlice(*at, positives, area, difference))
    return found


def _span(drawn: SliceValues, quantity: str) -> tuple[float, float, float]:
    """Return a quantity of one model with the ends of its interval."""
    at = QUANTITIES.index(quantity)
    estimate = drawn.estimate[at]
    low, high = basic_interval(estimate, drawn.values[at], LEVEL)
    if not quantity.endswith("difference"):
        low, high = low.clip(0, 1), high.clip(0, 1)
    return float(estimate[0]), float(low[0]), float(high[0])


def _large_enough(values: np.ndarray, y_positive: np.ndarray) -> tuple[list[str], dict[str, str]]:
    """Return the values whose slices are large enough, and why the others are not."""
    chosen, left_out = [], {}
    for value, clips in zip(*np.unique(values, return_counts=True), strict=True):
        positives = y_positive[values == value].sum()
        if clips < LEAST_CLIPS:
            left_out[str(value)] = f"{clips} clips"
        elif positives < LEAST_POSITIVES:
            left_out[str(value)] = f"{positives} positive{'s' if positives != 1 else ''}"
        else:
            chosen.append(str(value))
    return chosen, left_out


def _classes(
    inside: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a slice's mAP, and those that are pooled, bool, (n_classes,)."""
    least = _fewest(inside, y_positive, y_mask)
    absent = y_mask & ~y_positive
    scored, scorable = least >= LEAST_A_CLASS, y_positive.any(axis=0) & absent.any(axis=0)
    if scored.sum() < min(LEAST_CLASSES, scorable.sum()):
        scored = np.zeros_like(scored)
    return scored, least > 0


def _fewest(inside: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray) -> np.ndarray:
    """Return the fewest positives or negatives of each class in a slice or in the other clips."""
    absent = y_mask & ~y_positive
    counts = [one[side].sum(axis=0) for side in (inside, ~inside) for one in (y_positive, absent)]
    return np.min(counts, axis=0)


def _nothing(name: str, values: Sequence[str], left_out: dict[str, str]) -> str:
    needed = f"{LEAST_CLIPS} clips and {LEAST_POSITIVES} positives"
    if len(values) and len(left_out) == len(values):
        return (
            f"attribute {name!r} has a value of its own for each clip: slices take an attribute "
            "that many clips share"
        )
    if len(set(values)) < 2:
        told = "one value" if len(values) else "no value"
        return f"attribute {name!r} has {told} on these clips: there is nothing to compare"
    told = ", ".join(f"{value} ({why})" for value, why in list(left_out.items())[:5])
    return (
        f"no slice by attribute {name!r} has the {needed} that it takes: {told}. Name another "
        "attribute, or a larger part with --part"
    )
