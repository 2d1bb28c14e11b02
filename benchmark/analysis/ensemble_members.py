"""The runs that an ensemble may be made of."""

from dataclasses import dataclass, replace

import numpy as np

from benchmark.analysis.comparison import Comparison
from benchmark.errors import ProtocolError
from benchmark.plugins import registry
from benchmark.runs.reading import Runs
from benchmark.runs.record import Record


@dataclass(frozen=True, eq=False)
class Run:
    """One member: a run, its label and its scores by part."""

    label: str
    record: Record
    scores: dict[str, np.ndarray]


def stack(runs: list[Run], part: str) -> np.ndarray:
    """Return the scores of runs on a part, shape (n_runs, n_clips, n_classes)."""
    return np.stack([run.scores[part] for run in runs])


def _is_flat(scores: np.ndarray) -> bool:
    """Whether all clips score the same in each class; scores that are not published are NaN."""
    return not (np.fmin.reduce(scores) < np.fmax.reduce(scores)).any()


def collect(result: Comparison, store: Runs) -> tuple[dict[str, list[Run]], list[str]]:
    """Return the runs to combine by model, and who was left out."""
    bases = {record.base for entry in result.entries for record in entry.records}
    pool, flat, refitted = {}, [], []
    for entry in result.entries:
        runs = [Run(entry.label, record, store.scores(record)) for record in entry.records]
        if all(_is_flat(run.scores["select"]) for run in runs):
            flat.append(entry.label)
        elif all(record.run_id in bases for record in entry.records):
            refitted.append(entry.label)
        else:
            pool[entry.label] = runs
    reasons = {"all clips score the same": flat, "its refit is in": refitted}
    notes = [f"no member, {why}: {', '.join(names)}" for why, names in reasons.items() if names]
    if not pool:
        raise ProtocolError(
            f"there is nothing to combine: {'; '.join(notes)}. Run models that tell clips apart: "
            f"`polytimbre run --dataset {result.dataset} --model NAME`"
        )
    if tuned := [name for name, runs in pool.items() if runs[0].record.spec.study]:
        notes.append(f"chosen on select by tuning, so too good there: {', '.join(tuned)}")
    return pool, notes


def every_run(pool: dict[str, list[Run]]) -> list[Run]:
    """Return all runs, named by their seeds where a model has several."""
    return [
        run if len(runs) == 1 else replace(run, label=f"{run.label} seed {run.record.spec.seed}")
        for runs in pool.values()
        for run in runs
    ]


def by_seed(pool: dict[str, list[Run]]) -> tuple[list[list[Run]], list[str]]:
    """Return each seed's members, and how seeds were matched."""
    seeds = {
        name: {run.record.spec.seed: run for run in runs}
        for name, runs in pool.items()
        if len(runs) > 1
    }
    if not seeds:
        return [[runs[0] for runs in pool.values()]], []
    common = set.intersection(*map(set, seeds.values()))
    if not common:
        have = "; ".join(f"{n} has {', '.join(map(str, sorted(s)))}" for n, s in seeds.items())
        raise ProtocolError(
            f"the members have no seed in common: {have}. Run them with the same seeds, or "
            "combine every run with --all-seeds"
        )
    notes = []
    if unused := set().union(*seeds.values()) - common:
        shown = ", ".join(map(str, sorted(unused)))
        notes.append(f"no member, as not every model has that seed: seed {shown}")
    if single := [name for name in pool if name not in seeds]:
        notes.append(f"has one run, a member with every seed: {', '.join(single)}")
    replicates = [
        [seeds[name][seed] if name in seeds else runs[0] for name, runs in pool.items()]
        for seed in sorted(common)
    ]
    return replicates, notes


def tuned_networks(runs: list[Run]) -> list[Run]:
    """Return the runs of tuned neural networks, in their order."""
    known = registry.models().plugins
    specs = [run.record.spec for run in runs]
    return [
        run
        for run, spec in zip(runs, specs, strict=True)
        if spec.study and spec.model in known and known[spec.model].family == "network"
    ]
