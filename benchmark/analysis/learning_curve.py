"""Learning curves: whether more data or more regularisation would pay.

Runs that trained on 10, 20, 50 and 100 % of the fit part's groups are scored on the *select*
part, as the answer leads to a choice, and no choice is made on test. The shares are nested
(:func:`benchmark.runs.request.training_rows`) and scored on the same clips, so two of them are
compared by a paired bootstrap. Which groups a share holds is luck too: each run of a model takes
the groups in another random order, so that the spread between its runs is that of seeds and of
orders together, and both are in the intervals. The training mAP is the history's, of the clips
that were trained on, at the stage the model stands at.

References
----------
C. Perlich, F. Provost and J. S. Simonoff, "Tree induction vs. logistic regression: a
learning-curve analysis", *Journal of Machine Learning Research* 4, 211-255, 2003.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.training_gap import Interval
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record
from benchmark.runs.request import RunRequest
from benchmark.scoring.bootstrap import basic_interval, bootstrap, p_value
from benchmark.scoring.ranking import LEVEL, holm

#: Shares of the fit part's groups that a learning curve is made of.
FRACTIONS = (0.1, 0.2, 0.5, 1.0)

#: Models whose curves are drawn where none is named: all.
MODELS = None

#: Random orders that the groups are taken in, at least.
N_ORDERS = 3

#: The rule behind :attr:`LearningCurve.verdict`, as it is printed under the table.
RULE = (
    "More data would pay where the last step of the curve raised select mAP significantly (paired "
    "by clips, Holm over the models, at 5 %); else nothing is shown. Intervals hold the luck of "
    "clips, of seeds and, where there are several, of the order in which groups were taken. "
    "Whether more regularisation would pay can't be seen in a learning curve: compare settings."
)


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One model's mAP over the share of the training groups, rising.

    Attributes
    ----------
    label : str
    fractions : ndarray, shape (n_fractions,)
        Rising; the last is 1.
    clips : ndarray of int, shape (n_fractions,)
        Trained on, mean over runs.
    seeds, orders : ndarray of int, shape (n_fractions,)
        Training seeds, and random orders of the groups, of the runs averaged.
    runs : list of list of str
        Ids of the runs averaged, by fraction.
    training_mAP : ndarray, shape (n_fractions,)
        On the clips trained on, mean over seeds; NaN for a model that reports no stage.
    mAP, lower, upper : ndarray, shape (n_fractions,)
        On the select part, mean over seeds, with a 95 % basic interval.
    gain : Interval
        Of arrays of shape (n_fractions,): mAP minus that at the fraction before, resampled in
        pairs; NaN for the first.
    p : float
        Of the last step's gain, two-sided, corrected by Holm over the curves that were measured
        together.
    at_floor : bool
        Whether `p` is the least that the resamples can show: it is to be read as "<".
    """

    label: str
    fractions: np.ndarray
    clips: np.ndarray
    seeds: np.ndarray
    orders: np.ndarray
    runs: list[list[str]]
    training_mAP: np.ndarray
    mAP: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    gain: Interval
    p: float
    at_floor: bool

    @property
    def one_order(self) -> bool:
        """Whether runs trained on the same groups alone, whose choice no interval then covers."""
        return bool((self.orders[:-1] < 2).any())

    @property
    def optimism(self) -> float:
        """Return mAP on training clips minus that on select, trained on all groups."""
        return float(self.training_mAP[-1] - self.mAP[-1])

    @property
    def verdict(self) -> str:
        """``"more data"`` or ``"nothing shown"``, by `RULE`."""
        more = self.p <= 1 - LEVEL + 1e-12 and self.gain.value[-1] > 0
        return "more data" if more else "nothing shown"


def requests(whole: Sequence[RunRequest]) -> list[RunRequest]:
    """Return the runs of learning curves, from those of models that train on all groups."""
    shares = [[replace(one, fraction=share) for one in whole] for share in FRACTIONS]
    return [one for share in shares for one in in_orders(share)]


def in_orders(wanted: Sequence[RunRequest]) -> list[RunRequest]:
    """Give each run of a share of the groups, or of the positives, a random order of its own.

    Parameters
    ----------
    wanted : sequence of RunRequest
        A model's under one seed after the other. With fewer seeds than `N_ORDERS` they are run in
        several orders each.
    """
    models: dict[tuple[str, str | None], list[RunRequest]] = {}
    for request in wanted:
        models.setdefault((str(request.model), request.preset), []).append(request)
    return [
        replace(runs[order % len(runs)], order=order)
        for runs in models.values()
        for order in range(len(runs) if runs[0].whole else max(len(runs), N_ORDERS))
    ]


def measure(whole: Comparison, store: Runs, *, n_resamples: int = 1000) -> list[LearningCurve]:
    """Measure the learning curves of the stored runs.

    Parameters
    ----------
    whole : Comparison
        Of runs that trained on all of the fit part.
    store : Runs
        Holds them, and those that trained on less.
    n_resamples : int
        Of the bootstrap.

    Returns
    -------
    list of LearningCurve
        Of the models that have runs of two fractions or more, best select mAP on all of the fit
        part first.

    Raises
    ------
    ProtocolError
        If no model has finished runs both of the whole fit part and of a smaller share, made
        by the same code and libraries, or for too few resamples.
    """
    labels = store.labels(whole.division_id)["select"]
    smaller = [
        record
        for record in store.records()
        if record.finished
        and record.spec.division_id == whole.division_id
        and record.spec.fraction < 1
    ]
    curves = []
    for entry in whole.entries:
        by_fraction = group(entry, smaller)
        if len(by_fraction) > 1:
            curves.append(_curve(entry.label, by_fraction, store, labels, n_resamples))
    if not curves:
        raise ProtocolError(
            "there is no learning curve to draw: no model here has finished runs both of all "
            "training groups and of a share of them, by the same code and libraries. "
            "Run `polytimbre learning-curve`, which computes what is missing"
        )
    floor = len(curves) * 2 / (n_resamples + 1)
    corrected = [
        replace(one, p=float(p), at_floor=bool(p <= floor * (1 + 1e-9)))
        for one, p in zip(curves, holm(np.array([one.p for one in curves])), strict=True)
    ]
    return sorted(corrected, key=lambda curve: -curve.mAP[-1])


def group(entry: Entry, smaller: Sequence[Record]) -> dict[float, list[Record]]:
    """Group the runs of one model setting by the share they trained on.

    Parameters
    ----------
    entry : Entry
        Trained on everything.
    smaller : sequence of Record
        Candidates that trained on less; those of another setting, code or library version
        are left out.

    Returns
    -------
    dict of float to list of Record
        By fraction, rising; the last is 1. Where groups were taken in several orders, one run of
        each order.
    """
    key = setting_key(entry.records[0])
    by_fraction: dict[float, list[Record]] = {}
    for record in smaller:
        if setting_key(record) == key:
            by_fraction.setdefault(record.spec.fraction, []).append(record)
    one_each = {share: one_an_order(runs) for share, runs in sorted(by_fraction.items())}
    return {**one_each, 1.0: entry.records}


def one_an_order(records: list[Record]) -> list[Record]:
    """Return one run of each order, of different seeds if there are; all runs of a single order."""
    orders: dict[int, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.spec.order, r.spec.seed)):
        orders.setdefault(record.spec.order, []).append(record)
    if len(orders) == 1:
        return records
    taken: list[Record] = []
    for runs in orders.values():
        seeds = {record.spec.seed for record in taken}
        taken.append(next((r for r in runs if r.spec.seed not in seeds), runs[0]))
    return taken


def setting_key(record: Record) -> tuple:
    """Return what runs have in common that differ in seed and in what they learn from alone."""
    spec = record.spec
    asked = spec.model, spec.params, spec.source, spec.features_sha256
    return *asked, record.versions, record.threads


def _training_mAP(record: Record) -> float:
    """Return the mAP on the clips trained on, at the stage the model stands at; or NaN."""
    stage = record.stage_at_best()
    return float("nan") if stage is None else float(stage["fit_mAP"])


def _curve(
    label: str,
    by_fraction: dict[float, list[Record]],
    store: Runs,
    labels: StoredLabels,
    n_resamples: int,
) -> LearningCurve:
    runs = list(by_fraction.values())
    scores = [np.stack([store.scores(record)["select"] for record in seeds]) for seeds in runs]
    result = bootstrap(
        labels.y_positive,
        labels.y_mask,
        scores,
        groups=labels.groups,
        n_resamples=n_resamples,
        seed=derive_seed(0, "learning curve"),
    )
    lower, upper = result.interval(LEVEL)
    gain, drawn = np.diff(result.estimate), np.diff(result.values, axis=1)
    bounds = basic_interval(gain, drawn, LEVEL)
    return LearningCurve(
        label=label,
        fractions=np.array(list(by_fraction)),
        clips=np.array([round(np.mean([r.clips["trained"] for r in some])) for some in runs]),
        seeds=np.array([len({record.spec.seed for record in some}) for some in runs]),
        orders=np.array([len({record.spec.order for record in some}) for some in runs]),
        runs=[[record.run_id for record in seeds] for seeds in runs],
        training_mAP=np.array([np.mean([_training_mAP(r) for r in seeds]) for seeds in runs]),
        mAP=result.estimate,
        lower=lower,
        upper=upper,
        gain=Interval(*(np.concatenate([[np.nan], one]) for one in (gain, *bounds))),
        p=float(p_value(gain[-1], drawn[:, -1])),
        at_floor=False,
    )
