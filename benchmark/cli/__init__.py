"""The command ``polytimbre``."""

import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark import __version__
from benchmark.cli import analyses, publishing, runs, tuning
from benchmark.cli.data import data_app
from benchmark.cli.features import features_app
from benchmark.cli.forget import forget
from benchmark.cli.new import new_app
from benchmark.cli.paper import paper
from benchmark.cli.predict import predict
from benchmark.cli.report import report
from benchmark.cli.reproduce import reproduce
from benchmark.errors import PolytimbreError

#: The commands, in groups, as ``--help`` lists them.
GROUPS = {
    "Run": (runs.run, tuning.tune, tuning.study, predict),
    "Look": (
        analyses.compare,
        analyses.gap,
        analyses.learning_curve,
        analyses.calibration,
        analyses.thresholds,
        analyses.ensemble,
        analyses.audit,
        analyses.table,
        runs.show,
        ("list", runs.list_app),
        runs.info,
        forget,
    ),
    "Publish": (publishing.publish, reproduce, report, paper),
    "Extend": (("new", new_app), runs.check),
    "Data": (("data", data_app), ("features", features_app)),
}


class Grouped(TyperGroup):
    """A command whose help lists its commands in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section a group, all with the same columns."""
        width = max(map(len, self.commands))
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            told = command.get_short_help_str(formatter.width - width - 6)
            sections.setdefault(command.rich_help_panel, []).append((name.ljust(width), told))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    name="polytimbre",
    cls=Grouped,
    help="A reproducible benchmark for recognising instruments in polyphonic music.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for title, commands in GROUPS.items():
    for command in commands:
        if isinstance(command, tuple):
            app.add_typer(command[1], name=command[0], rich_help_panel=title)
        else:
            app.command(command.__name__.replace("_", "-"), rich_help_panel=title)(command)

_debug = False


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"polytimbre {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    global _debug
    _debug = debug


def main() -> None:
    """Run the command; expected errors are one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every encoding has a check mark
            stream.reconfigure(errors="replace")
    try:
        app()
    except PolytimbreError as error:
        if _debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if _debug:
            raise
        # what is left to write would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        place = error.filename or "the output"
        print(f"error: {place} can't be used: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
