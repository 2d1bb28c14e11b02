"""Commands that compute and show runs."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import __version__
from benchmark.cli.common import (
    DatasetOption,
    FeaturesOption,
    FormatOption,
    LayerOption,
    ModelsOption,
    ParamOption,
    RootOption,
    RunArgument,
    SchedulerOption,
    SeedOption,
    SeedsOption,
    SplitOption,
    StorageOption,
    StoreOption,
    StudyOption,
    WorkersOption,
    compute,
    data_of,
    open_store,
    parse_params,
    print_table,
    read_runs,
    seeds_of,
    warn,
)
from benchmark.errors import PluginError, ProtocolError, UnknownNameError
from benchmark.workers.jobs import Job

if TYPE_CHECKING:
    from benchmark.runs.reading import Runs
    from benchmark.runs.record import Record
    from benchmark.runs.request import Chosen, DataRequest, RunRequest

list_app = typer.Typer(
    help="List models, data sets, front ends and stored runs.", no_args_is_help=True
)


def run(
    dataset: DatasetOption = "rendered",
    model: ModelsOption = None,
    seed: SeedOption = None,
    seeds: SeedsOption = None,
    param: ParamOption = None,
    data_root: RootOption = None,
    split: SplitOption = None,
    features: FeaturesOption = None,
    layer: LayerOption = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="default, or published: as in the claim, missing labels taken as present."
        ),
    ] = "default",
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Use the best parameters of each model's study.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Then fit on all training clips, as long as before.")
    ] = False,
    study: StudyOption = None,
    storage: StorageOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    force: Annotated[bool, typer.Option("--force", help="Compute finished runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is cached, compute nothing.")
    ] = False,
) -> None:
    """Run models under several seeds, and store their scores.

    What is stored isn't run again.
    """
    from benchmark.cli.screen import console, show_plan
    from benchmark.runs import suite
    from benchmark.tuning import studies

    chosen = _stored(store) if dry_run else open_store(store)
    data = data_of(dataset, data_root, split, features, layer)
    choose = None
    if tuned:
        beside = chosen or read_runs(store)  # which says that there is no store
        model, choose = _tuned(data, model, study, studies.address_of(storage, beside))
    elif study or storage:
        raise ProtocolError("--study and --storage say where --tuned finds parameters: add --tuned")
    wanted = suite.requests(
        data, model, seeds_of(seed, seeds), parse_params(param), protocol, choose, refit
    )
    units = suite.plan(wanted, chosen, force)
    if dry_run:
        show_plan(units, console())
        return
    compute(units, chosen, workers, scheduler, force)
    runs = "the run is" if len(units) == 1 else f"all {len(units)} runs are"
    how = "cached" if all(unit.cached for unit in units) else "stored"
    print(f"{runs} {how} in {chosen.path}")
    where = f" --store {shlex.quote(str(store))}" if store else ""
    if len(units) == 1 or protocol != "default":  # which `compare` compares
        told = f"`polytimbre show {units[0].run_id}{where}` shows what came out"
    else:
        told = (
            f"`polytimbre compare --dataset {dataset}{where}` compares them, "
            f"`polytimbre list runs{where}` names each"
        )
    print(told, file=sys.stderr)


def _stored(store: Path | None) -> "Runs | None":
    """Return the runs in the store, or None where there is no store yet; nothing is made."""
    from benchmark.runs.store import default_path

    return read_runs(store) if os.path.lexists(store or default_path()) else None


def _tuned(
    data: "DataRequest", models: list[str] | None, study: str | None, address: str
) -> "tuple[list[str], Callable[[RunRequest], Chosen]]":
    """Return the models to run, those with a study if none is named, and what was chosen."""
    from benchmark.plugins import registry
    from benchmark.runs.request import RunRequest
    from benchmark.tuning import choice, studies, trials

    if models is None:
        stored = studies.names(address)
        names = registry.models().names()
        models = [n for n in names if trials.study_name(RunRequest(data, n)) in stored]
        if not models:
            raise ProtocolError(
                f"no model has a study on {data.name!r} yet: run `polytimbre tune` first"
            )
    if study and len(models) > 1:
        raise ProtocolError("--study names one study: name one --model with it")

    def choose(request: "RunRequest") -> "Chosen":
        name = study or trials.study_name(request)
        chosen = trials.choose(name, address, request)
        _tell_choice(chosen, bool(choice.missing(studies.read(name, address))))
        return chosen

    return models, choose


def _tell_choice(chosen: "Chosen", undecided: bool) -> None:
    """Say what is to be known of a study's choice before runs rest on it."""
    if undecided:
        warn(
            f"the study {chosen.study} is not decided yet: the comparison of its best trials lacks "
            f"some fits, which `polytimbre tune` does; so far trial {chosen.trial} is the best"
        )
    elif chosen.trial == 0:
        print(f"{chosen.study}: nothing tried is better than the default", file=sys.stderr)


def show(
    run_id: RunArgument,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole record, epoch by epoch, as JSON.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show one run: what was asked, and what came out.

    The id may be shortened; runs of published sets are found, too. A failed run's traceback stands
    at the end.
    """
    from benchmark.analysis.comparison import evaluate
    from benchmark.predict.choosing import sources
    from benchmark.runs.published import find

    places = sources(store) or [read_runs(None)]  # which says that there is no store
    chosen, record = find(run_id, places)
    metrics = {}
    if record.finished and getattr(chosen, "complete", True):
        labels = chosen.labels(record.spec.division_id)
        metrics = evaluate(chosen.scores(record), labels).summary()
    if as_json:
        rounded = {name: round(value, 6) for name, value in metrics.items()}
        print(json.dumps({**json.loads(record.to_json()), "test_metrics": rounded}, indent=1))
    else:
        _show_facts({**_asked(record), **_came_out(record, metrics)})
        if record.traceback:
            print(f"\n{record.traceback}")


def _show_facts(facts: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from benchmark.cli.screen import console

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, escape(str(value)))
    console().print(grid)


def _asked(record: "Record") -> dict[str, Any]:
    """Say in words what a run was asked to compute."""
    from benchmark.protocol import name_of
    from benchmark.runs.features import features_of

    spec = record.spec
    marked = "" if spec.official else ", NOT OFFICIAL"
    facts = {
        "run": record.run_id,
        "model": spec.label,
        "parameters": _listed(spec.params, "{}={}"),
        "seed": spec.seed,
        "data set": f"{spec.dataset}, split {spec.split}{marked}",
        "features": features_of(spec),
        "protocol": name_of(spec.protocol_id) or f"another one, {spec.protocol_id}",
    }
    if spec.study:
        facts["tuned by"] = f"study {spec.study}, trial {spec.trial}"
    return facts


def _came_out(record: "Record", metrics: dict[str, float]) -> dict[str, Any]:
    """Say in words what became of a run, and where."""
    from benchmark.scoring.evaluation import METRICS

    facts = {"status": f"{record.status}, {record.created}", "error": record.error}
    if record.clips:
        parts = {name: n for name, n in record.clips.items() if name != "trained"}
        facts["clips"] = f"{_listed(parts)}; trained on {record.clips['trained']}"
    if stage := record.stage_at_best():
        unit, last = record.history["unit"], record.history["stages"]["number"][-1]
        if last > 1:  # one step has nothing to choose from
            facts["training"] = f"{unit} {record.history['best']} of {last} is kept"
        for name in ("loss", "mAP"):
            seen = {part: f"{stage[f'{part}_{name}']:.3f}" for part in ("fit", "stop")}
            facts[f"{name} in training"] = _listed(seen)
    told = (f"{METRICS[name].heading} {value:.3f}" for name, value in metrics.items())
    facts["on test"] = "\n".join(told)
    if record.machine:
        said = (
            ("processor", "{}"),
            ("cores", "{} cores"),
            ("memory_gib", "{} GiB"),
            ("platform", "{}"),
        )
        known = [form.format(record.machine[key]) for key, form in said if key in record.machine]
        facts["machine"] = ", ".join(known)
    seconds = {name.replace("_", " "): f"{value:.1f}" for name, value in record.seconds.items()}
    facts["seconds"] = _listed(seconds)
    facts["libraries"] = _listed(record.versions)
    if record.git.get("commit"):
        changed = ", with changes that were not committed" if record.git.get("dirty") else ""
        facts["code"] = f"commit {record.git['commit'][:10]}{changed}"
    return {name: value for name, value in facts.items() if value}


def _listed(values: dict[str, Any], form: str = "{} {}") -> str:
    return ", ".join(form.format(name, value) for name, value in values.items())


def check(
    name: Annotated[str, typer.Argument(help="Model, front end or data set; see `list`.")],
    data_root: RootOption = None,
) -> None:
    """Check that a plugin keeps its contract, rule by rule."""
    from benchmark.cli.features import features_verify
    from benchmark.plugins import checks, registry

    if name in registry.models().plugins:
        _check("model", name, Job(name, checks.report_model, (name,)))
    elif name in registry.frontends().plugins:
        features_verify(name)
    elif name in registry.datasets().plugins:
        _check("data set", name, Job(name, checks.report_dataset, (name, data_root)))
    else:  # its failure to load, or the nearest of all names
        kinds = (registry.models(), registry.frontends(), registry.datasets())
        for known in kinds:
            known.refuse_broken(name)
        names = [one for known in kinds for one in known.plugins]
        raise UnknownNameError("model, front end or data set", name, names)


def _check(kind: str, name: str, job: Job) -> None:
    """Show each rule that holds; a process of its own is one that a plugin may end."""
    from contextlib import closing

    from benchmark.workers.processes import Processes

    with Processes(1) as executor, closing(executor.run([job])) as events:
        for event in events:
            if event.kind == "stage":
                print(f"holds: {event.value}", flush=True)
            elif event.kind in ("refused", "crashed"):
                ended = "" if event.kind == "refused" else f"{kind} {name!r} could not be checked: "
                raise PluginError(f"{ended}{event.value}")
    print(f"{kind} {name!r} holds to the contract")


def info(store: StoreOption = None) -> None:
    """Show machine, versions, Keras backend, store and commit."""
    from benchmark.runs import environment
    from benchmark.runs.store import default_path

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
    from benchmark.cli.screen import wrapped

    told = {name: describe(registry.get(name)) for name in registry.names()}
    for where, problem in registry.failures.items():
        told[where] = f"FAILED: {problem}"
    for name, sentence in told.items():
        print(wrapped(f"{name:<22} {sentence}", 23))


@list_app.command("models")
def list_models() -> None:
    """List the models; a plugin that can't be imported is listed with its error."""
    from benchmark.plugins import registry

    def describe(cls: type) -> str:
        presets = "".join(f"  [{cls.name}:{preset}]" for preset in cls.presets)
        return (cls.__doc__ or "").strip().partition("\n")[0] + presets

    _list_plugins(registry.models(), describe)
    print("[model:preset]: a named set of parameters, for --model", file=sys.stderr)


@list_app.command("datasets")
def list_datasets() -> None:
    """List the data sets."""
    from benchmark.plugins import registry

    _list_plugins(registry.datasets(), lambda cls: cls.description)


@list_app.command("frontends")
def list_frontends() -> None:
    """List the front ends, which make features from audio."""
    from benchmark.plugins import registry

    _list_plugins(registry.frontends(), lambda cls: cls.description)


@list_app.command("runs")
def list_runs(fmt: FormatOption = "table", store: StoreOption = None) -> None:
    """List the stored runs, failed ones with their error."""
    runs = read_runs(store)
    print_runs(list(runs), fmt, str(runs.path))


def print_runs(records: "Sequence[Record]", fmt: str, where: str) -> None:
    """Print one row a run; in a table the errors of failed ones stand below it."""
    from benchmark.api.stored import frame_of

    frame = frame_of(records)
    if frame.empty:
        print(f"there are no runs in {where}")
        return
    if fmt != "table":
        print_table(frame, fmt, where)
        return
    failed = [f"{one.run_id} failed: {one.error}" for one in records if not one.finished]
    # what tells runs apart stays to the last; what is the same of all stands above
    same = [name for name in ("data set", "status") if frame[name].nunique() == 1]
    title = ", ".join([where, *(str(frame[name][0]) for name in same)])
    first = ("run", "model", "features", "seed", "mAP on stop", "data set", "status")
    print_table(frame.drop(columns=["error", *same]), fmt, title, failed, first=first)
