"""The command that runs a recorded run again."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    FeaturesOption,
    FormatOption,
    LayerOption,
    ResultsOption,
    RootOption,
    RunArgument,
    StoreOption,
    print_table,
    read_runs,
    warn,
)
from benchmark.errors import PolytimbreError, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.analysis.reproduction import Reproduction, Rerun
    from benchmark.runs.reading import Runs
    from benchmark.runs.record import Record
    from benchmark.runs.store import Store


def reproduce(
    run_id: RunArgument,
    data_root: RootOption = None,
    features: FeaturesOption = None,
    layer: LayerOption = None,
    results: ResultsOption = None,
    store: StoreOption = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the run, with its model, in this store."),
    ] = None,
    fmt: FormatOption = "table",
) -> None:
    """Run a recorded run again, and show what differs.

    A published or stored run is computed as recorded, and compared bit by bit; one that is both
    is compared to what was published, unless --store is named alone. What is stored is neither
    used nor changed. Exit code 0: the same to the last bit or, where machine, packages or code
    are not as recorded, mAP within 1e-6 (linear models: 1e-4, networks: 0.01). 1: not.
    """
    try:
        rerun = partial(_prepare, data_root, features, layer)
        reproduced = _reproduce(run_id, rerun, results, store, keep, fmt)
    except KeyboardInterrupt:
        warn("interrupted; nothing was stored")
        raise typer.Exit(130) from None
    if not reproduced:
        raise typer.Exit(1)


def _reproduce(
    run_id: str,
    prepare: "Callable[[Record], Rerun]",
    results: Path | None,
    store: Path | None,
    keep: Path | None,
    fmt: str,
) -> bool:
    import tempfile

    from benchmark.analysis import reproduction as again
    from benchmark.runs import published
    from benchmark.runs.store import Store
    from reports.tables import reproduction as report

    kept = Store(keep) if keep else None  # refused before it is computed
    source, record = published.find(run_id, _sources(results, store))
    rerun = prepare(record)
    where = f"published set {source.path.name!r}"
    if not isinstance(source, published.PublishedSet):
        where = f"store {source.path}"
    _say([f"run {record.run_id} of the {where}: {rerun.label} on {record.spec.dataset}"], fmt)
    if rerun.circumstances:
        _table(report.environment(rerun.circumstances), fmt, "environment", [])
    advice = report.advice(record, rerun.circumstances)
    with tempfile.TemporaryDirectory(prefix="polytimbre-") as folder:
        fresh = Store(Path(folder))
        failure = _run(rerun, fresh)
        if failure:
            _say([*advice, f"not reproduced: it fails here: {failure}"], fmt)
            return False
        made = fresh.get(rerun.run_id)
        if kept is not None:  # an empty store is false
            kept.take(made, fresh)
            _say([f"kept with its model as run {made.run_id} in {kept.path}"], fmt)
        result = again.compare(source, record, fresh, made, rerun.circumstances)
    _print(result, advice, fmt)
    return result.reproduced


def _prepare(
    data_root: Path | None, features: str | None, layer: int | None, record: "Record"
) -> "Rerun":
    from benchmark.analysis.reproduction import prepare
    from benchmark.runs.features import parse

    return prepare(record, data_root, parse(features), layer)


def _sources(results: Path | None, store: Path | None) -> "Iterator[Runs]":
    """Give what may hold the run, in the order it is looked through."""
    from benchmark.runs import published
    from benchmark.runs.store import default_path

    if store and not results:  # a published set, too, if that is what was named
        yield read_runs(store)
    if results or any(published.DEFAULT.glob("*/set.json")):
        sets = published.sets(results or published.DEFAULT).values()
        yield from (one for one in sets if one.runs or one.audit)
    if (results and store) or (not store and os.path.lexists(default_path())):
        yield read_runs(store)


def _run(rerun: "Rerun", store: "Store") -> str:
    """Compute the run into an empty store, showing it; return why it failed, if it did."""
    from contextlib import closing

    from benchmark.cli.screen import console, follow
    from benchmark.runs import suite
    from benchmark.workers.processes import Processes

    unit = suite.Unit(rerun.request, rerun.run_id, rerun.label, cached=False)
    try:
        with (
            Processes(1) as executor,
            closing(suite.run([unit], store.path, executor=executor)) as events,
        ):
            failures = follow([unit], events, console(stderr=True))
    except StoreError as error:
        raise PolytimbreError(f"{error} (TMPDIR says where it is made)") from error
    return failures[0].sentence if failures else ""


def _print(result: "Reproduction", advice: list[str], fmt: str) -> None:
    from reports.tables import reproduction as report

    verdict = report.verdict(result)
    tables = [("metrics", report.metrics(result), [verdict] if fmt == "json" else [])]
    if result.scores:
        tables.insert(0, ("scores", report.scores(result), []))
    for what, frame, notes in tables:
        plain = frame if fmt in ("csv", "json") else report.readable(frame)
        _table(plain, fmt, what, notes)
    _say(["", *report.score_notes(result), *advice, verdict], fmt)


def _table(frame: "pd.DataFrame", fmt: str, title: str, notes: list[str]) -> None:
    if fmt in ("table", "markdown"):
        print()
    print_table(frame, fmt, title, notes)


def _say(sentences: list[str], fmt: str) -> None:
    """Print sentences, beside what a program reads."""
    out = sys.stderr if fmt in ("csv", "json") else sys.stdout
    print("\n".join(sentences), file=out)
