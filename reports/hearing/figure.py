"""The scores of one recording over time, as a heat map."""

import io
from base64 import b64encode
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmark.errors import DataError
from benchmark.predict.choosing import HearingRun
from benchmark.predict.recogniser import Heard
from reports.figures import style

#: Files that a figure can be written to.
SUFFIXES = tuple(f".{name}" for name in style.FORMATS)


def draw(run: HearingRun, heard: Heard) -> Figure:
    """Draw the score of each class in each window; what sounds is framed by a line below."""
    order = np.argsort(-heard.clip, kind="stable")
    with style.applied():
        size = style.PAGE / 2.54, (2.2 + 0.5 * len(order)) / 2.54
        drawn = Figure(figsize=size, layout="constrained")
        axes = drawn.subplots()
        edges = edges_of(heard)
        grid = np.arange(len(order) + 1) - 0.5
        mesh = axes.pcolormesh(edges, grid, heard.scores[:, order].T, vmin=0, vmax=1, cmap="Blues")
        for row, c in enumerate(order):
            for start, end in heard.stretches(c, run.thresholds[c]):
                axes.hlines(row + 0.3, start, end, color=style.DARK, linewidth=1.6)
        axes.set_yticks(range(len(order)), [run.classes[c] for c in order])
        for label, c in zip(axes.get_yticklabels(), order, strict=True):
            label.set_color(style.DARK if run.knowledge.known[c] else style.MIDDLE)
        axes.set(xlabel="seconds", xlim=(0, edges[-1]), ylim=(len(order) - 0.5, -0.5))
        axes.grid(False)
        axes.tick_params(length=0, axis="y")
        drawn.colorbar(mesh, ax=axes, label="score", pad=0.02)
        axes.set_title(f"{heard.name}; dark line: present; grey: not known", loc="left")
    return drawn


def edges_of(heard: Heard) -> np.ndarray:
    """Return where each window's stretch of the picture begins, and the last one's end.

    Windows that overlap meet in the middle of what they share.
    """
    inner = (heard.starts[1:] + heard.ends[:-1]) / 2
    return np.concatenate([[0.0], inner, [heard.ends[-1]]])


def check(path: Path) -> None:
    """Raise an error for a file name whose suffix no figure can be written to."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"a figure can't be written to {path}: name a {', '.join(SUFFIXES)}")


def content(run: HearingRun, heard: Heard, suffix: str) -> bytes:
    """Return the figure as the content of a file, whose suffix says how."""
    kind, out = suffix.lower()[1:], io.BytesIO()
    with style.applied():
        draw(run, heard).savefig(out, format=kind, metadata=style.FORMATS[kind])
    return out.getvalue()


def html(run: HearingRun, heard: Heard) -> str:
    """Return the figure as an image in a page."""
    alt = f"Scores of {len(run.classes)} classes over {heard.seconds:.0f} s of {heard.name}"
    source = b64encode(content(run, heard, ".svg")).decode()
    return f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(alt)}">'
