"""The command that combines stored runs into ensembles."""

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


def ensemble(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="average, selected or stacked; repeat. [default: all]"),
    ] = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="One ensemble of every run, not one a seed.")
    ] = False,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Combine the stored runs of several models, without training; compare with the best."""
    from benchmark.analysis import ensembles as ensembles
    from benchmark.analysis import inference
    from reports.tables import comparison as comparison_tables
    from reports.tables import ensembles as report

    found = ensembles.replay(
        read_runs(store), dataset, model, method or ensembles.METHODS, all_seeds
    )
    inferred = inference.infer(found.comparison, resamples)
    notes = [
        *report.sentences(found),
        *comparison_tables.comparison_notes(found.comparison, inferred),
    ]
    title = f"ensembles, {comparison_tables.title(found.comparison)}"
    print_table(comparison_tables.comparison(found.comparison, inferred), fmt, title, notes)
