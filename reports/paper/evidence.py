"""Verify the published sets before anything is printed from them."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.runs import published
from benchmark.runs.published import DamagedError, PublishedSet
from reports.paper.values import Tables, folders
from reports.tables.declaration import Results
from reports.verify import Damage, damages


@dataclass
class Evidence:
    """What a paper may rest on.

    Attributes
    ----------
    tables : dict of str to Tables
        By set; sets that can't be read are not among them.
    damages : list of Damage
    """

    tables: dict[str, Tables] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)

    @property
    def results(self) -> dict[str, Results]:
        """The tables by name, by set."""
        return {name: one.results for name, one in self.tables.items()}

    def missing(self) -> set[str]:
        """Return the sets that can't be read."""
        return {damage.dataset for damage in self.damages} - set(self.tables)


def gather(path: Path) -> Evidence:
    """Read and verify every published set in a folder; nothing damaged is passed over.

    Raises
    ------
    StoreError
        If nothing is published there.
    """
    if not folders(path):
        published.sets(path)  # says so
    evidence = Evidence()
    for folder in folders(path):
        try:
            source = PublishedSet(folder)
        except DamagedError as error:
            evidence.damages.append(Damage(folder.name, None, str(error)))
            continue
        try:
            tables = Tables.read(source)
        except DamagedError:
            evidence.damages += damages(source)
            continue
        evidence.tables[source.name] = tables
        evidence.damages += damages(source, tables.results)
    return evidence
