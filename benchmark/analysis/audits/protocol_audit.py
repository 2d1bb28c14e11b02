"""Protocol audit: a published protocol's scores beside the corrected one's.

Under the published protocol a label that was never observed counts as present, and only clips
whose *voice* label was observed are kept. Here the same scores are scored under it and under the
corrected one: strategies that never hear a clip (`audit_labels`), stored runs (`audit_models`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from benchmark.analysis.audits.masks import mask_labels, openmic_like_mask
from benchmark.analysis.audits.openmic_labels import OpenMICLabels, read_labels
from benchmark.analysis.comparison import Comparison, Entry
from benchmark.contracts.dataset import CLASSES
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.protocol import FILTER_CLASS
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.evaluation import evaluate
from benchmark.scoring.metrics import macro
from benchmark.scoring.thresholds import decide

Parts = Mapping[str, StoredLabels]

#: The published protocol's candidate thresholds: 0.10 to 0.99 by 0.01.
GRID = np.arange(10, 100) / 100


@dataclass(frozen=True)
class Claim:
    """What the student project published of its network and its random forest.

    `models` names the network and the forest as the model plugins that stand for them here.
    """

    accuracy: float
    precision: float
    recall: float
    network: Mapping[str, float]
    forest: Mapping[str, float]
    forest_positive: Mapping[str, float]
    models: tuple[str, str] = ("cnn", "random_forest")


#: The published figures. `forest` is what the notebook of OpenMIC-2018's authors
#: (github.com/cosmir/openmic-2018, random-forest baseline, test partition) calls the weighted
#: average over both classes; `forest_positive` is that notebook's row "True".
CLAIM = Claim(
    accuracy=0.7219,
    precision=0.93,
    recall=1.00,
    network={"saxophone": 0.93, "trumpet": 0.92, "ukulele": 0.96},
    forest={"saxophone": 0.83, "trumpet": 0.78, "ukulele": 0.77},
    forest_positive={"saxophone": 0.80, "trumpet": 0.78, "ukulele": 0.67},
)


def published_labels(labels: StoredLabels) -> tuple[np.ndarray, np.ndarray]:
    """Return what the published protocol takes for the truth.

    OpenMIC stores a relevance of 0.5 where a label was not observed, and the published script
    calls 0.5 and more positive: what was not observed counts as present.

    Returns
    -------
    y_present : ndarray of bool, shape (n_kept, n_classes)
    rows : ndarray of int, shape (n_kept,)
        The clips that are kept: those whose *voice* label was observed.

    Raises
    ------
    ProtocolError
        If there is none.
    """
    voice = [name == FILTER_CLASS for name in labels.classes]
    rows = np.flatnonzero(labels.y_mask[:, voice].any(axis=1))
    if not rows.size:
        raise ProtocolError(
            f"the published protocol keeps no clip: the label {FILTER_CLASS!r} is observed in none"
        )
    return (labels.y_positive | ~labels.y_mask)[rows], rows


def asked_for(labels: StoredLabels, part: str) -> np.ndarray:
    """Tell whose scores a table asks for, bool, shape (n_clips, n_classes).

    Observed labels, and of the parts that the published protocol chooses and scores on, every
    label of the clips that it keeps.
    """
    if FILTER_CLASS not in labels.classes or part not in ("select", "test"):
        return labels.y_mask
    kept = labels.y_mask[:, [labels.classes.index(FILTER_CLASS)]]
    return labels.y_mask | kept


def grid_thresholds(y_present: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Return the threshold of highest F1 of each class among `GRID`, shape (n_classes,).

    A score at or above the threshold is a "yes". Among thresholds of equal F1 the lowest is
    taken, as by a loop that keeps the first best. `y_present` (bool) and
    `y_score` have shape (n_clips, n_classes).
    """
    n_present = y_present.sum(axis=0)
    f1 = []
    for threshold in GRID:
        y_pred = decide(y_score, threshold)
        hits = (y_pred & y_present).sum(axis=0)
        f1.append(2 * hits / np.maximum(y_pred.sum(axis=0) + n_present, 1))
    return GRID[np.argmax(f1, axis=0)]


def categorical_accuracy(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Share of clips whose highest score is at the first of their highest labels.

    This is ``keras.metrics.categorical_accuracy``, which is meant for one class a clip. With
    several present, argmax takes the first. Both arrays have shape (n_clips, n_classes).
    """
    return float(np.mean(y_true.argmax(axis=1) == y_score.argmax(axis=1)))


def published_scores(
    scores: Mapping[str, np.ndarray], labels: Parts, part: str = "test"
) -> dict[str, float]:
    """Score one run as published, with thresholds from `GRID` on *select* handled alike.

    Parameters
    ----------
    scores : mapping of str to ndarray, shape (n_clips, n_classes)
    labels : mapping of str to StoredLabels
        By part, as `scores`: ``"select"`` and `part` are needed.
    part : str

    Returns
    -------
    dict of str to float
        "accuracy", see :func:`categorical_accuracy`; "precision", "recall" and "f1" of the
        positive class, weighted by each class's number of "present" labels, as scikit-learn's
        ``average="weighted"`` does. Nothing over nothing is 0.
    """
    y_select, rows = published_labels(labels["select"])
    chosen = grid_thresholds(y_select, scores["select"][rows])
    y_present, rows = published_labels(labels[part])
    y_score = scores[part][rows]
    y_pred = decide(y_score, chosen)
    hits, said, support = (a.sum(axis=0) for a in (y_pred & y_present, y_pred, y_present))
    figures = {"accuracy": categorical_accuracy(y_present, y_score)}
    ratios = ("precision", hits, said), ("recall", hits, support), ("f1", 2 * hits, said + support)
    for name, top, bottom in ratios:
        figures[name] = float(support @ (top / np.maximum(bottom, 1)) / max(support.sum(), 1))
    return figures


def corrected_scores(
    scores: Mapping[str, np.ndarray], labels: Parts, part: str = "test"
) -> dict[str, float]:
    """Score one run over the observed labels of all clips; arguments as `published_scores`.

    Returns
    -------
    dict of str to float
        "mAP" and, at the global threshold, the macro averages of the figures in
        :class:`benchmark.scoring.metrics.Decisions`, by their names.
    """
    evaluation = evaluate(scores, labels, part)
    decided = evaluation.decisions["global"]
    macros = {f.name: macro(getattr(decided, f.name)) for f in fields(decided)}
    return {"mAP": macro(evaluation.average_precision), **macros}


@dataclass(frozen=True, eq=False)
class UnderBothProtocols:
    """One strategy or model under both protocols, means over seeds.

    Figures are named as by :func:`published_scores` and :func:`corrected_scores`; `model` is the
    plugin's name, empty for a strategy; `as_published` says whether the model was also trained
    with missing labels as present.
    """

    label: str
    model: str
    published: Mapping[str, float]
    corrected: Mapping[str, float]
    as_published: bool = False


#: Strategies that never hear a clip.
ALWAYS_YES, CLASS_PRIOR, ALWAYS_VOICE = "always yes", "class prior", "always voice"


def _constant_row(
    label: str, scores: Sequence[np.ndarray], labels: Parts, part: str
) -> UnderBothProtocols:
    """Score the same class scores for every clip: the first as published, the second corrected."""
    every = [{k: np.tile(np.float32(v), (len(y), 1)) for k, y in labels.items()} for v in scores]
    return UnderBothProtocols(
        label,
        "",
        published_scores(every[0], labels, part),
        corrected_scores(every[1], labels, part),
    )


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """What OpenMIC's labels alone give under the published protocol.

    Attributes
    ----------
    n_test, n_kept : int
        Clips of the test partition, and those of them that the published protocol keeps.
    present, absent, missing : ndarray of int, shape (n_classes,)
        Kept test clips in which the class was observed as present, as absent, or not at all:
        the published positives are `present` and `missing`.
    all_present, all_absent : ndarray of int, shape (n_classes,)
        Observed positives and negatives of the whole test partition.
    strategies : tuple of UnderBothProtocols
        "always yes", "class prior", "always voice".
    """

    classes: tuple[str, ...]
    n_test: int
    n_kept: int
    present: np.ndarray
    absent: np.ndarray
    missing: np.ndarray
    all_present: np.ndarray
    all_absent: np.ndarray
    strategies: tuple[UnderBothProtocols, ...]
    claim: Claim = CLAIM

    def strategy(self, name: str) -> UnderBothProtocols:
        """Return one strategy by name."""
        return next(s for s in self.strategies if s.label == name)


def audit_labels(source: Path | OpenMICLabels) -> LabelAudit:
    """Score strategies that never hear a clip on OpenMIC's labels, as published and corrected.

    The class prior is counted, and thresholds are chosen, on all training clips in the file, as
    the published validation part is not known. "Accuracy" of the prior hangs on which class has
    the highest one, and there the first of equal classes wins.

    Parameters
    ----------
    source : Path or OpenMICLabels
        See :mod:`benchmark.analysis.audits.openmic_labels`, which raises DataError, too.
    """
    known = source if isinstance(source, OpenMICLabels) else read_labels(source)
    test, parts = known.test, {"select": known.train, "test": known.test}
    y_train = published_labels(known.train)[0]
    rows = published_labels(test)[1]
    observed, present = test.y_mask[rows], test.y_positive[rows]
    voice = np.array([name == FILTER_CLASS for name in test.classes])
    yes = np.ones(len(voice))
    share = known.train.y_positive.sum(axis=0) / np.maximum(known.train.y_mask.sum(axis=0), 1)
    strategies = (
        _constant_row(ALWAYS_YES, (yes, yes), parts, "test"),
        # a prior rests on what its protocol takes for the truth
        _constant_row(CLASS_PRIOR, (y_train.mean(axis=0), share), parts, "test"),
        _constant_row(ALWAYS_VOICE, (voice, voice), parts, "test"),
    )
    return LabelAudit(
        classes=test.classes,
        n_test=len(test),
        n_kept=len(rows),
        present=present.sum(axis=0),
        absent=(observed & ~present).sum(axis=0),
        missing=(~observed).sum(axis=0),
        all_present=test.y_positive.sum(axis=0),
        all_absent=(test.y_mask & ~test.y_positive).sum(axis=0),
        strategies=strategies,
    )


@dataclass(frozen=True, eq=False)
class ModelAudit:
    """Stored models under both protocols.

    Attributes
    ----------
    drawn : bool
        Whether an OpenMIC-like mask was laid over the labels first.
    n_clips, n_kept : int
        Clips of the part, and those the published protocol keeps.
    present, observed : float
        Share of the kept clips' labels that the published protocol calls present, and share
        that was observed to be.
    rows : tuple of UnderBothProtocols
        Best mAP first.
    yes : UnderBothProtocols
        "Yes" to everything, for reference.
    """

    dataset: str
    part: str
    drawn: bool
    n_clips: int
    n_kept: int
    present: float
    observed: float
    rows: tuple[UnderBothProtocols, ...]
    yes: UnderBothProtocols

    def values(self, protocol: str, name: str) -> np.ndarray:
        """Return one figure of every row; `protocol` is "published" or "corrected"."""
        # rounded, so that sums in another order don't untie equal figures
        return np.array([getattr(row, protocol)[name] for row in self.rows]).round(12)

    def tau(self, name: str) -> float:
        """Kendall's tau-b between a published figure and mAP; NaN where one is the same for all."""
        from scipy.stats import kendalltau

        if len(self.rows) < 2:
            return float("nan")
        pair = (self.values("published", name), self.values("corrected", "mAP"))
        return float(kendalltau(*pair).statistic)


def why_not(dataset: str, labels: StoredLabels) -> str | None:
    """Say why models can't be audited on a data set's classes; None where they can."""
    problem = None
    if FILTER_CLASS not in labels.classes:
        problem = (
            f"the published protocol keeps the clips whose label {FILTER_CLASS!r} was observed, "
            f"and data set {dataset!r} has no such class"
        )
    elif labels.y_mask.all() and labels.classes != CLASSES:
        problem = (
            "labels are hidden at the rates of OpenMIC-2018's 20 classes, and data set "
            f"{dataset!r} has others"
        )
    return problem and f"the protocol audit is left out: {problem}"


def audit_models(
    comparison: Comparison,
    store: Runs,
    labels_by_part: Parts,
    *,
    mask_seed: int | None = None,
    extra: Sequence[Entry] = (),
) -> ModelAudit:
    """Score stored models as published and corrected.

    Parameters
    ----------
    comparison : Comparison
        Its entries are scored, on its part.
    store : Runs
    labels_by_part : mapping of str to StoredLabels
        Of the comparison's division; ``"select"`` and the part are needed.
    mask_seed : int, optional
        Lays an OpenMIC-like mask over complete labels first, drawn from this seed.
    extra : sequence of Entry
        Models that were also trained as published, on the same clips.

    Raises
    ------
    ProtocolError
        If no clip is kept, or an extra entry is of other clips.
    """
    part = comparison.part
    labels = {name: labels_by_part[name] for name in dict.fromkeys(("select", part))}
    if mask_seed is not None:
        for name, known in labels.items():
            seed = derive_seed(mask_seed, name)
            labels[name] = mask_labels(known, openmic_like_mask(known.y_positive, seed=seed))
    rows = [_row(entry, store, labels, part, False) for entry in comparison.entries]
    rows += [_row(entry, store, labels, part, True) for entry in extra]
    rows.sort(key=lambda row: -row.corrected["mAP"])
    every = np.ones(labels[part].y_true.shape[1])
    y_present, kept = published_labels(labels[part])
    return ModelAudit(
        dataset=comparison.dataset,
        part=part,
        drawn=mask_seed is not None,
        n_clips=len(labels[part]),
        n_kept=len(kept),
        present=float(y_present.mean()),
        observed=float(labels[part].y_positive[kept].mean()),
        rows=tuple(rows),
        yes=_constant_row(ALWAYS_YES, (every, every), labels, part),
    )


def _row(
    entry: Entry, store: Runs, labels: Parts, part: str, as_published: bool
) -> UnderBothProtocols:
    published, corrected = [], []
    for record in entry.records:
        own = store.labels(record.spec.division_id)
        if any(not np.array_equal(own[p].keys, known.keys) for p, known in labels.items()):
            raise ProtocolError(
                f"{entry.label} was scored on other clips than the ones audited; run it again on "
                "the same data and split"
            )
        scores = store.scores(record)
        published.append(published_scores(scores, labels, part))
        corrected.append(corrected_scores(scores, labels, part))
    model = entry.records[0].spec.model
    return UnderBothProtocols(entry.label, model, _mean(published), _mean(corrected), as_published)


def _mean(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
