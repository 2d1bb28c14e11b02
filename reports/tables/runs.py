"""The runs behind a comparison, and the sizes of the parts."""

from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.derivation import Analysis
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.bootstrap import effective_groups
from reports.tables.declaration import Content, Table


def _runs(analysis: Analysis) -> Content:
    rows = []
    for entry in analysis.comparison.entries:
        for record, evaluation in zip(entry.records, entry.evaluations, strict=True):
            spec, seconds = record.spec, record.seconds
            rows.append(
                {
                    "run": record.run_id, "model": entry.label, "seed": spec.seed,
                    **evaluation.summary(),
                    "fit (s)": seconds.get("fit"), "predict (s)": seconds.get("predict"),
                    "warm-up (s)": seconds.get("warm_up"), "model (bytes)": record.model_bytes,
                    "memory (MiB)": record.peak_memory_mib, "source": spec.source,
                    "commit": record.git.get("commit"),
                    "processor": record.machine.get("processor"),
                    "versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
                    "tuned in": spec.study or "–",
                }
            )  # fmt: skip
    return Content(pd.DataFrame(rows), tuple(analysis.comparison.notes))


RUNS = Table(
    name="runs",
    title="runs",
    about="Every run that the tables rest on: what was asked, and the time it took.",
    keys=("model", "seed"),
    derive=_runs,
    columns={
        "run": "its id",
        "model": "with how it was trained, and on which features if there are several",
        "seed": "of the training",
        "fit (s)": "processor seconds of training",
        "predict (s)": "processor seconds to score the test part",
        "warm-up (s)": "what the first prediction costs on top of a later one",
        "model (bytes)": "size of what the model saved",
        "memory (MiB)": "largest memory of its process",
        "source": "hash of the model's code",
        "commit": "of the repository",
        "tuned in": "study that its parameters come from",
    },
    order=1,
    holds={"run": str, "seed": int},
)


def _parts(labels_by_part: dict[str, StoredLabels]) -> Content:
    rows: list[dict[str, Any]] = []
    for part, labels in labels_by_part.items():
        observed, positive = labels.y_mask, labels.y_positive
        rows.append(
            {
                "part": part,
                "clips": len(labels),
                "groups": len(np.unique(labels.groups)),
                "effective groups": effective_groups(labels.groups),
                "observed": observed.mean(),
                "positive": positive.sum() / observed.sum(),
                "positives a class": positive.sum(axis=0)[observed.any(axis=0)].mean(),
                "fewest positives": positive.sum(axis=0)[observed.any(axis=0)].min(),
                "classes": observed.any(axis=0).sum(),
            }
        )
    return Content(pd.DataFrame(rows))


PARTS = Table(
    name="parts",
    title="parts",
    about="How the clips are divided into parts, and how many labels each part holds.",
    keys=("part",),
    derive=_parts,
    columns={
        "part": "fit: trained on; stop: ends training; select: chooses; test: scored",
        "groups": "artists, works or videos, which no other part shares",
        "effective groups": "groups of equal size that would tell as much",
        "observed": "share of the labels that were observed",
        "positive": "share of positives among the observed labels",
        "positives a class": "mean over classes that have labels",
        "fewest positives": "of any class that has labels",
        "classes": "that have observed labels",
    },
    source="labels",
    rests_on="nothing",
    order=2,
)
