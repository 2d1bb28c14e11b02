"""Tables and figures as objects that a notebook shows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.api.arguments import check_arguments
from benchmark.errors import ProtocolError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.tables.declaration import Results


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A table with its title and notes; a notebook shows intervals beside their values.

    Attributes
    ----------
    title : str
    frame : pandas.DataFrame
        A column ``X`` with an interval has its ends in ``X low`` and ``X high``; ``p at floor``
        says where the p-value ``p`` is the least that the resamples can show.
    notes : tuple of str
        How it is to be read, and what follows from it.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def keep(self, *columns: str) -> "ShownTable":
        """Return the table with some columns alone, in this order; intervals come along."""
        wanted = [name + end for name in columns for end in ("", " low", " high", " at floor")]
        frame = self.frame[[name for name in wanted if name in self.frame.columns]]
        return ShownTable(self.title, frame, self.notes)

    def _repr_html_(self) -> str:
        from reports.html import shown

        return shown.table(self.frame, self.title, self.notes)


class Tables(dict[str, ShownTable]):
    """Tables by name; shown, their names and titles alone."""

    @classmethod
    def of(cls, results: "Results") -> "Tables":
        """Make tables that show themselves of those that were derived."""
        return cls(
            {
                name: ShownTable(one.title, one.frame, tuple(one.notes))
                for name, one in results.items()
            }
        )

    def __repr__(self) -> str:
        return "\n".join(f"{name:<18} {one.title}" for name, one in self.items())


def plot(tables: "Results", name: str) -> "Figure":
    """Draw one of the report's figures; a notebook shows it with its words.

    Parameters
    ----------
    tables : dict of str to Result
    name : str
        Of a figure; see :func:`reports.figures.plots`.

    Raises
    ------
    UnknownNameError
        If there is no such figure, or the tables it is drawn from are not there.
    ProtocolError
        If they hold nothing to draw.
    """
    from reports.figures import plots
    from reports.html import shown

    check_arguments(name=(name, str))
    known = {one.name: one for one in plots() if all(table in tables for table in one.tables)}
    if name not in known:
        raise UnknownNameError("figure", name, known)
    drawn = shown.draw(known[name], tables)
    if drawn is None:
        raise ProtocolError(f"the tables hold nothing that the figure {name!r} could show")
    return drawn
