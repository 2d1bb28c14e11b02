"""Where the tables of the simulations stand: in a ``README.md``, between marks."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmark" / "README.md"
MODELS = ROOT / "models" / "README.md"


def write(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[str]], into: Path = PAGE
) -> None:
    """Put a table into a page, between ``<!-- simulated NAME -->`` and ``<!-- end -->``."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(f"\n{table}")
    page = into.read_text(encoding="utf-8")
    new, n = re.subn(_between(name), lambda m: f"{m[1]}\n{table}\n{m[3]}", page, flags=re.DOTALL)
    assert n == 1, f"{into} has no place for the table {name!r}"
    into.write_text(new, encoding="utf-8")


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a table in the page, by column."""
    found = re.search(_between(name), PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE} has no table {name!r}"
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in found[2].split("\n")[1:-1]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def _between(name: str) -> str:
    return rf"(<!-- simulated {re.escape(name)} -->)(.*?)(<!-- end -->)"
