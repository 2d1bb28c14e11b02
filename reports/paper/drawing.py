"""The figures that the paper asks for, and no others: drawing them all takes minutes."""

from pathlib import Path

from reports.tables.results import Results

#: How a figure is embedded: letters stay letters, and can be searched for.
ENDING = ".pdf"


def known(tables: dict[str, Results]) -> list[str]:
    """Return the names of the figures that these tables may be drawn as.

    Parameters
    ----------
    tables : dict of str to dict of str to Result
        Tables by name, by published set.
    """
    from reports.figures import PLANS

    return [
        f"{dataset}-{plan.name}"
        for dataset, results in tables.items()
        for plan in PLANS
        if all(name in results and len(results[name].frame) for name in plan.tables)
    ]


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
    from reports.figures import PLANS
    from reports.figures.style import applied, save

    folder.mkdir(parents=True, exist_ok=True)
    alternatives = {}
    with applied():
        for dataset, results in tables.items():
            for plan in PLANS:
                name = f"{dataset}-{plan.name}"
                drawing = plan.function(results) if name in wanted else None
                if drawing is not None:
                    save(drawing.figure, folder, name)
                    alternatives[name] = drawing.alt
    return alternatives
