"""The command that writes the beginning of a model or a data set."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

new_app = typer.Typer(
    help="Write the beginning of a model or data set, which works.", no_args_is_help=True
)

NameArgument = Annotated[str, typer.Argument(help="Letters, digits and underscores.")]
PackageOption = Annotated[
    Path | None,
    typer.Option(
        "--package", help="A folder to make, for a package of its own that can be installed."
    ),
]


@new_app.command("model")
def new_model(name: NameArgument, package: PackageOption = None) -> None:
    """Write a model that works, to be changed into yours."""
    from benchmark.plugins import scaffold

    _tell(name, scaffold.write("model", name, package), package)


@new_app.command("dataset")
def new_dataset(name: NameArgument, package: PackageOption = None) -> None:
    """Write a data set that works, to be changed into yours."""
    from benchmark.plugins import scaffold

    _tell(name, scaffold.write("data set", name, package), package)


def _tell(name: str, files: list[Path], package: Path | None) -> None:
    for file in files:
        print(f"wrote {file}")
    first = f"pip install -e {quote(str(package))} && " if package else ""
    print(f"next: {first}polytimbre check {name}")
