"""Run a finished run again in its recorded configuration, and find what differs.

Bits depend on the C library and, for networks, the processor; on the versions of packages and on
the code. Where all of these are as recorded, every bit has to be the same. Elsewhere rounding
differs, and what early stopping, a tree's split or a solver's last step makes of it: there mAP may
differ, by 1e-6 for trees, by 1e-4 for linear models and by 0.01 for networks.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.contracts.dataset import Dataset
from benchmark.errors import DataError, PolytimbreError, ProtocolError, StoreError
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
from benchmark.protocol import PARTS, name_of
from benchmark.runs import environment
from benchmark.runs.features import features_of
from benchmark.runs.published import PublishedSet
from benchmark.runs.reading import SCORES, Runs
from benchmark.runs.record import Record
from benchmark.runs.request import (
    Chosen,
    DataRequest,
    RunRequest,
    check_data,
    divide_for,
    make_model,
    specify,
)
from benchmark.scoring.evaluation import evaluate
from benchmark.workers.jobs import WORKER_THREADS

#: By how much mAP on test may differ in another environment.
TOLERANCES = {
    "networks": 0.01,
    # their solver stops as soon as its steps are small: where that is, rounding decides; 6e-6 were
    # seen between two processors
    "linear models": 1e-4,
    "models of other kinds": 1e-6,
}
#: What of a machine chooses the kernels that products of matrices are computed by.
KERNELS = ("processor", "instructions", "caches")
#: Metrics of the same scores may differ by this, from the order of their sums.
ROUNDING = 1e-12

#: The instruction set in a platform's name, and what follows it: the C library.
_ARCHITECTURE = re.compile(
    r"-(x86_64|amd64|i[3-6]86|aarch64|arm64|armv\w+|ppc64le|riscv64|s390x)(-.*)?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Circumstance:
    """One thing in a run's environment that is not as recorded.

    Attributes
    ----------
    what : str
    recorded, now : str
    bears : {"machine", "packages", "code", "threads", "backend", ""}
        Why bits may differ; empty for what changes none.
    """

    what: str
    recorded: str
    now: str
    bears: str


@dataclass(frozen=True)
class ScoresOfPart:
    """How one part's scores differ from the recorded ones.

    Attributes
    ----------
    part : {"fit", "stop", "select", "test"}
    n_scores : int
        Clips times classes.
    n_differing, n_bits : int
        Scores that are not the same, and how many bits of theirs (of 32) are not.
    largest : float
        Largest absolute difference.
    """

    part: str
    n_scores: int
    n_differing: int
    n_bits: int
    largest: float


@dataclass(frozen=True)
class Difference:
    """What a metric was, and what it is now.

    Attributes
    ----------
    name : str
        As in :meth:`benchmark.analysis.comparison.Evaluation.summary`, on test; ``"stop_mAP"``
        is that of the stage the model stands at, in the training history.
    recorded, now : float
    """

    name: str
    recorded: float
    now: float

    @property
    def size(self) -> float:
        """Return what the metric is now minus what it was; 0 where it is undefined both times."""
        if math.isnan(self.recorded) and math.isnan(self.now):
            return 0.0
        return self.now - self.recorded


@dataclass(frozen=True, eq=False)
class Reproduction:
    """What came of running a run again.

    Attributes
    ----------
    record, again : Record
        As recorded, and as it is now.
    circumstances : sequence of Circumstance
        What in the environment is not as recorded.
    scores : list of ScoresOfPart
        Of the parts whose recorded scores are there; a published set may hold none.
    differences : list of Difference
        Of the metrics that were recorded, or follow from recorded scores.
    """

    record: Record
    again: Record
    circumstances: Sequence[Circumstance]
    scores: list[ScoresOfPart]
    differences: list[Difference]

    @property
    def same_file(self) -> bool:
        """Whether the file of scores has the SHA-256 that was recorded."""
        return self.record.files.get(SCORES) == self.again.files.get(SCORES)

    @property
    def identical(self) -> bool:
        """Whether nothing differs.

        Where no scores are there to compare, their file's SHA-256 stands for them.
        """
        scores = not any(part.n_differing for part in self.scores)
        same = all(abs(one.size) <= ROUNDING for one in self.differences)
        return same and (scores if self.scores else self.same_file)

    @property
    def exact(self) -> bool:
        """Whether every bit has to be the same: nothing that bears on bits has changed."""
        return not any(circumstance.bears for circumstance in self.circumstances)

    @property
    def kind(self) -> str:
        """The kind of model that was fitted, one of `TOLERANCES`."""
        if self.record.backend is not None:
            return "networks"
        model = registry.models().plugins.get(self.record.spec.model)
        linear = model is not None and model.family == "linear"
        return "linear models" if linear else "models of other kinds"

    @property
    def tolerance(self) -> float:
        """By how much mAP may differ: 0 where every bit has to be the same."""
        return 0.0 if self.exact else TOLERANCES[self.kind]

    @cached_property
    def judged(self) -> Difference:
        """Return the difference that is judged: of mAP on test, or else of mAP on stop.

        Raises
        ------
        StoreError
            If neither is.
        """
        for one in self.differences:  # mAP on test comes first
            if one.name in ("mAP", "stop_mAP"):
                return one
        raise StoreError(
            f"of run {self.record.run_id} neither scores, nor metrics, nor history are recorded: "
            "there is nothing to compare"
        )

    @property
    def reproduced(self) -> bool:
        """Whether the differences are within the tolerance."""
        if self.identical:
            return True
        return not self.exact and abs(self.judged.size) <= self.tolerance


@dataclass(frozen=True)
class Rerun:
    """A recorded run, as it is to be run again here.

    Attributes
    ----------
    request : RunRequest
    run_id : str
        The id that it will have; the recorded one where code and packages are as recorded.
    label : str
    circumstances : tuple of Circumstance
    """

    request: RunRequest
    run_id: str
    label: str
    circumstances: tuple[Circumstance, ...]


def prepare(
    record: Record,
    data_root: Path | None = None,
    features: tuple[str, ...] = (),
    layer: int | None = None,
) -> Rerun:
    """Return the request that runs a recorded run again, and what is not as recorded here.

    Raises
    ------
    ProtocolError
        If the run failed, rests on a protocol that is no more, or its clips are divided in
        another way now.
    DataError
        If the data are not there, or not those that it was recorded on.
    PolytimbreError
        If this code can't make its model.
    """
    request = request_of(record, data_root)
    data = replace(request.data, features=features or _recorded_features(record), layer=layer)
    request = replace(request, data=data)
    try:
        model = make_model(request)
    except PolytimbreError as error:
        raise PolytimbreError(f"{record.name} can't be made by this code: {error}") from error
    division = divide_for(request)
    check_data(record, division)
    _check_features(record, division.dataset)
    spec, identity = specify(request, division, WORKER_THREADS)
    label = f"{spec.label} seed {spec.seed}"
    source = source_hash(type(model))
    return Rerun(request, identity, label, tuple(circumstances(record, source, model.libraries)))


def _recorded_features(record: Record) -> tuple[str, ...]:
    """Return the features to name for a recorded run; refuse where they were read from a file."""
    names = tuple(features_of(record.spec).split("+"))
    if files := [name for name in names if ":" in name]:
        raise DataError(
            f"{record.name} was made on the features {files[0]}, which were read from a file: name"
            f" it as in --features {'+'.join(name.partition(':')[0] for name in names)}"
        )
    return names


def _check_features(record: Record, data: Dataset) -> None:
    spec = record.spec
    if spec.features is not None and data.features_sha256 != spec.features_sha256:
        raise DataError(
            f"{record.name} was made on the features {spec.features} of another content: their"
            f" hash is {data.features_sha256[:16]}, that of the run's {spec.features_sha256[:16]}."
            " Name those that it was made on with --features"
        )


def request_of(record: Record, data_root: Path | None = None) -> RunRequest:
    """Return the request that a finished record answers; what was tuned is not looked up.

    Raises
    ------
    ProtocolError
        If the run failed, or rests on a protocol that is no more.
    """
    spec = record.spec
    if not record.finished:
        raise ProtocolError(
            f"{record.name} failed ({record.error}): there is no result to reproduce. "
            "Run it again with `polytimbre run`"
        )
    protocol = name_of(spec.protocol_id)
    if protocol is None:
        raise ProtocolError(
            f"{record.name} rests on protocol {spec.protocol_id}, which this code does not "
            "have: check out the commit that it was recorded at"
        )
    chosen = None
    if spec.study is not None and spec.trial is not None:
        chosen = Chosen(spec.study, spec.trial, spec.params, record.tuning or {})
    return RunRequest(
        DataRequest(spec.dataset, data_root and data_root.resolve(), spec.split),
        spec.model,
        seed=spec.seed,
        preset=spec.preset,
        params=spec.params,
        fraction=spec.fraction,
        protocol=protocol,
        chosen=chosen,
        refit=spec.refit,
        order=spec.order,
        positives=spec.positives,
    )


def circumstances(record: Record, source: str, libraries: Sequence[str]) -> list[Circumstance]:
    """Return what in a worker's environment here is not as recorded.

    Parameters
    ----------
    record : Record
    source : str
        The model's :func:`benchmark.plugins.identity.source_hash` now.
    libraries : sequence of str
        Distributions that the model rests on.
    """
    here = environment.machine()
    there = {**dict.fromkeys(here, "not recorded"), **record.machine}
    # what isn't a network is held to AVX2, since these have been recorded
    kernels = "machine" if "keras" in libraries or "caches" not in record.machine else ""
    compared = [
        *((what, there[what], here[what], kernels) for what in KERNELS),
        ("platform", there["platform"], here["platform"], _platform_bears(there, here)),
        ("Python", there["python"], here["python"], _python_bears(there, here)),
        ("threads", record.threads, WORKER_THREADS, "threads"),
        ("source of the model", record.spec.source, source, "code"),
    ]
    if "keras" in libraries:
        compared.append(("Keras backend", record.backend, environment.backend(), "backend"))
    before = {**record.versions, **record.packages}
    now = {**environment.library_versions(libraries), **environment.packages(libraries)}
    for name in sorted((before.keys() | now.keys()) - {"python"}):
        compared.append((name, before.get(name, "none"), now.get(name, "none"), "packages"))
    return [Circumstance(w, str(a), str(b), bears) for w, a, b, bears in compared if a != b]


def _platform_bears(there: dict, here: dict) -> str:
    """Say whether two platforms differ in more than the kernel, which changes no bits."""
    same = _binary_platform(there["platform"]) == _binary_platform(here["platform"])
    return "" if same else "machine"


def _binary_platform(name: str) -> tuple[str, str]:
    """Cut a platform's name down to system, instruction set and C library."""
    end = _ARCHITECTURE.search(name)
    return name.partition("-")[0], end.group(0) if end else name


def _python_bears(there: dict, here: dict) -> str:
    minor = [str(machine.get("python", "")).split(".")[:2] for machine in (there, here)]
    return "" if minor[0] == minor[1] else "packages"


def compare(
    source: Runs, record: Record, store: Runs, again: Record, changed: Sequence[Circumstance]
) -> Reproduction:
    """Compare a recorded run to what running it again has stored.

    Parameters
    ----------
    source, record : Runs and Record
        The recorded run; a published set may lack scores.
    store, again : Runs and Record
        The new one, finished, of the same division.
    changed : sequence of Circumstance
        See :func:`circumstances`.

    Raises
    ------
    StoreError
        If the recorded scores are not those of this division.
    """
    before, now = _held(source, record), store.scores(again)
    parts = [part for part in PARTS if part in before]
    scores = [_of_part(record, part, before[part], now[part]) for part in parts]
    labels = store.labels(again.spec.division_id)  # of the same division: the source's are equal
    summary = evaluate(now, labels).summary()
    if {"select", "test"} <= before.keys():
        recorded = evaluate(before, labels).summary()
    else:
        recorded = _tabled(source, record)
    differences = [
        Difference(name, recorded[name], value)
        for name, value in summary.items()
        if recorded.get(name) is not None
    ]
    stages = record.stage_at_best(), again.stage_at_best()
    if None not in stages:
        differences.append(Difference("stop_mAP", *(stage["stop_mAP"] for stage in stages)))
    return Reproduction(record, again, changed, scores, differences)


def _held(source: Runs, record: Record) -> dict[str, np.ndarray]:
    file = f"runs/{record.run_id}/{SCORES}"
    if isinstance(source, PublishedSet) and file not in source.files:
        return {}
    return source.scores(record)


def _of_part(record: Record, part: str, before: np.ndarray, now: np.ndarray) -> ScoresOfPart:
    if before.shape != now.shape or before.dtype != now.dtype:
        raise StoreError(
            f"the recorded scores of run {record.run_id} on {part} are {before.dtype} of shape "
            f"{before.shape}, not {now.dtype} of shape {now.shape}: they are of other data"
        )
    held = ~np.isnan(before)  # a published set leaves scores out
    before, now = before[held], now[held]
    bits = np.bitwise_count(before.view(np.uint32) ^ now.view(np.uint32))
    largest = np.abs(before.astype(float) - now).max(initial=0.0)
    return ScoresOfPart(part, now.size, int((bits > 0).sum()), int(bits.sum()), float(largest))


def _tabled(source: Runs, record: Record) -> dict[str, float]:
    """Return a run's metrics from a published set's table of runs; empty if it isn't there."""
    if not isinstance(source, PublishedSet):
        return {}
    table = source.results().get("runs", {"columns": [], "rows": []})
    rows = (dict(zip(table["columns"], row, strict=True)) for row in table["rows"])
    found = next((row for row in rows if row.get("run") == record.run_id), {})
    return {name: value for name, value in found.items() if isinstance(value, float)}
