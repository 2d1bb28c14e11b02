"""Which run hears a recording, and all that is needed of it: model, thresholds, knowledge."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.audio.windows import CLIP_FRAMES
from benchmark.errors import DataError, StoreError
from benchmark.features.pretrained.files import installed
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.plugins.loading import load_model
from benchmark.predict.knowledge import Knowledge, knowledge
from benchmark.predict.recogniser import Recogniser, front_ends
from benchmark.protocol import PROTOCOLS
from benchmark.runs.features import features_of
from benchmark.runs.published import DEFAULT, LIST, find, open_runs
from benchmark.runs.published import sets as published_sets
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record
from benchmark.runs.store import default_path
from benchmark.scoring.metrics import Ranking, mean_average_precision
from benchmark.scoring.thresholds import choose


@dataclass(frozen=True, eq=False)
class HearingRun:
    """A stored run that can be pointed at recordings.

    Attributes
    ----------
    record : Record
    recogniser : Recogniser
    classes : tuple of str
    thresholds : ndarray, shape (n_classes,), float32
        A class is present where its score reaches its threshold, which was chosen on *select*.
    knowledge : Knowledge
    cautions : tuple of str
        What is to be known before its scores are believed, a sentence each.
    """

    record: Record
    recogniser: Recogniser
    classes: tuple[str, ...]
    thresholds: np.ndarray
    knowledge: Knowledge
    cautions: tuple[str, ...]

    @property
    def title(self) -> str:
        """Title of the run, as in ``logistic_regression on musicnn features of rendered``."""
        spec = self.record.spec
        return f"{spec.label} on {self.recogniser.features} features of {spec.dataset}"

    def known(self) -> list[dict[str, float | bool | None]]:
        """Return for each class, as JSON, its AP on test, that of chance, and if it is known."""
        known = self.knowledge
        rows = zip(known.average_precision, known.prior, known.known, strict=True)
        return [
            {"AP": _number(ap), "chance": _number(chance), "known": bool(is_known)}
            for ap, chance, is_known in rows
        ]


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def sources(
    store: Path | None = None, results: Path | None = None, *, asked: bool = True
) -> list[Runs]:
    """Return where runs are looked for: the store that is named, or else what there is.

    Parameters
    ----------
    store : Path, optional
        A store or a published set; by default the default store.
    results : Path, optional
        Folder of published sets; by default ``$POLYTIMBRE_RESULTS``, or else the checkout's.
    asked : bool
        Whether a run, or what it has to be, was asked for. If not, published ones alone count.

    Raises
    ------
    StoreError
        If what is named is no store, or a published set is damaged.
    """
    found: list[Runs] = []
    if store is not None:
        found.append(open_runs(store))
    elif asked and os.path.lexists(default_path()):
        found.append(open_runs(default_path()))
    if results is not None or store is None:
        folder = results or Path(os.environ.get("POLYTIMBRE_RESULTS") or DEFAULT)
        if results is not None or any(folder.glob(f"*/{LIST}")):
            found += published_sets(folder).values()
    return found


def choose_run(
    sources: Sequence[Runs],
    run_id: str | None = None,
    *,
    model: str | None = None,
    dataset: str | None = None,
    features: str | None = None,
) -> tuple[Runs, Record]:
    """Return the run that was named or, of those that were asked for, the best on *select*.

    Parameters
    ----------
    sources : sequence of Runs
        Stores and published sets, in the order in which they are looked through.
    run_id : str, optional
        Whole, or an unambiguous beginning.
    model, dataset, features : str, optional
        What a run has to be. If nothing is named, its features have to carry over to recordings.

    Raises
    ------
    UnknownNameError
        If there is no such run.
    StoreError
        If none of them keeps a model.
    DataError
        If a run is named together with something that it is not.
    """
    wanted = {"model": model, "data set": dataset, "features": features}
    wanted = {what: name for what, name in wanted.items() if name is not None}
    if run_id is not None:
        source, record = find(run_id, sources)
        for what, name in wanted.items():
            if name not in (found := _described(record))[what]:
                raise DataError(
                    f"run {record.run_id} has the {what} {found[what][-1]!r}, not {name!r}: name"
                    " the run alone, or leave it out"
                )
        return source, record
    _check_names(model, dataset, features)
    fit = [
        (source, record)
        for source in sources
        for record in source.records()
        if _is_candidate(source, record, wanted)
    ]
    if not fit:
        raise StoreError(_nothing_fits(wanted))
    return max(fit, key=lambda one: (_quality(*one), one[1].created))


def best(source: Runs, records: Iterable[Record]) -> Record:
    """Return the best run on *select* of those that could hear recordings, to be shipped.

    Raises
    ------
    StoreError
        If none of them keeps its model and has features that carry over to recordings.
    """
    fit = [record for record in records if _is_candidate(source, record, {})]
    if not fit:
        raise StoreError(
            "none of these runs keeps its model and has features that carry over to recordings:"
            " `polytimbre run --features musicnn` makes such runs"
        )
    return max(fit, key=lambda record: (_quality(source, record), record.created))


def _check_names(model: str | None, dataset: str | None, features: str | None) -> None:
    """Refuse what doesn't exist, with the nearest name."""
    if model is not None:
        registry.models().get(model.partition(":")[0].partition(" ")[0])
    if dataset is not None:
        registry.datasets().get(dataset)
    if features is not None:
        front_ends(features)


def _described(record: Record) -> dict[str, tuple[str | None, ...]]:
    spec = record.spec
    return {
        "model": (spec.model, spec.label),
        "data set": (spec.dataset,),
        "features": (features_of(record.spec),),
    }


def _is_candidate(source: Runs, record: Record, wanted: dict[str, str]) -> bool:
    default = record.spec.protocol_id == PROTOCOLS["default"].id
    if not (record.finished and default and record.spec.whole and source.has_model(record)):
        return False
    features = features_of(record.spec)
    if not (are_heard(features) and getattr(source, "complete", True)):
        return False
    found = _described(record)
    if wanted:
        return all(name in found[what] for what, name in wanted.items())
    return not _caveats(record)


def _caveats(record: Record) -> list[str]:
    """Return what front ends say of scores on recordings, if the clips learnt from were rendered.

    A data set that is not installed may be rendered, too.
    """
    plugin = registry.datasets().plugins.get(record.spec.dataset)
    if plugin is not None and not plugin.rendered:
        return []
    return [end.caveat for end in front_ends(features_of(record.spec)) if end.caveat]


def are_heard(features: str) -> bool:
    """Whether features are those of front ends, which compute them from audio."""
    return all(name in registry.frontends().plugins for name in features.split("+"))


def _quality(source: Runs, record: Record) -> float:
    labels = source.labels(record.spec.division_id)["select"]
    scores = source.scores(record)["select"]
    return mean_average_precision(labels.y_positive, scores, labels.y_mask)


def _nothing_fits(wanted: dict[str, str]) -> str:
    if wanted:
        asked = " and ".join(f"the {what} {name!r}" for what, name in wanted.items())
        options = {"model": "--model", "data set": "--dataset", "features": "--features"}
        given = " ".join(f"{options[what]} {name}" for what, name in wanted.items())
        return (
            f"no stored run with {asked} has kept its model and hears features that can be"
            " computed from audio. `polytimbre list runs` shows what is stored; `polytimbre run"
            f" {given}` makes one"
        )
    return (
        "no run comes with its model here. Name a stored one with --run, or what it has to be"
        " with --model, --dataset or --features; `polytimbre run` makes and keeps one"
    )


def load_run(source: Runs, record: Record) -> HearingRun:
    """Load a run's model, its thresholds, and what it knows.

    Raises
    ------
    StoreError
        If the run failed, or its model or its scores are not stored.
    DataError
        If its features can't be computed from audio, or weights of a front end are missing.
    """
    if not record.finished:
        raise StoreError(f"run {record.run_id} failed ({record.error}): it has no model")
    spec = record.spec
    ends = front_ends(features_of(spec))
    folder = source.model_folder(record)
    for front_end in ends:
        installed(front_end.name, front_end.weights)
    cls = registry.models().get(spec.model)
    model = cls.from_params(**spec.params)
    load_model(model, folder)
    labels, scores = source.labels(spec.division_id), source.scores(record)
    known = knowledge(
        labels["test"],
        scores["test"],
        labels["test"].groups,
        labels["fit"].y_positive.any(axis=0),
    )
    return HearingRun(
        record,
        Recogniser(model, ends, CLIP_FRAMES),
        labels["select"].classes,
        _thresholds(labels["select"], scores["select"]),
        known,
        tuple(_cautions(record, source_hash(cls))),
    )


def _thresholds(select: StoredLabels, scores: np.ndarray) -> np.ndarray:
    """Return the global threshold, chosen on *select*, for each class."""
    ranking = Ranking.of(select.y_positive, scores, select.y_mask)
    return np.full(scores.shape[1], choose(ranking)["global"], dtype=scores.dtype)


def _cautions(record: Record, source: str) -> list[str]:
    cautions = _caveats(record)
    if source != record.spec.source:
        cautions.append(
            f"the code of model {record.spec.model!r} was changed since run {record.run_id}: its"
            " scores may be others now"
        )
    return cautions
