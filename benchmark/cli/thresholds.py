"""The command that asks how scores should be turned into decisions."""

from typing import Annotated

import typer

from benchmark.cli.common import (
    FormatOption,
    ModelsOption,
    ResamplesOption,
    StoredOption,
    StoreOption,
    print_table,
    read_runs,
)


def thresholds(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Strengths of shrinking tried a calibration.")
    ] = 30,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Choose decision thresholds by every policy on select; show what each gains on test."""
    from rich.progress import track

    from benchmark.analysis import comparison, threshold_gains
    from benchmark.cli.screen import console
    from reports.tables import comparison as comparison_tables
    from reports.tables import thresholds as report

    chosen = read_runs(store)
    result = comparison.compare(chosen, dataset, model)
    screen = console(stderr=True)
    found = threshold_gains.measure(
        result.entries,
        chosen,
        chosen.labels(result.division_id),
        n_trials=trials,
        n_resamples=resamples,
        follow=lambda runs: track(
            runs, "runs", console=screen, transient=True, disable=not screen.is_terminal
        ),
    )
    notes = [*result.notes, *report.sentences(found), *report.notes(found)]
    title = f"decision thresholds, {comparison_tables.title(result)}"
    print_table(report.policies(found), fmt, title, notes)
