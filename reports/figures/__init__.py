"""Every figure of report and paper, drawn from the tables of :mod:`reports.tables`.

A figure is drawn for each data set whose tables have what it shows. Each comes as SVG and PDF,
at the size it is printed with, and as PNG with 200 dots an inch. A file in this folder that holds
a :class:`reports.figures.style.Plot` is found by itself.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from reports.figures.style import Drawing, Figure, Plot, applied, save
from reports.tables.declaration import Results, tables

#: Draws one figure of a published set.
COMMAND = (
    "python -c 'import polytimbre as pt; "
    'pt.published("{dataset}").plot("{plot}").savefig("{plot}.svg")\''
)


def plots() -> list[Plot]:
    """Return every figure that a file in this folder declares, in the order of their tables.

    Raises
    ------
    ValueError
        If two figures bear one name.
    """
    declared: dict[str, Plot] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for one in vars(module).values():
            if isinstance(one, Plot) and declared.setdefault(one.name, one) is not one:
                raise ValueError(f"two figures are named {one.name!r}; one is in {module.__file__}")
    order = list(tables())
    return sorted(declared.values(), key=lambda one: order.index(one.tables[0]))


def possible(results: dict[str, Results]) -> Iterator[tuple[str, Plot]]:
    """Yield the figures that tables may be drawn as, by name, data sets in alphabetical order.

    Parameters
    ----------
    results : dict of str to dict of str to Result
        Tables by name, by data set.
    """
    for dataset in sorted(results):
        made = results[dataset]
        for plot in plots():
            if all(name in made and len(made[name].frame) for name in plot.tables):
                yield f"{dataset}-{plot.name}", plot


def compose(results: dict[str, Results]) -> Iterator[tuple[str, Drawing]]:
    """Yield every figure that the tables allow, with its name.

    To be used within :func:`reports.figures.style.applied`; see :func:`possible`.
    """
    for name, plot in possible(results):
        drawing = plot.draw(results[name.removesuffix(f"-{plot.name}")])
        if drawing is not None:
            yield name, drawing


def draw(results: dict[str, Results], folder: Path) -> list[Figure]:
    """Draw every figure that the tables allow into a folder.

    Parameters
    ----------
    results : dict of str to dict of str to Result
        Tables by name, by data set; a figure whose tables are missing is left out.
    folder : Path
        Made if need be; gets ``NAME.svg``, ``NAME.pdf`` and ``NAME.png`` of each figure.

    Returns
    -------
    list of Figure
        In a fixed order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {n: (n.removesuffix(f"-{plot.name}"), plot.name) for n, plot in possible(results)}
    drawn = []
    with applied():
        for name, drawing in compose(results):
            save(drawing.figure, folder, name)
            dataset, plot = places[name]
            command = COMMAND.format(dataset=dataset, plot=plot)
            drawn.append(Figure(name, drawing.title, drawing.caption, drawing.alt, command))
    return drawn
