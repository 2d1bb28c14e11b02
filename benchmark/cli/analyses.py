"""Commands that analyse stored runs; nothing is trained but for a learning curve."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    DatasetOption,
    FormatOption,
    ModelsOption,
    ParamOption,
    ResamplesOption,
    RootOption,
    SchedulerOption,
    SeedOption,
    SeedsOption,
    SplitOption,
    StoredOption,
    StoreOption,
    WorkersOption,
    check_name,
    compute,
    open_store,
    parse_params,
    print_table,
    read_runs,
    seeds_of,
)
from benchmark.errors import ProtocolError

if TYPE_CHECKING:
    from benchmark.runs.reading import Runs

PerClass = Annotated[bool, typer.Option("--per-class", help="One row a class.")]


def compare(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    per_class: PerClass = False,
    ranks: Annotated[
        bool, typer.Option("--ranks", help="Average ranks, wins and losses by class.")
    ] = False,
    part: Annotated[str, typer.Option(help="fit, stop, select or test.")] = "test",
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Compare the stored runs of one data set, with intervals and ranks, best mAP first."""
    from benchmark.analysis import comparison, inference
    from benchmark.protocol import PARTS
    from reports.tables import comparison as comparison_tables

    check_name("part", part, PARTS)
    result = comparison.compare(read_runs(store), dataset, model, part)
    found = inference.infer(result, resamples)
    notes = comparison_tables.comparison_notes(result, found)
    if ranks:
        frame, notes = (
            comparison_tables.ranks(result, found),
            comparison_tables.rank_notes(result, found),
        )
    elif per_class:
        frame = comparison_tables.per_class(result, found)
    else:
        frame = comparison_tables.comparison(result, found)
    print_table(frame, fmt, comparison_tables.title(result), notes)


def gap(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    per_class: PerClass = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Losses and mAP over epochs, rounds or sizes.")
    ] = False,
    resamples: ResamplesOption = 1000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Show the gap between training and unseen clips, with a verdict for each model."""
    from benchmark.analysis import comparison, training_gap
    from reports.tables import comparison as comparison_tables
    from reports.tables import training_gap as gap_tables

    chosen = read_runs(store)
    result = comparison.compare(chosen, dataset, model).without_refits()
    title = f"training gap, {comparison_tables.title(result)}"
    if curves:
        print_table(gap_tables.curves(result.entries), fmt, title, result.notes)
        return
    labels = chosen.labels(result.division_id)
    gaps = training_gap.measure(result.entries, chosen, labels, n_resamples=resamples)
    notes = [*result.notes, *gap_tables.gap_sentences(gaps), training_gap.RULE]
    if per_class:
        frame = gap_tables.gap_per_class(gaps)
    else:
        frame = gap_tables.gap(gaps) if fmt in ("csv", "json") else gap_tables.summary(gaps)
    print_table(frame, fmt, title, notes)


def learning_curve(
    dataset: DatasetOption = "rendered",
    model: ModelsOption = None,
    seed: SeedOption = None,
    seeds: SeedsOption = None,
    param: ParamOption = None,
    data_root: RootOption = None,
    split: SplitOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    resamples: ResamplesOption = 1000,
    fmt: FormatOption = "table",
) -> None:
    """Train on 10, 20, 50 and 100 % of the groups; say whether more data would pay."""
    from benchmark.analysis import learning_curve as analysis
    from benchmark.runs import suite
    from benchmark.runs.request import DataRequest
    from reports.tables import learning_curve as learning_curve_tables

    chosen = open_store(store)
    data = DataRequest(dataset, data_root.resolve() if data_root else None, split)
    params, wanted = parse_params(param), []
    for fraction in analysis.FRACTIONS:
        wanted += suite.requests(data, model, seeds_of(seed, seeds), params, fraction)
    compute(suite.plan(wanted, chosen), chosen, workers, scheduler, force=False)
    found = analysis.measure(chosen, dataset, model, n_resamples=resamples)
    notes = [*learning_curve_tables.learning_curve_sentences(found), analysis.RULE]
    print_table(
        learning_curve_tables.learning_curve(found),
        fmt,
        f"learning curve, {dataset}, select part",
        notes,
    )


def calibration(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    per_class: PerClass = False,
    bins: Annotated[bool, typer.Option("--bins", help="The data of reliability diagrams.")] = False,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Show how far scores can be read as probabilities: calibration error and Brier score."""
    from benchmark.analysis import calibration as analysis
    from benchmark.analysis import comparison
    from reports.tables import calibration as calibration_tables
    from reports.tables import comparison as comparison_tables

    chosen = read_runs(store)
    result = comparison.compare(chosen, dataset, model)
    found = analysis.measure(result.entries, chosen, chosen.labels(result.division_id))
    shown = calibration_tables.calibration
    if bins or per_class:
        shown = calibration_tables.reliability if bins else calibration_tables.calibration_per_class
    print_table(shown(found), fmt, f"calibration, {comparison_tables.title(result)}", result.notes)


def audit(
    labels: Annotated[
        Path | None,
        typer.Option(help="OpenMIC's labels alone: labels.npz, the archive, or its folder."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Audit the models stored on this data set.")
    ] = None,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Hold the published claim, and partial labels, against the corrected protocol."""
    from benchmark.analysis.audits import protocol_audit
    from benchmark.runs.request import DataRequest, load
    from reports.tables import audits as report

    if labels is None and dataset is None:
        raise ProtocolError("say what to audit: --labels FILE, or the runs on --dataset NAME")
    if labels is not None:
        source = labels
        if labels.is_dir() or labels.suffix == ".tgz":
            source = protocol_audit.openmic_labels(load(DataRequest("openmic2018", labels)))
        found = protocol_audit.audit_labels(source)
        _print_audit(report.label_tables(found), report.label_sentences(found), fmt)
    if dataset is not None:
        _audit_models(read_runs(store), dataset, fmt)


def _print_audit(found: list, sentences: list[str], fmt: str) -> None:
    for title, frame in found:
        print_table(frame, fmt, title)
    if fmt in ("table", "markdown"):
        print("\n" + "\n".join(sentences) + "\n")


def _audit_models(store: "Runs", dataset: str, fmt: str) -> None:
    from benchmark.analysis.audits import store_audit
    from reports.publish import complete_labels
    from reports.tables import audits as report

    models, masks = store_audit.audit(store, dataset, complete_labels(dataset))
    _print_audit(report.model_tables(models), report.model_sentences(models), fmt)
    if masks is not None:
        _print_audit(report.mask_tables(masks), report.mask_sentences(masks), fmt)
