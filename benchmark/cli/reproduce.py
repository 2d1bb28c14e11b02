"""The command that runs a recorded run again."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    FormatOption,
    ResultsOption,
    RootOption,
    StoreOption,
    print_table,
    warn,
)
from benchmark.errors import PolytimbreError, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.analysis.reproduction import Plan, Reproduction
    from benchmark.runs.store import Store


def reproduce(
    run_id: Annotated[str, typer.Argument(help="Stored or published run; may be shortened.")],
    data_root: RootOption = None,
    results: ResultsOption = None,
    store: StoreOption = None,
    fmt: FormatOption = "table",
) -> None:
    """Run a published or stored run again as recorded; show what differs, bit by bit.

    A run that is both is compared to what was published, unless --store is named alone. What
    is stored is neither used nor changed. Exit code 0: the same to the last bit or, where
    machine, packages or code are not as recorded, mAP within 1e-6 (networks: 0.01). 1: not.
    """
    try:
        reproduced = _reproduce(run_id, data_root, results, store, fmt)
    except KeyboardInterrupt:
        warn("interrupted; nothing was stored")
        raise typer.Exit(130) from None
    if not reproduced:
        raise typer.Exit(1)


def _reproduce(
    run_id: str, data_root: Path | None, results: Path | None, store: Path | None, fmt: str
) -> bool:
    import tempfile

    from benchmark.analysis import reproduction as again
    from benchmark.runs import published
    from benchmark.runs.store import Store
    from reports.tables import reproduction as report

    source, record = published.find(run_id, _sources(results, store))
    plan = again.plan(record, data_root)
    where = f"published set {source.path.name!r}"
    if not isinstance(source, published.PublishedSet):
        where = f"store {source.path}"
    _say([f"run {record.run_id} of the {where}: {plan.label} on {record.spec.dataset}"], fmt)
    if plan.circumstances:
        _table(report.environment(plan.circumstances), fmt, "environment", [])
    advice = report.advice(record, plan.circumstances)
    with tempfile.TemporaryDirectory(prefix="polytimbre-") as folder:
        fresh = Store(Path(folder))
        failure = _run(plan, fresh)
        if failure:
            _say([*advice, f"not reproduced: it fails here: {failure}"], fmt)
            return False
        made = fresh.get(plan.run_id)
        found = again.compare(source, record, fresh, made, plan.circumstances)
    _print(found, advice, fmt)
    return found.reproduced


def _sources(results: Path | None, store: Path | None) -> "Iterator[Store]":
    """Give what may hold the run, in the order it is looked through; what isn't there is not."""
    from benchmark.runs import published
    from benchmark.runs.store import Store, default_path

    stored = store or default_path()
    if store and not store.exists():
        raise StoreError(f"there is no store {store}; check --store")

    def stores() -> "Iterator[Store]":
        if stored.exists():
            yield Store(stored, warn=warn)

    if store and not results:
        yield from stores()
    if results or any(published.DEFAULT.glob("*/set.json")):
        found = published.sets(results or published.DEFAULT).values()
        yield from (one for one in found if one.runs or one.audit)
    if results or not store:
        yield from stores()


def _run(plan: "Plan", store: "Store") -> str:
    """Compute the run into an empty store, showing it; return why it failed, if it did."""
    from contextlib import closing

    from benchmark.cli.screen import console, follow
    from benchmark.runs import suite
    from benchmark.workers.processes import Processes

    unit = suite.Unit(plan.request, plan.run_id, plan.label, cached=False)
    try:
        with (
            Processes(1) as executor,
            closing(suite.run([unit], store.path, executor=executor)) as events,
        ):
            failures = follow([unit], events, console(stderr=True))
    except StoreError as error:
        raise PolytimbreError(f"{error} (TMPDIR says where it is made)") from error
    return failures[0] if failures else ""


def _print(found: "Reproduction", advice: list[str], fmt: str) -> None:
    from reports.tables import reproduction as report

    verdict = report.verdict(found)
    tables = [("metrics", report.metrics(found), [verdict] if fmt == "json" else [])]
    if found.scores:
        tables.insert(0, ("scores", report.scores(found), []))
    for what, frame, notes in tables:
        plain = frame if fmt in ("csv", "json") else report.readable(frame)
        _table(plain, fmt, what, notes)
    _say(["", *report.score_notes(found), *advice, verdict], fmt)


def _table(frame: "pd.DataFrame", fmt: str, title: str, notes: list[str]) -> None:
    if fmt in ("table", "markdown"):
        print()
    print_table(frame, fmt, title, notes)


def _say(sentences: list[str], fmt: str) -> None:
    """Print sentences, beside what a program reads."""
    out = sys.stderr if fmt in ("csv", "json") else sys.stdout
    print("\n".join(sentences), file=out)
