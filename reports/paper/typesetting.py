"""Typeset the paper with Typst; what Typst only warns of is an error here."""

import re
from pathlib import Path

from benchmark.errors import PolytimbreError


class TypesettingError(PolytimbreError):
    """Typst refused the source, or warned of something in it."""


#: Of a diagnostic: the file, its line, and the column.
_WHERE = re.compile(r"┌─ (.+?):(\d+):\d+")


def typeset(source: Path) -> bytes:
    """Return a Typst document as PDF.

    Only the fonts that the package `typst` brings are used, so that every machine sets the
    same bytes.

    Parameters
    ----------
    source : Path
        Everything that it reads lies in its folder.

    Raises
    ------
    TypesettingError
        Naming file and line; for warnings too, such as a font that is missing.
    PolytimbreError
        If the package is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise PolytimbreError(
            f"the paper can't be typeset: {error}. Install the extra: pip install "
            "'polytimbre[report]'"
        ) from error
    try:
        pdf, warnings = typst.compile_with_warnings(
            source, root=source.parent, ignore_system_fonts=True, timestamp=0
        )
    except typst.TypstError as error:
        raise TypesettingError(_told([error], source)) from error
    if warnings:
        raise TypesettingError(_told(warnings, source, "a warning, and the paper may have none: "))
    return pdf


def _told(diagnostics: list, source: Path, kind: str = "") -> str:
    lines = []
    for one in diagnostics:
        where = _WHERE.search(_own(one))
        place = f"{where.group(1)}:{where.group(2)}" if where else source.name
        hints = "".join(f" ({hint})" for hint in one.hints)
        font = "unknown font family" in one.message
        advice = ". Use one that Typst brings, such as Libertinus Serif" if font else ""
        lines.append(f"{place}: {kind}{one.message}{hints}{advice}")
    return "\n".join(lines)


def _own(one: BaseException) -> str:
    """Return a diagnostic without the warnings that Typst writes before an error."""
    _, separator, rest = one.diagnostic.rpartition(f": {one.message}")
    return rest if separator else one.diagnostic
