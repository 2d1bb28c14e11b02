"""The command ``polytimbre``."""

import sys
from typing import Annotated

import typer

from benchmark.cli import analyses, publishing, runs, tuning
from benchmark.cli.data import data_app
from benchmark.cli.features import features_app
from benchmark.cli.forget import forget
from benchmark.cli.paper import paper
from benchmark.cli.predict import predict
from benchmark.cli.report import report
from benchmark.cli.reproduce import reproduce
from benchmark.errors import PolytimbreError

app = typer.Typer(
    name="polytimbre",
    help="A reproducible benchmark for recognising instruments in polyphonic music.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    predict,
    runs.run,
    tuning.tune,
    tuning.study,
    analyses.compare,
    analyses.gap,
    analyses.learning_curve,
    analyses.calibration,
    analyses.thresholds,
    analyses.ensemble,
    analyses.audit,
    analyses.table,
    forget,
    publishing.publish,
    reproduce,
    report,
    paper,
    runs.show,
    runs.check,
    runs.info,
):
    app.command(command.__name__.replace("_", "-"))(command)
app.add_typer(runs.list_app, name="list")
app.add_typer(data_app, name="data")
app.add_typer(features_app, name="features")

_debug = False


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    global _debug
    _debug = debug


def main() -> None:
    """Run the command; expected errors are one sentence and exit code 2."""
    try:
        app()
    except PolytimbreError as error:
        if _debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
