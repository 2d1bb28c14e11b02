"""Verify the published sets before anything is printed from them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import PolytimbreError
from benchmark.runs import published
from benchmark.runs import record as records
from benchmark.runs.published import DamagedError, PublishedSet
from reports.paper.values import Tables, folders
from reports.tables import results
from reports.tables.results import Results


@dataclass(frozen=True)
class Damage:
    """Something that is wrong in a published set.

    Attributes
    ----------
    dataset : str
    run : str or None
        The run that is concerned; None: everything in the set.
    sentence : str
        What is wrong, and what to do.
    """

    dataset: str
    run: str | None
    sentence: str


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
    found = Evidence()
    for folder in folders(path):
        try:
            source = PublishedSet(folder)
            found.damages += [Damage(source.name, e.run_id, str(e)) for e in source.damaged()]
            found.tables[source.name] = Tables.read(source)
        except DamagedError as error:
            damage = Damage(folder.name, None, str(error))
            if damage not in found.damages:
                found.damages.append(damage)
            continue
        found.damages += _deeper(found.tables[source.name], found.damages)
    return found


def _deeper(tables: Tables, known: list[Damage]) -> list[Damage]:
    """Look at what no hash tells: whether a set's parts belong together."""
    source = tables.source
    hurt = {damage.run for damage in known if damage.dataset == source.name}
    read, found = {}, []
    for run_id in (*source.runs, *source.audit):
        if run_id in hurt:
            continue
        try:
            record = source.find(run_id)
            made = records.run_id(record.spec, record.versions, record.threads)
            if {run_id, record.run_id} != {made}:
                raise DamagedError(
                    source.path, f"runs/{run_id}/record.json", f"tells of run {made}"
                )
            read[run_id] = record
        except DamagedError as error:
            found.append(Damage(source.name, run_id, str(error)))
    found += _strangers(source, read)
    found += _unlike(tables, read)
    if source.complete and source.runs and not found and not hurt:
        found += _recomputed(tables)
    return found


def _strangers(source: PublishedSet, read: dict[str, records.Record]) -> list[Damage]:
    """Name runs of other data, or of another division, than the rest of the set."""
    found = []
    for what, ids in (
        ("dataset", (*source.runs, *source.audit)),
        ("fingerprint", (*source.runs, *source.audit)),
        ("division_id", source.runs),
    ):
        values = {i: getattr(read[i].spec, what) for i in ids if i in read}
        if not values:
            continue
        usual = source.name if what == "dataset" else Counter(values.values()).most_common(1)[0][0]
        found += [
            Damage(
                source.name,
                run_id,
                f"the published set {source.name!r}: run {run_id} belongs to another "
                f"{what.removesuffix('_id')} ({value[:16]}) than the rest ({usual[:16]}). "
                "Publish runs of one division together",
            )
            for run_id, value in values.items()
            if value != usual
        ]
    return found


def _unlike(tables: Tables, read: dict[str, records.Record]) -> list[Damage]:
    """Compare the table of runs to the records."""
    if "runs" not in tables.results:
        return []
    source, found = tables.source, []
    for row in tables.results["runs"].frame.to_dict("records"):
        run_id, where = row["run"], f"the published set {source.name!r}: run {row['run']}"
        if run_id not in source.runs:
            told = f"{where} stands in results.json, but the run itself is missing"
        elif run_id in read:
            record = read[run_id]
            recorded = {
                "seed": record.spec.seed, "source": record.spec.source,
                "commit": record.git.get("commit"), "fit (s)": record.seconds.get("fit"),
                "predict (s)": record.seconds.get("predict"),
            }  # fmt: skip
            wrong = [k for k, v in recorded.items() if k in row and row[k] != v]
            if not wrong:
                continue
            told = (
                f"{where} has {wrong[0]} {row[wrong[0]]} in results.json and "
                f"{recorded[wrong[0]]} in its record"
            )
        else:
            continue
        found.append(Damage(source.name, run_id, f"{told}. Publish the runs again"))
    return found


def _recomputed(tables: Tables) -> list[Damage]:
    """Score all runs again and compare."""
    source = tables.source
    try:
        wrong = results.different(results.runs(source, source.name), tables.results)
    except PolytimbreError as error:
        wrong = [str(error)]
    return [
        Damage(
            source.name,
            None,
            f"the published set {source.name!r}, scored again: {sentence}. Publish the runs again",
        )
        for sentence in wrong
    ]
