"""What tuning promised on the part that chose, and what it kept on the test part.

The best trial's mAP on *select* is the highest of many, and partly luck. Its runs under other seeds
already show less of it there, and the test part, which chose nothing, shows what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.analysis.comparison import Comparison
from benchmark.analysis.inference import Inference
from benchmark.analysis.training_gap import Interval
from benchmark.contracts.seeds import derive_seed
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.bootstrap import Bootstrap, basic_interval, bootstrap


@dataclass(frozen=True, eq=False)
class Promise:
    """What tuning promised and kept in one study, or on average over all.

    Attributes
    ----------
    label, against : str
        The tuned model, and its default.
    promised : float
        Select mAP of the trial that was chosen minus that of the default's runs.
    select, test : Interval
        mAP of the tuned model's runs minus that of the default's, means over seeds, on each part.
    """

    label: str
    against: str
    promised: float
    select: Interval
    test: Interval


def measure(
    result: Comparison,
    inferred: Inference,
    labels: StoredLabels,
    store: Runs,
    *,
    n_resamples: int = 2000,
) -> list[Promise]:
    """Hold each tuned model against its default, on select and on test.

    Parameters
    ----------
    result : Comparison
        On the test part.
    inferred : Inference
        Of that comparison.
    labels : StoredLabels
        Of the select part.
    store : Runs
        Holds the runs' scores.
    n_resamples : int
        Of the bootstrap on select.

    Returns
    -------
    list of Promise
        One a tuned model with a default, and their mean if there are several; refits are left out,
        as they have seen the select part.
    """
    entries = result.entries
    pairs = inferred.tuning.pairs if inferred.tuning else ()
    pairs = [(i, j) for i, j in pairs if not entries[i].records[0].spec.refit]
    if not pairs:
        return []
    models = sorted({i for pair in pairs for i in pair})
    scores = [
        np.stack([store.scores(record)["select"] for record in entries[i].records]) for i in models
    ]
    on_select = bootstrap(
        labels.y_positive,
        labels.y_mask,
        scores,
        groups=labels.groups,
        n_resamples=n_resamples,
        seed=derive_seed(0, "promises"),
    )
    there = [(models.index(i), models.index(j)) for i, j in pairs]
    tuning = [entries[i].records[0].tuning or {} for i, _ in pairs]
    promised = [
        one.get("select_mAP", np.nan) - on_select.estimate[j]
        for one, (_, j) in zip(tuning, there, strict=True)
    ]
    select, test = _gains(on_select, there), _gains(inferred.resampled["mAP"], pairs)
    names = [(entries[i].label, entries[j].label) for i, j in pairs]
    rows = zip(names, promised, select, test, strict=False)  # without the means
    found = [Promise(*name, float(value), *gains) for name, value, *gains in rows]
    if len(pairs) > 1:
        mean = f"mean of {len(pairs)} studies", "their defaults"
        found.append(Promise(*mean, float(np.mean(promised)), select[-1], test[-1]))
    return found


def _gains(resampled: Bootstrap, pairs: Sequence[tuple[int, int]]) -> list[Interval]:
    """Return each pair's difference, and the mean of all, with intervals."""
    first, second = np.array(pairs).T
    gain = resampled.estimate[first] - resampled.estimate[second]
    drawn = resampled.values[:, first] - resampled.values[:, second]
    gain = np.append(gain, gain.mean())
    drawn = np.column_stack([drawn, drawn.mean(axis=1)])
    return [Interval(*row) for row in zip(gain, *basic_interval(gain, drawn), strict=True)]
