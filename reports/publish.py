"""Publish finished runs: the set that report and paper are built from."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmark.analysis.audits.protocol_audit import LabelAudit
from benchmark.analysis.comparison import check_comparable
from benchmark.analysis.derivation import Analysis
from benchmark.errors import ProtocolError, StoreError
from benchmark.plugins import registry
from benchmark.protocol import name_of
from benchmark.runs.published import PublishedSet
from benchmark.runs.reading import Runs, Warn
from benchmark.runs.record import Record
from benchmark.tuning import history as study_history
from reports import verify
from reports.tables import results
from reports.verify import Follow

#: The published sets together may take no more.
LIMIT_MB = 30


def publish(
    runs: Sequence[Record],
    audit: Sequence[Record],
    store: Runs,
    target: Path,
    *,
    with_models: Collection[str] = (),
    storage: str,
    data_root: Path | None = None,
    follow: Follow = iter,
    warn: Warn = lambda sentence: None,
) -> PublishedSet:
    """Publish one data set's runs; what was published of it before is replaced.

    Parameters
    ----------
    runs : sequence of Record
        Of one data set, division and protocol.
    audit : sequence of Record
        Of the same clips, trained under another protocol: rows of the protocol audit alone.
    store : Runs
        Holds them.
    target : Path
        Folder of the published sets.
    with_models : collection of str
        Ids of the runs whose models are shipped, too.
    storage : str
        Address of the studies that tuned runs come from.
    data_root : Path, optional
        Where the data lie: the runs' fingerprint and division are checked against them.
    follow : callable
        Gets steps and gives them back one by one, to show how far it is.
    warn : callable
        Called with one sentence on what is left out.

    Raises
    ------
    ProtocolError
        For failed runs, a tree with changes that were not committed, or mixed protocols.
    StoreError
        If the sets outgrow `LIMIT_MB`.
    """
    check(runs, audit)
    spec = runs[0].spec
    plugin = registry.datasets().get(spec.dataset)()
    if with_models and plugin.needs_root:
        raise ProtocolError(
            f"scores on {spec.dataset!r} are not ours to ship, and a model's thresholds come from"
            " them: publish it without --with-model"
        )
    if data_root is not None or not plugin.needs_root:
        verify.division_of(runs[0], data_root if plugin.needs_root else None)
    target.mkdir(parents=True, exist_ok=True)
    folder = target / f".{spec.dataset}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for record in (*runs, *audit):
            verify.copy_run(record, store, folder, record.run_id in with_models)
        ids = [[record.run_id for record in some] for some in (runs, audit)]
        made = verify.seal(folder, *ids, complete=True)
        studies = sorted({r.spec.study for r in runs if r.spec.study})
        analysis = Analysis(made, spec.dataset)
        if analysis.why_not_audited:
            warn(analysis.why_not_audited)
        tables = results.derive(analysis, follow)
        tables |= results.from_studies([study_history.read(name, storage) for name in studies])
        (folder / "results.json").write_text(results.write(tables), encoding="utf-8")
        if plugin.needs_root:  # labels, and scores of clips, are not ours to ship
            shutil.rmtree(folder / "labels")
            for scores in folder.rglob("scores.npz"):
                scores.unlink()
        verify.seal(folder, *ids, complete=not plugin.needs_root)
        return _put(folder, target / spec.dataset)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_labels(audit: LabelAudit, target: Path) -> PublishedSet:
    """Publish what OpenMIC-2018's labels alone say about the published claim."""
    folder = target / ".openmic2018"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = results.write(results.from_claim(audit))
    (folder / "results.json").write_text(text, encoding="utf-8")
    verify.seal(folder, (), (), complete=False)
    return _put(folder, target / "openmic2018")


def check(runs: Sequence[Record], audit: Sequence[Record]) -> None:
    """Refuse runs that can't be published, or not together.

    Raises
    ------
    ProtocolError
        Naming the run, and what to do.
    """
    _check_origin((*runs, *audit))
    protocols = {r.spec.protocol_id: r for r in runs}
    if len(protocols) > 1:
        told = [f"{r.run_id} under {name_of(p) or p[:16]}" for p, r in sorted(protocols.items())]
        raise ProtocolError(
            f"these runs are of more than one protocol: {', '.join(told)}. Publish those of one; "
            "those trained as published may be named with --audit"
        )
    check_comparable(list(runs))
    for record in audit:
        for name in ("dataset", "split", "fingerprint"):
            if getattr(record.spec, name) != getattr(runs[0].spec, name):
                raise ProtocolError(
                    f"run {record.run_id} is of another {name} than the runs it is to be "
                    "audited beside. Name runs of the same clips with --audit"
                )


def _check_origin(records: Sequence[Record]) -> None:
    """Refuse runs that nobody could find the code of, all of them at once.

    Raises
    ------
    ProtocolError
        For one cause, naming all runs that it holds for, and what to do.
    """
    for record in records:
        if not record.finished:
            raise ProtocolError(f"{_name(record)} failed: {record.error}. Run it again first")
    loose = [_name(record) for record in records if record.git.get("commit") is None]
    if loose:
        raise ProtocolError(
            f"not made from a git checkout, so that nobody could find its code again: "
            f"{', '.join(loose)}. Clone the repository and run there"
        )
    dirty = [_name(record) for record in records if record.git["dirty"]]
    if dirty:
        raise ProtocolError(
            f"made from a tree with changes that were not committed: {', '.join(dirty)}. Commit, "
            "and run again with --force"
        )


def _name(record: Record) -> str:
    return f"run {record.run_id} ({record.spec.label} seed {record.spec.seed})"


def _put(folder: Path, place: Path) -> PublishedSet:
    """Put a finished set into its place, unless the sets outgrow what is allowed."""
    others = [p for p in place.parent.iterdir() if p.name not in (place.name, folder.name)]
    size = sum(p.stat().st_size for one in (folder, *others) for p in one.rglob("*") if p.is_file())
    if size > LIMIT_MB * 1e6:
        raise StoreError(
            f"the published sets would take {size / 1e6:.1f} MB, more than {LIMIT_MB}. Publish "
            "fewer runs; what was published before is kept"
        )
    old = place.with_name(f".{place.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    folder.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return PublishedSet(place)
