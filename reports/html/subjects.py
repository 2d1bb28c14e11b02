"""What the pages of one model and of one instrument show: rows of published tables, side by side.

A model's page has all its settings, as it is by default, tuned, or on other features; each set has
its section, each table its command.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from reports.figures.style import base
from reports.html import content
from reports.tables.confusion import above_chance
from reports.tables.declaration import Results, table
from reports.tables.slices import explained
from reports.tables.text import BESIDE, HIGH, LOW

#: Rows of the confusions that a page shows, the largest first.
MOST_CONFUSIONS = 8

#: Columns whose cells may be links, by what they name.
NAMING = {
    "model": ("model", "against"),
    "instrument": ("class", "with", "heard wrongly", "beside"),
}


#: What columns say that their heading does not.
MEANINGS = {
    "rank": "1 + the number of models that are significantly better in mAP, by tests of all pairs",
    "seed sd": "standard deviation of mAP between training seeds",
    "behind": "mAP of the best model minus this one's",
    "p": "p-value of that difference, after Holm's correction",
    "among best": "the best model, or not significantly different from it",
    "optimism": "the value on the fit part, whose clips trained the model, minus that on the "
    "select part, whose clips did not",
    "shift": "the value on the select part minus that on the test part",
    "verdict": "over-fitted where another setting of the model, on the same features, has a lower "
    "fit mAP and a significantly higher test mAP",
    "heard wrongly": "the class that the model says yes to and that is absent",
    "beside": "the class that sounds",
    "above chance": "the share minus that among all clips without the class heard wrongly",
    "share": "of these clips, those in which it is heard wrongly",
    "clips": "with the one class and without the other",
    "attribute": "what is known of a clip",
    "ROC-AUC difference": "the slice minus all other clips",
}


@dataclass(frozen=True)
class Section:
    """One table of a page.

    Attributes
    ----------
    title : str
    table, command : str
        The declared table it comes from, and what prints that.
    rows : sequence of mapping
        As cells.
    said : str
        What its columns and attributes mean; may be empty.
    """

    title: str
    table: str
    command: str
    rows: Sequence[Mapping[str, Any]]
    said: str


@dataclass(frozen=True)
class Part:
    """What a page shows of one set: its tables, and training curves of a model."""

    name: str
    sections: Sequence[Section]
    curves: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Subject:
    """One page: of a model or an instrument, and what it shows of each set."""

    kind: str
    name: str
    file: str
    parts: Sequence[Part] = field(default_factory=list)


def subjects(sets: Mapping[str, Results]) -> list[Subject]:
    """Return the pages of all models and instruments, models first, by name.

    Parameters
    ----------
    sets : mapping of str to dict of str to Result
        Tables of each published set that compares models.
    """
    frames = {name: tables["comparison"].frame for name, tables in sets.items()}
    models = sorted({base(label) for frame in frames.values() for label in frame["model"]})
    classes = [
        tables["per_class"].frame["class"] for tables in sets.values() if "per_class" in tables
    ]
    names = sorted({name for column in classes for name in column})
    made = []
    taken: set[str] = set()
    for kind, some, show in (("model", models, _of_model), ("instrument", names, _of_class)):
        for name in some:
            parts = [part for one, tables in sets.items() if (part := show(one, tables, name))]
            made.append(Subject(kind, name, _file(kind, name, taken), parts))
    return made


def _file(kind: str, name: str, taken: set[str]) -> str:
    """Return a file's name that no other page has, whatever characters the subject's has."""
    plain = f"{kind}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:60]}"
    file = f"{plain}.html"
    number = 2
    while file in taken:
        file, number = f"{plain}-{number}.html", number + 1
    taken.add(file)
    return file


def links(pages: Iterable[Subject], sets: Mapping[str, Results]) -> dict[str, dict[str, str]]:
    """Return which page a cell leads to: by column, by what stands in the cell."""
    pages = list(pages)
    instruments = {one.name: one.file for one in pages if one.kind == "instrument"}
    files = {one.name: one.file for one in pages if one.kind == "model"}
    labels = {label for one in sets.values() for label in one["comparison"].frame["model"]}
    models = files | {label: files[base(label)] for label in labels if base(label) in files}
    found = {"model": models, "instrument": instruments}
    return {column: found[kind] for kind, columns in NAMING.items() for column in columns}


def _section(one: str, name: str, title: str, frame: pd.DataFrame | None) -> list[Section]:
    """Return a table as a section, in a list; nothing where it has no rows."""
    if frame is None or not len(frame):
        return []
    told = [f"{column}: {MEANINGS[column]}" for column in frame.columns if column in MEANINGS]
    if "attribute" in frame.columns:
        told.append(explained(frame["attribute"]))
    said = "; ".join(filter(None, told))
    return [Section(title, name, table(name).published_in(one), content.rows(frame), said)]


def _rows(tables: Results, name: str, column: str, values: Iterable[str]) -> pd.DataFrame | None:
    if name not in tables:
        return None
    frame = tables[name].frame
    return frame[frame[column].isin(list(values))]


def _kept(frame: pd.DataFrame | None, *columns: str) -> pd.DataFrame | None:
    """Return some columns, those that are there, with their intervals."""
    if frame is None:
        return None
    wanted = [name + end for name in columns for end in ("", *BESIDE)]
    return frame[[name for name in wanted if name in frame.columns]]


def _wide(frame: pd.DataFrame | None, keys: Sequence[str], value: str) -> pd.DataFrame | None:
    """Put models side by side: one row a key, one column with its interval a model."""
    if frame is None or not len(frame):
        return None
    made = frame[list(keys)].drop_duplicates().set_index(list(keys))
    for model in dict.fromkeys(frame["model"]):
        of_model = frame[frame["model"] == model].set_index(list(keys))
        for end in ("", LOW, HIGH):
            made[f"{model}{end}"] = of_model[f"{value}{end}"]
    return made.reset_index()


def _best_on_select(tables: Results, models: Iterable[str]) -> str | None:
    """Return which of some models has the highest mAP on select."""
    frame = _rows(tables, "gap", "model", models)
    if frame is None or not len(frame):
        return None
    return frame.loc[frame["select mAP"].idxmax(), "model"]


def _mistakes(
    tables: Results, model: str | None, column: str = "", name: str = ""
) -> pd.DataFrame | None:
    """Return a model's largest confusions above chance, of all classes or with one in a column."""
    frame = None if model is None else _rows(tables, "confusions", "model", [model])
    if frame is None:
        return None
    frame = frame.assign(**{"above chance": above_chance(frame)})
    frame = frame[frame["above chance"] > 0]
    if column:
        frame = frame[frame[column] == name]
    frame = frame.nlargest(MOST_CONFUSIONS, "above chance")
    shown = frame[["with", "class", "above chance", "share", "clips"]]
    shown = shown.drop(columns=column) if column else shown
    return shown.rename(columns={"with": "heard wrongly", "class": "beside"})


def _of_model(one: str, tables: Results, name: str) -> Part | None:
    """Return what one set holds of all settings of a model."""
    labels = [label for label in tables["comparison"].frame["model"] if base(label) == name]
    if not labels:
        return None
    frame = _rows(tables, "comparison", "model", labels)
    shown = [column.name for column in content.headline_columns(frame) if column.name != "model"]
    best = _best_on_select(tables, labels)
    gap = ("model", "fit mAP", "select mAP", "test mAP", "optimism", "shift", "verdict")
    slices = _wide(
        _rows(tables, "slices", "model", labels), ("attribute", "slice"), "ROC-AUC difference"
    )
    classes = _wide(_rows(tables, "per_class", "model", labels), ("class",), "AP")
    parts = [
        *_section(one, "comparison", "Metrics", _kept(frame, "model", *shown)),
        *_section(one, "gap", "Training gap", _kept(_rows(tables, "gap", "model", labels), *gap)),
        *_section(one, "per_class", "Average precision by class", classes),
        *_section(one, "confusions", f"What {best} mistakes for what", _mistakes(tables, best)),
        *_section(one, "slices", "ROC-AUC on slices, minus that on all other clips", slices),
    ]
    return Part(one, parts, curves(_rows(tables, "curves", "model", labels)))


def _of_class(one: str, tables: Results, name: str) -> Part | None:
    """Return what one set holds of one class."""
    frame = _rows(tables, "per_class", "class", [name])
    if frame is None or not frame["AP"].notna().any():
        return None
    gaps = _rows(tables, "gap_per_class", "class", [name])
    if gaps is not None:
        steps = _kept(gaps, "model", "optimism", "shift")
        frame = frame.merge(steps, on="model", how="left", validate="one_to_one")
    frame = frame.sort_values("AP", ascending=False, kind="stable")
    best = _best_on_select(tables, frame["model"])
    n = int(frame["positives"].iloc[0])
    heading = f"Average precision of each model, {n:,} positives"
    wrong, taken = (_mistakes(tables, best, column, name) for column in ("with", "class"))
    slices = _rows(tables, "slices_per_class", "class", [name])
    if slices is not None:
        slices = slices.sort_values("ROC-AUC difference", kind="stable")
        slices = _kept(slices, "attribute", "slice", "ROC-AUC difference", "ROC-AUC", "positives")
    parts = [
        *_section(one, "per_class", heading, _kept(frame, "model", "AP", "optimism", "shift")),
        *_section(one, "confusions", f"Where {best} hears {name} wrongly", wrong),
        *_section(one, "confusions", f"What {best} hears wrongly beside {name}", taken),
        *_section(one, "slices_per_class", f"{best} on slices, against all other clips", slices),
    ]
    return Part(one, parts)


#: Size of a curve's panel, and its margins.
WIDTH, HEIGHT, MARGIN = 320, 130, 8


def curves(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the mAP of training, stage by stage, as points of a small drawing a setting.

    Settings that are fitted in one stage have none.
    """
    if frame is None:
        return []
    stages = frame.groupby("model", sort=False)["number"].transform("nunique")
    frame = frame[stages > 1]
    drawn = []
    low, high = _ends(frame[["fit_mAP", "stop_mAP"]].to_numpy(float))
    for model, rows in frame.groupby("model", sort=False):
        last = rows["number"].max()
        x = MARGIN + (WIDTH - 2 * MARGIN) * rows["number"] / last
        lines = {}
        for part in ("fit", "stop"):
            y = HEIGHT - MARGIN
            y = y - (HEIGHT - 2 * MARGIN) * (rows[f"{part}_mAP"] - low) / (high - low)
            pairs = zip(x, y, strict=True)
            lines[part] = " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs if np.isfinite(b))
        top = rows.loc[rows["stop_mAP"].idxmax()]
        drawn.append(
            {
                "model": model, "lines": lines, "unit": rows["unit"].iloc[0], "last": int(last),
                "low": low, "high": high, "best": top["stop_mAP"], "at": int(top["number"]),
            }
        )  # fmt: skip
    return drawn


def _ends(values: np.ndarray) -> tuple[float, float]:
    if not np.isfinite(values).any():
        return 0.0, 1.0
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low, high if high > low else low + 1
