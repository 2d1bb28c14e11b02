"""Commands that print tables of stored runs; nothing is trained but for a learning curve."""

from collections.abc import Callable, Collection
from dataclasses import replace
from importlib import import_module
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.common import (
    DatasetOption,
    FeaturesOption,
    FormatOption,
    LayerOption,
    MethodsOption,
    ModelsOption,
    OnFeaturesOption,
    ParamOption,
    PartOption,
    ResamplesOption,
    RootOption,
    SchedulerOption,
    SeedOption,
    SeedsOption,
    SplitOption,
    StoredOption,
    StoreOption,
    WorkersOption,
    compute,
    data_of,
    open_store,
    parse_params,
    print_result,
    print_table,
    read_runs,
    seeds_of,
    warn,
)
from benchmark.errors import ProtocolError

if TYPE_CHECKING:
    from benchmark.analysis.derivation import Analysis
    from benchmark.api.comparing import Together
    from benchmark.runs.published import PublishedSet

PerClass = Annotated[bool, typer.Option("--per-class", help="One row a class.")]


def _analysis(store: Path | None, *args: Any, **settings: Any) -> "Analysis":
    from benchmark.analysis.derivation import Analysis

    return Analysis(read_runs(store), *args, **settings)


def _show(analysis: "Analysis", name: str, fmt: str, own: Collection[str] = ()) -> None:
    """Derive one declared table and print it; say which models have runs of the ids in `own`."""
    from benchmark.cli.screen import busy
    from reports.tables.declaration import facts_of, table

    one = table(name)
    if one.source not in ("runs", "labels"):
        raise ProtocolError(
            f"the table {name!r} does not rest on stored runs: `{one.command_for('DATASET')}` "
            "prints it"
        )
    with busy(f"deriving table {name}") as analysis.follow:
        source = analysis if one.source == "runs" else analysis.labels
        result = one.make(source, facts_of(analysis))
    if result is None:
        raise ProtocolError(f"these runs hold nothing for the table {name!r}: it takes {one.takes}")
    if own:
        result = replace(result, notes=(_own_note(analysis, own), *result.notes))
    print_result(one, result, fmt)


def _own_note(analysis: "Analysis", own: Collection[str]) -> str:
    from reports.tables.words import listed

    entries = analysis.comparison.entries
    named = [one.label for one in entries if any(r.run_id in own for r in one.records)]
    return (
        f"with runs of yours: {listed(named) or 'none'}; all others are published. Tests are "
        "corrected for all models that are shown: they may tell less than where these are published"
    )


def _show_published(source: "PublishedSet", name: str, fmt: str) -> None:
    """Print one table of a published set, as it was derived there."""
    from reports.tables.declaration import table
    from reports.tables.results import read

    one, results = table(name), read(source)
    if name not in results:
        raise ProtocolError(f"the published set {source.name!r} holds no table {name!r}")
    print_result(one, results[name], fmt)


def _check_one(first: str, is_first: bool, second: str, is_second: bool) -> None:
    if is_first and is_second:
        raise ProtocolError(f"{first} and {second} ask for two tables: leave out one of them")


def table(
    name: Annotated[
        str | None, typer.Argument(help="Name of the table; all are listed without it.")
    ] = None,
    dataset: StoredOption = None,
    model: ModelsOption = None,
    features: OnFeaturesOption = None,
    resamples: ResamplesOption | None = None,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Print any table of stored runs by name, or list them all.

    Of a published set it is printed as it is there; options that ask for another one derive it.
    """
    import pandas as pd

    from benchmark.runs.published import PublishedSet
    from reports.tables.declaration import tables
    from reports.tables.results import read

    if name is None:
        option, asked = " --dataset DATASET", "where runs on several data sets are stored"
        rows = [
            (one.name, one.about or one.title, one.command_for("DATASET").replace(option, ""))
            for one in tables().values()
        ]
        frame = pd.DataFrame(rows, columns=["name", "shows", "command"])
        print_table(frame, fmt, "tables", [f"add{option} {asked}"])
        return
    runs = read_runs(store)
    of_all = dataset is None or {record.spec.dataset for record in runs} == {dataset}
    whole = of_all and not (model or features or resamples)
    held = isinstance(runs, PublishedSet) and whole
    if held and (name in read(runs) or not runs.complete):  # a new table follows from scores
        _show_published(runs, name, fmt)
    else:
        settings = {"n_resamples": resamples or 2000, "features": features}
        _show(_analysis(store, dataset, model, **settings), name, fmt)


def compare(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    per_class: PerClass = False,
    ranks: Annotated[
        bool, typer.Option("--ranks", help="Average ranks, wins and losses by class.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Beside the published runs on that data set.")
    ] = False,
    part: PartOption = "test",
    features: OnFeaturesOption = None,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Compare the stored runs of one data set, best mAP first.

    With 95 % intervals, paired tests and ranks.
    """
    from benchmark.analysis.derivation import Analysis

    _check_one("--ranks", ranks, "--per-class", per_class)
    name = "ranks" if ranks else "per_class" if per_class else "comparison"
    runs, own = _beside_published(store, dataset) if published else (read_runs(store), ())
    settings = {"n_resamples": resamples, "features": features}
    _show(Analysis(runs, dataset, model, part, **settings), name, fmt, own)


def _beside_published(store: Path | None, dataset: str | None) -> "tuple[Together, set[str]]":
    """Return a store's runs on one data set with the published ones, and the ids of the former."""
    from benchmark.api.comparing import Together
    from benchmark.api.stored import StoredRuns, published

    own = StoredRuns(read_runs(store), dataset)
    names = {run.record.spec.dataset for run in own}
    if len(names) != 1:
        raise ProtocolError(
            f"say with --dataset which published set is meant: runs on {len(names)} data sets are "
            f"stored in {own.path}"
        )
    return Together([*own, *published(*names)]), {run.id for run in own}


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
    """Show the gap between training and unseen clips.

    With a verdict for each model: whether it knows its training clips by heart.
    """
    _check_one("--curves", curves, "--per-class", per_class)
    name = "curves" if curves else "gap_per_class" if per_class else "gap"
    _show(_analysis(store, dataset, model, n_resamples=resamples), name, fmt)


def _on_less(name: str, dataset: str, told: str, *without: str) -> Callable[..., None]:
    """Make the command that trains on less than all of the data, and prints the table of it.

    It has the same options whatever it leaves out, but for those that are named last.
    """
    default = dataset

    def command(
        dataset: DatasetOption = default,
        model: ModelsOption = None,
        seed: SeedOption = None,
        seeds: SeedsOption = None,
        param: ParamOption = None,
        data_root: RootOption = None,
        split: SplitOption = None,
        features: FeaturesOption = None,
        layer: LayerOption = None,
        part: PartOption = "test",
        store: StoreOption = None,
        workers: WorkersOption = None,
        scheduler: SchedulerOption = None,
        resamples: ResamplesOption = 2000,
        fmt: FormatOption = "table",
    ) -> None:
        from benchmark.runs import suite
        from benchmark.runs.request import load

        how = import_module(f"benchmark.analysis.{name}")
        chosen, names = open_store(store), model or how.MODELS
        data = data_of(dataset, data_root, split, features, layer)
        whole = suite.requests(data, names, seeds_of(seed, seeds), parse_params(param))
        if name == "transfer":
            how.check_taught(load(data), whole)
        compute(suite.plan(how.requests(whole), chosen), chosen, workers, scheduler, force=False)
        settings = {"n_resamples": resamples, "features": features}
        _show(_analysis(chosen.path, dataset, names, part, **settings), name, fmt)

    command.__name__, command.__doc__ = name, told
    options = signature(command).parameters.items()
    command.__signature__ = Signature([one for key, one in options if key not in without])
    return command


learning_curve = _on_less(
    "learning_curve",
    "rendered",
    """Train on 10 to 100 % of the clips; say if more would pay.

    Models are trained on 10, 20, 50 and 100 % of the groups of clips. Each seed takes the groups
    in another random order; there are three orders at least.
    """,
    "part",  # a choice follows from the curve, so it is measured on select
)

transfer = _on_less(
    "transfer",
    "audioset-world",
    """Train on few positives; show what pretraining adds.

    With 5, 10, 20, 40 and all positives a class. By default a network that has learnt the data
    set's auxiliary classes, the same from nothing, and logistic regression. Each seed takes the
    positives in another random order.
    """,
)


def calibration(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    per_class: PerClass = False,
    bins: Annotated[bool, typer.Option("--bins", help="The data of reliability diagrams.")] = False,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Show how far scores can be read as probabilities.

    By their calibration error and Brier score.
    """
    name = ("reliability" if bins else "calibration") + ("_per_class" if per_class else "")
    _show(_analysis(store, dataset, model), name, fmt)


def thresholds(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    trials: Annotated[
        int,
        typer.Option(
            "--trials", min=1, max=1000, help="Strengths of shrinking tried a calibration."
        ),
    ] = 30,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Choose decision thresholds, and show what each way gains.

    Thresholds are chosen on the select part, by every policy, and scored on test.
    """
    settings = {"n_resamples": resamples, "n_trials": trials}
    _show(_analysis(store, dataset, model, **settings), "thresholds", fmt)


def ensemble(
    dataset: StoredOption = None,
    model: ModelsOption = None,
    method: MethodsOption = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="One ensemble of every run, not one a seed.")
    ] = False,
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Combine the stored runs of several models.

    Nothing is trained; ensembles are compared with the best single model.
    """
    settings = {"methods": method} if method else {}
    analysis = _analysis(
        store, dataset, model, n_resamples=resamples, all_seeds=all_seeds, **settings
    )
    _show(analysis, "ensembles", fmt)


def slices(
    by: Annotated[
        str, typer.Option("--by", help="Attribute of the clips; `data verify` lists them.")
    ],
    dataset: StoredOption = None,
    model: ModelsOption = None,
    part: PartOption = "test",
    resamples: ResamplesOption = 2000,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Show where models fail: slices of the clips, by attribute.

    Each slice is compared with all other clips.
    """
    _show(_analysis(store, dataset, model, part, n_resamples=resamples, by=by), "slices", fmt)


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
    """Audit a published claim, and scores on partial labels.

    Both are compared with what the corrected protocol gives.
    """
    from reports.tables import results
    from reports.tables.declaration import table
    from reports.tables.protocol_audit import AUDITED

    if labels is None and dataset is None:
        raise ProtocolError("say what to audit: --labels FILE, or the runs on --dataset NAME")
    if labels is not None:
        for name, result in results.from_claim(_label_audit(labels)).items():
            print_result(table(name), result, fmt)
    if dataset is not None:
        analysis = _analysis(store, dataset)
        names = ["protocol_audit", "protocol_averages"]
        if reason := analysis.why_not_audited:
            warn(reason)
            names = []
        if analysis.mask_audit is not None:
            names += ["mask_audit", "mask_levels"]
            names += ["mask_preselection"] if analysis.mask_audit.preselected is not None else []
        if not names:
            raise ProtocolError(
                f"there is nothing to audit on data set {dataset!r}: that takes {AUDITED}"
            )
        for name in names:
            _show(analysis, name, fmt)


def _label_audit(labels: Path) -> Any:
    from benchmark.analysis.audits.openmic_labels import openmic_labels
    from benchmark.analysis.audits.protocol_audit import audit_labels
    from benchmark.runs.request import DataRequest, load

    if labels.is_dir() or labels.suffix == ".tgz":
        return audit_labels(openmic_labels(load(DataRequest("openmic2018", labels))))
    return audit_labels(labels)
