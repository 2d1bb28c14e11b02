"""The command that publishes runs, and checks what is published."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    ResultsOption,
    RootOption,
    SchedulerOption,
    StorageOption,
    StoreOption,
    WorkersOption,
    published_at,
    read_runs,
    warn,
    writing,
)
from benchmark.errors import PolytimbreError, ProtocolError, StoreError

if TYPE_CHECKING:
    from benchmark.cli.everything import Step
    from benchmark.runs.reading import Runs
    from benchmark.runs.record import Record

IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Runs to publish; an id may be shortened.")
]
AllOfOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Publish every finished run on this data set; --all: do that one alone."
    ),
]
AuditOption = Annotated[
    list[str] | None,
    typer.Option("--audit", help="A run trained as published, for the audit alone; repeat."),
]
ShippedOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN_ID|best",
        help="A published run whose model is shipped, for `predict`; best: of those on features of"
        " recordings, the best on select; repeat.",
    ),
]
LabelsOption = Annotated[
    Path | None, typer.Option(help="Publish the audit of OpenMIC's labels, from this file.")
]


def publish(
    context: typer.Context,
    run_id: IdsArgument = None,
    dataset: AllOfOption = None,
    audit: AuditOption = None,
    with_model: ShippedOption = None,
    labels: LabelsOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check what is published, deriving it again.")
    ] = False,
    readme: Annotated[
        bool, typer.Option("--readme", help="Write the README of the published sets anew.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Tune, run and publish everything; goes on where it stopped."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the commands of --all, compute nothing.")
    ] = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    data_root: RootOption = None,
    storage: StorageOption = None,
    results: ResultsOption = None,
    store: StoreOption = None,
) -> None:
    """Publish finished runs, or check what is published.

    What was published of the same data set before is replaced.
    """
    target = published_at(results)
    root = data_root.resolve() if data_root else None
    if dry_run and not everything:
        raise ProtocolError("--dry-run shows the commands of --all: add --all, or leave it out")
    if check and (everything or run_id or dataset or labels or readme):
        raise ProtocolError("--check looks at what is published, all of it: give it alone")
    if everything and (run_id or readme):
        raise ProtocolError("--all chooses the runs and writes the README by itself: give it alone")
    if (audit or with_model) and (everything or not (run_id or dataset)):
        raise ProtocolError(
            "--audit and --with-model belong to runs that are published: name RUN_ID..., or"
            " --dataset NAME without --all"
        )
    if everything:
        from benchmark.cli.everything import steps

        how = ["--workers", str(workers)] if workers is not None else []
        how += ["--scheduler", scheduler] if scheduler else []
        chosen = {"dataset": dataset, "labels": labels, "how": how, "storage": storage}
        listed = steps(root, store, results, **chosen)
        for step in _told(listed, store, target, storage):
            if not dry_run:
                context.find_root().command.main([*step.command], standalone_mode=False)
        return
    if check:
        _check(target, data_root, read_runs(store) if store else None)
        return
    if not (run_id or dataset or labels or readme):
        raise ProtocolError("say what to publish: RUN_ID..., --dataset NAME or --labels FILE")
    if labels:
        _publish_labels(labels, target)
    if run_id or dataset:
        stored = read_runs(store)
        runs, audited = _chosen(stored, run_id or [], dataset, audit or [])
        shipped = _shipped(with_model or [], runs, stored)
        _publish_runs(stored, runs, audited, shipped, target, storage, root)
    _write_documents(target, told=not (run_id or dataset))


def _publish_labels(labels: Path, target: Path) -> None:
    from benchmark.analysis.audits.protocol_audit import audit_labels
    from reports.publish import publish_labels

    with writing(target):
        made = publish_labels(audit_labels(labels), target)
    print(f"published the audit of OpenMIC's labels in {made.path}")


def _publish_runs(
    stored: "Runs",
    runs: "Sequence[Record]",
    audited: "Sequence[Record]",
    shipped: "Sequence[Record]",
    target: Path,
    storage: str | None,
    data_root: Path | None,
) -> None:
    """Publish the runs of each data set as one set."""
    from benchmark.cli.screen import busy
    from benchmark.tuning import studies
    from reports import publish as publishing
    from reports.tables.words import count

    for name in sorted({record.spec.dataset for record in runs}):
        with writing(target), busy(f"tables of {name}") as follow:
            made = publishing.publish(
                [record for record in runs if record.spec.dataset == name],
                [record for record in audited if record.spec.dataset == name],
                stored,
                target,
                with_models=[r.run_id for r in shipped if r.spec.dataset == name],
                storage=studies.address_of(storage, stored),
                data_root=data_root,
                follow=follow,
                warn=warn,
            )
        files = sum(p.stat().st_size for p in made.path.rglob("*") if p.is_file())
        published = count(len(made.runs) + len(made.audit), "run")
        print(f"published {published} on {name} in {made.path}, {files / 1e6:.1f} MB")


def _write_documents(target: Path, told: bool) -> None:
    from reports import documents

    with writing(target):
        written = documents.write(target)
    for path in written if told else ():
        print(f"wrote {path}")


def _told(
    listed: "Sequence[Step]", store: Path | None, target: Path, storage: str | None
) -> "Iterator[Step]":
    """Yield the commands that publish everything; say of each how long it and the rest take."""
    from benchmark.cli.everything import Fits, left, seconds
    from benchmark.runs.published import sets
    from benchmark.runs.store import default_path
    from benchmark.tuning import studies

    def stored() -> "Runs | None":
        return read_runs(store) if os.path.lexists(store or default_path()) else None

    before = [r for one in sets(target).values() for r in one.records()] if target.is_dir() else []
    runs = stored()
    address = studies.address_of(storage, runs) if runs is not None else storage
    fits = [left(step, runs, address) for step in listed]
    for number, step in enumerate(listed):
        runs = stored()
        known = [*before, *(runs.records() if runs is not None else [])]
        own, all_left = (seconds(n, known) for n in (fits[number], sum(fits[number:], Fits())))
        told = ""
        if own is not None and all_left is not None:
            told = f", {own / 3600:.1f} of {all_left / 3600:.1f} h of processor time left"
        command = shlex.join(step.command)
        print(f"{number + 1} of {len(listed)}{told}: polytimbre {command}", flush=True)
        yield step


def _chosen(
    store: "Runs", run_ids: Sequence[str], dataset: str | None, audit: Sequence[str]
) -> "tuple[list[Record], list[Record]]":
    """Return the runs that are named, and all finished ones on a data set that is."""
    from benchmark.protocol import name_of

    runs = {record.run_id: record for record in map(store.get, run_ids)}
    audited = {record.run_id: record for record in map(store.get, audit)}
    if dataset:
        stored = [r for r in store.records() if r.spec.dataset == dataset and r.finished]
        if not stored:
            raise StoreError(
                f"the store {store.path} holds no finished run on data set {dataset!r}. "
                "`polytimbre list runs` shows what it holds"
            )
        for record in stored:
            default = name_of(record.spec.protocol_id) == "default"
            (runs if default else audited).setdefault(record.run_id, record)
    return list(runs.values()), list(audited.values())


def _shipped(run_ids: Sequence[str], runs: "Sequence[Record]", stored: "Runs") -> "list[Record]":
    """Return the runs whose models are shipped; each has to be published."""
    from benchmark.predict.choosing import best

    shipped = []
    for run_id in run_ids:
        if run_id == "best":
            shipped.append(best(stored, runs))
            continue
        found = [record for record in runs if run_id and record.run_id.startswith(run_id)]
        if len(found) != 1:
            raise ProtocolError(
                f"--with-model {run_id!r} names {len(found)} of the runs to publish: it takes the"
                " id of one"
            )
        shipped += found
    return shipped


def _check(results: Path, data_root: Path | None, store: "Runs | None") -> None:
    from benchmark.cli.screen import busy
    from reports import verify

    with busy("tables") as follow:
        wrong = verify.recheck(results, data_root, store, follow)
    for name, sentences in wrong.items():
        for sentence in sentences:
            print(f"{name}: {sentence}")
        if not sentences:
            print(f"{name}: as published")
    n_wrong = sum(map(len, wrong.values()))
    if n_wrong:
        raise PolytimbreError(f"{n_wrong} thing(s) in {results} are not as they were published")
