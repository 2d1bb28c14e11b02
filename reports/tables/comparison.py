"""Models against each other: the headline, paired differences, ranks, classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.comparison import Comparison, Entry
from benchmark.analysis.derivation import Analysis
from benchmark.analysis.inference import Inference
from benchmark.analysis.slices import LEAST_A_CLASS
from benchmark.scoring.bootstrap import Bootstrap, alike, basic_interval
from benchmark.scoring.evaluation import METRICS
from benchmark.scoring.ranking import Pairwise
from reports.tables.declaration import Content, Table, interval_columns, number_columns
from reports.tables.text import FLOOR, HIGH, LOW
from reports.tables.words import count, listed, percent

#: Of a comparison's columns, what those mean that are no metrics.
COLUMNS = {
    "rank": "1 + the number of models that are significantly better in mAP, by tests of all pairs",
    "model": "with how it was trained, and on which features if there are several",
    "seeds": "runs that are averaged",
    "clip se": "standard error of mAP from the choice of test clips alone",
    "seed sd": "standard deviation of mAP between training seeds",
    "behind": "mAP of the best model minus this one's",
    "p": "p-value of what it is behind by, in tests against the best model alone",
    "among best": "the best model, or not significantly different from it by p",
    "fit (s)": "processor seconds of training, mean over seeds",
    "ms/clip": "processor milliseconds to score one clip",
    "model (bytes)": "size of what the model saved",
}

#: Training seeds from which on a test keeps some power after Holm's correction over many pairs, as
#: the simulated paired tests in benchmark/README.md show.
ENOUGH_SEEDS = 5

#: What a narrow terminal has room for of a comparison.
FIRST = ("model", "mAP", "behind", "p", "F1", "seeds")
#: What a terminal leaves out: `p` says the latter, and ranks rest on other tests than `p`.
HIDDEN = ("rank", "among best")


def models_table(result: Comparison, inferred: Inference) -> pd.DataFrame:
    """Return one row a model: rank, metrics with intervals, distance to the best, cost.

    Metrics are means over seeds; what the columns mean is told by `COLUMNS` and `METRICS`.
    """
    headings = {n: m.heading for n, m in METRICS.items() if n in inferred.resampled}
    ends = {name: inferred.resampled[name].interval(inferred.level) for name in headings}
    rows = []
    for i, entry in enumerate(result.entries):
        row: dict[str, Any] = {"rank": int(inferred.pairs.rank[i]) if inferred.pairs else 1}
        row |= {"model": entry.label, "seeds": len(entry.evaluations)}
        for name, heading in headings.items():
            low, high = ends[name]
            row |= {heading: entry.mean(name), heading + LOW: low[i], heading + HIGH: high[i]}
            if name == "mAP":
                row["clip se"] = inferred.resampled[name].sampling_sd[i]
                row["seed sd"] = entry.spread("mAP")
                row |= _behind_best(inferred.pairs, i)
        row["fit (s)"] = entry.seconds("fit")
        row["ms/clip"] = entry.milliseconds_per_clip()
        rows.append(row)
    return pd.DataFrame(rows)


def _behind_best(pairs: Pairwise | None, i: int) -> dict[str, Any]:
    """Hold a model against the best one, by the tests of the best model alone."""
    if pairs is None or i == pairs.best:
        told = dict.fromkeys(("behind", "behind" + LOW, "behind" + HIGH, "p"), float("nan"))
        return {**told, "p" + FLOOR: False, "among best": True}
    test = pairs.against_best
    at = test.pairs.index((pairs.best, i))
    return {
        "behind": test.difference[at],
        "behind" + LOW: test.lower[at],
        "behind" + HIGH: test.upper[at],
        "p": test.p_holm[at],
        "p" + FLOOR: bool(test.at_floor[at]),
        "among best": bool(pairs.among_best[i]),
    }


def comparison_notes(result: Comparison, inferred: Inference) -> list[str]:
    """Return how the table is to be read, and what was left out."""
    notes = [*_few_seeds(result), *few_positives(result)]
    notes.append(interval_note(inferred.resampled["mAP"], inferred.level))
    if inferred.n_resamples > inferred.asked:
        notes.append(
            f"{inferred.asked:,} resamples are too few for so many comparisons: none could be "
            f"significant after Holm's correction, so {inferred.n_resamples:,} were drawn"
        )
    if inferred.pairs is not None:
        n, level = len(result.entries), percent(1 - inferred.level, 0)
        notes.append(
            f"p rests on {count(n - 1, 'test')}, of the best model against each other one, after "
            f"Holm's correction; at {level} it says which models are among the best"
        )
        notes.append(
            f"rank rests on {count(n * (n - 1) // 2, 'test')}, of all pairs of models, which are "
            "corrected more: p may be significant for a model that shares the best one's rank. "
            "`polytimbre table pairs` holds each test"
        )
        notes += _inversions(result, inferred.pairs)
    return notes + _alike(result) + _unscored(result) + result.notes


def _few_seeds(result: Comparison) -> list[str]:
    """Say how many models ran under so few seeds that tests seldom tell them apart."""
    few: dict[int, list[str]] = {}
    for entry in result.entries if len(result.entries) > 1 else ():
        if 1 < (n := len(entry.evaluations)) < ENOUGH_SEEDS and entry.spread("mAP") > 0:
            few.setdefault(n, []).append(entry.label)
    told = [
        f"{listed(names) if len(names) < 4 else f'{len(names)} models'} under {n}"
        for n, names in sorted(few.items())
    ]
    if not told:
        return []
    return [
        f"fewer than {ENOUGH_SEEDS} seeds: {'; '.join(told)}. So few say little of how far "
        "seeds differ: intervals are wide, and of many models hardly any are told apart. "
        f"`polytimbre run --seeds {ENOUGH_SEEDS}` adds those that lack"
    ]


def few_positives(result: Comparison) -> list[str]:
    """Name the classes of so few positives that little is known of them."""
    labels = result.labels
    positives = (labels.y_positive & labels.y_mask).sum(axis=0)
    few = [
        name
        for name, n in zip(labels.classes, positives, strict=True)
        if n < LEAST_A_CLASS and name not in result.unscored
    ]
    told = f"fewer than {LEAST_A_CLASS} positives, so that intervals may be far too short"
    scored = len(labels.classes) - len(result.unscored)
    named = "all classes" if len(few) == scored > 1 else ", ".join(few)
    return [f"{told}: {named}"] if few else []


def _inversions(result: Comparison, pairs: Pairwise) -> list[str]:
    """Say where the order of ranks isn't that of mAP."""
    ahead = dict.fromkeys(i for i, _ in pairs.inversions)
    if not ahead:
        return []
    names = [f"{result.entries[i].label} (rank {pairs.rank[i]})" for i in ahead]
    return [
        f"rank is better than that of models of equal or higher mAP: {listed(names)}; fewer models "
        "differ significantly from one whose mAP is known less well, and where p lies at the "
        "level, the luck of the resamples decides"
    ]


def _alike(result: Comparison) -> list[str]:
    """Name the models whose scores are the same bits, all in one note."""
    same: dict[int, list[str]] = {}
    numbers = alike([entry.scores for entry in result.entries])
    for number, entry in zip(numbers, result.entries, strict=True):
        same.setdefault(number, []).append(entry.label)
    groups = [listed(names) for names in same.values() if len(names) > 1]
    return [f"scored alike to the last digit: {'; '.join(groups)}"] if groups else []


def _unscored(result: Comparison) -> list[str]:
    named = ", ".join(result.unscored)
    told = "classes left out, without an observed positive and an observed negative"
    return [f"{told}: {named}"] if named else []


def interval_note(drawn: Bootstrap, level: float) -> str:
    """Say what the intervals of a bootstrap are."""
    told = (
        f"below or beside a value: its {percent(level, 0)} basic bootstrap interval, from "
        f"{len(drawn.class_values):,} resamples of groups of clips and of seeds, the same for all "
        "models"
    )
    if drawn.redrawn:
        told += (
            f"; {percent(drawn.redrawn, 0)} of them would have had no positive, or no negative, of "
            "some class and were drawn again"
        )
    if drawn.n_dropped:
        told += f"; {drawn.n_dropped:,} of them were left out, as a class could not be scored"
    return (
        f"{told}. It reaches further down than up where few positives let a value come out too high"
    )


def _comparison(analysis: Analysis) -> Content:
    result, inferred = analysis.comparison, analysis.inference
    frame = models_table(result, inferred)
    plain = [m for n, m in METRICS.items() if m.compared and n not in inferred.resampled]
    for metric in plain:
        frame.insert(
            frame.columns.get_loc("F1"),
            metric.heading,
            [entry.mean(metric.name) for entry in result.entries],
        )
    frame["model (bytes)"] = [_bytes(entry) for entry in result.entries]
    return Content(frame, tuple(comparison_notes(result, inferred)))


def _bytes(entry: Entry) -> float:
    """Return the mean size of what a model saved, NaN where no run stands behind the scores."""
    sizes = [record.model_bytes for record in entry.records]
    return float(np.mean(sizes)) if sizes else float("nan")


COMPARISON = Table(
    name="comparison",
    title="",
    about="Every model's scores with intervals, ranks and costs, best mAP first.",
    keys=("model",),
    derive=_comparison,
    columns=COLUMNS,
    command="compare --dataset {}",
    first=FIRST,
    hidden=HIDDEN,
    order=3,
    holds={
        **interval_columns("mAP", "F1"),
        **number_columns("rank", "seeds", "fit (s)"),
        **number_columns("ms/clip", "model (bytes)", gaps=True),
        "among best": bool,
    },
    sometimes=("ms/clip", "model (bytes)", "among best"),
)


def _per_class(analysis: Analysis) -> Content:
    result, inferred = analysis.comparison, analysis.inference
    low, high = inferred.resampled["mAP"].class_interval(inferred.level)
    positives = result.labels.y_positive.sum(axis=0)
    observed = result.labels.y_mask.sum(axis=0)
    wide: dict[str, Any] = {"class": result.classes, "chance": positives / np.maximum(observed, 1)}
    frames = []
    for i, entry in enumerate(result.entries):
        spanned = {"": entry.average_precision, LOW: low[i], HIGH: high[i]}
        columns = {"class": result.classes, "model": entry.label, "positives": positives}
        frames.append(pd.DataFrame(columns | {f"AP{end}": v for end, v in spanned.items()}))
        wide |= {entry.label + end: values for end, values in spanned.items()}
    compared = []
    if len(result.entries) == 2:
        wide |= _difference(inferred.resampled["mAP"], inferred.level)
        first, second = (entry.label for entry in result.entries)
        compared.append(
            f"difference: {first} minus {second} on the same clips, each class by itself"
        )
    wide |= {"positives": positives, "observed": observed}
    drawn = interval_note(inferred.resampled["mAP"], inferred.level)
    notes = [*few_positives(result), drawn, *compared, *_alike(result), *_unscored(result)]
    notes += result.notes
    frame = pd.concat(frames, ignore_index=True)
    return Content(frame, tuple(notes), shown=pd.DataFrame(wide))


def _difference(drawn: Bootstrap, level: float) -> dict[str, np.ndarray]:
    """Hold the first model's average precision in each class against the second's, paired."""
    values, estimate = drawn.class_values[:, :, drawn.scored], drawn.class_estimate[:, drawn.scored]
    difference = estimate[0] - estimate[1]
    ends = basic_interval(difference, values[:, 0] - values[:, 1], level)
    columns = {}
    for end, told in zip(("", LOW, HIGH), (difference, *ends), strict=True):
        columns[f"difference{end}"] = np.full(len(drawn.scored), np.nan)
        columns[f"difference{end}"][drawn.scored] = told
    return columns


PER_CLASS = Table(
    name="per_class",
    title="average precision by class",
    about="How well each model ranks the clips of each class.",
    keys=("class", "model"),
    derive=_per_class,
    columns={
        "positives": "observed positives in the part",
        "observed": "observed labels of the class in the part",
        "chance": "average precision of guessing: the share of positives",
        "AP": "average precision over observed labels, mean over seeds",
    },
    command="compare --dataset {} --per-class",
    first=("class", "chance"),
    order=4,
    holds={**interval_columns("AP", gaps=True), **number_columns("positives")},
    even=True,
)


def _pairs(analysis: Analysis) -> Content | None:
    result, inferred = analysis.comparison, analysis.inference
    names, test = [entry.label for entry in result.entries], inferred.pairs
    if test is None:
        return None
    rows = [
        {
            "model": names[i],
            "against": names[j],
            "difference": test.difference[i, j],
            "difference low": test.lower[i, j],
            "difference high": test.upper[i, j],
            "p": test.p_holm[i, j],
            "p" + FLOOR: bool(test.at_floor[i, j]),
            "better": bool(test.better[i, j]),
            "half-width": (test.upper[i, j] - test.lower[i, j]) / 2,
            "half-width, twice the seeds": test.twice_the_seeds[i, j],
            "half-width, endless seeds": test.endless_seeds[i, j],
        }
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    notes = [interval_note(inferred.resampled["mAP"], inferred.level), *result.notes]
    return Content(pd.DataFrame(rows), tuple(notes))


def _tuning(analysis: Analysis) -> Content | None:
    entries, test = analysis.comparison.entries, analysis.inference.tuning
    if test is None:
        return None
    frame = pd.DataFrame(
        {
            "model": [entries[i].label for i, _ in test.pairs],
            "against": [entries[j].label for _, j in test.pairs],
            "difference": test.difference,
            "difference" + LOW: test.lower,
            "difference" + HIGH: test.upper,
            "p": test.p_holm,
            "p" + FLOOR: test.at_floor,
            "significant": test.significant,
        }
    )
    drawn = analysis.inference.resampled["mAP"]
    return Content(frame, (tuning_sentence(frame, test.level), interval_note(drawn, test.level)))


def tuning_sentence(frame: pd.DataFrame, level: float) -> str:
    """Say which tuned models differ significantly in mAP from their defaults."""
    kinds = np.where(frame["significant"], np.sign(frame["difference"]), 0)
    told = [
        f"{said}: {', '.join(frame['model'][kinds == kind])}"
        for kind, said in ((1, "better"), (-1, "worse"), (0, "no significant difference"))
        if (kinds == kind).any()
    ]
    return (
        f"mAP, tuned against the same model's default: {'; '.join(told)} (paired bootstrap, Holm's "
        f"correction over {count(len(frame), 'test')}, at {percent(1 - level, 0)})"
    )


#: What both tables about tuning follow from.
TUNED = (
    "a tuned model beside its default: `polytimbre tune --model NAME`, then `polytimbre run "
    "--model NAME` with --tuned and without"
)

TUNING = Table(
    name="tuning",
    title="tuned against default",
    about="Whether a tuned model is better than the same one by default.",
    keys=("model",),
    derive=_tuning,
    columns={
        "model": "tuned",
        "against": "the same model by default",
        "difference": "mAP of the tuned one minus that of the default, on the same clips",
        "p": "p-value of the difference, Holm's correction over the rows of this table",
        "significant": "whether they differ significantly by that p-value",
    },
    takes=TUNED,
    optional=True,
    order=7,
)


PAIRS = Table(
    name="pairs",
    title="paired differences of mAP",
    about="Every pair of models: how far apart they are, and whether significantly so.",
    keys=("model", "against"),
    derive=_pairs,
    first=("model", "against", "difference", "better", "p"),
    columns={
        "model": "the one of higher mAP",
        "difference": "its mAP minus the other one's, on the same clips",
        "p": "p-value of the difference, Holm's correction over all pairs",
        "better": "whether it differs significantly",
        "half-width": "of the interval of the difference, with the seeds that were run",
        "half-width, twice the seeds": "what it can be expected to be with twice the seeds",
        "half-width, endless seeds": "the same with the choice of test clips as the only luck",
    },
    order=7,
    holds={"better": bool, **interval_columns("difference"), **number_columns("p")},
)


def _ranks(analysis: Analysis) -> Content | None:
    """Rank models over classes; Friedman's test knows no fewer than three."""
    result, inferred = analysis.comparison, analysis.inference
    conventional, counts = inferred.critical_difference(), inferred.win_tie_loss().counts
    rows = []
    for i, entry in enumerate(result.entries):
        wins, ties, losses = counts[i, 0] if i else ("–", "–", "–")
        groups = [n + 1 for n, members in enumerate(conventional.groups) if i in members]
        rows.append(
            {
                "rank": int(inferred.pairs.rank[i]),
                "model": entry.label,
                "average rank": float(conventional.average_rank[i]),
                "same group (Nemenyi)": ", ".join(map(str, groups)) or "–",
                "wins": wins,
                "ties": ties,
                "losses": losses,
            }
        )
    facts = {
        "critical_difference": float(conventional.critical_difference),
        "groups": _labels(result.entries, conventional.groups),
    }
    n_classes = inferred.resampled["mAP"].scored.sum()
    notes = (
        f"average rank over {n_classes} classes; Friedman chi-squared "
        f"{conventional.statistic:.1f}, p {conventional.p_friedman:.2g}; Nemenyi's critical "
        f"difference {conventional.critical_difference:.2f} ranks",
        f"wins, ties, losses: classes against {result.entries[0].label}, paired bootstrap, "
        "Holm's correction over classes",
        "classes share their clips: the average ranks describe, the bootstrap ranks test",
    )
    return Content(pd.DataFrame(rows), notes, facts)


def _labels(entries: Sequence[Entry], groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[entries[i].label for i in members] for members in groups]


RANKS = Table(
    name="ranks",
    title="ranks over classes",
    about="Models ranked in each class: average ranks, wins and losses.",
    keys=("model",),
    derive=_ranks,
    columns={
        "rank": COLUMNS["rank"],
        "average rank": "rank by average precision, mean over classes, 1 is best",
        "same group (Nemenyi)": "models of one group do not differ significantly by Nemenyi's test",
        "wins": "classes in which it is significantly better than the best model",
        "losses": "classes in which it is significantly worse than the best model",
    },
    command="compare --dataset {} --ranks",
    optional=True,
    order=8,
    holds=number_columns("rank", "average rank"),
    facts={"critical_difference": float, "groups": list[list[str]]},
)
