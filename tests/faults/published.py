"""Rows: published sets that were changed, are hostile, or hold what a program must not run."""

import json

import numpy as np
from row import FAULT, Place, Row
from stores import flip, folder, half, huge, link, pipe, zeros

CHECK = "publish --check --results {sets}"
LOOK = "compare --store {sets}/tiny --resamples 100"
REPORT = "report --results {sets} --out {place}/report"
TABLES = ">>>pt.published('tiny', '{sets}').tables"
PAPER = "paper --results {sets} --out {place}/paper.pdf"


def file(place: Place, name: str):
    return place.sets / "tiny" / name


def linked(place: Place, name: str) -> None:
    (place.path / name).parent.mkdir()
    (place.path / name).symlink_to(place.sets / "tiny")


def scores(place: Place):
    return file(place, f"runs/{place.ids['guess0']}/scores.npz")


def record(place: Place):
    return file(place, f"runs/{place.ids['guess0']}/record.json")


def listed(**change):
    return lambda place: place.reseal_set(lambda content: content.update(change))


def swapped(what, change):
    """Change one file of a set, and let the set's list vouch for it."""

    def arrange(place: Place) -> None:
        change(what(place))
        place.reseal_set()

    return arrange


def results(place: Place):
    return file(place, "results.json")


def refused(
    done: str, command: str, arrange, *says: str, kind=FAULT, cause: int = 2, **more
) -> Row:
    return Row(
        cause, done, command, ("the published set 'tiny'", *says), arrange, kind=kind, **more
    )


def tabled(name: str, change):
    """Change a published table, and let the set's list vouch for it."""

    def arrange(place: Place) -> None:
        tables = json.loads(results(place).read_text())
        change(tables[name])
        results(place).write_text(json.dumps(tables))
        place.reseal_set()

    return arrange


def without(column: str):
    def change(table: dict) -> None:
        at = table["columns"].index(column)
        for row in (table["columns"], *table["rows"]):
            del row[at]

    return change


def filled(column: str, value):
    def change(table: dict) -> None:
        for row in table["rows"]:
            row[table["columns"].index(column)] = value

    return change


def renamed(table: dict) -> None:
    table["columns"][table["columns"].index("mAP high")] = "mAP at its highest"


def bad_table(done: str, name: str, change, *says: str, command: str = TABLES, cause=15) -> Row:
    """A table of another form, which the set's list vouches for."""
    told = f"results.json can't be used: its table '{name}'", *says
    return refused(done, command, tabled(name, change), *told, kind="bad input", cause=cause)


def formula(place: Place) -> None:
    """A published model whose name a spreadsheet would compute."""
    path = results(place)
    tables = json.loads(path.read_text())
    for row in tables["comparison"]["rows"]:
        row[tables["comparison"]["columns"].index("model")] = "=cmd|' /C calc'!A0"
    path.write_text(json.dumps(tables))
    place.reseal_set()


def packed(change):
    """Change the arrays of a file, by name."""

    def arrange(path) -> None:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez_compressed(path, **arrays)

    return arrange


def scored(place: Place):
    return next(file(place, "labels").glob("*-scored.npz"))


SETS = [
    Row(2, "a part whose scores are not published",
        "compare --store {sets}/tiny --part stop --resamples 100",
        ("is a published set", "none of stop", "Name another part")),
    refused("published scores without a part", LOOK,
            swapped(scores, packed(lambda arrays: arrays.pop("select"))),
            "holds no scores of select", kind="bad input", cause=15),
    refused("published scores of nothing", LOOK,
            swapped(scores, packed(lambda arrays: arrays.clear())),
            "holds no scores of select", kind="bad input", cause=15),
    refused("observed labels whose scores are not published", LOOK,
            swapped(scored, packed(lambda arrays: arrays["test"].fill(False))),
            "leaves out observed labels of test", kind="bad input", cause=15),
    refused("a bit of published scores changed", LOOK, lambda p: flip(scores(p)),
            "does not match its SHA-256", "Restore it with git"),
    refused("published scores cut in half", LOOK, lambda p: half(scores(p)), "does not match"),
    refused("published scores that are missing", LOOK, lambda p: scores(p).unlink(),
            "can't be read (No such file or directory)"),
    refused("a published record changed", LOOK, lambda p: record(p).write_text("{}"),
            "record.json does not match"),
    refused("a published record of 1 TB", LOOK, lambda p: huge(record(p)),
            "that such a file can have", cause=10),
    refused("published scores of 1 TB", LOOK, lambda p: huge(scores(p)),
            "that such a file can have", cause=10),
    refused("published scores that are a FIFO", LOOK, lambda p: pipe(scores(p)),
            "it is a FIFO", cause=16),
    refused("published scores that are a device", LOOK, lambda p: link(scores(p), "/dev/zero"),
            "it is a device", cause=16),
    refused("published scores that are a folder", LOOK, lambda p: folder(scores(p)),
            "it is a folder", cause=16),
    refused("published labels of 1 MB that hold 1 GiB", LOOK,
            swapped(lambda p: next(file(p, "labels").iterdir()), zeros), "claims to hold",
            cause=10, kind="bad input"),
    refused("a set's list cut in half", LOOK, lambda p: half(file(p, "set.json")), "can't be read"),
    refused("a set's list of 1 TB", LOOK, lambda p: huge(file(p, "set.json")),
            "that such a file can have", cause=10),
    refused("a set's list that is a FIFO", LOOK, lambda p: pipe(file(p, "set.json")),
            "it is a FIFO", cause=16),
    refused("a set's list nested 100,000 deep", LOOK,
            lambda p: file(p, "set.json").write_text("[" * 100_000), "set.json can't be read",
            cause=11, kind="bad input"),
    refused("a set's list that isn't sealed", LOOK,
            lambda p: file(p, "set.json").write_text(
                file(p, "set.json").read_text().replace("true", "false")),
            "does not match its digest"),
    refused("a set of another format", LOOK, listed(format=9), "is not of format 3",
            kind="bad input"),
    refused("a set that lists a file outside of it", LOOK,
            listed(files={"../../secret": "0" * 64}), "outside its folder", kind="bad input"),
    refused("a set whose runs are no list", LOOK, listed(runs="all"), "`runs` must be a list",
            kind="bad input", cause=15),
    refused("a set whose files are a list", LOOK, listed(files=[]), "`files` must be a mapping",
            kind="bad input", cause=15),
    refused("a set that is complete by a number", LOOK, listed(complete=1),
            "`complete` must be true or false", kind="bad input", cause=15),
    refused("a set that lists a run that isn't there", LOOK,
            lambda p: p.reseal_set(lambda c: c["runs"].append("f" * 16)),
            "is not in the set's list", kind="bad input"),
    refused("results that are no JSON", TABLES,
            swapped(results, lambda path: path.write_text("{")), "results.json is not valid JSON",
            kind="bad input", cause=15),
    refused("results nested 100,000 deep", TABLES,
            swapped(results, lambda path: path.write_text("[" * 100_000)),
            "results.json is not valid JSON", kind="bad input", cause=11),
    refused("results that are a list", TABLES,
            swapped(results, lambda path: path.write_text("[]")), "does not hold tables",
            kind="bad input", cause=15),
    refused("results whose tables are numbers", TABLES,
            swapped(results, lambda path: path.write_text('{"comparison": 3}')),
            "results.json", kind="bad input", cause=15),
    refused("results whose rows are no lists", TABLES,
            swapped(results, lambda path: path.write_text(
                '{"comparison": {"title": "a", "columns": ["b"], "rows": 7, "notes": []}}')),
            "results.json", kind="bad input", cause=15),
    refused("results without a title", TABLES,
            swapped(results, lambda path: path.write_text(
                '{"comparison": {"columns": ["b"], "rows": [], "notes": []}}')),
            "results.json", kind="bad input", cause=15),
    refused("a damaged set, for the paper", PAPER, lambda p: flip(scores(p)), "does not match"),
    refused("a damaged set, for the report", REPORT, lambda p: flip(scores(p)), "does not match"),
    refused("a damaged set, reproduced", "reproduce {guess0} --results {sets}",
            lambda p: record(p).write_text("{}"), "record.json does not match"),
    Row(2, "a damaged set, checked", CHECK, ("tiny: ", "does not match its SHA-256"),
        lambda p: flip(scores(p)), kind=FAULT),
    Row(9, "markup in a published table, as a notebook shows it",
        ">>>from reports.html import shown\nimport pandas as pd\nM = '<script>x</script>'\n"
        "print(shown.table(pd.DataFrame({M: [M, '<img src=x onerror=y>']}), M, [M]))",
        ("&lt;script&gt;", "&lt;img src=x onerror=y&gt;"), code=0, never=("<script", "<img")),
    Row(9, "markup in a figure's words",
        ">>>from reports.figures.style import Drawing\nfrom reports.html import shown\n"
        "from matplotlib.figure import Figure\nM = '\"><script>x</script>'\n"
        "print(shown.figure(Drawing(Figure((1, 1)), M, M, M)))", ("&lt;script&gt;",), code=0,
        never=("<script",)),
    Row(9, "a page of the report, whose scripts are its own",
        ">>>from reports.html import pages\nprint(pages.environment({}).get_template('base.html')"
        ".render(page='a', notebooks={}))",
        ("Content-Security-Policy", "script-src &#39;self&#39;"), code=0, never=("<script>",)),
    Row(14, "a published name that is a formula, as CSV",
        "table comparison --store {store} --dataset tiny --format csv --resamples 100",
        ("model",), code=0),
    Row(14, "a model whose preset is a formula, as CSV",
        ">>>from reports.tables.text import csv\nimport pandas as pd\n"
        "print(csv(pd.DataFrame({'=a': ['=cmd|1', '@x', '-1', '+1', 'fine'], 'b': -1.5})))",
        ("'=a,b", "'=cmd|1,-1.5", "'@x,", "'-1,", "'+1,", "fine,-1.5"), code=0),
    Row(13, "escape sequences in a set's names", LOOK,
        ("the published set", "\\x1b"),
        lambda p: p.reseal_set(lambda c: c["files"].update({"../\x1b[2J": "0" * 64}))),
    Row(8, "a published set, computed into",
        "run --dataset tiny --model guess --seed 0 --workers 0 --store {sets}/tiny",
        ("is a published set, and nothing is computed into one",)),
    Row(8, "a published set, with runs to forget", "forget {guess0} --yes --store {sets}/tiny",
        ("is a published set: nothing is removed",)),
    Row(8, "the folder of sets in the place of one", "compare --store {sets}",
        ("holds published sets: name one of them, tiny",)),
    Row(4, "a link to a set, to publish over", "publish --dataset tiny --results {place}/more",
        ("{place}/more/tiny is a link", "remove it"),
        lambda p: linked(p, "more/tiny"), then=">>>open('more/tiny/set.json')"),
    Row(4, "a link to a set under another name, checked", CHECK,
        ("copy: ", "holds no such run of data set 'copy'", "tiny: table 'parts'"),
        lambda p: (p.sets / "copy").symlink_to("tiny")),
    Row(4, "a link inside a set, checked", CHECK, ("tiny/loop is not in the set's list",),
        lambda p: (p.sets / "tiny" / "loop").symlink_to(".")),
    Row(19, "no set to check", "publish --check --results {place}/none",
        ("nothing is published in {place}/none",)),
    Row(6, "a report over something that is none", "report --results {sets} --out {store}",
        ("{store} holds something that is no report. Name an empty or new folder",)),
]  # fmt: skip

PUBLISHED_TABLES = [
    bad_table("a published table without a column, for the report", "comparison", without("mAP"),
              "lacks the column 'mAP'", command=REPORT),
    bad_table("a published table without a column, for the paper", "comparison", without("F1"),
              "lacks the column 'F1'", command=PAPER),
    bad_table("a published table without a column, reproduced", "runs", without("run"),
              "lacks the column 'run'"),
    bad_table("a published column that was renamed", "comparison", renamed,
              "lacks the column 'mAP high'", command=REPORT),
    bad_table("a published column without a key", "per_class", without("model"),
              "lacks the column 'model'"),
    bad_table("text for published numbers", "per_class", filled("AP", "high"),
              "'AP' must be a number or null, got 'high'"),
    bad_table("null for published numbers", "comparison", filled("mAP", None),
              "'mAP' must be a number, got None"),
    bad_table("numbers for published names", "pairs", filled("against", 3),
              "'against' must be text, got 3"),
    bad_table("an interval that lacks an end", "runs",
              lambda table: table["columns"].__setitem__(-1, "seed low"),
              "lacks the column 'seed high'"),
    bad_table("a published row that is missing", "per_class",
              lambda table: table["rows"].pop(), "lacks the row of"),
    bad_table("a published row that is there twice", "comparison",
              lambda table: table["rows"].append(table["rows"][0]), "twice", command=REPORT),
    bad_table("a published table without rows", "comparison",
              lambda table: table["rows"].clear(), "has no rows", command=REPORT),
    bad_table("text for the number of clips", "comparison",
              lambda table: table["facts"].update(n_clips="many"),
              "the fact 'n_clips' must be a whole number", command=REPORT),
    refused("a published number without end", TABLES,
            tabled("comparison", filled("mAP", float("inf"))), "finite numbers",
            kind="bad input", cause=15),
    refused("a list in a published cell", TABLES, tabled("comparison", filled("mAP", [1])),
            "cells of 'comparison' must be text", kind="bad input", cause=15),
    Row(15, "a set of bad tables, checked", CHECK, ("tiny: ", "lacks the column 'mAP'"),
        tabled("comparison", without("mAP"))),
]  # fmt: skip

ROWS = [*SETS, *PUBLISHED_TABLES]
