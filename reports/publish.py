"""Publish finished runs: the set that report and paper are built from."""

import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.analysis.audits.protocol_audit import LabelAudit
from benchmark.analysis.comparison import check_comparable
from benchmark.analysis.derivation import Analysis
from benchmark.errors import ProtocolError, StoreError
from benchmark.plugins import registry
from benchmark.protocol import name_of
from benchmark.runs.published import LIST, TABLES, PublishedSet
from benchmark.runs.reading import MODEL, Runs, Warn
from benchmark.runs.record import Record
from benchmark.tuning import history as study_history
from benchmark.tuning.storage import names, shown
from reports import documents, verify
from reports.tables import results
from reports.verify import Follow

#: The published sets together may take no more: beside the embedded data they stay below 60 MB.
LIMIT_MB = 45
#: Kinds of files that are not ours to ship where a data set is not: they hold single clips.
NOT_OURS = ("labels", "scores")


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
    follow, warn : callable
        Gets steps and gives them back one by one; called with a sentence on what is left out.

    Raises
    ------
    ProtocolError
        For failed runs, a tree with changes that were not committed, or mixed protocols.
    StoreError
        If the sets outgrow `LIMIT_MB`.
    """
    check(runs, audit)
    spec = runs[0].spec
    ours = not registry.datasets().get(spec.dataset).needs_root
    if with_models and not ours:
        raise ProtocolError(
            f"scores on {spec.dataset!r} are not ours to ship, and a model's thresholds come from"
            " them: publish it without --with-model"
        )
    if ours or data_root is not None:
        verify.division_of(runs[0], None if ours else data_root)
    place = target / spec.dataset
    with _aside(target, spec.dataset) as folder:
        verify.copy_runs(runs, audit, store, folder, with_models)
        ids = [[record.run_id for record in some] for some in (runs, audit)]
        made = verify.seal(folder, *ids, complete=True)
        # before minutes are spent on deriving; what follows are tables alone, about as large as
        # those that are replaced
        replaced = place / TABLES
        tables_bytes = replaced.stat().st_size if replaced.is_file() else 0
        _check_size(folder, place, () if ours else NOT_OURS, tables_bytes)
        tables = _tables(made, place, runs, storage, follow, warn)
        (folder / TABLES).write_text(results.write(tables), encoding="utf-8")
        for path in _files(folder):
            if not ours and _kind(path.relative_to(folder)) in NOT_OURS:
                path.unlink()
        verify.seal(folder, *ids, complete=ours)
        return _put(folder, place)


@contextmanager
def _aside(target: Path, name: str) -> Iterator[Path]:
    """Give an empty folder to make a set in; it is gone afterwards, put into its place or not.

    Refused where something else than a set is in that place, and while another process makes one.
    """
    import filelock

    target.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(target / f".{name}.lock", blocking=False)
    try:
        with lock:
            yield from _alone(target, name)
    except filelock.Timeout as error:
        raise StoreError(
            f"another process publishes {name} in {target}: wait until it is done"
        ) from error


def _alone(target: Path, name: str) -> Iterator[Path]:
    """Give a folder as `_aside` does, while no other process does."""
    folder, place, old = target / f".{name}", target / name, _old(target / name)
    if old.is_dir() and not place.exists():  # whoever was to replace it was killed
        old.rename(place)
    if place.is_symlink():
        raise StoreError(
            f"{place} is a link, and would be replaced by a folder: remove it, or name another "
            "folder of published sets with --results"
        )
    documents.check(target, making=name)
    if place.is_dir() and any(place.iterdir()) and not (place / LIST).is_file():
        raise StoreError(
            f"{place} holds something that is no published set, and would be replaced: name another"
            " folder of published sets with --results"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tables(
    made: PublishedSet,
    place: Path,
    runs: Sequence[Record],
    storage: str,
    follow: Follow,
    warn: Warn,
) -> results.Results:
    """Derive all tables of runs, and of the studies that tuned them.

    What was published of a study stays where the storage has none of its name, and the runs are
    of the trial that it chose: runs can be made again elsewhere without their search.
    """
    analysis = Analysis(made, runs[0].spec.dataset)
    if analysis.why_not_audited:
        warn(analysis.why_not_audited)
    trials: dict[str, set[int]] = {}
    for run in runs:
        if run.spec.study:
            trials.setdefault(run.spec.study, set()).add(run.spec.trial)
    stored = names(storage)
    missing = {name: chosen for name, chosen in trials.items() if name not in stored}
    kept = {}
    if missing and (place / LIST).is_file():  # else a damaged set is replaced without a look at it
        kept = results.of_studies(results.read(PublishedSet(place)), missing)
    taken = set(kept["studies"].frame["study"]) if kept else set()
    for study in sorted(taken):
        warn(f"study {study} is not in {shown(storage)}: what was published of it is kept")
    read = [study_history.read(name, storage) for name in sorted(trials.keys() - taken)]
    return results.derive(analysis, follow) | results.from_studies(read, kept)


def publish_labels(audit: LabelAudit, target: Path) -> PublishedSet:
    """Publish what OpenMIC-2018's labels alone say about the published claim."""
    with _aside(target, "openmic2018") as folder:
        text = results.write(results.from_claim(audit))
        (folder / TABLES).write_text(text, encoding="utf-8")
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
    twice = {record.run_id for record in runs} & {record.run_id for record in audit}
    if twice:
        raise ProtocolError(
            f"run {min(twice)} is to be published and named with --audit as well: it can only be"
            " one of them"
        )
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
    dirty = [_name(record) for record in records if record.git.get("dirty")]
    if dirty:
        raise ProtocolError(
            f"made from a tree with changes that were not committed: {', '.join(dirty)}. Commit, "
            "and run again with --force"
        )


def _name(record: Record) -> str:
    return f"run {record.run_id} ({record.spec.label} seed {record.spec.seed})"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _kind(path: Path) -> str:
    """Return what a file holds, by its place in a set's folder."""
    if path.parts[0] == "runs":
        name = path.parts[2]
        return {"record.json": "records", "scores.npz": "scores", MODEL: "models"}[name]
    return "labels" if path.parts[0] == "labels" else "tables"


def _check_size(
    folder: Path, place: Path, left_out: Collection[str] = (), tables_bytes: int = 0
) -> None:
    """Refuse a set that outgrows, beside the others, what is allowed.

    Parameters
    ----------
    folder : Path
        Of what is there of the set.
    place : Path
        Where it will be put.
    left_out : collection of str
        Kinds of files that will be left out.
    tables_bytes : int
        What tables that are not there yet will take.

    Raises
    ------
    StoreError
        With the size of each kind of files, but for those that are left out.
    """
    sizes = Counter({"tables": tables_bytes})
    for path in _files(folder):
        kind = _kind(path.relative_to(folder))
        sizes[kind] += 0 if kind in left_out else path.stat().st_size
    for path in _files(place.parent):
        name = path.relative_to(place.parent).parts[0]
        if name != place.name and not name.startswith("."):  # hidden: sets that are being made
            sizes["other sets"] += path.stat().st_size
    total = sizes.total()
    if total > LIMIT_MB * 1e6:
        large = [(kind, size / 1e6) for kind, size in sizes.most_common() if size >= 5e4]
        told = ", ".join(f"{size:.1f} of {kind}" for kind, size in large)
        raise StoreError(
            f"the published sets would take {total / 1e6:.1f} MB, more than {LIMIT_MB}: {told}."
            " Publish fewer runs, or ship a smaller model; what was published before is kept"
        )


def _old(place: Path) -> Path:
    """Name the folder that a set stands in while another one is put into its place."""
    return place.with_name(f".{place.name}-old")


def _put(folder: Path, place: Path) -> PublishedSet:
    """Put a finished set into its place, unless the sets outgrow what is allowed."""
    _check_size(folder, place)
    old = _old(place)
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    folder.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return PublishedSet(place)
