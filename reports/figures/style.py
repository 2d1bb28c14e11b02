"""How all figures look: sizes, one appearance a model, points with intervals, files.

Colours are those of Okabe and Ito, told apart with any colour vision; markers, fillings and line
styles tell models apart without them. Of models on other features than a data set's usual ones,
markers have an edge and lines are broken.

References
----------
M. Okabe and K. Ito, "Color Universal Design: how to make figures and presentations that are
friendly to colorblind people", 2008.
"""

import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import figure, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D

from benchmark.plugins import registry
from reports.tables.words import count

STYLE = Path(__file__).with_name("polytimbre.mplstyle")

#: Widths of one column and of the whole page, in centimetres.
COLUMN, PAGE = 8.5, 17.5

#: Models, or classes, of which a figure's description tells the numbers.
MOST_TOLD = 5

DARK, MIDDLE, LIGHT = "#222222", "#777777", "#c4c4c4"

FORMATS: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}

_MODELS = {
    "attention": ("#0072B2", "o"),
    "cnn": ("#D55E00", "s"),
    "hist_gradient_boosting": ("#009E73", "^"),
    "random_forest": ("#CC79A7", "D"),
    "xgboost": ("#E69F00", "v"),
    "logistic_regression": ("#56B4E9", "P"),
    "constant": (MIDDLE, "X"),
    "always": (DARK, "X"),
    "ensemble": (DARK, "*"),
}
_OTHERS = ("#A6611A", "#7B6CC0", "#B8860B", "#1B8A80", "#C0392B")
_OTHER_MARKERS = ("p", "h", "<", ">", "d")

#: Lines of models on the usual features, on others, and on yet others; and which are which.
_LINES = ("-", (0, (2.4, 1.2)), (0, (0.9, 0.9)))
_FEATURES = {"": 0, "logmel": 0, "vggish": 0, "own": 0, "musicnn": 1, "vggish+tags": 1, "tags": 2}

#: Families of models as filters call them; others bear their own name.
_FAMILIES = {"network": "networks", "other": "others"}


@dataclass(frozen=True)
class Figure:
    """One figure that was drawn.

    Attributes
    ----------
    name : str
        Of its files, without the ending.
    title : str
    caption : str
        What is shown, and what axes and intervals mean.
    alt : str
        What the figure says, in words, for those who can't see it.
    command : str
        Draws it.
    """

    name: str
    title: str
    caption: str
    alt: str
    command: str


@dataclass(frozen=True)
class Drawing:
    """What a drawing function returns: the figure, its title, caption and description."""

    figure: figure.Figure
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Plot:
    """The declaration of a figure that every data set may have.

    Attributes
    ----------
    name : str
        Follows the data set's name.
    tables : tuple of str
        What it is drawn from; the first says where it stands among the figures.
    draw : callable
        Takes the tables by name; returns a :class:`Drawing`, or None where they hold nothing to
        draw.
    """

    name: str
    tables: tuple[str, ...]
    draw: Callable[[Any], Drawing | None]


@dataclass(frozen=True)
class Look:
    """How a model looks in every figure.

    Attributes
    ----------
    colour, marker : str
        Of its kind.
    filling : str
        Of its variant, such as a tuned one.
    line : str or tuple
        Of its features: broken, with an edge around the marker, for other than the usual ones.
    """

    colour: str
    marker: str
    filling: str
    line: Any = "-"

    @property
    def point(self) -> dict[str, Any]:
        """Keywords of a line that draws this model's marker."""
        edge = {"markeredgecolor": matplotlib.rcParams["text.color"], "markeredgewidth": 0.8}
        return ({} if self.line == "-" else edge) | {
            "marker": self.marker, "color": self.colour, "fillstyle": self.filling,
            "markerfacecoloralt": "white", "linestyle": "none",
            "markersize": 6 if self.marker == "*" else 4,
        }  # fmt: skip


def base(label: str) -> str:
    """Return the model behind a label such as ``"cnn tuned refit"`` or ``"cnn:published"``."""
    word = re.match(r"\w+", label)
    return word.group() if word else label


def split(label: str) -> tuple[str, str]:
    """Return a model's name and features, as in ``("cnn tuned", "musicnn")``; "" for no features.

    A label names features where a comparison holds runs on several.
    """
    found = re.fullmatch(r"(.*?) on ([^ ]+)(.*)", label)
    return (found[1] + found[3], found[2]) if found else (label, "")


def family(label: str) -> str:
    """Return the kind of the model behind a label such as ``"cnn:published tuned"``.

    Returns
    -------
    str
        ``"networks"``, ``"trees"``, ``"linear"``, ``"baseline"`` or ``"others"``, as the model's
        plugin says; ``"ensembles"``; ``"others"`` for a model that is not known here.
    """
    kind = base(label)
    if kind == "ensemble":
        return "ensembles"
    plugin = registry.models().plugins.get(kind)
    said = plugin.family if plugin is not None else "other"
    return _FAMILIES.get(said, said)


def look(label: str) -> Look:
    """Return how a model looks, which follows from its label alone."""
    name, features = split(label)
    line = _FEATURES.get(features, 1 + zlib.crc32(features.encode()) % 2)
    return replace(_plain_look(name), line=_LINES[line])


def _plain_look(label: str) -> Look:
    kind = base(label)
    rest = label[len(kind) :]
    if kind in _MODELS:
        colour, marker = _MODELS[kind]
    else:
        number = zlib.crc32(kind.encode())
        colour, marker = _OTHERS[number % 5], _OTHER_MARKERS[number // 5 % 5]
    if not rest.strip():
        return Look(colour, marker, "full")
    if rest.strip() == "tuned":
        return Look(colour, marker, "none")
    if "refit" in rest:
        return Look(colour, marker, "right" if "tuned" in rest else "left")
    if kind == "ensemble":
        return Look(MIDDLE if "average" in rest else colour, marker,
                    "none" if "stacked" in rest else "full")  # fmt: skip
    return Look(colour, marker, ("top", "bottom")[zlib.crc32(rest.encode()) % 2])


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save in this project's style; nothing is left changed."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # a name in letters that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing")
        style.use(["default", str(STYLE)])
        yield


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **keywords: Any
) -> tuple[figure.Figure, np.ndarray]:
    """Return an empty figure and its axes, shape (rows, columns).

    Parameters
    ----------
    width, height : float
        In centimetres.
    rows, columns : int
    **keywords
        Of :meth:`matplotlib.figure.Figure.subplots`.
    """
    drawn = figure.Figure(figsize=(width / 2.54, height / 2.54), layout="constrained")
    FigureCanvasAgg(drawn)
    drawn.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    return drawn, drawn.subplots(rows, columns, squeeze=False, **keywords)


def balanced(n: int, columns: int) -> int:
    """Return how many of `n` panels stand in a row: about `columns`, so that few are left over."""
    if n <= columns:
        return n
    near = range(max(columns - 2, 2), columns + 2)
    return min(near, key=lambda one: (-n % one, abs(one - columns), -one))


def panels(
    n: int, columns: int, height: float, extra: float = 1.2, **keywords: Any
) -> tuple[figure.Figure, list[Axes]]:
    """Return a figure of `n` small panels; those left over in the last row are hidden.

    Parameters
    ----------
    n, columns : int
        How many, and about how many in a row.
    height : float
        Of each row, in centimetres.
    extra : float
        Height of what stands below or above them.
    **keywords
        Of :func:`canvas`.
    """
    columns = balanced(n, columns)
    rows = -(-n // columns)
    width = PAGE if columns > 1 else COLUMN
    drawn, axes = canvas(width, rows * height + extra, rows, columns, **keywords)
    for ax in axes.flat[n:]:
        ax.set_visible(False)
    for ax in axes.flat[max(n - columns, 0) : n]:
        ax.tick_params(labelbottom=True)
    return drawn, list(axes.flat[:n])


def settle(drawn: figure.Figure) -> None:
    """Compute the layout once, so that every file format shows the same."""
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")


def save(drawn: figure.Figure, folder: Path, name: str) -> None:
    """Write a figure in every format; the bytes are the same on every run."""
    settle(drawn)
    for ending, metadata in FORMATS.items():
        drawn.savefig(folder / f"{name}.{ending}", format=ending, metadata=metadata)


def interval(
    ax: Axes, value: float, low: float, high: float, at: float, seen: Look, **keywords: Any
) -> None:
    """Draw one value on the x-axis with its interval, in the row `at`."""
    if np.isfinite(low) and np.isfinite(high):
        line = {"linestyle": seen.line, "linewidth": 1.1, "color": seen.colour}
        ax.plot([low, high], [at, at], **line, zorder=2)
    ax.plot([value], [at], **(seen.point | {"zorder": 3} | keywords))


def rows(ax: Axes, labels: Sequence[str]) -> None:
    """Let the y-axis list labels, the first on top, in all panels that share it."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    for one in (ax, *ax.get_shared_y_axes().get_siblings(ax)):
        one.tick_params(axis="y", length=0)
        one.grid(axis="y", visible=False)


def beside(ax: Axes, texts: Iterable[str], heading: str, end: float = 30) -> None:
    """Write one text a row to the right of a panel, ending `end` points from it."""
    keywords = {"xytext": (end, 0), "textcoords": "offset points", "fontsize": 6.5, "ha": "right"}
    for i, text in enumerate(texts):
        place = {"xycoords": ax.get_yaxis_transform(), "va": "center"}
        ax.annotate(text.replace("-", "−"), (1, i), **place, **keywords)
    if heading:
        ax.annotate(heading, (1, 1), xycoords="axes fraction", va="bottom", **keywords)


def legend(drawn: figure.Figure, handles: Sequence[Line2D], columns: int, **keywords: Any) -> None:
    """Put a legend below all panels, in as many columns as fit, at most `columns`."""
    entries, room = list(handles), drawn.bbox.width
    while True:
        made = drawn.legend(handles=entries, loc="outside lower center", ncols=columns, **keywords)
        if columns == 1 or made.get_window_extent(drawn.canvas.get_renderer()).width <= room:
            return
        made.remove()
        columns -= 1


def handles(labels: Iterable[str]) -> list[Line2D]:
    """Return a legend entry a model."""
    entries = []
    for label in labels:
        seen = look(label)
        broken = {} if seen.line == "-" else {"linestyle": seen.line}
        entries.append(Line2D([], [], label=label, **seen.point | broken))
    return entries


def wrapped(label: str, width: int = 22) -> str:
    """Break a long label at spaces, or after underscores."""
    lines = [""]
    for word in re.split(r"(?<=[ _])", label):
        if lines[-1] and len((lines[-1] + word).rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def listed(texts: Sequence[str]) -> str:
    """Join texts as a sentence does."""
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts)


def first(told: Sequence[str], noun: str) -> str:
    """Join what a description says of the first few, and say how many more there are."""
    rest = len(told) - MOST_TOLD
    more = [f"and {count(rest, f'more {noun}')}"] if rest > 0 else []
    return f"{'; '.join([*told[:MOST_TOLD], *more])}."


def numbers(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """Return a value with three decimals and its interval in brackets."""
    text = f"{value:z.3f}"
    return text if np.isnan(low) else f"{text} ({low:z.3f} to {high:z.3f})"
