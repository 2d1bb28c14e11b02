"""How decision thresholds should be chosen: what each policy gains on test."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.analysis.threshold_gains import NAMES, Gains, PolicyResult
from benchmark.analysis.threshold_policies import N_REPEATS, TUNED
from benchmark.analysis.training_gap import Interval
from benchmark.protocol import N_FOLDS
from reports.tables.comparison import interval_note
from reports.tables.declaration import Content, Table, interval_columns, number_columns
from reports.tables.text import FLOOR, HIGH, LOW
from reports.tables.words import percent

#: The policy that the others are held against.
REFERENCE = NAMES[0]


def _thresholds(analysis: Analysis) -> Content:
    gains = analysis.threshold_gains
    notes = (*analysis.trained.notes, *sentences(gains), *reading(gains))
    mean = _subject(gains) if gains.average is not None else None
    return Content(policies(gains), notes, {"mean": mean})


THRESHOLDS = Table(
    name="thresholds",
    title="decision thresholds",
    about="What each way to choose decision thresholds gains.",
    keys=("model", "policy"),
    derive=_thresholds,
    columns={
        "policy": "how thresholds were chosen on select",
        "in sample": "F1 of the select clips that chose the thresholds",
        "in search": "F1 of select clips that chose strength and policy, but no threshold",
        "cross-fitted": "F1 of held-out select clips",
        "held-out gain": "cross-fitted F1 minus that of one global threshold",
        "test F1": "macro F1 on the test part",
        "test gain": "test F1 minus that of one global threshold",
        "p": "p-value of the test gain, Holm's correction over policies",
        "sd, select": "standard deviation of the test gain from the luck of the select part alone",
        "sd, test": "the same from the choice of test clips alone",
        "chosen": "strength or policy that the search chose, seed by seed",
    },
    command="thresholds --dataset {}",
    rests_on="pool",
    order=15,
    holds={
        **interval_columns("held-out gain", "test gain", gaps=True),
        **number_columns("p", gaps=True),
    },
    facts={"mean": str | None},
)


def policies(gains: Gains) -> pd.DataFrame:
    """Return one row a model and policy, and the means over models last."""
    rows = []
    for model, label in enumerate(gains.labels):
        for name, row in gains.rows(model).items():
            runs = [choice.policies[name] for choice in gains.choices[model]]
            if name == TUNED:
                chosen = ", ".join(map(str, runs))
            else:
                chosen = ", ".join(f"{p.strength:.2f}" for p in runs if p.strength is not None)
            rows.append(_row(label, name, row, chosen or "–"))
    if gains.average is not None:
        subject = _subject(gains)
        rows += [_row(subject, name, row, "–") for name, row in gains.average.items()]
    return pd.DataFrame(rows)


def _row(label: str, name: str, row: PolicyResult, chosen: str) -> dict[str, Any]:
    return {
        "model": label,
        "policy": name,
        "in sample": row.in_sample,
        "in search": row.chosen_by,
        "cross-fitted": row.cross_fitted,
        **_columns("held-out gain", row.held_out_gain, name),
        **_columns("test F1", row.test),
        **_columns("test gain", row.gain, name),
        "p": row.p,
        "p" + FLOOR: row.at_floor,
        "sd, select": row.select_sd,
        "sd, test": row.test_sd,
        "chosen": chosen,
    }


def _columns(heading: str, interval: Interval, name: str = "") -> dict[str, float]:
    if name == REFERENCE:  # no difference to itself
        interval = Interval(np.nan, np.nan, np.nan)
    return {heading: interval.value, heading + LOW: interval.lower, heading + HIGH: interval.upper}


def reading(gains: Gains) -> list[str]:
    """Return how the table is to be read."""
    n_tests = len(NAMES) - 1
    lines = [
        f"macro F1; cross-fitted: {N_FOLDS} folds of select by group, drawn {N_REPEATS} times; "
        "gains, also promised ones, are over one global threshold, on held-out select clips and on "
        "test; below 0 they are losses",
        interval_note(gains.on_test, gains.level),
        f"p: of the test gain, Holm over {n_tests} policies; intervals and p hold the luck of test "
        "clips, of seeds and of the select clips that thresholds were fitted on",
        "what gains here gains with a select part of this size: thresholds of each class's own may "
        "gain more where they are fitted on more positives",
    ]
    left_out = [m for m, tells in zip(gains.labels, gains.telling, strict=True) if not tells]
    if left_out and gains.average is not None:
        lines.append(f"not in the mean, as every clip gets the same scores: {', '.join(left_out)}")
    return lines


def sentences(gains: Gains) -> list[str]:
    """Say what to use, whose gain was too good to be true, and how well the search judged."""
    if not gains.telling.any():
        return ["No model scores clips differently, so no threshold can tell them apart."]
    rows = gains.average or gains.rows(int(gains.telling.argmax()))
    return [
        *_verdict(gains, rows),
        _flattered(gains, rows),
        _judged(gains, rows),
        *(_tuned(gains, model) for model in np.flatnonzero(gains.telling)),
    ]


def _subject(gains: Gains) -> str:
    n_models = int(gains.telling.sum())
    return f"mean of {n_models} models" if n_models > 1 else _telling(gains)[0]


def _telling(gains: Gains) -> list[str]:
    return [label for label, tells in zip(gains.labels, gains.telling, strict=True) if tells]


def _verdict(gains: Gains, rows: dict[str, PolicyResult]) -> list[str]:
    """Sort policies into those that gain, lose, and do not differ significantly."""
    alpha = 1 - gains.level + 1e-12
    others = {name: row for name, row in rows.items() if name != REFERENCE}
    gain, lose, level = [], [], []
    for name, row in others.items():
        if row.p > alpha:
            level.append(name)
        else:
            (gain if row.gain.value > 0 else lose).append(name)
    where = (
        f"on test ({_subject(gains)}; {percent(alpha, 0)} level, Holm over {len(others)} policies)"
    )
    if gain:
        best = max(gain, key=lambda name: rows[name].gain.value)
        lines = [f"Against one global threshold, {best} gains most F1 {where}: use it."]
        if len(gain) > 1:
            lines.append(f"Gains: {_gains(rows, gain)}.")
        else:
            lines[0] = lines[0].replace("gains most", f"alone gains ({_gains(rows, gain)})")
    else:
        lines = [f"No policy is shown to gain F1 over one global threshold {where}: keep that."]
    if lose:
        lines.append(f"Losses: {_gains(rows, lose)}.")
    if level:
        lines.append(f"No significant difference from it: {_gains(rows, level)}.")
    return lines


def _gains(rows: dict[str, PolicyResult], names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda name: -rows[name].gain.value)
    return "; ".join(f"{name} {_signed(rows[name].gain)}" for name in ordered)


def _signed(gain: Interval) -> str:
    return f"{gain.value:+z.3f} ({gain.lower:+z.3f} to {gain.upper:+z.3f})"


def _flattered(gains: Gains, rows: dict[str, PolicyResult]) -> str:
    ordered = sorted(rows, key=lambda name: -rows[name].optimism)
    shown = [f"{rows[name].optimism:z.3f} with {name}" for name in ordered]
    fixed = rows["half"]
    shift = fixed.in_sample - fixed.test.value
    return (
        "F1 of the select clips that chose the thresholds exceeds that of held-out ones by "
        f"{'; '.join(shown)} ({_subject(gains)}). Apart from that select differs from test: at "
        f"0.5, where nothing is chosen, its F1 is {abs(shift):.3f} "
        f"{'higher' if shift > 0 else 'lower'}."
    )


def _judged(gains: Gains, rows: dict[str, PolicyResult]) -> str:
    """Say how well either F1 on select foretold the gains on test."""
    first = rows[REFERENCE]
    others = [row for name, row in rows.items() if name not in (REFERENCE, TUNED)]
    held = np.mean([abs(r.held_out_gain.value - r.gain.value) for r in others])
    seen = np.mean([abs(r.in_sample - first.in_sample - r.gain.value) for r in others])
    better = "the better" if held < seen else "no better a"
    half_width = np.median([r.held_out_gain.upper - r.held_out_gain.lower for r in others]) / 2
    tuned = rows[TUNED]
    return (
        f"Of what a policy gains on test, held-out select clips are {better} judge: off by "
        f"{held:.3f} on average, against {seen:.3f} for the clips that chose. Their "
        f"{percent(gains.level, 0)} intervals reach ±{half_width:.3f} (median policy), smaller "
        f"gains can't be seen there: tuned was promised {tuned.held_out_gain.value:+z.3f} "
        f"({tuned.chosen_by - first.chosen_by:+z.3f} by the clips that chose it) and got "
        f"{_signed(tuned.gain)} ({_subject(gains)})."
    )


def _tuned(gains: Gains, model: int) -> str:
    row, choices = gains.rows(model)[TUNED], gains.choices[model]
    seeds = gains.seeds[model]
    if len(seeds) > 1:
        chosen = ", ".join(f"{c.tuned} (seed {s})" for c, s in zip(choices, seeds, strict=True))
    else:
        chosen = str(choices[0].tuned)
    promised = row.held_out_gain.value
    return (
        f"{gains.labels[model]}: the search chose {chosen}; held-out clips promised "
        f"{promised:+z.3f}, test gave {_signed(row.gain)}."
    )
