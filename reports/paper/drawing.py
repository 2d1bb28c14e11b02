"""The figures that the paper asks for, and no others: drawing them all takes minutes."""

from pathlib import Path

from reports.tables.declaration import Results

#: How a figure is embedded: letters stay letters, and can be searched for.
ENDING = ".pdf"


def known(tables: dict[str, Results]) -> list[str]:
    """Return the names of the figures that these tables may be drawn as.

    Parameters
    ----------
    tables : dict of str to dict of str to Result
        Tables by name, by published set.
    """
    from reports.figures import possible

    return [name for name, _ in possible(tables)]


def draw(tables: dict[str, Results], wanted: list[str], folder: Path) -> dict[str, str]:
    """Draw figures into a folder.

    Parameters
    ----------
    tables : dict of str to dict of str to Result
    wanted : list of str
        Among the known ones.
    folder : Path
        Made if need be.

    Returns
    -------
    dict of str to str
        Each figure's text for those who can't see it. A figure is left out where its tables
        hold nothing to draw.
    """
    from reports.figures import possible
    from reports.figures.style import applied, save

    folder.mkdir(parents=True, exist_ok=True)
    alternatives = {}
    with applied():
        for name, plot in possible(tables):
            if name not in wanted:
                continue
            drawing = plot.draw(tables[name.removesuffix(f"-{plot.name}")])
            if drawing is not None:
                save(drawing.figure, folder, name)
                alternatives[name] = drawing.alt
    return alternatives
