"""All that can be derived from a store's runs on one data set, each part computed once.

A command makes one :class:`Analysis`; every table that it prints or publishes asks it for parts.
A part is computed when it is first asked for, and kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.analysis import (
    calibration,
    comparison,
    ensembles,
    inference,
    learning_curve,
    promises,
    side_information,
    slices,
    threshold_gains,
    training_gap,
    transfer,
)
from benchmark.analysis.audits import mask_audit, protocol_audit
from benchmark.analysis.audits.mask_audit import MaskAudit
from benchmark.analysis.audits.masks import partition_labels
from benchmark.analysis.audits.protocol_audit import ModelAudit
from benchmark.analysis.calibration import Calibration
from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.ensembles import Replay
from benchmark.analysis.inference import Inference
from benchmark.analysis.learning_curve import LearningCurve
from benchmark.analysis.promises import Promise
from benchmark.analysis.side_information import Gain, Pair
from benchmark.analysis.slices import ClassOnSlice, Slices
from benchmark.analysis.threshold_gains import Gains
from benchmark.analysis.threshold_policies import N_TRIALS
from benchmark.analysis.training_gap import Gap
from benchmark.analysis.transfer import Transfer
from benchmark.contracts.dataset import CLASSES
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.plugins import registry
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record, RunSpec
from benchmark.runs.request import DataRequest, load

#: Resamples behind every published interval; enough for Holm's correction over 200 pairs.
N_RESAMPLES = 10_000


class ReadOnce:
    """A store whose records, labels and scores are read once, however often they are asked for."""

    def __init__(self, store: Runs) -> None:
        self._store = store
        self._labels: dict[str, dict[str, StoredLabels]] = {}
        self._scores: dict[str, dict[str, np.ndarray]] = {}

    @cached_property
    def _records(self) -> list[Record]:
        return self._store.records()

    def records(self) -> list[Record]:
        """Return all records; see :meth:`benchmark.runs.store.Store.records`."""
        return self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def labels(self, division_id: str) -> dict[str, StoredLabels]:
        """Return a division's labels by part; see :meth:`benchmark.runs.store.Store.labels`."""
        if division_id not in self._labels:
            self._labels[division_id] = self._store.labels(division_id)
        return self._labels[division_id]

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a run's scores by part; see :meth:`benchmark.runs.store.Store.scores`."""
        if record.run_id not in self._scores:
            self._scores[record.run_id] = self._store.scores(record)
        return self._scores[record.run_id]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(eq=False)
class Analysis:
    """Questions to the stored runs of one data set.

    Parameters
    ----------
    store : Runs
    dataset : str, optional
        Needed where the store holds runs of several.
    models : sequence of str, optional
        Names, or ``name:preset``; all if None.
    features : str, optional
        Runs on these features alone; see :func:`benchmark.analysis.comparison.compare`.
    part : {"fit", "stop", "select", "test"}
        Of the comparison.
    n_resamples : int
        Of every interval.
    n_trials : int
        Strengths of shrinking that the search for threshold policies tries a calibration.
    methods, all_seeds
        Of the ensembles; see :func:`benchmark.analysis.ensembles.replay`.
    follow : callable
        Gets the names of what is computed and gives them back one by one, to show how far it is.
    by : str, optional
        The attribute that slices are looked at of; of every attribute if None.

    Raises
    ------
    ProtocolError
        Any part: if nothing is left to compare, or the runs can't be compared.
    """

    store: Any
    dataset: str | None = None
    models: Sequence[str] | None = None
    part: str = "test"
    n_resamples: int = N_RESAMPLES
    n_trials: int = N_TRIALS
    methods: Sequence[str] = ensembles.METHODS
    all_seeds: bool = True
    follow: Callable[[list[str]], Iterable[str]] = iter
    by: str | None = None
    features: str | None = None

    def __post_init__(self) -> None:
        self.store = ReadOnce(self.store)

    @cached_property
    def comparison(self) -> Comparison:
        """The newest finished runs of each model."""
        return comparison.compare(
            self.store,
            self.dataset,
            self.models,
            self.part,
            features=self.features,
            follow=self.follow,
            check=self._check_attribute,
        )

    def _check_attribute(self, spec: RunSpec) -> None:
        if self.by is not None:
            attributes = self.store.attributes(spec.division_id, self.part)
            slices.check_attribute(spec.dataset, attributes, self.by)

    @cached_property
    def trained(self) -> Comparison:
        """The comparison without refits, which have no unseen part but test."""
        return self.comparison.without_refits()

    @cached_property
    def labels(self) -> dict[str, StoredLabels]:
        """Labels of the compared division, by part."""
        return self.store.labels(self.comparison.division_id)

    @cached_property
    def inference(self) -> Inference:
        """Intervals, paired tests and ranks of the comparison."""
        return inference.infer(self.comparison, self.n_resamples, self.follow)

    @cached_property
    def promises(self) -> list[Promise]:
        """What tuning promised on select and kept on test; empty on another part."""
        if self.part != "test":
            return []
        return promises.measure(
            self.comparison,
            self.inference,
            self.labels["select"],
            self.store,
            n_resamples=self.n_resamples,
        )

    @cached_property
    def gaps(self) -> list[Gap]:
        """Each model's gap between training and unseen clips."""
        return training_gap.measure(
            self.trained.entries, self.store, self.labels, n_resamples=self.n_resamples
        )

    @cached_property
    def calibrations(self) -> list[Calibration]:
        """How far each model's scores can be read as probabilities."""
        return calibration.measure(self.comparison.entries, self.store, self.labels)

    @cached_property
    def learning_curves(self) -> list[LearningCurve]:
        """The mAP of models that were trained on shares of the clips as well."""
        return learning_curve.measure(self.trained, self.store, n_resamples=self.n_resamples)

    @cached_property
    def transfer(self) -> Transfer:
        """Models that were shown few positives a class."""
        return transfer.measure(self.trained, self.store, self.labels, n_resamples=self.n_resamples)

    @cached_property
    def threshold_gains(self) -> Gains:
        """What each threshold policy gains over one global threshold."""
        return threshold_gains.measure(
            self.trained.entries,
            self.store,
            self.labels,
            n_trials=self.n_trials,
            n_resamples=self.n_resamples,
            follow=self.follow,
        )

    @cached_property
    def ensembles(self) -> Replay:
        """The runs combined, beside the best single models."""
        return ensembles.replay(self.comparison, self.store, self.methods, self.all_seeds)

    @cached_property
    def ensemble_inference(self) -> Inference:
        """Intervals, paired tests and ranks of ensembles and single models."""
        return inference.infer(self.ensembles.comparison, self.n_resamples, self.follow)

    @cached_property
    def slices(self) -> list[Slices]:
        """The models on slices of the clips, by one attribute or by each that has such slices.

        Raises
        ------
        UnknownNameError, ProtocolError
            For one attribute: if there is no such attribute, or no slice is large enough.
        """
        attributes = self.store.attributes(self.comparison.division_id, self.part)
        measured = []
        for name in sorted(attributes) if self.by is None else [self.by]:
            try:
                found = slices.measure(self.comparison, attributes, name, self.n_resamples)
            except ProtocolError:
                if self.by is not None:
                    raise
                continue
            measured.append(found)
        return measured

    @cached_property
    def slices_by_class(self) -> tuple[str, list[ClassOnSlice]]:
        """The model that is best on select, and how it ranks single classes on slices."""
        best = max(self.gaps, key=lambda one: one.parts["select"].mAP).label
        attributes = self.store.attributes(self.comparison.division_id, self.part)
        return best, slices.by_class(
            self.comparison, attributes, self.slices, best, self.n_resamples
        )

    @cached_property
    def enriched(self) -> list[Pair]:
        """Models that ran on some features, and on these joined with others."""
        return side_information.pairs(self.comparison)

    @cached_property
    def side_information(self) -> list[Gain]:
        """What the further features add; empty without such models."""
        attributes = self.store.attributes(self.comparison.division_id, self.part)
        return side_information.measure(self.comparison, attributes, self.n_resamples)

    @property
    def completely_labelled(self) -> bool:
        """Whether every label of the compared part was observed."""
        return bool(self.labels[self.part].y_mask.all())

    @cached_property
    def complete_labels(self) -> StoredLabels | None:
        """Test labels of the same clips with every label observed, if a data set holds them."""
        plugin = registry.datasets().plugins.get(self.comparison.dataset)
        if plugin is None or plugin.complete is None:
            return None
        return partition_labels(load(DataRequest(plugin.complete)))

    @cached_property
    def trained_as_published(self) -> list[Entry]:
        """Models that were trained under the published protocol; empty if there are none."""
        try:
            return comparison.compare(
                self.store,
                self.comparison.dataset,
                protocol="published",
                features=self.features,
            ).entries
        except (ProtocolError, UnknownNameError):
            return []

    @property
    def why_not_audited(self) -> str | None:
        """Why there is no :attr:`protocol_audit`; None where there is one."""
        return protocol_audit.why_not(self.comparison.dataset, self.labels[self.part])

    @cached_property
    def protocol_audit(self) -> ModelAudit | None:
        """Every model under the published and under the corrected protocol.

        None for classes that the published protocol can't be followed on.
        """
        if self.why_not_audited:
            return None
        return protocol_audit.audit_models(
            self.comparison,
            self.store,
            self.labels,
            mask_seed=0 if self.completely_labelled else None,
            extra=self.trained_as_published,
        )

    @cached_property
    def mask_audit(self) -> MaskAudit | None:
        """Metrics and rankings on partial labels beside those on all.

        None for a single model, which has no rank, where labels are known in part only, and for
        other classes than OpenMIC-2018's, whose rates the masks have.
        """
        known, entries = self.labels[self.part], self.comparison.entries
        if self.completely_labelled:
            models = mask_audit.scored_models(entries, self.store)
            if len(models) < 2 or known.classes != CLASSES:
                return None
            return mask_audit.audit_masks(known, models)
        if self.complete_labels is None:
            return None
        seed = mask_audit.first_seed(record for entry in entries for record in entry.records)
        models = mask_audit.scored_models(entries, self.store, seed)
        if len(models) < 2:
            return None
        return mask_audit.audit_given_mask(self.complete_labels, known, models)
