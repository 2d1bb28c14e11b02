"""Facts about an object, as a small HTML table for notebooks."""

from collections.abc import Mapping
from html import escape


def html(caption: str, facts: Mapping[str, str]) -> str:
    """Return facts as a small table, one row each."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>"
