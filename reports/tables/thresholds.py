"""Threshold policies as tables and sentences."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.threshold_gains import NAMES, Gains, Row
from benchmark.analysis.threshold_policies import N_FOLDS, N_REPEATS, TUNED
from benchmark.analysis.training_gap import Interval
from reports.tables.text import HIGH, LOW

#: The policy that the others are held against.
REFERENCE = NAMES[0]


def policies(found: Gains) -> pd.DataFrame:
    """Return one row a model and policy, and the means over models last.

    ``in sample`` and ``cross-fitted`` are macro F1 on select, of the clips that chose the
    thresholds and of held-out ones; ``held-out gain`` and ``test gain`` are differences to one
    global threshold; ``p`` belongs to the latter. ``chosen`` is what the search found, seed by
    seed: strengths, and the policy of highest cross-fitted F1.
    """
    rows = []
    for model, label in enumerate(found.labels):
        for name, row in found.rows(model).items():
            runs = [choice.policies[name] for choice in found.choices[model]]
            if name == TUNED:
                chosen = ", ".join(map(str, runs))
            else:
                chosen = ", ".join(f"{p.strength:.2f}" for p in runs if p.strength is not None)
            rows.append(_row(label, name, row, chosen or "–"))
    if found.average is not None:
        subject = _subject(found)
        rows += [_row(subject, name, row, "–") for name, row in found.average.items()]
    return pd.DataFrame(rows)


def _row(label: str, name: str, row: Row, chosen: str) -> dict[str, Any]:
    return {
        "model": label,
        "policy": name,
        "in sample": row.in_sample,
        "cross-fitted": row.cross_fitted,
        **_columns("held-out gain", row.held_out_gain, name),
        **_columns("test F1", row.test),
        **_columns("test gain", row.gain, name),
        "p": row.p,
        "chosen": chosen,
    }


def _columns(heading: str, interval: Interval, name: str = "") -> dict[str, float]:
    if name == REFERENCE:  # no difference to itself
        interval = Interval(np.nan, np.nan, np.nan)
    return {heading: interval.value, heading + LOW: interval.lower, heading + HIGH: interval.upper}


def notes(found: Gains) -> list[str]:
    """Return how the table is to be read."""
    n_tests = len(NAMES) - 1
    lines = [
        f"macro F1; cross-fitted: {N_FOLDS} folds of select by group, drawn {N_REPEATS} times; "
        "gains are over one global threshold, on held-out select clips and on test",
        f"below or beside a value: {found.level:.0%} basic bootstrap interval, "
        f"{len(found.on_test.class_values):,} resamples by group, paired, seeds resampled too; "
        f"{found.on_test.n_dropped} dropped",
        f"p: of the test gain, Holm over {n_tests} policies; intervals and p hold the luck of test "
        "clips, of seeds and of the select clips that thresholds were fitted on",
    ]
    left_out = [m for m, tells in zip(found.labels, found.telling, strict=True) if not tells]
    if left_out and found.average is not None:
        lines.append(f"not in the mean, as every clip gets the same scores: {', '.join(left_out)}")
    return lines


def sentences(found: Gains) -> list[str]:
    """Say what follows: what to use, what flatters, and how well the search judged."""
    if not found.telling.any():
        return ["No model scores clips differently, so no threshold can tell them apart."]
    rows = found.average or found.rows(int(found.telling.argmax()))
    return [
        *_verdict(found, rows),
        _flattered(found, rows),
        _judged(found, rows),
        *(_tuned(found, model) for model in np.flatnonzero(found.telling)),
    ]


def _subject(found: Gains) -> str:
    n_models = int(found.telling.sum())
    return f"mean of {n_models} models" if n_models > 1 else _telling(found)[0]


def _telling(found: Gains) -> list[str]:
    return [label for label, tells in zip(found.labels, found.telling, strict=True) if tells]


def _verdict(found: Gains, rows: dict[str, Row]) -> list[str]:
    """Sort policies into those that gain, lose and can't be told from the global threshold."""
    alpha = 1 - found.level + 1e-12
    others = {name: row for name, row in rows.items() if name != REFERENCE}
    gain, lose, level = [], [], []
    for name, row in others.items():
        if row.p > alpha:
            level.append(name)
        else:
            (gain if row.gain.value > 0 else lose).append(name)
    where = f"on test ({_subject(found)}; {alpha:.0%} level, Holm over {len(others)} policies)"
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
        lines.append(f"Not told from it: {_gains(rows, level)}.")
    return lines


def _gains(rows: dict[str, Row], names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda name: -rows[name].gain.value)
    return "; ".join(f"{name} {_signed(rows[name].gain)}" for name in ordered)


def _signed(gain: Interval) -> str:
    return f"{gain.value:+z.3f} ({gain.lower:+z.3f} to {gain.upper:+z.3f})"


def _flattered(found: Gains, rows: dict[str, Row]) -> str:
    ordered = sorted(rows, key=lambda name: -rows[name].optimism)
    shown = [f"{rows[name].optimism:z.3f} with {name}" for name in ordered]
    fixed = rows["half"]
    shift = fixed.in_sample - fixed.test.value
    return (
        "F1 of the select clips that chose the thresholds exceeds that of held-out ones by "
        f"{'; '.join(shown)} ({_subject(found)}). Apart from that select differs from test: at "
        f"0.5, where nothing is chosen, its F1 is {abs(shift):.3f} "
        f"{'higher' if shift > 0 else 'lower'}."
    )


def _judged(found: Gains, rows: dict[str, Row]) -> str:
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
        f"{found.level:.0%} intervals reach ±{half_width:.3f} (median policy), smaller gains can't "
        f"be seen there: tuned was promised {tuned.held_out_gain.value:+z.3f} and got "
        f"{_signed(tuned.gain)} ({_subject(found)})."
    )


def _tuned(found: Gains, model: int) -> str:
    row, choices = found.rows(model)[TUNED], found.choices[model]
    seeds = found.seeds[model]
    if len(seeds) > 1:
        chosen = ", ".join(f"{c.tuned} (seed {s})" for c, s in zip(choices, seeds, strict=True))
    else:
        chosen = str(choices[0].tuned)
    promised = row.held_out_gain.value
    return (
        f"{found.labels[model]}: the search chose {chosen}; held-out clips promised "
        f"{promised:+z.3f}, test gave {_signed(row.gain)}."
    )
