"""Rows: disks that are full or read-only, other users' files, odd names and encodings."""

import os
import sys

import pytest
from row import FAULT, Place, Row

RUN = "run --dataset tiny --model guess --seed 5 --workers 0"
LOOK = "compare --resamples 100"
FULL = {"full": 300}
CLOSED = ">>>import sys\nfrom benchmark.cli import main\nsys.stdout = None\n"
GONE = ">>>import os, sys\nfrom benchmark.cli import main\nos.environ.pop('POLYTIMBRE_STORE')\n"
GONE += "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
#: Whoever owns the files, where root looks.
NOBODY = 65534


def given_away(which=None):
    """Give all files to another user, and take every right to one of them from the others."""

    def arrange(place: Place) -> None:
        if os.getuid():
            pytest.skip("only root can give files to another user")
        if which is not None:
            which(place).chmod(0o700 if which(place).is_dir() else 0o600)
        for path in (place.path, *place.path.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    return arrange


def disk(done: str, command: str, *says: str, limits=FULL, cause: int = 6, **more) -> Row:
    return Row(cause, done, command, says, kind=FAULT, limits=limits, **more)


def other(done: str, command: str, *says: str, arrange=None, cause: int = 8, **more) -> Row:
    arrange = arrange or given_away()
    return Row(cause, f"another user: {done}", command, says, arrange, kind=FAULT,
               limits={"user": "another"}, **more)  # fmt: skip


DISKS = [
    disk("a full disk, for a run", RUN, "the store {store} is full (File too large)",
         "Free some space", cause=5, then=RUN),
    disk("a full disk, for a study", "tune --dataset tiny --model dial --trials 4 --workers 0",
         "too large", then="study tiny-dial"),
    disk("a full disk, for a new study's plan",
         "tune --dataset tiny --model dial --study other --trials 4 --workers 0", "too large"),
    disk("a full disk, to publish", "publish --dataset tiny --results {place}/new",
         "{place}/new", "can't be used: File too large"),
    disk("a full disk, to publish over a set", "publish --dataset tiny --results {sets}",
         "{sets}", "can't be used: File too large"),
    disk("a full disk, for the README of sets", "publish --readme --results {sets}", "too large"),
    disk("a full disk, for the report", "report --results {sets} --out {place}/report",
         "{place}/report", "can't be used: File too large"),
    disk("a full disk, for a model to begin with", "new model mine --package {place}/mine",
         "can't be written (File too large)"),
    disk("a full disk, to have labels stored again", "run --dataset tiny --model guess --seed 0 "
         "--workers 0", "is full", arrange=lambda p: p.labels.unlink(), then=LOOK.replace(
             LOOK, "run --dataset tiny --model guess --seed 0 --workers 0")),
    disk("a full output", "table", "the output can't be used: No space left",
         limits={"to": "/dev/full"}),
    disk("a full output, for a comparison", LOOK, "the output can't be used: No space left",
         limits={"to": "/dev/full"}),
    disk("a full output, as JSON", f"{LOOK} --format json",
         "the output can't be used: No space left", limits={"to": "/dev/full"}),
    disk("no more files to be opened, to look at runs",
         ">>>from pathlib import Path\nimport resource\nfrom benchmark.runs.reading import Runs\n"
         "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\nRuns(Path('{store}'))",
         "the store {store} can't be read (Too many open files)", limits={}, cause=1),
    disk("a store of 300 characters, to look", "compare --store " + "x" * 300,
         "File name too long", limits={}),
    disk("a store of 300 characters, to run", f"{RUN} --store " + "x" * 300,
         "File name too long", limits={}),
    disk("sets in a folder of 300 characters", "publish --check --results " + "x" * 300,
         "too long", limits={}),
    disk("a report to a folder of 300 characters", "report --results {sets} --out " + "x" * 300,
         "File name too long", limits={}),
    disk("a package of a name of 300 characters",
         "new model " + "x" * 300 + " --package {place}/package", "File name too long", limits={}),
    disk("publish into a file", "publish --dataset tiny --results {place}/ids.json",
         "ids.json", limits={}),
    disk("publish over a folder that holds something else",
         "publish --dataset tiny --results {place}/mine", "{place}/mine/tiny holds something",
         "name another folder", arrange=lambda p: p.write("mine/tiny/thesis", "x"), limits={},
         then=">>>open('mine/tiny/thesis')"),
    disk("a report over a web site of one's own", "report --results {sets} --out {place}/web",
         "{place}/web holds something that is no report", "Name an empty or new folder",
         arrange=lambda p: p.write("web/index.html", "x"), limits={},
         then=">>>open('web/index.html')"),
    disk("a working folder that is gone", GONE + "sys.argv[1:] = ['info']; main()",
         "the working folder can't be used: No such file", limits={}),
    disk("clips rendered into a folder that isn't there", "data render --out {place}/no/a.npz",
         "there is no folder {place}/no", limits={}),
    disk("clips rendered over the embedded ones",
         ">>>import sys\nfrom benchmark.cli import main\nfrom benchmark.datasets.rendered import "
         "FILE\nsys.argv[1:] = ['data', 'render', '--out', str(FILE)]; main()",
         "rendered.npz would be written over", limits={}),
    disk("a report into a file", "report --results {sets} --out {place}/ids.json", "ids.json",
         limits={}),
    disk("a report at a link that leads in circles",
         "report --results {sets} --out {place}/circle", "{place}/circle",
         "Too many levels of symbolic links", limits={},
         arrange=lambda p: (p.path / "circle").symlink_to("circle")),
    disk("a paper in place of this folder", "paper --out .", "the paper can't be written to .",
         "such as build/paper.pdf", limits={}),
    disk("a paper whose source never ends", "paper --check --source /dev/zero",
         "/dev/zero can't be read (it is a device, not a file)", limits={}),
    disk("a store below a file", f"{RUN} --store {{place}}/ids.json/store",
         "ids.json is a file, not a folder). Move it away", limits={}),
    disk("a store in /proc", f"{RUN} --store /proc/nowhere",
         "the store /proc/nowhere can't be used", limits={}),
    disk("studies in a folder", "study --storage {store}", "{store}", limits={}),
    disk("studies below a file", "tune --dataset tiny --model dial --trials 3 --workers 0 "
         "--storage {place}/ids.json/a.journal", "ids.json", limits={}),
    other("looks", LOOK, code=0),
    other("lists", "list runs", "guess", code=0),
    other("calibrates", "calibration --model guess", code=0),
    other("looks at a study", "study tiny-dial", code=0),
    other("runs what is not stored", RUN, "the store {store} can't be used (Permission denied)",
          "Check its permissions, or name another with --store"),
    other("tunes", "tune --dataset tiny --model dial --trials 3 --workers 0",
          "can't be used (Permission denied)"),
    other("forgets", "forget {guess0} --yes", "Permission denied"),
    other("publishes over a set", "publish --dataset tiny --results {sets}", "Permission denied"),
    other("publishes the README", "publish --readme --results {sets}", "Permission denied"),
    other("reports into a closed folder", "report --results {sets} --out {place}/report",
          "can't be written", "Permission denied"),
    other("has a closed record", "list runs", "run {guess0} can't be read", "Permission denied",
          "it stays", arrange=given_away(lambda p: p.folder("guess0") / "record.json"), code=0,
          cause=1, never=("damaged",)),
    other("has closed scores", LOOK, "run {guess0} can't be read", "Permission denied",
          arrange=given_away(lambda p: p.folder("guess0") / "scores.npz"), code=0, cause=1,
          never=("damaged",)),
    other("has closed labels", LOOK, "the labels", "can't be opened (Permission denied)",
          arrange=given_away(lambda p: p.labels), cause=1),
    other("has a closed folder of runs", LOOK, "the store {store} can't be read",
          "(Permission denied)", arrange=given_away(lambda p: p.store / "runs"), cause=1),
    other("has a closed store", LOOK, "{store}", "Permission denied",
          arrange=given_away(lambda p: p.store), cause=1),
    other("has a closed set", "compare --store {sets}/tiny", "Permission denied",
          arrange=given_away(lambda p: p.sets / "tiny" / "set.json"), cause=1),
    other("begins a model in a closed folder", "new model mine --package {place}/mine",
          "can't be written (Permission denied)", cause=6),
]  # fmt: skip

#: A name that is no UTF-8, as Python passes it on.
ODD = os.fsdecode(b"\xff\xfe.npz")
ASCII = {"variables": {"PYTHONIOENCODING": "ascii"}}

ENCODINGS = [
    Row(17, "a name that is no UTF-8, of labels", f"audit --labels {ODD}", ("is missing",)),
    Row(17, "a name that is no UTF-8, of a store", f"compare --store {ODD}",
        ("there is no store",)),
    Row(17, "a name that is no UTF-8, of a model", f"run --model {ODD}", ("unknown model",)),
    Row(17, "a model's name with a line break", "run --model 'a\nb'", ("unknown model",)),
    Row(17, "a model's name of 100,000 characters", "run --model " + "x" * 100_000,
        ("unknown model",)),
    Row(13, "escape sequences in a model's name", "run --model '\x1b[2J'",
        ("unknown model", "\\x1b[2J")),
    Row(13, "escape sequences in a run's id", "show '\x1b[2J'", ("unknown run", "\\x1b[2J")),
    Row(13, "escape sequences in a store's name", "compare --store '{place}/\x1b[2J'",
        ("there is no store", "[2J")),
    Row(13, "escape sequences in a preset", "run --model 'cnn:\x1b[2J'", ("unknown preset",)),
    Row(13, "escape sequences in a parameter", "run --model cnn --param '\x1b[2J=1'",
        ("unknown parameter",)),
    Row(26, "output that can only be ASCII, for a run", RUN, ("guess seed 5",), code=0,
        limits=ASCII),
    Row(26, "output that can only be ASCII, for a comparison", LOOK, ("guess",), code=0,
        limits=ASCII),
    Row(26, "output that is closed, for a run", CLOSED + f"sys.argv[1:] = {RUN.split()}; main()",
        ("",), code=0, then="show {guess0}"),
    Row(26, "output that is closed, and an error", CLOSED + "sys.argv[1:] = ['show', 'zz']; main()",
        ("unknown run 'zz'",)),
    Row(29, "an empty POLYTIMBRE_STORE", LOOK, ("there is no store {place}/polytimbre-store",),
        limits={"variables": {"POLYTIMBRE_STORE": ""}}),
    Row(29, "an empty POLYTIMBRE_RESULTS", ">>>print(pt.published_sets())", ("rendered",), code=0,
        limits={"variables": {"POLYTIMBRE_RESULTS": ""}}),
    Row(29, "a KERAS_BACKEND that isn't installed", RUN,
        ("the variable KERAS_BACKEND asks for 'not_there', which isn't installed",),
        limits={"variables": {"KERAS_BACKEND": "not_there"}}),
    Row(21, "JAX_PLATFORMS=cuda", RUN, ("the variable JAX_PLATFORMS asks for 'cuda'",),
        limits={"variables": {"JAX_PLATFORMS": "cuda"}}),
    Row(21, "JAX_PLATFORM_NAME=gpu", RUN, ("the variable JAX_PLATFORM_NAME asks for 'gpu'",),
        limits={"variables": {"JAX_PLATFORM_NAME": "gpu"}}),
]  # fmt: skip


def hostile(place: Place) -> None:
    """Write a file for every module that Python has, beside the data."""
    for name in sys.stdlib_module_names - {"__future__", "__main__"}:
        place.write(f"{name}.py", f"open({str(place.path / 'mark')!r}, 'a').write('x')\n")
    for name in ("models", "reports", "benchmark", "numpy", "keras"):
        place.write(f"{name}.py", f"open({str(place.path / 'mark')!r}, 'a').write('x')\n")


FOLDER = [
    Row(3, "a hostile working folder, for two workers",
        "run --dataset tiny --model guess --seed 5 --workers 2", ("done",), hostile, code=0,
        kind=FAULT, slow=True, then=">>>import os\nassert not os.path.exists('mark')"),
]  # fmt: skip

ROWS = [*DISKS, *ENCODINGS, *FOLDER]
