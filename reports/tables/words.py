"""Numbers and lists as they stand in sentences."""

from collections.abc import Sequence


def percent(value: float, decimals: int = 1) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.{decimals}f} %"


def listed(parts: Sequence[str]) -> str:
    """Join texts as a sentence does."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def count(n: int, noun: str) -> str:
    """Return a number with its noun, as in "1 test" and "3,000 tests"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"
