"""The command ``polytimbre``."""

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from benchmark import __version__
from benchmark.cli import analyses, publishing, runs, tuning
from benchmark.cli.data import data_app
from benchmark.cli.evaluate import evaluate
from benchmark.cli.features import features_app
from benchmark.cli.forget import forget
from benchmark.cli.listen import listen
from benchmark.cli.new import new_app
from benchmark.cli.paper import paper
from benchmark.cli.predict import predict
from benchmark.cli.report import report
from benchmark.cli.reproduce import reproduce
from benchmark.cli.visible import Visible
from benchmark.errors import PolytimbreError

#: The commands, in groups, as ``--help`` lists them.
GROUPS = {
    "Run": (runs.run, tuning.tune, tuning.study),
    "Hear": (predict, listen, evaluate),
    "Look": (
        analyses.compare,
        analyses.gap,
        analyses.learning_curve,
        analyses.transfer,
        analyses.calibration,
        analyses.thresholds,
        analyses.ensemble,
        analyses.slices,
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


#: What stands for a value in ``--help``, by its type's name in Python.
STAND_INS = {"str": "NAME", "int": "N", "float": "X", "path": "PATH"}
#: Characters of the longest first sentence of a command's help, which is wrapped.
SENTENCE = 300
#: Errors of the system that say what a process may use, and not of what.
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
#: What a library's import, and a thread's start, say where memory has run out.
NO_ROOM = ("failed to map segment from shared object", "can't start new thread")


#: What a command line that can't be understood raises.
UsageError = typer.BadParameter.__base__


@contextmanager
def _in_a_sentence(ctx: Any) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        more = f"`{ctx.command_path} --help` says what it takes"
        raise PolytimbreError(f"{error.format_message()} ({more})") from error


class Grouped(TyperGroup):
    """A command whose help lists its commands in groups, each with a whole sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before a command; without any it shows its help."""
        if not args:
            return super().parse_args(ctx, args)
        with _in_a_sentence(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is meant; say in a sentence that there is none."""
        with _in_a_sentence(ctx):
            return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section a group, all with the same columns."""
        width = max(map(len, self.commands))
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            told = command.get_short_help_str(SENTENCE)
            title = command.rich_help_panel or "Commands"
            sections.setdefault(title, []).append((name.ljust(width), told))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class Once(TyperCommand):
    """A command that refuses empty and missing values, and an option given twice for one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; refuse what is empty or missing, and an option given twice."""
        with _in_a_sentence(ctx):
            return self._parse(ctx, args)

    def _parse(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for one in self.params if "help" not in values else ():
            if one.required and values.get(one.name) is None:
                name = one.opts[0] if one.param_type_name == "option" else one.name.upper()
                raise PolytimbreError(f"`{ctx.command_path}` needs {name}. {one.help}")
        for one in given:
            value = values.get(one.name)
            if "" in (value if isinstance(value, list | tuple) else [value]):
                # an empty path would be the working folder
                raise typer.BadParameter("it is empty: name one, or leave it out", ctx, one)
            single = one.param_type_name == "option" and not (one.multiple or one.is_flag)
            if single and given.count(one) > 1:
                raise typer.BadParameter("it is given twice: leave one out", ctx=ctx, param=one)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; say that Ctrl-C ended it where the command itself doesn't."""
        try:
            with _in_a_sentence(ctx):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            print("warning: interrupted", file=sys.stderr)
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; what stands for a value is a word, not a Python type."""
        sections: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for one in self.get_params(ctx):
            if record := one.get_help_record(ctx):
                kind = one.param_type_name
                name, of_type, _ = re.split(r" <(?:list\[)?(\w+).*|$", record[0], maxsplit=1)
                if of_type and kind == "option":
                    name += f" {STAND_INS[of_type.lower()]}"
                sections[kind].append((name, record[1]))
        for kind, rows in sections.items():
            if rows:
                with formatter.section(f"{kind}s".capitalize()):
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


def _once(group: typer.Typer) -> None:
    for registered in group.registered_commands:
        registered.cls = Once
    for below in group.registered_groups:
        below.cls = Grouped
        _once(below.typer_instance)


_once(app)
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


def _nameless(error: OSError) -> str:
    """Say what can't be used where an error names no file."""
    if error.errno in LIMITS:
        return "more of what this process may use (`ulimit -a` shows it)"
    try:
        Path.cwd()
    except OSError:
        return "the working folder"
    return "the output"


def _end(sentence: str) -> NoReturn:
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:  # a disk that is full may hold what is said, too
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # else it is tried again at the end, which changes the exit code
            os.dup2(nowhere, stream)
    sys.exit(2)


def main() -> None:
    """Run the command; expected errors are one sentence and exit code 2."""
    streams = sys.stdout, sys.stderr
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):  # not every encoding has a check mark
            stream.reconfigure(errors="replace")
    # None is a stream that is closed, as a daemon's may be: there is nobody to tell
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stdout, sys.stderr = (Visible(stream or nowhere) for stream in streams)
    os.environ["MPLBACKEND"] = "agg"  # the command draws into files alone
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # what a full disk says is heard here
    except PolytimbreError as error:
        if _debug:
            raise
        _end(f"error: {error}")
    except (MemoryError, ImportError, RuntimeError) as error:
        lines = map(str.strip, str(error).splitlines())
        told = [line for line in lines if any(said in line for said in NO_ROOM)]
        if _debug or not (told or isinstance(error, MemoryError)):
            raise
        what = told[0] if told else str(error) or "none is left"
        _end(f"error: there is too little memory for this: {what}")
    except OSError as error:
        if _debug:
            raise
        # what is left to write would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        told = f"{error.filename or _nameless(error)} can't be used"
        if error.filename2:  # as of a copy onto a disk that is full
            told = f"{error.filename2} can't be made of {error.filename}"
        _end(f"error: {told}: {error.strerror or error}")
    finally:
        sys.stdout, sys.stderr = streams
        nowhere.close()
