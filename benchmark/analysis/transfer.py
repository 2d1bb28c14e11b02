"""How many positives a class takes: models that know other classes, and models that know none.

Runs that were shown 5, 10, 20 and 40 groups in which each class is heard, its other positives
counting as not observed (:func:`benchmark.runs.request.few_positives`), stand beside runs that
knew all. Whether knowing other classes helps is told by a model that learns from a data set's
auxiliary clips first, against the same model that does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.learning_curve import in_orders, one_an_order, setting_key
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record
from benchmark.runs.request import RunRequest, make_model
from benchmark.scoring.bootstrap import basic_interval, bootstrap
from benchmark.scoring.ranking import Family, paired, resamples_needed

#: Groups in which each class is known to be heard, and all of them.
POSITIVES: tuple[int | None, ...] = (5, 10, 20, 40, None)

#: A network that knows the auxiliary classes, the same from nothing, and a linear model.
MODELS = ("cnn_pretrained:few", "cnn_pretrained:untaught", "logistic_regression")

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Taught:
    """A model that was shown so many positives a class.

    Attributes
    ----------
    label : str
    positives : int or None
        Groups of each class; None for all.
    records : list of Record
        Averaged.
    mAP, lower, upper : float
        With a 95 % basic interval.
    """

    label: str
    positives: int | None
    records: list[Record]
    mAP: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Transfer:
    """Models by the positives that they were shown.

    Attributes
    ----------
    taught : list of Taught
        Fewest positives first, then best mAP first.
    behind : Family or None
        The best model of as many positives minus each other one; pairs are places in `taught`.
        None where each stands alone.
    known : ndarray of int, shape (n_classes,)
        Positives of each class in the fit part.
    """

    taught: list[Taught]
    behind: Family | None
    known: np.ndarray


def requests(whole: Sequence[RunRequest]) -> list[RunRequest]:
    """Return the runs that are shown fewer positives, from those of models that know all."""
    shown = [[replace(one, positives=number) for one in whole] for number in POSITIVES]
    return [one for number in shown for one in in_orders(number)]


def check_taught(dataset: Dataset, whole: Sequence[RunRequest]) -> None:
    """Refuse models that learn from auxiliary clips first where a data set has none.

    Raises
    ------
    ProtocolError
        Naming the model.
    """
    taught = [one for one in whole if make_model(one).uses_auxiliary]
    if taught and dataset.auxiliary is None:
        raise ProtocolError(
            f"data set {dataset.name!r} has no auxiliary clips, from which {taught[0].model} would "
            "learn first: name other models with --model, or a data set that has some"
        )


def measure(
    whole: Comparison,
    store: Runs,
    labels: dict[str, StoredLabels],
    *,
    n_resamples: int = 2000,
) -> Transfer:
    """Compare models that were shown the same positives.

    Parameters
    ----------
    whole : Comparison
        Of runs that knew all positives.
    store : Runs
        Holds them, and those that knew fewer.
    labels : dict of str to StoredLabels
        By part.
    n_resamples : int
        Of the bootstrap; as many as the correction over all tests takes, at least.

    Raises
    ------
    ProtocolError
        If no model has finished runs that knew few positives, by the code and libraries of those
        that knew all.
    """
    limited = [
        record
        for record in store.records()
        if record.finished
        and record.spec.division_id == whole.division_id
        and record.spec.positives is not None
    ]
    found = [row for entry in whole.entries for row in _by_positives(entry, limited)]
    if not any(positives for _, positives, _ in found):
        raise ProtocolError(
            "no run here was shown few positives a class, by the code and libraries of the runs "
            "that knew all. Run `polytimbre transfer`, which computes what is missing"
        )
    part = labels[whole.part]
    result = bootstrap(
        part.y_positive,
        part.y_mask,
        [np.stack([store.scores(r)[whole.part] for r in runs]) for *_, runs in found],
        groups=part.groups,
        n_resamples=max(n_resamples, resamples_needed(len(found), LEVEL)),
        seed=derive_seed(0, "transfer"),
    )
    bounds = basic_interval(result.estimate, result.values, LEVEL)
    values = zip(result.estimate.tolist(), *(ends.tolist() for ends in bounds), strict=True)
    rows = [Taught(*one, *value) for one, value in zip(found, values, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: (rows[i].positives or np.inf, -rows[i].mAP))
    taught = [rows[i] for i in order]
    pairs, behind = _behind([one.positives for one in taught]), None
    if pairs:
        behind = paired(result, [(order[best], order[other]) for best, other in pairs])
        behind = replace(behind, pairs=tuple(pairs))
    return Transfer(taught, behind, labels["fit"].y_positive.sum(axis=0))


def _by_positives(
    entry: Entry, limited: Sequence[Record]
) -> list[tuple[str, int | None, list[Record]]]:
    """Return the runs of one model setting by the positives that they were shown, if by several."""
    key = setting_key(entry.records[0])
    runs: dict[int | None, list[Record]] = {}
    for record in limited:
        if setting_key(record) == key:
            runs.setdefault(record.spec.positives, []).append(record)
    if not runs:
        return []
    few = [(entry.label, positives, one_an_order(some)) for positives, some in runs.items()]
    return [*few, (entry.label, None, entry.records)]


def _behind(positives: Sequence[int | None]) -> list[tuple[int, int]]:
    """Pair the first place of each number of positives with the others of that number."""
    first = {number: positives.index(number) for number in dict.fromkeys(positives)}
    return [(first[number], i) for i, number in enumerate(positives) if first[number] != i]
