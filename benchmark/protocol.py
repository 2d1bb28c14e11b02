"""The protocol: which clips are fitted on, stopped on, selected on and tested on.

The official partition stays. Its training clips are divided by group, stratified over
labels, into *fit*, *stop* (early stopping and pruning) and *select* (model choice and
thresholds). Early stopping and selection never share clips: with some 60 positives a class,
choosing both on one part rewards luck. The test part chooses nothing, but it is not unseen: see
``benchmark/README.md``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.contracts.dataset import Dataset, Part
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.scoring.metrics import POSITIVE_RELEVANCE

PARTS = ("fit", "stop", "select", "test")

#: Folds that clips are cut into where something is fitted on some and judged on the others.
N_FOLDS = 5

#: The published project keeps the clips whose label of this class was observed.
FILTER_CLASS = "voice"


@dataclass(frozen=True)
class Protocol:
    """What every run of a comparison has in common.

    Attributes
    ----------
    fit, stop, select : float
        Shares of the training clips.
    seed : int
        Of the division; the same for every run, whatever the run's own seed.
    missing : {"masked", "present"}
        What a label that was not observed is to a model: masked out of every loss, or, as in
        the published student project, taken as present, on the clips whose *voice* label was
        observed. Scores are always taken over all clips.
    """

    fit: float = 0.75
    stop: float = 0.10
    select: float = 0.15
    seed: int = 0
    missing: str = "masked"

    def view(self, part: Part) -> Part:
        """Return a part as the model gets to see it."""
        if self.missing == "masked":
            return part
        kept = part.y_mask[:, part.classes.index(FILTER_CLASS)]
        y_true = np.where(part.y_mask, part.y_true, np.float32(1))
        return replace(part, y_true=y_true, y_mask=np.ones_like(part.y_mask)).at(kept)

    @property
    def id(self) -> str:
        """Hash of the settings and of the relevance from which a clip counts as positive."""
        settings = {**asdict(self), "positive_relevance": POSITIVE_RELEVANCE}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


#: By the name that `polytimbre run --protocol` takes.
PROTOCOLS = {"default": Protocol(), "published": Protocol(missing="present")}


def name_of(protocol_id: str) -> str | None:
    """Return the name in `PROTOCOLS` of the protocol with an id; None if this code has none."""
    return next((name for name, one in PROTOCOLS.items() if one.id == protocol_id), None)


@dataclass(frozen=True, eq=False)
class Division:
    """A data set divided under a protocol.

    Attributes
    ----------
    dataset : Dataset
    protocol : Protocol
    rows : dict of str to ndarray of int
        Rows of the data set in each of `PARTS`, rising.
    """

    dataset: Dataset
    protocol: Protocol
    rows: dict[str, np.ndarray]

    def part(self, name: str) -> Part:
        """Return one of `PARTS`."""
        if name not in PARTS:
            raise UnknownNameError("part", name, PARTS)
        if name not in self.rows:
            raise ProtocolError(
                f"the {name} part may not be seen by what chooses: choose on the select part"
            )
        return self.dataset.part(self.rows[name])

    def sealed(self) -> "Division":
        """Return the same division without its test part, for what chooses."""
        return replace(self, rows={name: self.rows[name] for name in PARTS[:3]})

    def training_rows(self) -> np.ndarray:
        """Return the rows of all training clips: fit, stop and select together."""
        return np.sort(np.concatenate([self.rows[name] for name in PARTS[:3]]))

    def train_on(self, rows: np.ndarray, auxiliary: bool) -> Part:
        """Return clips to train on, as :meth:`Protocol.view` shows them to a model.

        Parameters
        ----------
        rows : ndarray of int
            Rows of the data set.
        auxiliary : bool
            With the data set's auxiliary clips, if it has any: those whose group has no clip
            on any other row, so that nothing of another part is learnt from.
        """
        part = self.protocol.view(self.dataset.part(rows))
        extra = self.dataset.auxiliary
        if not auxiliary or extra is None:
            return part
        return replace(part, auxiliary=extra.without(np.delete(self.dataset.groups, rows)))

    def held_out(self, fold: int) -> "Division":
        """Divide the training clips anew, by group: one fold of `N_FOLDS` is *select*.

        The others are *fit* and *stop*, in their usual proportion. There is no test part: this is
        for choosing.

        Parameters
        ----------
        fold : int
            From 0.
        """
        protocol = self.protocol
        seed = derive_seed(protocol.seed, "cross-validation")
        alike = dict.fromkeys(range(N_FOLDS), 1 / N_FOLDS)
        select = _shared_out(self.dataset, self.training_rows(), alike, seed)[fold]
        whole = protocol.fit + protocol.stop
        shares = {"fit": protocol.fit / whole, "stop": protocol.stop / whole}
        rest = np.setdiff1d(self.training_rows(), select)
        rows = {**_shared_out(self.dataset, rest, shares, seed), "select": select}
        _check_filled(self.dataset, rows, f" of fold {fold}")
        return replace(self, rows=rows)

    @cached_property
    def id(self) -> str:
        """Hash of data, protocol and division: runs that share it can be compared."""
        digest = hashlib.sha256(f"{self.dataset.fingerprint} {self.protocol.id}".encode())
        for name in PARTS:
            digest.update(np.ascontiguousarray(self.rows[name], dtype="<i8").tobytes())
        return digest.hexdigest()[:16]


def divide(dataset: Dataset, protocol: Protocol | None = None) -> Division:
    """Divide a data set's training clips by group, stratified over its labels.

    Parameters
    ----------
    dataset : Dataset
    protocol : Protocol, optional
        The default protocol if None.

    Returns
    -------
    Division

    Raises
    ------
    ProtocolError
        If there are too few groups to fill every part, or the published project's clips can't
        be told.
    """
    protocol = Protocol() if protocol is None else protocol
    for value, kind in ((dataset, Dataset), (protocol, Protocol)):
        if not isinstance(value, kind):
            raise ProtocolError(
                "divide takes a Dataset and, if you will, a Protocol of "
                f"benchmark.protocol.PROTOCOLS, got {value!r}"
            )
    if protocol.missing == "present" and FILTER_CLASS not in dataset.classes:
        raise ProtocolError(
            f"data set {dataset.name!r} can't be trained on as published: the published project "
            f"keeps the clips whose label {FILTER_CLASS!r} was observed, and it has no such "
            "class. Leave out --protocol"
        )
    train = np.flatnonzero(dataset.partition == "train")
    shares = {"fit": protocol.fit, "stop": protocol.stop, "select": protocol.select}
    rows = _shared_out(dataset, train, shares, protocol.seed)
    rows["test"] = np.flatnonzero(dataset.partition == "test")
    _check_filled(dataset, rows, "")
    return Division(dataset, protocol, rows)


def _shared_out(
    dataset: Dataset, rows: np.ndarray, shares: Mapping[Any, float], seed: int
) -> dict[Any, np.ndarray]:
    """Share out clips by group, stratified over labels; return the rows of each part."""
    part, wanted = dataset.part(rows), np.array(list(shares.values()))
    rng = np.random.default_rng(seed)
    part_of = stratify_clips(dataset.groups[rows], part.y_positive, part.y_mask, wanted, rng)
    return {name: rows[part_of == i] for i, name in enumerate(shares)}


def _check_filled(dataset: Dataset, rows: Mapping[str, np.ndarray], where: str) -> None:
    train = dataset.partition == "train"
    for name, kept in rows.items():
        if not len(kept):
            raise ProtocolError(
                f"data set {dataset.name!r}: no clip is left for the {name} part{where}; "
                f"{len(np.unique(dataset.groups[train]))} training group(s) are too few to divide"
            )


def folds(labels: Any, n_folds: int = N_FOLDS, seed: int = 0) -> np.ndarray:
    """Cut clips into folds by group, stratified over observed labels.

    Parameters
    ----------
    labels : Labels
        With `groups`.
    n_folds : int
        Fewer where there are fewer groups.
    seed : int
        Breaks ties.

    Returns
    -------
    ndarray of int, shape (n_clips,)
        Fold of each clip, from 0; no fold is empty.

    Raises
    ------
    ProtocolError
        If there is only one group.
    """
    n_groups = len(np.unique(labels.groups))
    if n_groups < 2:
        raise ProtocolError(
            f"cross-fitting takes at least 2 groups of clips, there is only {n_groups}. "
            "Use a data set with more groups"
        )
    n_folds = min(n_folds, n_groups)
    shares, rng = np.full(n_folds, 1 / n_folds), np.random.default_rng(seed)
    fold = stratify_clips(labels.groups, labels.y_positive, labels.y_mask, shares, rng)
    return np.unique(fold, return_inverse=True)[1]


def stratify_clips(
    groups: np.ndarray,
    y_positive: np.ndarray,
    y_mask: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Assign clips to parts by group, so that each part gets its share of every observed label.

    Parameters
    ----------
    groups : ndarray, shape (n_clips,)
        Clips of one group go to one part.
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
        Observed positives and observed negatives are shared out alike.
    shares, rng
        See :func:`stratify`.

    Returns
    -------
    ndarray of int, shape (n_clips,)
        Part of each clip.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    known = np.column_stack([y_positive, y_mask & ~y_positive, np.ones(len(groups))])
    counts = np.zeros((len(names), known.shape[1]))
    np.add.at(counts, group_of, known)
    return stratify(counts, shares, rng)[group_of]


def stratify(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign groups to parts so that each part gets its share of every label.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML 2011), for groups: the
    label with the fewest clips left is dealt out first, its largest groups first, each to
    the part that still lacks the most of it.

    Parameters
    ----------
    counts : ndarray, shape (n_groups, n_labels + 1)
        Clips of each group with each label; the last column counts all its clips.
    shares : ndarray, shape (n_parts,)
        Wanted shares, adding up to 1.
    rng : numpy.random.Generator
        Breaks ties.

    Returns
    -------
    ndarray of int, shape (n_groups,)
        Part of each group.
    """
    wanted = shares[:, None] * counts.sum(axis=0)
    part_of = np.full(len(counts), -1)
    order = rng.permutation(len(counts))
    left = counts.sum(axis=0)
    while (part_of < 0).any():
        # the column of all clips is the last resort, for groups without a label
        label = int(np.argmin(np.where(left[:-1] > 0, left[:-1], np.inf)))
        if left[label] <= 0:
            label = counts.shape[1] - 1
        free = order[(part_of[order] < 0) & (counts[order, label] > 0)]
        for group in free[np.argsort(-counts[free, label], kind="stable")]:
            lack = wanted[:, label] / shares
            best = np.flatnonzero(lack >= lack.max() - 1e-9)
            part = best[np.argmax(wanted[best, -1] / shares[best])]
            part_of[group] = part
            wanted[part] -= counts[group]
            left -= counts[group]
    return part_of
