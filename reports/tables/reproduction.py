"""Tables and sentences of a run that was run again."""

from collections.abc import Callable, Sequence

import pandas as pd

from benchmark.analysis.reproduction import Circumstance, Difference, Reproduction
from benchmark.runs.record import Record
from benchmark.scoring.evaluation import METRICS

#: What the metric of the training history is called; others say it themselves.
STOP_MAP = "mAP on stop, in training"
#: What is said of a circumstance, by what it bears on.
SAID = {
    "machine": "on another machine",
    "packages": "with other versions of packages",
    "code": "with other code",
    "threads": "with another number of threads",
    "backend": "with another Keras backend",
}
#: Packages that one sentence names at most.
NAMED = 6


def environment(changed: Sequence[Circumstance]) -> pd.DataFrame:
    """Return what in the environment differs, one row a thing."""
    columns = ["what", "recorded", "now", "bits may differ"]
    rows = [[c.what, c.recorded, c.now, "yes" if c.bears else "no"] for c in changed]
    return pd.DataFrame(rows, columns=columns)


def scores(outcome: Reproduction) -> pd.DataFrame:
    """Return one row a part: how many scores and bits differ, and the largest difference."""
    columns = ["part", "scores", "that differ", "bits that differ", "largest difference"]
    rows = [[s.part, s.n_scores, s.n_differing, s.n_bits, s.largest] for s in outcome.scores]
    return pd.DataFrame(rows, columns=columns)


def metrics(outcome: Reproduction) -> pd.DataFrame:
    """Return one row a metric: recorded, now, difference."""
    columns = ["metric", "recorded", "now", "difference"]
    rows = [[_heading(m), m.recorded, m.now, m.size] for m in outcome.differences]
    return pd.DataFrame(rows, columns=columns)


def _heading(metric: Difference) -> str:
    if metric.name in METRICS:
        return METRICS[metric.name].heading
    return STOP_MAP if metric.name == "stop_mAP" else metric.name


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the tables with numbers as text: differences in two digits, values in six decimals."""
    shown: dict[str, list] = {}
    for name in frame.columns:
        small = "difference" in name
        write: Callable[[float], str] = "{:.2g}".format if small else "{:.6f}".format
        shown[name] = [write(v) if isinstance(v, float) else v for v in frame[name]]
    return pd.DataFrame(shown)


def score_notes(outcome: Reproduction) -> list[str]:
    """Say what the recorded scores leave open."""
    held = [part.part for part in outcome.scores]
    notes = []
    if not held:
        same = "the same in every bit" if outcome.same_file else "not the same"
        notes.append(
            f"no scores are published; by the SHA-256 in the record, those of all parts are {same}"
        )
    elif len(held) < 4:
        notes.append(f"scores are published for {', '.join(held)} alone")
    if all(metric.name == "stop_mAP" for metric in outcome.differences):
        notes.append("no metrics on test are published: judged by mAP on stop, in training")
    return notes


def advice(record: Record, changed: Sequence[Circumstance]) -> list[str]:
    """Say what to do about an environment that is not as recorded."""
    said = []
    other = [c for c in changed if c.bears == "packages"]
    if other:
        named = [f"{c.what} is {c.now}, recorded {c.recorded}" for c in other[:NAMED]]
        more = f", and {len(other) - NAMED} more" if len(other) > NAMED else ""
        said.append(
            f"The lock differs: {'; '.join(named)}{more}. Install the recorded versions with "
            f"`pip install -r requirements.lock`{_under(other)}"
        )
    if any(c.bears == "code" for c in changed):
        commit = record.git.get("commit")
        where = f"`git checkout {commit[:10]}` gives it" if commit else "its commit is not known"
        said.append(f"The code is not the recorded one, so this is not the same run: {where}")
    return said


def _under(other: Sequence[Circumstance]) -> str:
    """Name the Python that the recorded versions need, if it is another one."""
    python = next((c.recorded for c in other if c.what == "Python"), None)
    return f" under Python {'.'.join(python.split('.')[:2])}" if python else ""


def surroundings(changed: Sequence[Circumstance]) -> str:
    """Return where it was run again, as in ``on another machine, with other code``."""
    bears = [c.bears for c in changed]
    said = [text for name, text in SAID.items() if name in bears]
    return ", ".join(said) or "on the same machine with the same code and packages"


def verdict(outcome: Reproduction) -> str:
    """Return the last sentence: reproduced, how closely, or what speaks against it."""
    where = surroundings(outcome.circumstances)
    if outcome.identical:
        return f"reproduced to the last bit, {'' if outcome.exact else 'though '}{where}"
    name, difference = _heading(outcome.judged), abs(outcome.judged.size)
    if outcome.reproduced:
        close = f"reproduced within {outcome.tolerance:g} mAP, {where}"
        return f"{close}: {name} differs by {difference:.2g}"
    if not outcome.exact:
        return (
            f"not reproduced: {where}, {name} differs by {difference:.2g}, more than the "
            f"{outcome.tolerance:g} that {outcome.kind} may"
        )
    return f"not reproduced: {where} every bit should be the same, but {_against(outcome)}"


def _against(outcome: Reproduction) -> str:
    count = sum(part.n_differing for part in outcome.scores)
    if count:
        total, bits = (sum(getattr(s, n) for s in outcome.scores) for n in ("n_scores", "n_bits"))
        largest = max(part.largest for part in outcome.scores)
        return f"{count:,} of {total:,} scores differ, in {bits:,} bits, by up to {largest:.2g}"
    worst = max(outcome.differences, key=lambda metric: abs(metric.size))
    if not worst.size:
        return "the scores are not those whose SHA-256 was recorded"
    return f"{_heading(worst)} differs by {abs(worst.size):.2g}"
