"""Rows: plugins that end the process, can't be imported, or keep parameters otherwise."""

from row import FAULT, Place, Row

TINY = "run --dataset tiny --seed 0 --workers 0 --model"
RUN = f"{TINY} own"
HEAD = "from tiny_plugins import Guess\n\n\nclass Own(Guess):\n    name = 'own'\n"


def own(body: str = "", head: str = HEAD, **more):
    """Install a model."""
    return lambda place: place.plugin("own", head + body, **more)


def fails(done: str, line: str, *says: str, method: str = "fit", **more) -> Row:
    body = f"\n    def {method}(self, *parts, **rest):\n        {line}\n"
    return Row(
        25, f"a model whose {method} {done}", f"{RUN} --model guess", ("1 of ", *says),
        own(body), kind=FAULT, then="compare --model guess --resamples 100", **more,
    )  # fmt: skip


def broken(done: str, source: str, *says: str, cause: int = 27, cls: str = "Own", **more) -> Row:
    """A plugin that can't be used: all others can, and it is listed with the reason."""
    return Row(cause, f"{done}, then listed", "list models", ("own", "FAILED", *says, "guess"),
               own("", source, cls=cls), code=0, **more)  # fmt: skip


def checked(done: str, line: str, *says: str, method: str = "fit", cause: int = 25) -> Row:
    body = f"\n    def {method}(self, *parts, **rest):\n        {line}\n"
    return Row(cause, f"check of a model whose {method} {done}", "check own",
               ("error: model 'own'", *says), own(body), slow=True, kind=FAULT)  # fmt: skip


RUNS = [
    fails("raises", "raise ZeroDivisionError('a bug')", "ZeroDivisionError: a bug"),
    fails("calls sys.exit(0)", "raise SystemExit(0)", "SystemExit: 0"),
    fails("opens a file that isn't there", "open('/nowhere/at/all')", "/nowhere/at/all"),
    fails("imports what isn't there", "import not_there", "No module named 'not_there'"),
    fails("takes all memory", "raise MemoryError('too much')", "MemoryError"),
    fails("recurses for ever", "return self.fit(*parts, **rest)", "RecursionError"),
    fails("raises in two lines", "raise ValueError('a\\nbug')", "ValueError: a bug"),
    fails("raises without a word", "raise ValueError", "failed ValueError"),
    fails("returns nothing", "return None", "fit must return a History, got None"),
    fails("raises a name with escape sequences", "raise ValueError('\\x1b[2J\\x1b]0;a\\x07')",
          "\\x1b[2J"),
    fails("raises a name with markup", "raise ValueError('[red]a[/]')", "[red]a[/]"),
    fails("returns text", "return 'scores'", "NumPy array, got str", method="predict_proba"),
    fails("can't write", "raise OSError(28, 'No space left on device')", "No space left",
          method="save"),
    Row(25, "a model of scores that are NaN", f"{TINY} nan",
        ("returned NaN",), kind=FAULT),
    Row(25, "a model of scores above 1", f"{TINY} range",
        ("must return values in [0, 1]",), kind=FAULT),
    Row(25, "a model of too few columns", f"{TINY} shape",
        ("must return an array of shape",), kind=FAULT),
    Row(5, "a worker that dies", "run --dataset tiny --seed 0 --workers 1 --model crash",
        ("its process died (17)", "Nothing is stored of what failed", "the same command again"),
        kind=FAULT, slow=True, never=("show",)),
    Row(5, "a failed run, shown as advised", "show {raises0}",
        ("ZeroDivisionError: a bug in the plugin",), code=0),
    Row(13, "a traceback with escape sequences, shown", "show {raises0}", ("\\x1b[2J",),
        lambda p: p.reseal("raises0", lambda r: r.update(error="\x1b[2J", traceback="\x1b[2J")),
        code=0),
    Row(13, "an error with escape sequences, listed", "list runs", ("\\x1b[2J",),
        lambda p: p.reseal("raises0", lambda r: r.update(error="\x1b[2J")), code=0),
    Row(13, "a preset with escape sequences, listed", "list runs", ("[2J",),
        lambda p: p.reseal("raises0", lambda r: r["spec"].update(preset="\x1b[2J")), code=0),
]  # fmt: skip

EXITS = [
    checked("calls sys.exit(0)", "raise SystemExit(0)", "SystemExit"),
    checked("calls os._exit(0)", "__import__('os')._exit(0)", "its process died (0)"),
    checked("raises", "raise ZeroDivisionError('a bug')", "broke the rule",
            "ZeroDivisionError: a bug"),
    Row(25, "check of a model that peeks at hidden labels", "check peeks",
        ("unobserved labels reach the model",), slow=True),
]  # fmt: skip

INIT = "    def __init__(self, depth=1):\n        super().__init__()\n        "
SCRIPT = HEAD.replace("from tiny", "import sys\nsys.exit('usage: own FILE')\nfrom tiny")

FILES = [
    broken("a plugin file without a main guard", SCRIPT, "it ended the command", "if __name__"),
    broken("a plugin that imports what isn't there", "import not_there\n", "'not_there'"),
    broken("a plugin that is no Python", "class Own(\n", "SyntaxError"),
    broken("a plugin whose file is empty", "", "Own"),
    broken("an entry point that is a function", "def Own():\n    pass\n", "no subclass of Model"),
    broken("an entry point that is a number", "Own = 3\n", "no subclass of Model"),
    broken("an entry point that is a module", "import json as Own\n", "no subclass of Model"),
    broken("a model without a name", HEAD.replace("'own'", "''"), "has no `name`"),
    broken("a model whose name is a number", HEAD.replace("'own'", "3"), "has no `name`"),
    broken("a model without fit", "from polytimbre import Model\nclass Own(Model):\n"
           "    name = 'own'\n", "lacks fit"),
    broken("two models of one name", HEAD.replace("'own'", "'dial'"),
           "several models have the name 'dial'"),
    Row(27, "a plugin that can't be imported, then run", RUN, ("model 'own' can't be used",
        "Mend the plugin file"), own("", "import not_there\n")),
    Row(27, "a plugin file with a byte order mark", f"{RUN}", ("done",),
        lambda p: p.plugin("own", "\ufeff" + HEAD), code=0),
    Row(27, "a plugin file with a coding line", f"{RUN}", ("done",),
        own("", "# -*- coding: latin-1 -*-\n" + HEAD), code=0),
    Row(27, "an entry point of a module that isn't there", "list models", ("FAILED", "guess"),
        lambda p: (p.plugin("own", HEAD), (p.site / "own.py").unlink()), code=0),
    Row(27, "a data set that is none", "run --dataset own --model guess",
        ("data set 'own' can't be used",), own("", HEAD, group="datasets")),
    Row(27, "a data set whose load returns nothing",
        "run --dataset own --model guess --workers 0", ("load must return a Dataset",),
        own("    def load(self, root, split):\n        pass\n", HEAD.replace("Guess", "Tiny"),
            group="datasets")),
    Row(30, "a parameter kept under another name", RUN, ("depth",), own(
        INIT + "self.other = depth\n")),
    Row(30, "a parameter that is no JSON", RUN, ("depth",), own(
        INIT + "import numpy\n        self.depth = numpy.float32(depth)\n")),
    Row(30, "parameters as **kw", RUN, ("own",), own(
        "    def __init__(self, **kw):\n        super().__init__()\n")),
    Row(30, "parameters without a default", RUN, ("depth",), own(
        INIT.replace("=1", "") + "self.depth = depth\n")),
    Row(30, "a constructor that raises", RUN, ("model 'own' can't be made: a bug",), own(
        "    def __init__(self):\n        raise ValueError('a bug')\n")),
    Row(22, "a helper of a relative import, edited", f"{RUN} --dry-run", ("waits",),
        lambda p: packaged(p), code=0),
    Row(23, "code behind a form feed, edited", f"{RUN} --dry-run", ("waits",),
        lambda p: edited(p, "\x0c# a comment\nLEVEL = 1\n", "LEVEL = 2"), code=0),
    Row(23, "code behind U+2028 in a comment, edited", f"{RUN} --dry-run", ("waits",),
        lambda p: edited(p, "# a\u2028comment\nLEVEL = 1\n", "LEVEL = 2"), code=0),
    Row(23, "code behind a docstring on its line, edited", f"{RUN} --dry-run", ("waits",),
        lambda p: edited(p, "def level():\n    'Doc.'; return 1\nLEVEL = level()\n", "return 2",
                         "return 1"), code=0),
    Row(23, "a comment, edited", f"{RUN} --dry-run", ("cached",),
        lambda p: edited(p, "# a comment\nLEVEL = 1\n", "# words", "# a comment"), code=0),
]  # fmt: skip

USES = "\n    def fit(self, *parts, **rest):\n        LEVEL\n"
USES += "        return super().fit(*parts, **rest)\n"


def edited(place: Place, before: str, new: str, old: str = "LEVEL = 1") -> None:
    """Run a model, then edit its file."""
    text = before + HEAD + USES
    place.plugin("own", text)
    assert place.run(RUN).code == 0
    (place.site / "own.py").write_text(text.replace(old, new))


def packaged(place: Place) -> None:
    """Run a model of a package, then edit what it imports relatively."""
    place.plugin("own", "", cls="Own")
    (place.site / "own.py").unlink()
    place.write("site/own/layers.py", "LEVEL = 1\n")
    place.write("site/own/__init__.py", "from .layers import LEVEL\n" + HEAD + USES)
    assert place.run(RUN).code == 0
    place.write("site/own/layers.py", "LEVEL = 2\n")


NEW = [
    Row(19, f"a new model named {name!r}", f"new model '{name}' --package {{place}}/package",
        says, then=">>>import os\nassert not os.path.exists('package')")
    for name, says in (
        ("my-model", ("'my-model' can't be the name of a model",)),
        ("class", ("'class' can't be the name",)),
        ("2nd", ("'2nd' can't be the name",)),
        ("../outside", ("can't be the name",)),
        ("cnn", ("a model is named 'cnn' already",)),
        ("random", ("'random' is a module of Python's own",)),
        ("a" * 250, ("can't be written (File name too long)",)),
    )
] + [
    Row(19, "a new package over another", "new model mine --package {place}/package",
        ("pyproject.toml is there already, and nothing is replaced",),
        lambda p: p.write("package/pyproject.toml", "x")),
]  # fmt: skip

PYTHON = [
    Row(19, f"compare of {what}", f">>>pt.compare({given})", says)
    for what, given, says in (
        ("a number", "3", ("compare takes runs", "got int")),
        ("text", "'guess'", ("compare takes runs", "got str")),
        ("None", "None", ("compare takes runs", "got NoneType")),
        ("a list of texts", "['a']", ("compare takes runs", "got str")),
        ("nothing", "", ()),
        ("another part", "pt.store('{store}'), part='bogus'",
         ("unknown part 'bogus'. Known: fit, select, stop, test",)),
        ("a part that is a number", "pt.store('{store}'), part=3", ("part must be text, got 3",)),
        ("two resamples", "pt.store('{store}'), resamples=2", ("in [39, 1000000], got 2",)),
        ("resamples that are text", "pt.store('{store}'), resamples='9'",
         ("in [39, 1000000], got '9'",)),
        ("scores that are a list", "pt.store('{store}'), extra=[1]", ("extra must be a mapping",)),
        ("scores that are no mapping", "pt.store('{store}'), extra={'a': 1}",
         ("extra 'a' must be a mapping",)),
        ("scores of text", "pt.store('{store}'), extra={'a': {'select': 'x', 'test': 'x'}}",
         ("extra 'a': scores of the select part",)),
        ("scores of another shape", "pt.store('{store}'), extra={'a': {'select': [[1]]}}",
         ("extra 'a': scores of the select part must have shape",)),
        ("scores without select", "pt.store('{store}'), extra={'a': {}}",
         ("extra 'a' lacks scores of the select part",)),
    )
] + [
    Row(19, "the pairs of a single run", ">>>pt.compare(pt.store('{store}')['{guess0}']).pairs",
        ("compare two or more",)),
    Row(19, "an unknown figure", ">>>pt.compare(pt.store('{store}'), resamples=100).plot('x')",
        ("unknown figure 'x'",)),
    Row(19, "an unknown published set", ">>>pt.published('rendred')",
        ("Did you mean 'rendered'?",)),
    Row(19, "a store that isn't there", ">>>pt.store('{place}/none')", ("there is no store",)),
    Row(19, "the scores of a failed run", ">>>pt.store('{store}')['{raises0}'].scores",
        ("failed",)),
    Row(19, "a run on text", ">>>pt.run('guess', 'tiny')", ("run takes a data set", "got str")),
    Row(19, "a run under a negative seed", ">>>pt.run('guess', pt.load('tiny'), seed=-1)",
        ("seed must be a whole number",)),
    Row(19, "a run into a store without a name", ">>>pt.run('guess', pt.load('tiny'), store='')",
        ("store is empty",)),
]  # fmt: skip

STUDY = "study tiny-dial"
TUNE = "tune --dataset tiny --model dial --trials 3 --workers 0"


def journal(place: Place):
    return place.store / "studies.journal"


def append(text: bytes):
    return lambda place: journal(place).write_bytes(journal(place).read_bytes() + text)


def torn(place: Place) -> None:
    """Cut a line in the middle of the journal."""
    lines = journal(place).read_bytes().splitlines(keepends=True)
    at = len(lines) // 2
    lines[at] = lines[at][: len(lines[at]) // 2] + b"\n"
    journal(place).write_bytes(b"".join(lines))


def retyped(place: Place) -> None:
    content = journal(place).read_bytes()
    journal(place).write_bytes(content.replace(b'"values":[', b'"values":["x",'))


def studied(done: str, command: str, arrange, *says: str, code: int = 2, **more) -> Row:
    return Row(28, f"a journal {done}", command, says, arrange, code=code, kind=FAULT, **more)


STUDIES = [
    studied("with a blank line at its end, tuned on", TUNE, append(b"\n"), "dial", code=0,
            then=STUDY),
    studied("with a blank line at its end, looked at", STUDY, append(b"\n"), "dial", code=0),
    studied("whose last line was cut, looked at", STUDY, append(b'{"op_co'), "dial", code=0),
    studied("whose last line was cut, tuned on", TUNE, append(b'{"op_co'), "dial", code=0,
            then=STUDY),
    studied("with a torn line in the middle, looked at", STUDY, torn, "line", "studies.journal",
            never=("Check --storage",)),
    studied("with a torn line in the middle, tuned on", TUNE, torn, "line", "studies.journal",
            never=("Check --storage",)),
    studied("with a value of another type, looked at", STUDY, retyped, "line", "studies.journal",
            "writes a copy without it"),
    studied("with a value of another type, tuned on", TUNE, retyped, "line", "studies.journal",
            "A copy without it is"),
    studied("that is another file", STUDY, lambda p: journal(p).write_text("a,b\n1,2\n"),
            "studies.journal", "is no journal"),
    studied("that is a folder", STUDY, lambda p: (journal(p).unlink(), journal(p).mkdir()),
            "studies.journal"),
    Row(7, "a database without a driver", "study --storage nosuch://a@b/c", ("nosuch",)),
    Row(7, "a database that is a file of text", "study --storage sqlite:///{place}/ids.json",
        ("ids.json",), kind=FAULT),
    Row(7, "a database that can't be written", TUNE + " --storage sqlite:////proc/none.db",
        ("/proc/none.db",), kind=FAULT),
    Row(7, "a database's password is not shown", "study --storage nosuch://me:secret@b/c",
        ("nosuch",), never=("secret",)),
    Row(28, "a study of another model", "tune --dataset tiny --model cnn --study tiny-dial "
        "--workers 0", ("tiny-dial",)),
]  # fmt: skip

REPRODUCED = [
    Row(33, "a run whose code was changed", "reproduce {guess0} --store {store}", ("reproduced",),
        lambda p: p.reseal("guess0", lambda r: r["spec"].update(source="0" * 16)), code=0,
        slow=True),
    Row(33, "a run of a model that isn't here", "reproduce {guess0} --store {store}",
        ("nowhere",), lambda p: p.reseal("guess0", lambda r: r["spec"].update(model="nowhere"))),
    Row(33, "a run on other data", "reproduce {guess0} --store {store}", ("fingerprint",),
        lambda p: p.reseal("guess0", lambda r: r["spec"].update(fingerprint="0" * 64))),
    Row(33, "a run that failed", "reproduce {raises0} --store {store}", ("failed",)),
]  # fmt: skip

ROWS = [*RUNS, *EXITS, *FILES, *NEW, *PYTHON, *STUDIES, *REPRODUCED]
