"""The command ``polytimbre``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import __version__
from benchmark.errors import DataError, PolytimbreError, UnknownNameError

app = typer.Typer(
    name="polytimbre",
    help="A reproducible benchmark for recognising instruments in polyphonic music.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
list_app = typer.Typer(help="List models, data sets and stored runs.", no_args_is_help=True)
data_app = typer.Typer(help="Download, check and render data sets.", no_args_is_help=True)
app.add_typer(list_app, name="list")
app.add_typer(data_app, name="data")

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of the runs. [default: what `polytimbre info` prints]"),
]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Data set; see `list datasets`.")]
RootOption = Annotated[
    Path | None, typer.Option("--data-root", help="Where a data set that isn't embedded lies.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Another split than the official one, by name.")
]
FormatOption = Annotated[str, typer.Option("--format", help="table, markdown, csv or json.")]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Model, or model:preset; repeat for several. [default: all]"),
]

ResamplesOption = Annotated[int, typer.Option("--resamples", min=39, help="Of the bootstrap.")]

_debug = False


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    global _debug
    _debug = debug


def _store(path: Path | None) -> Any:
    from benchmark.store import Store, default_path

    return Store(path or default_path(), warn=_warn)


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)


def _print(*things: Any) -> None:
    """Print plain text as it is, and what rich made with rich."""
    from benchmark.screen import console

    for thing in things:
        print(thing) if isinstance(thing, str) else console().print(thing)


def _known(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UnknownNameError(kind, name, known)


def _params(pairs: list[str] | None) -> dict[str, Any]:
    params = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise PolytimbreError(f"--param {pair!r} is not NAME=VALUE")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


@app.command()
def run(
    dataset: DatasetOption = "rendered",
    model: ModelsOption = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="One seed; repeat for several.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="The seeds 0 to N-1.")] = 3,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="NAME=VALUE, for the models named.")
    ] = None,
    data_root: RootOption = None,
    split: SplitOption = None,
    protocol: Annotated[
        str, typer.Option(help="default, or published: missing labels taken as present.")
    ] = "default",
    store: StoreOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time. [default: the cores]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute finished runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is cached, compute nothing.")
    ] = False,
) -> None:
    """Run models under every seed and store their scores; what is stored isn't run again."""
    import os

    from benchmark import suite
    from benchmark.run import DataRequest
    from benchmark.screen import console, follow, show_plan

    out, chosen = console(), _store(store)
    root = data_root.resolve() if data_root else None
    data = DataRequest(dataset, root, split)
    wanted = suite.requests(data, model, seed or range(seeds), _params(param), protocol=protocol)
    units = suite.plan(wanted, chosen)
    if dry_run:
        show_plan(units, out)
        return
    workers = workers or os.cpu_count() or 1
    events = suite.run(units, chosen.path, workers=workers, force=force)
    try:
        failures = follow(units, events, out)
    except KeyboardInterrupt:
        events.close()
        _warn("interrupted; finished runs are kept, the same command goes on from here")
        raise typer.Exit(130) from None
    if failures:
        raise PolytimbreError(
            f"{len(failures)} of {len(units)} runs failed: {failures[0]}. "
            "`polytimbre list runs` names them, `polytimbre show RUN_ID` shows the traceback"
        )
    if all(unit.cached for unit in units) and not force:
        out.print(f"all {len(units)} runs are cached in {chosen.path}")


@app.command()
def compare(
    dataset: Annotated[str | None, typer.Option(help="Needed where several were run.")] = None,
    model: ModelsOption = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Average precision of every class.")
    ] = False,
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
    from reports import tables

    _known("format", fmt, tables.FORMATS)
    _known("part", part, PARTS)
    result = comparison.compare(_store(store), dataset, model, part)
    found = inference.infer(result, resamples)
    notes = tables.comparison_notes(result, found)
    if ranks:
        frame, notes = tables.ranks(result, found), tables.rank_notes(result, found)
    elif per_class:
        frame = tables.per_class(result, found)
    else:
        frame = tables.comparison(result, found)
    _print(tables.text(frame, fmt, tables.title(result), notes))


@app.command()
def show(run_id: str, store: StoreOption = None) -> None:
    """Show one run: what was asked, what came out, on what. The id may be shortened."""
    from benchmark.analysis.comparison import evaluate

    chosen = _store(store)
    record = chosen.get(run_id)
    content = json.loads(record.to_json())
    if record.finished:
        labels = chosen.labels(record.spec.division_id)
        scored = evaluate(chosen.scores(record), labels)
        content["test_metrics"] = {k: round(v, 6) for k, v in scored.summary().items()}
    trace = content.pop("traceback")
    print(json.dumps(content, indent=1))
    if trace:
        print(trace)


@app.command()
def check(model: Annotated[str, typer.Argument(help="Model; see `list models`.")]) -> None:
    """Hold a model plugin against the model contract, rule by rule."""
    from benchmark import registry
    from benchmark.checks import check_model

    for rule in check_model(registry.models().get(model)):
        print(f"holds: {rule}", flush=True)
    print(f"model {model!r} holds to the contract")


@app.command()
def info(store: StoreOption = None) -> None:
    """Show machine, versions, Keras backend, store and commit."""
    from benchmark import environment
    from benchmark.store import default_path

    libraries = ("keras", "scikit-learn", "xgboost", "optuna", "pandas", "seaborn")
    rows = {
        "polytimbre": __version__,
        **environment.git_state(),
        "store": store or default_path(),
        **environment.machine(),
        "backend": environment.backend(),
        **environment.library_versions(libraries),
    }
    for name, value in rows.items():
        print(f"{name:<14} {value}")


def _list_plugins(registry: Any, describe: Any) -> None:
    for name in registry.names():
        print(f"{name:<22} {describe(registry.get(name))}")
    for where, trace in registry.failures.items():
        print(f"{where:<22} FAILED: {trace.strip().splitlines()[-1]}")


@list_app.command("models")
def list_models() -> None:
    """List the models; a plugin that can't be imported is listed with its error."""
    from benchmark import registry

    def describe(cls: type) -> str:
        presets = "".join(f"  [{cls.name}:{preset}]" for preset in cls.presets)
        return (cls.__doc__ or "").strip().partition("\n")[0] + presets

    _list_plugins(registry.models(), describe)


@list_app.command("datasets")
def list_datasets() -> None:
    """List the data sets."""
    from benchmark import registry

    _list_plugins(registry.datasets(), lambda cls: cls.description)


@list_app.command("runs")
def list_runs(store: StoreOption = None) -> None:
    """List the stored runs, failed ones with their error."""
    for record in _store(store).records():
        spec = record.spec
        what = f"{record.run_id}  {spec.dataset:<14} {spec.label:<22} seed {spec.seed}"
        print(f"{what}  {record.status}  {record.created}  {record.error or ''}".rstrip())


@data_app.command("list")
def data_list() -> None:
    """List the data sets with licence and citation."""
    from benchmark import registry

    for name in registry.datasets().names():
        cls = registry.datasets().get(name)
        print(f"{name}\n  {cls.description}\n  licence: {cls.licence}\n  cite: {cls.citation}")


@data_app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="Data set; see `list datasets`.")],
    data_root: Annotated[Path, typer.Option(help="Folder to download into.")] = Path("data"),
) -> None:
    """Download a data set; an interrupted download goes on where it stopped."""
    from benchmark import registry

    path = registry.datasets().get(name)().download(data_root)
    print(f"{name} is at {path}; pass it as --data-root")


@data_app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="Data set; see `list datasets`.")] = "rendered",
    data_root: RootOption = None,
    split: SplitOption = None,
) -> None:
    """Load a data set, check it against its contract and print what it holds."""
    from benchmark.protocol import PARTS, divide
    from benchmark.run import DataRequest, load

    data = load(DataRequest(name, data_root, split))
    division = divide(data)
    print(f"{data.name} ({data.split}) holds to its contract")
    print(f"fingerprint  {data.fingerprint}\ndivision     {division.id}")
    print(f"features     {data.X.shape[1]} frames x {data.X.shape[2]}, {data.X.dtype}")
    print(f"observed     {data.y_mask.mean():.1%} of the labels")
    for part in PARTS:
        labels = division.part(part)
        print(f"{part:<12} {len(labels):>6} clips, {labels.y_positive.sum():>6} observed positives")


@data_app.command("render")
def data_render(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("rendered.npz"),
    clips: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Render the embedded data set again and compare it bit for bit (extra `render`)."""
    from rich.progress import Progress

    from benchmark.datasets.rendered import differing_clips
    from benchmark.features import rendering
    from benchmark.screen import console

    with Progress(console=console(stderr=True)) as progress:
        task = progress.add_task("rendering", total=clips)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        rendering.build(out, clips=clips, workers=workers, progress=advance)
    if different := differing_clips(out):
        raise DataError(
            f"{len(different)} clip(s) of {out} differ from the embedded data, first "
            f"{different[0]!r}; check that the extra `render` is installed at its exact pins"
        )
    print(f"{out} is the embedded data, bit for bit")


def main() -> None:
    """Run the command; expected errors are one sentence and exit code 2."""
    try:
        app()
    except PolytimbreError as error:
        if _debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
