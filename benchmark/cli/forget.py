"""The command that removes runs from a store."""

from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    ModelsOption,
    StoredOption,
    StoreOption,
    check_name,
    open_store,
    read_runs,
    warn,
)
from benchmark.errors import PolytimbreError, StoreError

if TYPE_CHECKING:
    from benchmark.runs.reading import Runs
    from benchmark.runs.record import Record


def forget(
    run_id: Annotated[
        list[str] | None, typer.Argument(help="Runs to remove; an id may be shortened.")
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="Runs that `compare` leaves out for newer ones.")
    ] = False,
    dataset: StoredOption = None,
    model: ModelsOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Remove runs from a store for good, after asking.

    By id; or all runs on --dataset and of --model; or, with --older, those of them in whose
    place newer ones are compared: of changed code, libraries or data, or failed and run again.
    """
    from benchmark.cli.runs import print_runs
    from benchmark.runs.published import PublishedSet
    from reports.tables.words import count

    runs = read_runs(store)
    if isinstance(runs, PublishedSet):
        raise StoreError(
            f"{runs.path} is a published set: nothing is removed from one. Publish the runs that "
            "should be in it again"
        )
    for name in model or []:
        check_name("model", name, sorted(set().union(*map(_names, runs))))
    if dataset is not None:
        check_name("data set", dataset, sorted({record.spec.dataset for record in runs}))
    chosen = _chosen(runs, run_id or [], older, dataset, model or [])
    if not chosen:
        print("there is no such run: nothing is removed")
        return
    for damaged in (one for one, record in chosen.items() if record is None):
        print(f"{damaged}  can't be read")
    if readable := [record for record in chosen.values() if record]:
        print_runs(readable, "table", str(runs.path))
    told = count(len(chosen), "run")
    if not yes and not _asked(f"Remove {told} from {runs.path} for good?"):
        print("nothing is removed")
        return
    target = open_store(store)
    for one in chosen:
        target.forget(one)
    print(f"removed {told}")


def _chosen(
    runs: "Runs", run_ids: list[str], older: bool, dataset: str | None, models: list[str]
) -> "dict[str, Record | None]":
    """Return the records of the runs to remove, by id; None for one that can't be read."""
    from benchmark.analysis.comparison import superseded

    if run_ids and (older or dataset or models):
        raise PolytimbreError("runs are named by id or by what they are, not by both at once")
    if run_ids:
        ids = [runs.whole_id(beginning) for beginning in run_ids]
        stored = {record.run_id: record for record in runs}
        return {one: stored.get(one) for one in ids}
    if not (older or dataset or models):
        raise PolytimbreError("say what to remove: RUN_ID..., --older, --dataset or --model")
    return {
        record.run_id: record
        for record in (superseded(runs) if older else runs)
        if dataset in (None, record.spec.dataset) and (not models or _names(record) & {*models})
    }


def _names(record: "Record") -> set[str]:
    """Return what --model may call a run's model."""
    return {record.spec.label, record.spec.setting, record.spec.model}


def _asked(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:
        warn("no answer: add --yes to remove without being asked")
        raise typer.Exit(2) from None
