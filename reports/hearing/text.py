"""What was heard in recordings, as JSON, CSV and label tracks."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmark.predict.choosing import HearingRun
from benchmark.predict.recogniser import Heard
from benchmark.reading.spreadsheets import inert

FORMATS = ("table", "json", "csv", "audacity")


def clock(seconds: float) -> str:
    """Return a time to the nearest second, as in ``1:05`` or ``2:00:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def as_json(run: HearingRun, results: Iterable[Heard], windows: bool = True) -> str:
    """Return what was heard as a JSON list, one object a file."""
    return json.dumps([content(run, heard, windows) for heard in results], indent=1)


def content(run: HearingRun, heard: Heard, windows: bool = True) -> dict[str, Any]:
    """Return what JSON says of one file."""
    clip = {
        name: {"score": exact(score), "threshold": exact(threshold), "present": bool(present)}
        for name, score, threshold, present in zip(
            run.classes, heard.clip, run.thresholds, heard.clip >= run.thresholds, strict=True
        )
    }
    for entry, known in zip(clip.values(), run.known(), strict=True):
        entry.update(known)
    told = {
        "file": str(heard.file),
        "run": run.record.run_id,
        "features": run.recogniser.features,
        "duration": round(heard.seconds, 3),
        "clip": clip,
    }
    if windows:
        told["windows"] = [
            {
                "start": round(float(start), 3),
                "end": round(float(end), 3),
                "scores": scores_by_class(run.classes, row),
            }
            for start, end, row in zip(heard.starts, heard.ends, heard.scores, strict=True)
        ]
    return told


def exact(score: np.float32) -> float:
    """Return a float32 score as the shortest decimal number that reads back as it."""
    return float(str(score))


def scores_by_class(classes: Sequence[str], row: np.ndarray) -> dict[str, float]:
    """Return one row of scores by the names of the classes."""
    return dict(zip(classes, map(exact, row), strict=True))


def as_csv(run: HearingRun, results: Iterable[Heard], windows: bool = True) -> str:
    """Return scores as CSV: a row a window, or a row a file, and a column a class.

    The column ``present`` names the classes whose score reaches the run's threshold.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    times = ("start", "end") if windows else ()
    writer.writerow(["file", *times, "present", *map(inert, run.classes)])
    for heard in results:
        rows = heard.scores if windows else heard.clip[None]
        spans = zip(heard.starts, heard.ends, strict=True) if windows else [()]
        for span, row in zip(spans, rows, strict=True):
            present = "; ".join(np.array(run.classes)[row >= run.thresholds])
            told = [str(heard.file), *(f"{time:.3f}" for time in span), present]
            writer.writerow([*map(inert, told), *map(str, row)])
    return out.getvalue()


def as_labels(run: HearingRun, heard: Heard) -> str:
    """Return a label track as Audacity imports it: start, end and class, tab-separated."""
    labels = [
        (start, end, name)
        for c, (name, threshold) in enumerate(zip(run.classes, run.thresholds, strict=True))
        for start, end in heard.stretches(c, threshold)
    ]
    return "".join(f"{start:.6f}\t{end:.6f}\t{name}\n" for start, end, name in sorted(labels))
