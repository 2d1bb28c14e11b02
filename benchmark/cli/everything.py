"""All that is published, as a list of commands: from an empty store to the published sets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmark.runs.record import Record

SEEDS = 5
TRIALS = 30
#: Fits beside a study's trials: three configurations are compared again in five folds.
AGAIN = 15
#: Shares of the training clips that a learning curve adds to all of them.
SHARES = 3
#: What is published of each data set: features, None for its own; those are tuned, too.
PUBLISHED: dict[str, tuple[str | None, ...]] = {
    "rendered": (None, "musicnn"),
    "rendered-full": (None, "musicnn"),
    "audioset20": (None, "vggish+tags"),
    "audioset-world": (None,),
}
#: Data sets whose models are tuned, refitted, and held to less data and to the published protocol.
TUNED = ("rendered", "audioset20")
CURVES = ("cnn", "random_forest", "xgboost")
AS_PUBLISHED = ("cnn", "random_forest", "constant")


class Step(NamedTuple):
    """One command, and how often it fits each model."""

    command: tuple[str, ...]
    fits: dict[str, int]


def steps(
    data_root: Path | None = None, store: Path | None = None, results: Path | None = None
) -> list[Step]:
    """Spell out the commands that publish everything, in order.

    Parameters
    ----------
    data_root : Path, optional
        Where AudioSet's features lie; data sets that need it are left out without it.
    store, results : Path, optional
        Where the commands compute and publish; their defaults if None.
    """
    from benchmark.plugins import registry

    listed = []
    for dataset, features in PUBLISHED.items():
        plugin = registry.datasets().get(dataset)
        if plugin.needs_root and data_root is None:
            continue
        place = ["--dataset", dataset]
        place += ["--data-root", str(data_root)] if plugin.needs_root else []
        place += ["--store", str(store)] if store else []
        listed += _fits(place, features, dataset in TUNED, _models(plugin.offers_auxiliary))
        listed.append(
            Step(("publish", *place, *(["--results", str(results)] if results else [])), {})
        )
    return listed


def _models(auxiliary: bool) -> dict[str, bool]:
    """Return whether each model that a data set can be learnt by has a search space."""
    from benchmark.contracts.model import Model
    from benchmark.plugins import registry

    known = registry.models()
    return {
        name: known.get(name).search_space is not Model.search_space
        for name in known.names()
        if auxiliary or not known.get(name).uses_auxiliary
    }


def _fits(
    place: Sequence[str], features: Iterable[str | None], tuned: bool, models: dict[str, bool]
) -> list[Step]:
    seeds = ["--seeds", str(SEEDS)]
    listed = []
    for name in features:
        more = ["--features", name] if name else []
        listed.append(Step(("run", *place, *more, *seeds), dict.fromkeys(models, SEEDS)))
    if not tuned:
        return listed
    searched = [name for name, has_space in models.items() if has_space]
    trials = dict.fromkeys(searched, TRIALS + AGAIN)
    listed.append(Step(("tune", *place, "--trials", str(TRIALS)), trials))
    for refit in ([], ["--refit"]):
        command = ("run", *place, "--tuned", *refit, *seeds)
        listed.append(Step(command, dict.fromkeys(searched, SEEDS)))
    for model in CURVES:
        command = ("learning-curve", *place, "--model", model, *seeds)
        listed.append(Step(command, {model: SHARES * SEEDS}))
    named = [part for model in AS_PUBLISHED for part in ("--model", model)]
    command = ("run", *place, *named, "--protocol", "published", *seeds)
    listed.append(Step(command, dict.fromkeys(AS_PUBLISHED, SEEDS)))
    return listed


def seconds(listed: Iterable[Step], records: "Iterable[Record]") -> float | None:
    """Estimate the processor seconds of commands from what one fit of each model took before.

    A model that was never fitted counts as the mean of the others; None if none was.
    """
    taken = defaultdict(list)
    for record in records:
        if record.finished and record.spec.fraction == 1:
            taken[record.spec.model].append(sum(record.seconds.values()))
    if not taken:
        return None
    means = {model: sum(values) / len(values) for model, values in taken.items()}
    other = sum(means.values()) / len(means)
    return sum(n * means.get(model, other) for step in listed for model, n in step.fits.items())
