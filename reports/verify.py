"""Verify the published sets: files, records, and what follows from the scores.

Report, paper and `polytimbre publish --check` all ask here.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.analysis import reproduction
from benchmark.analysis.audits import mask_audit
from benchmark.analysis.audits.protocol_audit import asked_for
from benchmark.analysis.derivation import Analysis
from benchmark.errors import PolytimbreError, StoreError
from benchmark.plugins import registry
from benchmark.protocol import PROTOCOLS, Division
from benchmark.runs import record as records
from benchmark.runs.files import sha256
from benchmark.runs.published import (
    FORMAT,
    LEAST_PARTS,
    DamagedError,
    PublishedSet,
    scored_file,
    sets,
)
from benchmark.runs.reading import MODEL, Runs, as_bytes
from benchmark.runs.record import Record
from benchmark.runs.request import check_data, divide_for
from benchmark.runs.store import Store
from reports.tables import results
from reports.tables.declaration import Results, facts_of
from reports.tables.runs import RUNS

#: Parts whose scores are published; *stop* ends training, and nothing is derived from it.
PARTS = ("fit", *LEAST_PARTS)

Follow = Callable[[list], Iterable]


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


def damages(source: PublishedSet, stored: Results | None = None) -> list[Damage]:
    """Look for what is wrong in one set.

    Files are checked against their SHA-256, records against their ids and against each other, the
    table of runs against the records, and where scores are published, against these.

    Parameters
    ----------
    source : PublishedSet
    stored : dict of str to Result, optional
        The set's tables, where they were read before.
    """
    hurt = [Damage(source.name, error.run_id, str(error)) for error in source.damaged()]
    try:
        stored = results.read(source) if stored is None else stored
    except DamagedError as error:
        return hurt or [Damage(source.name, None, str(error))]
    read, wrong = _records(source, {damage.run for damage in hurt})
    wrong += _strangers(source, read)
    wrong += _unlike(source, stored, read)
    if source.complete and source.runs and "runs" in stored and not wrong and not hurt:
        wrong += _recomputed(source, stored)
    return hurt + wrong


def check(source: PublishedSet) -> None:
    """Refuse a set in which anything is wrong; see :func:`damages`.

    Raises
    ------
    StoreError
        Naming the first file, or number, that is not as it should be.
    """
    source.verify()
    for damage in damages(source):
        raise StoreError(damage.sentence)


def _records(source: PublishedSet, hurt: set[str | None]) -> tuple[dict[str, Record], list[Damage]]:
    """Read the records that are not damaged, and name those whose content is another run's."""
    read, wrong = {}, []
    for run_id in source.ids():
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
            wrong.append(Damage(source.name, run_id, str(error)))
    return read, wrong


def _strangers(source: PublishedSet, read: dict[str, Record]) -> list[Damage]:
    """Name runs of other data, or of another division, than the rest of the set."""
    wrong = []
    for what, ids in (
        ("dataset", source.ids()),
        ("fingerprint", source.ids()),
        ("division_id", source.runs),
    ):
        values = {i: getattr(read[i].spec, what) for i in ids if i in read}
        if not values:
            continue
        usual = source.name if what == "dataset" else Counter(values.values()).most_common(1)[0][0]
        wrong += [
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
    return wrong


def _unlike(source: PublishedSet, stored: Results, read: dict[str, Record]) -> list[Damage]:
    """Compare the table of runs to the records."""
    if "runs" not in stored:
        return []
    wrong = []
    for row in stored["runs"].frame.to_dict("records"):
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
            other = [k for k, v in recorded.items() if k in row and row[k] != v]
            if not other:
                continue
            told = (
                f"{where} has {other[0]} {row[other[0]]} in results.json and "
                f"{recorded[other[0]]} in its record"
            )
        else:
            continue
        wrong.append(Damage(source.name, run_id, f"{told}. Publish the runs again"))
    return wrong


def _recomputed(source: PublishedSet, stored: Results) -> list[Damage]:
    """Score all runs again and compare."""
    try:
        analysis = Analysis(source, source.name)
        again = {"runs": RUNS.make(analysis, facts_of(analysis))}
        wrong = results.different(again, stored)
    except PolytimbreError as error:
        wrong = [str(error)]
    return [
        Damage(
            source.name,
            None,
            f"the published set {source.name!r} does not follow from its scores: {sentence}. "
            "Publish the runs again",
        )
        for sentence in wrong
    ]


def recheck(
    path: Path, data_root: Path | None, store: Runs | None = None, follow: Follow = iter
) -> dict[str, list[str]]:
    """Hold every published set against itself, and against what it was derived from.

    Beyond :func:`damages`, files that a set does not list are named, and all tables are derived
    again where scores and labels are published. Of other data sets, where `data_root` holds the
    data, fingerprint, division and the tables of labels alone; all tables, where `store` holds the
    runs as well.

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
        wrong[name] = [damage.sentence for damage in damages(one)]
        wrong[name] += [
            f"{one.path / file} is not in the set's list. Move it elsewhere"
            for file in one.unlisted()
        ]
        if wrong[name] or not one.runs:
            continue
        try:
            if one.complete:
                derived = results.derive(Analysis(one, name), follow)
                wrong[name] += results.different(derived, results.read(one))
            elif data_root is not None:
                wrong[name] += _against_data(one, data_root, store, follow)
        except PolytimbreError as error:  # the others are checked all the same
            wrong[name].append(str(error))
    return wrong


def division_of(record: Record, data_root: Path | None) -> Division:
    """Load the data that a run rests on, and return their division.

    Raises
    ------
    DataError, ProtocolError
        Naming what is not as recorded.
    """
    division = divide_for(reproduction.request_of(record, data_root))
    check_data(record, division)
    return division


def _against_data(
    one: PublishedSet, data_root: Path, store: Runs | None, follow: Follow
) -> list[str]:
    """Hold a set without scores against its data, and against the runs in a store."""
    stored = results.read(one)
    division = division_of(one.get(one.runs[0]), data_root)
    with tempfile.TemporaryDirectory() as name:
        if store is not None and set(one.ids()) <= set(store.ids()):
            whole = Path(name) / one.name
            runs, audit = (list(map(store.get, ids)) for ids in (one.runs, one.audit))
            copy_runs(runs, audit, store, whole)
            made = seal(whole, one.runs, one.audit, complete=True)
            derived = results.derive(Analysis(made, one.name), follow)
        else:
            copies = Store(Path(name) / "labels")
            copies.add_labels(division)
            facts = stored["parts"].facts if "parts" in stored else {}
            derived = results.from_labels(copies.labels(division.id), facts)
        return results.different(derived, stored)


def copy_runs(
    runs: Sequence[Record],
    audit: Sequence[Record],
    store: Runs,
    folder: Path,
    with_models: Collection[str] = (),
) -> None:
    """Copy what is published of runs: records, scores, and their division's labels and attributes.

    Of runs in `with_models`, by id, what the model saved is copied, too, so that they can be
    pointed at recordings.
    """
    plugin = registry.datasets().plugins.get(runs[0].spec.dataset)
    held_against_all = plugin is not None and plugin.complete is not None
    compared = [record for record in runs if _is_compared(record)]
    first = mask_audit.first_seed(compared) if compared and held_against_all else None
    for record in (*runs, *audit):
        whole_test = _is_compared(record) and record.spec.seed == first
        _copy_run(record, store, folder, record.run_id in with_models, whole_test)


def _is_compared(record: Record) -> bool:
    """Whether a run stands in the comparison, and a training gap is derived from it."""
    return record.spec.whole and record.spec.protocol_id == PROTOCOLS["default"].id


def _copy_run(
    record: Record, store: Runs, folder: Path, with_model: bool, whole_test: bool
) -> None:
    run = folder / "runs" / record.run_id
    run.mkdir(parents=True)
    (run / "record.json").write_text(record.to_json(), encoding="utf-8")
    scores = store.scores(record)
    kept = _copy_labels(record.spec.division_id, store, folder / "labels")
    # a run outside the comparison has no training gap, and neither has a refit, whose scores on
    # fit are those of the run that it starts from
    parts = PARTS if _is_compared(record) and not record.spec.refit else LEAST_PARTS
    packed = {name: as_bytes(scores[name][kept[name]]) for name in parts}
    if whole_test:
        packed["test"] = scores["test"]
    np.savez_compressed(run / "scores.npz", **packed)
    if with_model:
        shutil.copytree(store.model_folder(record), run / MODEL)


def _copy_labels(division_id: str, store: Runs, target: Path) -> dict[str, np.ndarray]:
    """Copy a division's labels, and note and return by part whose scores are published."""
    note = target / scored_file(division_id)
    if not note.exists():
        target.mkdir(exist_ok=True)
        for known in (store.path / "labels").glob(f"{division_id}*.npz"):
            shutil.copyfile(known, target / known.name)
        labels = store.labels(division_id)
        np.savez_compressed(note, **{part: asked_for(labels[part], part) for part in PARTS})
    with np.load(note) as kept:
        return dict(kept)


def seal(folder: Path, runs: Sequence[str], audit: Sequence[str], complete: bool) -> PublishedSet:
    """Write the list of a set's files, with the SHA-256 of each.

    Parameters
    ----------
    folder : Path
    runs, audit : sequence of str
        Ids; see :class:`benchmark.runs.published.PublishedSet`.
    complete : bool
        Whether scores and labels are there.
    """
    listed = folder / "set.json"
    listed.unlink(missing_ok=True)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    content = {
        "format": FORMAT,
        "complete": complete,
        "runs": list(runs),
        "audit": list(audit),
        "files": {p.relative_to(folder).as_posix(): sha256(p) for p in files},
    }
    text = json.dumps({**content, "digest": records.digest(content)}, indent=1)
    listed.write_text(text + "\n", encoding="utf-8")
    return PublishedSet(folder)
