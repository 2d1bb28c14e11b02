"""The documents that are made from the published sets.

These are ``README.md`` and a figure beside the sets, and on the project's front page a figure and a
table. `polytimbre publish` writes them; a test holds the committed ones against the sets.
"""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style as matplotlib_style

from benchmark.errors import StoreError
from benchmark.runs import files
from benchmark.runs.features import own_features
from benchmark.runs.published import DEFAULT, PublishedSet, set_folders, sets
from reports.figures import comparison, style
from reports.html import content
from reports.html.answers import answers
from reports.html.content import FRONT
from reports.tables import results
from reports.tables.declaration import Results, table
from reports.tables.text import HIGH, LOW, cells

#: How many models of :data:`reports.html.content.FRONT` stand on the front page. Each as it was
#: trained most, on the features of that set alone: no test chose it.
FRONT_ROWS = 5
FRONT_COLUMNS = ("model", "seeds", "mAP", "behind", "F1")
#: Of a comparison's columns, left to ``results.json``.
LEFT_OUT = ("model (bytes)",)
FRONT_PAGE = DEFAULT.parents[1] / "README.md"
#: The figure's files, by what is added to the style of all figures.
FIGURES = {
    "comparison-light.svg": (),
    "comparison-dark.svg": (style.STYLE.with_name("dark.mplstyle"),),
}

#: What a page that is made here is known by.
MADE = "`polytimbre publish` makes this page"

HEAD = f"""# Published results

{MADE} from the runs in this folder; nothing here is written by hand.
There is one folder a data set: `set.json` lists every file with its SHA-256, `runs/` holds the
record of each run and, where the data may be shipped, its scores, `results.json` holds every table.
A published set with scores, as *rendered*, is read like a store of one's own; of the others
`polytimbre table NAME` prints the tables as they are here. The command below each heading prints
the table from a store that holds the runs.

```
polytimbre compare --store paper/results/rendered               # all over again: a minute
polytimbre table runs --store paper/results/rendered            # the ids of its runs
polytimbre reproduce RUN_ID     # run one of these again, and see what differs
polytimbre publish --check      # derive every table again, and see what differs
```"""


def check(folder: Path, making: str) -> None:
    """Refuse a folder of published sets whose documents can't be written once a set is made.

    Parameters
    ----------
    folder : Path
    making : str
        Name of the set that is to be made: what is there of it will be replaced.

    Raises
    ------
    StoreError
        For a page that somebody else wrote, and other sets that are damaged.
    """
    _check_page(folder)
    for other in set_folders(folder):
        if other.name != making:
            results.read(PublishedSet(other))


def _check_page(folder: Path) -> None:
    """Refuse to replace a README that was not made here."""
    page = folder / "README.md"
    if page.exists() and MADE not in page.read_text(encoding="utf-8", errors="replace"):
        raise StoreError(
            f"{page} was not written by `polytimbre publish`, and would be replaced: move it, or "
            "name another folder with --results"
        )


def write(folder: Path) -> list[Path]:
    """Write all documents that are made from a folder of published sets; return their files."""
    _check_page(folder)
    documents = made(folder)
    for path, written in documents.items():
        files.put(path, written.encode())
    return list(documents)


def made(folder: Path) -> dict[Path, str]:
    """Return all documents that are made from a folder of published sets, by their files.

    The front page is among them where the folder is the project's own.
    """
    published = sets(folder)
    tables_of = {name: results.read(one) for name, one in published.items()}
    order = sorted(published, key=lambda n: ("comparison" not in tables_of[n], n != FRONT, n))
    shown = {name: content.dataset(published[name]) for name in order}
    contents = ", ".join(f"[{name}](#{name})" for name in order)
    paragraphs = [HEAD, f"Data sets: {contents}.", *_answers(shown)]
    for name in order:
        paragraphs += _section(published[name], tables_of[name], shown[name])
    documents = {folder / "README.md": "\n\n".join(paragraphs) + "\n"}
    if "comparison" in tables_of.get(FRONT, {}):
        documents |= {folder / name: _figure(tables_of[FRONT], name) for name in FIGURES}
        if folder.resolve() == DEFAULT:
            documents[FRONT_PAGE] = _front_page(tables_of[FRONT])
    return documents


def _figure(tables_: Results, name: str) -> str:
    """Draw the comparison as SVG without a background."""
    with style.applied():
        for more in FIGURES[name]:
            matplotlib_style.use(more)
        drawn = comparison.comparison(tables_).figure
        style.settle(drawn)
        file = io.StringIO()
        drawn.savefig(file, format="svg", metadata=style.FORMATS["svg"], transparent=True)
    return file.getvalue()


def _front_page(tables_: Results) -> str:
    """Fill in what the front page shows of one set."""
    page = FRONT_PAGE.read_text(encoding="utf-8")
    rows = _trained_most(tables_["comparison"].frame).head(FRONT_ROWS)
    rows = _behind_first(rows, tables_["pairs"].frame)
    page = _filled(page, "figure", _picture(tables_, "paper/results/"))
    return _filled(page, "table", _table(rows, FRONT_COLUMNS))


def _trained_most(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each model's row with the most words on its training: tuned, refit, or both."""
    names, features = zip(*map(style.split, frame["model"]), strict=True)
    own = own_features(FRONT)
    kept = frame.assign(
        kind=list(map(style.base, names)), words=[len(name.split()) for name in names]
    )[[on in (own, "") for on in features]]
    most = kept.sort_values("words", ascending=False, kind="stable").drop_duplicates("kind")
    return frame.loc[most.index.sort_values()]


def _behind_first(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Hold each row against the first one, which need not be the best of all settings."""
    of_first = pairs[pairs["model"] == rows["model"].iloc[0]].set_index("against")
    ends = ("", LOW, HIGH)
    told = of_first[[f"difference{end}" for end in ends]].reindex(rows["model"])
    return rows.assign(**{f"behind{end}": told[f"difference{end}"].to_numpy() for end in ends})


def _filled(page: str, name: str, new: str) -> str:
    """Put new text between a document's marks, ``<!-- published NAME -->`` and ``<!-- end -->``."""
    begin, end = f"<!-- published {name} -->\n", "\n<!-- end -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: begin + new + end, page, count=1, flags=re.DOTALL)


def _picture(tables_: Results, folder: str) -> str:
    with style.applied():
        drawn = comparison.comparison(tables_)
    light, dark = FIGURES
    return f"""<picture>
  <source media="(prefers-color-scheme: dark)" srcset="{folder}{dark}">
  <img src="{folder}{light}" alt="{drawn.title}: {drawn.alt}">
</picture>

{drawn.caption}"""


def _answers(shown: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what the report's front page says of all sets."""
    said = [one for one in answers([one["source"] for one in shown.values()]) if one.sentences]
    if said:
        yield "## What follows"
    for one in said:
        yield f"**{one.question}**"
        yield "\n".join(
            f"- {_escaped(sentence.text)} [{sentence.label}](#{sentence.label})"
            for sentence in one.sentences
        )


def _section(one: PublishedSet, tables_: Results, shown: dict[str, Any]) -> Iterator[str]:
    """Yield the paragraphs about one set."""
    yield f"## {one.name}"
    if about := shown["about"]:
        yield f"{about['description']}. Licence: {about['licence']}. Cite: {about['citation']}"
    if headline := shown["headline"]:
        yield f"**{headline['said']}**"
        if one.name == FRONT:
            yield _picture(tables_, "")
        yield f"`{table('comparison').published_in(one.name)}`"
        columns = [c.name for c in headline["columns"] if c.name not in LEFT_OUT]
        yield _table(tables_["comparison"].frame, columns)
        yield _listed(headline["notes"])
        yield _glossary("comparison", columns)
    long = []
    for entry in shown["further"]:
        frame = _short(tables_[entry["name"]].frame)
        if len(frame) <= content.MOST_ROWS:
            yield from _further(entry, frame)
        else:
            long.append(f"{entry['title']}: {entry['n_rows']:,} rows, `{entry['command']}`")
    if long:
        yield "### Longer tables"
        yield "In `results.json`, and as CSV in the report:"
        yield _listed(long)
    if shown["provenance"]:
        yield from _provenance(shown["provenance"])


def _further(entry: dict[str, Any], frame: pd.DataFrame) -> Iterator[str]:
    """Yield a table's command, what follows from it, and the table, to be unfolded."""
    yield f"### {entry['title']}"
    yield f"`{entry['command']}`"
    if entry["notes"]:
        yield _listed(entry["notes"])
    n_rows = entry["n_rows"]
    some = f" of {n_rows}; the others are in <code>results.json</code>" * (len(frame) < n_rows)
    yield f"<details><summary>{len(frame)} rows{some}</summary>"
    columns = list(cells(frame))
    yield _table(frame, columns)
    if meanings := _glossary(entry["name"], columns):
        yield meanings
    yield "</details>"


def _short(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table's rows, or where these are too many, those that sum it up if there are any."""
    if len(frame) <= content.MOST_ROWS or "model" not in frame.columns:
        return frame
    if "against" in frame.columns:  # a model and itself, trained in another way
        pairs = zip(frame["model"], frame["against"], strict=True)
        kept = frame[[style.base(one) == style.base(other) for one, other in pairs]]
    else:
        kept = frame[frame["model"].str.startswith("mean of ")]
    return kept if len(kept) else frame


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _glossary(name: str, columns: Sequence[str]) -> str:
    """Say what a table's columns mean."""
    meanings = content.meanings(name, columns).items()
    told = [f"*{_escaped(column)}*: {_escaped(meaning)}" for column, meaning in meanings]
    return f"Columns: {'; '.join(told)}." if told else ""


def _table(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return some columns as Markdown, each interval behind its value."""
    rows = content.rows(frame)
    lines = [columns, ["---:" if rows[0][name]["numeric"] else "---" for name in columns]]
    for row in rows:
        shown = [row[name] for name in columns]
        lines.append([c["text"] + f" ({c['interval']})" * bool(c["interval"]) for c in shown])
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _escaped(text: str) -> str:
    return re.sub(r"([*|<])", r"\\\1", text)


def _provenance(rests_on: dict[str, Any]) -> Iterator[str]:
    """Yield what the numbers of a set rest on."""
    yield "### What these numbers rest on"
    yield "\n".join(f"- {name}: {value}" for name, value in rests_on["facts"].items())
    for group in rests_on["groups"]:
        lines = [f"{group['title']}:", "", "| model | runs | made by |", "| --- | --- | --- |"]
        for one in group["models"]:
            ids = ", ".join(f"`{run['id'][:8]}`" for run in one["runs"])
            lines.append(f"| {one['model']} | {ids} | `{one['command']}` |")
        yield "\n".join(lines)
