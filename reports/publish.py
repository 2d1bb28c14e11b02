"""Publish finished runs: the set that report and paper are built from."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.analysis.audits.mask_audit import partition_labels
from benchmark.analysis.audits.protocol_audit import LabelAudit
from benchmark.analysis.comparison import check_comparable
from benchmark.errors import ProtocolError, StoreError
from benchmark.plugins import registry
from benchmark.protocol import PROTOCOLS, Division
from benchmark.runs.files import sha256
from benchmark.runs.published import FORMAT, PublishedSet, sets
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.runs.record import Record, digest
from benchmark.runs.request import DataRequest, RunRequest, divide_for, load
from benchmark.runs.store import Store
from benchmark.tuning import history as study_history
from reports.tables import confusion, results

#: The published sets together may take no more.
LIMIT_MB = 30

#: Parts whose scores are published; *stop* ends training, and nothing is derived from it.
PARTS = ("fit", "select", "test")
#: Of runs that no training gap is derived from.
FEWER_PARTS = ("select", "test")

Follow = Callable[[list], Iterable]


def publish(
    runs: Sequence[Record],
    audit: Sequence[Record],
    store: Runs,
    target: Path,
    *,
    storage: str,
    data_root: Path | None = None,
    follow: Follow = iter,
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
    storage : str
        Address of the studies that tuned runs come from.
    data_root : Path, optional
        Where the data lie: the runs' fingerprint and division are checked against them.
    follow : callable
        Gets steps and gives them back one by one, to show how far it is.

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
    if data_root is not None or not plugin.needs_root:
        check_data(spec.dataset, spec.split, runs[0], data_root if plugin.needs_root else None)
    target.mkdir(parents=True, exist_ok=True)
    folder = target / f".{spec.dataset}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for record in (*runs, *audit):
            _copy(record, store, folder)
        made = _seal(folder, runs, audit, complete=True)
        named = {r.spec.study for r in runs if r.spec.study}
        found = results.derive(made, spec.dataset, complete_labels(spec.dataset), follow)
        found |= results.studied(study_history.read(name, storage) for name in sorted(named))
        (folder / "results.json").write_text(results.write(found), encoding="utf-8")
        if plugin.needs_root:  # labels, and scores of clips, are not ours to ship
            shutil.rmtree(folder / "labels")
            for scores in folder.rglob("scores.npz"):
                scores.unlink()
        _seal(folder, runs, audit, complete=not plugin.needs_root)
        return _put(folder, target / spec.dataset)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_labels(audit: LabelAudit, target: Path) -> PublishedSet:
    """Publish what OpenMIC-2018's labels alone say about the published claim."""
    folder = target / ".openmic2018"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = results.write(results.label_audit(audit))
    (folder / "results.json").write_text(text, encoding="utf-8")
    _seal(folder, (), (), complete=False)
    return _put(folder, target / "openmic2018")


def check(runs: Sequence[Record], audit: Sequence[Record]) -> None:
    """Refuse runs that can't be published, or not together.

    Raises
    ------
    ProtocolError
        Naming the run, and what to do.
    """
    _check_origin((*runs, *audit))
    known = {protocol.id: name for name, protocol in PROTOCOLS.items()}
    protocols = {r.spec.protocol_id: r for r in runs}
    if len(protocols) > 1:
        told = [f"{r.run_id} under {known.get(p, p[:16])}" for p, r in sorted(protocols.items())]
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


def check_data(dataset: str, split: str, record: Record, root: Path | None) -> Division:
    """Load a data set and check that a run is of its content and division, which is returned.

    Raises
    ------
    ProtocolError
        Naming what differs.
    """
    named = next(n for n, p in PROTOCOLS.items() if p.id == record.spec.protocol_id)
    request = RunRequest(DataRequest(dataset, root, split), record.spec.model, protocol=named)
    division = divide_for(request)
    for name, found in (("fingerprint", division.dataset.fingerprint), ("division", division.id)):
        expected = getattr(record.spec, "division_id" if name == "division" else name)
        if found != expected:
            raise ProtocolError(
                f"the {name} of data set {dataset!r} is {found[:16]}, run {record.run_id} rests on "
                f"{expected[:16]}: these are not the data it was made with. Check --data-root"
            )
    return division


def recheck(
    path: Path, data_root: Path | None, store: Runs | None = None, follow: Follow = iter
) -> dict[str, list[str]]:
    """Hold every published set against itself, and against what it was derived from.

    Files are checked against their SHA-256. Where scores and labels are published, all tables
    are derived again. Of other data sets, where `data_root` holds the data, fingerprint,
    division and the tables of labels alone; all tables, where `store` holds the runs as well.

    Returns
    -------
    dict of str to list of str
        By set, one sentence for each thing that is wrong.

    Raises
    ------
    StoreError
        If there is no set, or a set's own list is damaged.
    """
    wrong: dict[str, list[str]] = {}
    for name, one in sets(path).items():
        wrong[name] = [str(error) for error in one.damaged()]
        if wrong[name] or not one.runs:
            continue
        if one.complete:
            found = results.derive(one, name, complete_labels(name), follow)
            wrong[name] += results.different(found, results.read(one.results()))
        elif data_root is not None:
            wrong[name] += _against_data(one, data_root, store, follow)
    return wrong


def _against_data(
    one: PublishedSet, data_root: Path, store: Runs | None, follow: Follow
) -> list[str]:
    """Hold a set without scores against its data, and against the runs in a store."""
    record = one.get(one.runs[0])
    stored = results.read(one.results())
    try:
        division = check_data(one.name, record.spec.split, record, data_root)
    except ProtocolError as error:
        return [str(error)]
    with tempfile.TemporaryDirectory() as name:
        copies = Store(Path(name) / "labels")
        copies.add_labels(division)
        labels = copies.labels(division.id)
        found = {
            "parts": results.Result("", results.sizes(labels)),
            "cooccurrence": results.Result("", confusion.cooccurrence(labels["test"])),
        }
        if store is not None and set(one.ids()) <= set(store.ids()):
            runs, audit = (list(map(store.get, ids)) for ids in (one.runs, one.audit))
            whole = Path(name) / one.name
            for each in (*runs, *audit):
                _copy(each, store, whole)
            made = _seal(whole, runs, audit, complete=True)
            found |= results.derive(made, one.name, complete_labels(one.name), follow)
        return results.different(found, stored)


def complete_labels(dataset: str) -> StoredLabels | None:
    """Return the test labels of the same clips with every label observed, if there are any."""
    name = f"{dataset}-full"
    known = name in registry.datasets().plugins
    return partition_labels(load(DataRequest(name))) if known else None


def _copy(record: Record, store: Runs, folder: Path) -> None:
    """Copy a run's record, its scores and its division's labels."""
    run = folder / "runs" / record.run_id
    run.mkdir(parents=True)
    (run / "record.json").write_text(record.to_json(), encoding="utf-8")
    whole = record.spec.fraction == 1 and record.spec.protocol_id == PROTOCOLS["default"].id
    scores = store.scores(record)
    np.savez_compressed(
        run / "scores.npz", **{name: scores[name] for name in (PARTS if whole else FEWER_PARTS)}
    )
    labels = folder / "labels" / f"{record.spec.division_id}.npz"
    labels.parent.mkdir(exist_ok=True)
    if not labels.exists():
        shutil.copyfile(store.path / "labels" / labels.name, labels)


def _seal(
    folder: Path, runs: Sequence[Record], audit: Sequence[Record], complete: bool
) -> PublishedSet:
    """Write the set's list of files."""
    listed = folder / "set.json"
    listed.unlink(missing_ok=True)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    content = {
        "format": FORMAT,
        "complete": complete,
        "runs": [record.run_id for record in runs],
        "audit": [record.run_id for record in audit],
        "files": {p.relative_to(folder).as_posix(): sha256(p) for p in files},
    }
    text = json.dumps({**content, "digest": digest(content)}, indent=1)
    listed.write_text(text + "\n", encoding="utf-8")
    return PublishedSet(folder)


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
