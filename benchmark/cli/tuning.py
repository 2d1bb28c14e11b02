"""Commands that tune models and show studies."""

from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.common import (
    LARGEST_SEED,
    DatasetOption,
    FeaturesOption,
    FormatOption,
    LayerOption,
    ModelsOption,
    ParamOption,
    RootOption,
    SchedulerOption,
    SplitOption,
    StorageOption,
    StoreOption,
    StudyOption,
    WorkersOption,
    data_of,
    open_store,
    parse_params,
    print_table,
    read_runs,
    warn,
)
from benchmark.errors import PolytimbreError, ProtocolError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.runs.request import RunRequest
    from benchmark.tuning.studies import Study
    from benchmark.tuning.trials import Caps
    from benchmark.workers.jobs import Executor


TrialsOption = Annotated[
    int,
    typer.Option("--trials", min=1, max=1000, help="Trials of each study, those stored included."),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", min=1, help="Of a study, after which no trial starts."
    ),
]
TrialSecondsOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0.1, help="Of processor time, after which a fit is asked to stop."
    ),
]
MaxParametersOption = Annotated[
    int, typer.Option(min=1, help="Networks with more weights are not tried.")
]
SamplerSeedOption = Annotated[
    int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the sampler and of every fit.")
]


def tune(
    dataset: DatasetOption = "rendered",
    model: ModelsOption = None,
    trials: TrialsOption = 30,
    timeout: TimeoutOption = None,
    trial_seconds: TrialSecondsOption = 60.0,
    max_parameters: MaxParametersOption = 3_000_000,
    seed: SamplerSeedOption = 0,
    param: ParamOption = None,
    study: StudyOption = None,
    storage: StorageOption = None,
    data_root: RootOption = None,
    split: SplitOption = None,
    features: FeaturesOption = None,
    layer: LayerOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Search each model's parameters with Optuna.

    Trials are judged by mAP on the select part. At the end the best three are compared again: each
    is fitted once more for each of five folds of all training clips, 15 fits beside those of the
    trials, and the highest mean decides.

    Several of these commands may work on one study at once, and a killed one may be started
    again: the number of trials stays exact.
    """
    from benchmark.plugins import registry
    from benchmark.runs.request import RunRequest
    from benchmark.tuning.storage import address_of, reachable
    from benchmark.tuning.trials import Caps, open_study
    from benchmark.workers.connect import connect

    chosen = open_store(store)
    data = data_of(dataset, data_root, split, features, layer)
    names = model or [n for n in registry.models().names() if _searches(n)]
    if study and len(names) > 1:
        raise ProtocolError("--study names one study: name one --model with it")
    settings = [name.partition(":")[::2] for name in names]
    fixed = parse_params(param)
    requests = [RunRequest(data, name, seed, preset or None, fixed) for name, preset in settings]
    caps = Caps(trial_seconds, max_parameters)
    empty = []
    with reachable(address_of(storage, chosen)):
        # all of them, so that what is refused is refused before anything is computed
        studies = [open_study(study, request, caps, storage, chosen) for request in requests]
        with connect(workers, scheduler) as executor:
            for opened, request in zip(studies, requests, strict=True):
                if not _tune_one(opened, request, caps, executor, trials, timeout):
                    empty.append(opened.name)
    if empty:
        raise PolytimbreError(
            f"no trial is complete of {', '.join(empty)}: `polytimbre study {empty[0]}` shows why"
        )


def _searches(name: str) -> bool:
    from benchmark.contracts.model import Model
    from benchmark.plugins import registry

    return registry.models().get(name).search_space is not Model.search_space


def _tune_one(
    opened: "Study",
    request: "RunRequest",
    caps: "Caps",
    executor: "Executor",
    trials: int,
    timeout: float | None,
) -> bool:
    """Run one study and show its best trials; say whether any trial is complete."""
    from benchmark.cli.screen import console, follow_comparison, follow_study
    from benchmark.tuning import history as study_history
    from benchmark.tuning.trials import compare_again, run
    from reports.tables import studies as report

    with opened:
        with console().status(f"planning {trials} trials"):
            opened.plan(trials)
        events = run(opened, request, caps, executor, timeout)
        again = compare_again(opened, request, caps, executor)
        try:
            follow_study(opened, events, console())
            if not opened.unfinished():
                follow_comparison(again, console())
        except KeyboardInterrupt:
            events.close()
            again.close()
            warn("interrupted; finished trials are kept, the same command goes on from here")
            raise typer.Exit(130) from None
    history = study_history.read(opened.name, opened.address)
    notes = report.sentences(history)
    meanings = report.TRIALS.columns
    frame = _parameters_first(report.trials(history, 5))
    print_table(frame, "table", f"study {opened.name}", notes, meanings)
    return history.best is not None


def study(
    name: Annotated[str | None, typer.Argument(help="Study; all are listed without it.")] = None,
    importances: Annotated[
        bool, typer.Option("--importances", help="Which parameters mattered.")
    ] = False,
    storage: StorageOption = None,
    fmt: FormatOption = "table",
    store: StoreOption = None,
) -> None:
    """Show a study's trials, or which parameters mattered.

    Without a name, the studies are listed.
    """
    import pandas as pd

    from benchmark.tuning import history as study_history
    from benchmark.tuning import studies
    from reports.tables import studies as report

    address = studies.address_of(storage, read_runs(store) if store or not storage else None)
    if name is None:
        if importances:
            raise ProtocolError(
                "--importances are those of one study: name it, as in `polytimbre study NAME "
                "--importances`; `polytimbre study` lists them"
            )
        names = studies.names(address)
        if fmt == "table":
            print("\n".join(names) or "no study yet: `polytimbre tune` makes one")
        else:
            print_table(pd.DataFrame({"study": names}), fmt, "studies")
        return
    with studies.reachable(address):
        history = study_history.read(name, address)
        frame = report.importances(history) if importances else report.trials(history)
        meanings = (report.IMPORTANCES if importances else report.TRIALS).columns
        if importances and frame.empty:
            warn(
                f"{name} says nothing of importances: it takes {study_history.ENOUGH} complete "
                "trials beside the default, of different parameters and mAP"
            )
            if fmt == "table":
                return
        if fmt == "table" and not importances:
            frame = _parameters_first(frame)
        print_table(frame, fmt, f"study {name}", report.sentences(history), meanings)


def _parameters_first(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return trials with what they tried near the beginning: a narrow terminal shows it then."""
    first = ["trial", "state", "select mAP", "parameters"]
    return frame[[*first, *frame.columns.difference(first, sort=False)]]
