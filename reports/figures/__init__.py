"""Every figure of report and paper, drawn from the tables of :mod:`reports.tables.results`.

A figure is drawn for each data set whose tables have what it shows. Each comes as SVG and PDF,
at the size it is printed with, and as PNG with 200 dots an inch.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from reports.figures import audits, classes, comparison, studies, thresholds, training
from reports.figures.style import Drawing, Figure, applied, save
from reports.tables.results import Results

__all__ = ["PLANS", "Figure", "Plan", "compose", "draw"]


class Plan(NamedTuple):
    """A figure that every data set may have.

    Attributes
    ----------
    name : str
        Follows the data set's name.
    tables : tuple of str
        What it is drawn from.
    function : callable
        Draws it; None where the tables hold nothing to draw.
    """

    name: str
    tables: tuple[str, ...]
    function: Callable[[Results], Drawing | None]


#: All figures, in the order in which they are drawn.
PLANS = (
    Plan("comparison", ("comparison",), comparison.comparison),
    Plan("ensembles", ("ensembles",), comparison.ensembles),
    Plan("critical-difference", ("ranks",), comparison.critical_difference),
    Plan("tuned", ("pairs",), comparison.tuned),
    Plan("cost", ("comparison",), comparison.cost),
    Plan("per-class-pair", ("per_class",), classes.pair),
    Plan("per-class", ("per_class", "comparison"), classes.all_models),
    Plan("cooccurrence", ("cooccurrence",), classes.cooccurrence),
    Plan("confusions", ("confusions", "gap"), classes.confusions),
    Plan("curves", ("curves",), training.curves),
    Plan("gap", ("gap",), training.gap),
    Plan("gap-per-class", ("gap_per_class", "gap"), training.gap_per_class),
    Plan("learning-curve", ("learning_curve",), training.learning_curve),
    Plan("thresholds", ("thresholds",), thresholds.thresholds),
    Plan("reliability", ("reliability", "calibration"), thresholds.reliability),
    Plan("protocol-audit", ("protocol_audit",), audits.protocol),
    Plan("labels", ("labels",), audits.labels),
    Plan("precision", ("precision",), audits.precision),
    Plan("mask-audit", ("mask_audit",), audits.masks),
    Plan("mask-levels", ("mask_levels",), audits.levels),
    Plan("trials", ("trials",), studies.trials),
    Plan("importances", ("importances",), studies.importances),
)


def compose(tables: dict[str, Results]) -> Iterator[tuple[str, Drawing]]:
    """Yield every figure that the tables allow, with its name, data sets in alphabetical order.

    To be used within :func:`reports.figures.style.applied`.

    Parameters
    ----------
    tables : dict of str to dict of str to Result
        Tables by name, by data set.
    """
    for dataset in sorted(tables):
        found = tables[dataset]
        for plan in PLANS:
            if all(name in found and len(found[name].frame) for name in plan.tables):
                drawing = plan.function(found)
                if drawing is not None:
                    yield f"{dataset}-{plan.name}", drawing


def draw(tables: dict[str, Results], folder: Path) -> list[Figure]:
    """Draw every figure that the tables allow into a folder.

    Parameters
    ----------
    tables : dict of str to dict of str to Result
        Tables by name, by data set; a figure whose tables are missing is left out.
    folder : Path
        Made if need be; gets ``NAME.svg``, ``NAME.pdf`` and ``NAME.png`` of each figure.

    Returns
    -------
    list of Figure
        In a fixed order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with applied():
        for name, drawing in compose(tables):
            save(drawing.figure, folder, name)
            drawn.append(Figure(name, drawing.title, drawing.caption, drawing.alt))
    return drawn
