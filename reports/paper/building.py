"""Build the paper from its source and the published sets; bind the source to runs."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import PolytimbreError, UnknownNameError
from benchmark.reading.files import open_regular
from reports.paper import drawing
from reports.paper.evidence import Evidence, gather
from reports.paper.places import Place, Reading, read
from reports.paper.source import Source
from reports.paper.typesetting import typeset

#: What the paper's folder gives to the build beside the published sets.
_COPIED = (".typ", ".yml", ".yaml", ".bib", ".csl", ".svg", ".png")
#: What ``bindings.typ`` prints from.
NUMBERS = "numbers.json"
#: The largest source that is read.
MOST_BYTES = 10**7


class PaperError(PolytimbreError):
    """The paper says something that the published runs don't, or not any more.

    Attributes
    ----------
    problems : list of str
        One sentence each, the place first.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        head = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join((f"the paper has {head}:", *problems)))


@dataclass(frozen=True)
class Checked:
    """A paper's source, held against the published sets.

    Attributes
    ----------
    evidence : Evidence
    reading : Reading
    problems : list of str
        One sentence each, the place first; none if the paper may be built.
    """

    evidence: Evidence
    reading: Reading
    problems: list[str]

    @property
    def places(self) -> list[Place]:
        """Every bound place, in the order of the text."""
        return self.reading.places

    @property
    def left_out(self) -> list[str]:
        """Say which blocks are not printed, as no published set holds what they are about."""
        return [f"line {line}: {about}" for line, about in self.reading.left_out]

    def origin(self, place: Place) -> str:
        """Say which files and data a place comes from."""
        told = []
        for name in place.sets:
            if name in self.evidence.tables:
                prints = {s.fingerprint[:8] for s in self.evidence.tables[name].specs.values()}
                data = f" (data {', '.join(sorted(prints))})" if prints else ""
                told.append(f"{name}/results.json{data}")
        return ", ".join(told) or "–"


def check(sets: Path, source: Path) -> Checked:
    """Hold every bound place of the paper against the published sets.

    Parameters
    ----------
    sets : Path
        Folder of the published sets.
    source : Path
        ``paper.typ``.

    Raises
    ------
    PolytimbreError
        If there is no such source, or nothing is published.
    """
    text, evidence = Source(source.name, _text(source)), gather(sets)
    reading = read(text, evidence)
    in_order = sorted(reading.problems + _unknown_figures(evidence, reading))
    problems = _damages(source.name, evidence, reading)
    problems += [f"{source.name}:{line}: {told}" for line, told in in_order]
    return Checked(evidence, reading, list(dict.fromkeys(problems)))


def build(sets: Path, source: Path, target: Path) -> Checked:
    """Build the paper as a PDF; the same source and sets give the same bytes.

    Parameters
    ----------
    sets, source : Path
        See :func:`check`.
    target : Path
        The PDF; what it is made from is kept in a folder beside it, called alike.

    Raises
    ------
    PolytimbreError
        If `target` is no PDF, or its folder is used by something else.
    PaperError
        If a bound place does not stand, naming all that don't.
    TypesettingError
        If Typst refuses the source or warns.
    """
    folder = _folder(target, source)
    target.unlink(missing_ok=True)  # a paper that fails leaves no older one behind
    checked = check(sets, source)
    if checked.problems:
        raise PaperError(checked.problems)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / NUMBERS).touch()
    for path in sorted(source.parent.iterdir()):
        if path.suffix in _COPIED and path.is_file():
            shutil.copyfile(path, folder / path.name)
    if checked.reading.figures:
        _draw(checked, folder, source.name)
    (folder / source.name).write_text(checked.reading.text, encoding="utf-8", newline="")
    numbers = json.dumps(checked.reading.printed, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / NUMBERS).write_text(numbers + "\n", encoding="utf-8")
    target.write_bytes(typeset(folder / source.name))
    return checked


def bind(sets: Path, source: Path) -> tuple[list[str], list[str]]:
    """Write the ids that every place rests on now into the source, and nothing else.

    Returns
    -------
    changes : list of str
        One line each.
    problems : list of str
        What no binding puts right, as in :func:`check`.

    Raises
    ------
    PaperError
        If a published set is damaged: nothing is bound to it.
    """
    checked = check(sets, source)
    damages = _damages(source.name, checked.evidence, checked.reading)
    if damages:
        raise PaperError(damages)
    stale = [p for p in checked.places if p.ids and p.whole and p.ids.content != p.expected]
    bound = _text(source)
    for place in sorted(stale, key=lambda p: -p.ids.start):
        bound = bound[: place.ids.start] + place.expected + bound[place.ids.end :]
    if stale:
        temporary = source.with_name(f".{source.name}.new")
        temporary.write_text(bound, encoding="utf-8", newline="")
        temporary.replace(source)
    changes = [
        f"{source.name}:{place.line}: {place.name}: {place.ids.content or 'unbound'} -> "
        f"{place.expected}"
        for place in stale
    ]
    return changes, check(sets, source).problems


def _text(source: Path) -> str:
    try:
        with open_regular(source, MOST_BYTES) as file:
            return file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise PolytimbreError(
            f"the paper's source {source} can't be read ({said}). Run this in the repository, "
            "where paper/paper.typ lies"
        ) from error


def _folder(target: Path, source: Path) -> Path:
    """Return the folder that the paper is made in; it is emptied, so it must be no other's."""
    folder = target.with_suffix("") if target.suffix else target
    used = folder.is_dir() and any(folder.iterdir()) and not (folder / NUMBERS).is_file()
    if target.suffix != ".pdf" or used or folder.resolve() == source.parent.resolve():
        raise PolytimbreError(
            f"the paper can't be written to {target}: its parts are made in the folder {folder}, "
            "which is used by something else. Name another PDF with --out, such as "
            "build/paper.pdf"
        )
    return folder


def _damages(name: str, evidence: Evidence, reading: Reading) -> list[str]:
    """Name the sentences that rest on what is damaged."""
    told = []
    for damage in evidence.damages:
        places = [
            place
            for place in reading.places
            if damage.dataset in place.sets
            and (damage.run is None or damage.run in place.runs or place.what == "figure")
        ]
        subject = f"run {damage.run}" if damage.run else f"the published set {damage.dataset!r}"
        told += [
            f"{name}:{place.line}: {place.sentence!r} rests on {subject}: {damage.sentence}"
            for place in places
        ]
        if not places:
            told.append(f"{damage.sentence}. No place of {name} rests on it")
    return told


def _unknown_figures(evidence: Evidence, reading: Reading) -> list[tuple[int, str]]:
    places = [p for p in reading.places if p.what == "figure"]
    if not places:
        return []
    known, missing = drawing.known(evidence.results), evidence.missing()
    return [
        (place.line, str(UnknownNameError("figure", place.name, known)))
        for place in places
        if place.name not in known and not missing.intersection(place.sets)
    ]


def _draw(checked: Checked, folder: Path, name: str) -> None:
    """Give the document the figures it asks for."""
    reading = checked.reading
    alternatives = drawing.draw(checked.evidence.results, reading.figures, folder / "figures")
    empty = [
        f"{name}:{place.line}: the tables of {place.sets[0]!r} hold nothing to draw as "
        f"{place.name!r}. Leave the figure out"
        for place in checked.places
        if place.what == "figure" and place.name not in alternatives
    ]
    if empty:
        raise PaperError(empty)
    for figure, alternative in alternatives.items():
        reading.printed["figure"][figure] = {
            "file": f"figures/{figure}{drawing.ENDING}",
            "alt": alternative,
        }
