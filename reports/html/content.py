"""What the pages show: the content of a published set, put into words and cells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.plugins import registry
from benchmark.protocol import name_of
from benchmark.runs.features import features_of, own_features
from benchmark.runs.published import PublishedSet
from benchmark.runs.record import Record
from benchmark.scoring.evaluation import METRICS
from reports.figures.style import family
from reports.html import answers
from reports.tables import results
from reports.tables.declaration import Result, Results, table, tables
from reports.tables.text import BESIDE, ONE_DECIMAL, cell, cells

#: The set that comes first: recordings, under the twenty classes.
FRONT = "audioset20"
#: Tables with more rows are offered as CSV alone.
MOST_ROWS = 60


@dataclass(frozen=True)
class Column:
    """One column of the headline table.

    Attributes
    ----------
    name : str
        In the frame.
    heading, meaning : str
        On the page, and what it says in full.
    first : str
        In which direction a first click sorts.
    """

    name: str
    heading: str
    meaning: str
    first: str


#: What stands in a column of text for a number that is not there.
MISSING = "–"

#: Columns of the comparison that the headline leaves to the CSV file.
LEFT_OUT = ("clip se", "F1, per-class thresholds", "F1 at 0.5")
#: Where the page calls a column something else.
BYTES = "model (bytes)"
HEADINGS = {BYTES: "size (MB)"}


def headline_columns(frame: pd.DataFrame) -> list[Column]:
    """Return the columns of a comparison that the page shows, metrics with the highest first."""
    metrics = {metric.heading for metric in METRICS.values()}
    return [
        Column(
            name,
            HEADINGS.get(name, name),
            table("comparison").meaning(name),
            "descending" if name in metrics or name == "seeds" else "ascending",
        )
        for name in frame.columns
        if not name.endswith(BESIDE) and name not in LEFT_OUT
    ]


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's cells as text, the interval of a value apart from it.

    Returns
    -------
    list of dict
        One a row: heading to ``{"text", "interval", "numeric"}``.
    """
    if BYTES in frame:
        frame = frame.assign(**{BYTES: frame[BYTES] / 1e6})
    numeric = {n: _numeric(frame[n]) for n in frame.columns}
    for name in frame.select_dtypes("float").columns.difference(ONE_DECIMAL):
        frame = frame.assign(**{name: frame[name].astype(object).map(_whole)})
    columns = [
        [{"text": c.value, "interval": c.interval, "numeric": numeric[name]} for c in column]
        for name, column in cells(frame).items()
    ]
    names = [HEADINGS.get(name, name) for name in cells(frame)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, also where one that is missing is stored as a dash."""
    there = column[column.astype(str) != MISSING]
    stored_as_text = len(there) < len(column) and pd.to_numeric(there, "coerce").notna().all()
    return bool(stored_as_text) or pd.api.types.is_numeric_dtype(column)


def _whole(value: float) -> float | int:
    """Return a count that became a float as it was: metrics are below 10, or not whole."""
    return int(value) if abs(value) >= 10 and value.is_integer() else value


def headline(tables_: Results) -> dict[str, Any] | None:
    """Return the headline table, each model with its classes; None without one."""
    if "comparison" not in tables_:
        return None
    result = tables_["comparison"]
    columns = headline_columns(result.frame)
    classes = _classes(tables_.get("per_class"))
    kinds = [family(label) for label in result.frame["model"]]
    scale = result.frame[[kind != "baseline" for kind in kinds]]  # which lies far from the others
    left, right = scale["mAP low"].min(), scale["mAP high"].max()
    entries = []
    for values, shown in zip(result.frame.to_dict("records"), rows(result.frame), strict=True):
        label = values["model"]
        shown = {c.name: {**shown[c.heading], "value": _value(values[c.name])} for c in columns}
        ends = (("at", "mAP"), ("low", "mAP low"), ("high", "mAP high"))
        strip = {k: 100 * (values[n] - left) / ((right - left) or 1) for k, n in ends}
        entries.append(
            {
                "model": label,
                "family": family(label),
                "cells": shown,
                "classes": classes.get(label, []),
                "strip": strip if all(0 <= at <= 100 for at in strip.values()) else None,
            }
        )
    families = list(dict.fromkeys(entry["family"] for entry in entries))
    return {
        "title": result.title, "notes": result.notes, "columns": columns, "entries": entries,
        "families": families, "said": _leaders(result.frame),
    }  # fmt: skip


def _value(value: Any) -> Any:
    """Return what a cell is sorted by; nothing for what is not there."""
    return "" if pd.isna(value) else value


def _classes(result: Result | None) -> dict[str, list[dict[str, Any]]]:
    """Return each model's classes."""
    if result is None:
        return {}
    by_model: dict[str, list[dict[str, Any]]] = {}
    for row in result.frame.to_dict("records"):
        by_model.setdefault(row["model"], []).append(
            {
                "name": row["class"], "positives": row["positives"], "AP": row["AP"],
                "low": row["AP low"], "high": row["AP high"], "scored": not pd.isna(row["AP"]),
            }
        )  # fmt: skip
    return by_model


def _leaders(frame: pd.DataFrame) -> str:
    """Say which models come first."""
    best = frame.iloc[0]
    # a set that was published before the tests against the best has ranks alone
    first = frame[frame["among best"] if "among best" in frame else frame["rank"] == 1]
    said = f"{best['model']} has the highest mAP, {best['mAP']:.3f}"
    if not pd.isna(best["mAP low"]):
        said += f" (95 % interval {best['mAP low']:.3f} to {best['mAP high']:.3f})"
    others = [name for name in first["model"] if name != best["model"]]
    if others:
        return f"{said}; no significant difference from it: {', '.join(others)}."
    others = "each other model" if len(frame) > 2 else "the other model"
    return f"{said}; {others} differs from it significantly."


def further(tables_: Results, dataset: str) -> list[dict[str, Any]]:
    """Return all other tables with their notes and the command that prints them."""
    declared = tables()
    shown, said = [], set(tables_["comparison"].notes if "comparison" in tables_ else ())
    for name, result in tables_.items():
        if name in ("comparison", "runs"):
            continue
        notes = [note for note in result.notes if note not in said]
        said.update(notes)
        one = declared.get(name)
        title = one.title if one else result.title
        small = 0 < len(result.frame) <= MOST_ROWS
        shown.append(
            {
                "name": name,
                "title": title[:1].upper() + title[1:],
                "notes": notes,
                "n_rows": len(result.frame),
                "rows": rows(result.frame) if small else [],
                "meanings": meanings(name, cells(result.frame)) if one else {},
                "command": one.published_in(dataset) if one else "",
            }
        )
    shown.sort(key=lambda one: not (one["notes"] or one["rows"]))  # what is CSV alone comes last
    return shown


def meanings(name: str, columns: Iterable[str]) -> dict[str, str]:
    """Return what columns of a declared table mean, of those that say so."""
    told = {column: table(name).meaning(column) for column in columns}
    return {column: meaning for column, meaning in told.items() if meaning}


def provenance(one: PublishedSet, tables_: Results) -> dict[str, Any] | None:
    """Return what the numbers rest on: data, protocol, and each run; None without runs."""
    runs = [record for run in one.runs if (record := one.find(run))]
    audit = [record for run in one.audit if (record := one.find(run))]
    if not runs:
        return None
    spec = runs[0].spec
    measured: dict[str, dict[str, Any]] = {}
    if "runs" in tables_:
        measured = {row["run"]: row for row in tables_["runs"].frame.to_dict("records")}
    features = sorted({r.spec.features for r in runs if r.spec.features})  # of what says it
    whole = [record for record in runs if record.spec.whole]
    shares = [record for record in runs if record.spec.fraction != 1]
    few = [record for record in runs if record.spec.positives is not None]
    return {
        "facts": {
            "data set": f"{spec.dataset}, split {spec.split}" + _unless(spec.official),
            "fingerprint of the data": spec.fingerprint,
            **({"features": ", ".join(features)} if features else {}),
            "division": spec.division_id,
            "protocol": spec.protocol_id,
            "commits": ", ".join(_distinct(r.git.get("commit") for r in (*runs, *audit))),
            "processors": ", ".join(_distinct(r.machine.get("processor") for r in runs)),
        },
        "groups": [
            {"title": title, "models": _by_model(records, measured)}
            for title, records in (
                ("Runs that are compared", whole),
                ("Runs of the learning curve", shares),
                ("Runs with few positives a class", few),
                ("Runs trained as published, for the protocol audit", audit),
            )
            if records
        ],
    }


def _unless(official: bool) -> str:
    return "" if official else " (NOT OFFICIAL)"


def _distinct(values: Iterable[Any]) -> list[str]:
    return sorted({str(value) for value in values if value})


def _by_model(records: list[Record], measured: dict[str, dict]) -> list[dict[str, Any]]:
    """Return runs by model, best first where they were measured."""
    grouped: dict[str, list[Record]] = {}
    several = len({features_of(record.spec) for record in records}) > 1
    for record in records:
        on = f" on {features_of(record.spec)}" if several else ""
        grouped.setdefault(record.spec.label + on, []).append(record)
    order = {row["model"]: n for n, row in reversed(list(enumerate(measured.values())))}

    def place(label: str) -> tuple[Any, ...]:
        spec = grouped[label][0].spec
        return order.get(label, len(order)), spec.setting, spec.positives or 0, label

    return [
        {
            "model": label,
            "command": command(grouped[label][0], len({r.spec.seed for r in grouped[label]})),
            "parameters": ", ".join(f"{k}={v}" for k, v in grouped[label][0].spec.params.items()),
            "runs": [
                _run(record, measured.get(record.run_id, {}))
                for record in sorted(grouped[label], key=lambda r: r.spec.seed)
            ],
        }
        for label in sorted(grouped, key=place)
    ]


def _run(record: Record, measured: dict[str, Any]) -> dict[str, Any]:
    named = {m.heading: m.name for m in METRICS.values() if m.compared}
    return {
        "id": record.run_id,
        "seed": record.spec.seed,
        "metrics": {k: cell(measured[v]) for k, v in named.items() if v in measured},
        "fit": f"{record.seconds.get('fit', float('nan')):.1f}",
        "commit": record.git.get("commit") or "–",
        "source": record.spec.source,
        "processor": record.machine.get("processor", "–"),
        "created": record.created[:10],
        "versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
    }


def command(record: Record, n_seeds: int) -> str:
    """Return the command that makes runs like this one, of so many seeds."""
    spec = record.spec
    few = "run" if spec.positives is None else "transfer"
    name = "learning-curve" if spec.fraction != 1 else few
    said = f"polytimbre {name} --dataset {spec.dataset} --model {spec.setting}"
    if features_of(spec) != own_features(spec.dataset):
        said += f" --features {features_of(spec)}"
    said += " --tuned" if spec.study else ""
    said += " --refit" if spec.refit else ""
    protocol = name_of(spec.protocol_id) or "default"
    said += f" --protocol {protocol}" if protocol != "default" else ""
    said += f" --seeds {n_seeds}" if n_seeds > 1 else ""
    plugin = registry.datasets().plugins.get(spec.dataset)
    return said + (" --data-root FOLDER" if plugin is not None and plugin.needs_root else "")


def dataset(one: PublishedSet) -> dict[str, Any]:
    """Return all that the index page shows of one published set."""
    tables_ = results.read(one)
    return {
        "name": one.name,
        "about": _about(one),
        "headline": headline(tables_),
        "further": further(tables_, one.name),
        "provenance": provenance(one, tables_),
        "complete": one.complete,
        "tables": tables_,
        "source": answers.Source(one.name, tables_, _recorded(one.name), _features(one)),
    }


def _recorded(name: str) -> bool:
    """Whether a data set is known, and holds recordings."""
    plugin = registry.datasets().plugins.get(name)
    return plugin is not None and not plugin.rendered


def _features(one: PublishedSet) -> list[str]:
    return sorted({features_of(record.spec) for run in one.runs if (record := one.find(run))})


def _about(one: PublishedSet) -> dict[str, str]:
    """Describe a set's data, as far as they are known; embedded ones may have changed since."""
    plugin = registry.datasets().plugins.get(one.name)
    if plugin is None:
        return {}
    about = {name: getattr(plugin, name) for name in ("description", "citation", "licence")}
    if one.runs and not plugin.needs_root:
        spec = one.get(one.runs[0]).spec
        if plugin().load(None, spec.split).fingerprint != spec.fingerprint:
            about["description"] = (
                "Runs on an earlier version of this data set, which was changed since: they are"
                " not to be compared with new ones, and can't be run again from here"
            )
    return about
