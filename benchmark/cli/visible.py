"""Output in which no text from a file or a plugin commands the terminal."""

import re
from typing import Any, TextIO

#: Control characters but line breaks and tabs, and those that turn the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return a text in which control characters are spelled out.

    Examples
    --------
    >>> visible("a\x1b[2J")
    'a\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class Visible:
    """A stream that spells out control characters before they reach the terminal.

    Attributes
    ----------
    inner : TextIO
        The stream behind it, for what draws on the terminal itself.
    """

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        """Write a text, control characters spelled out."""
        return self.inner.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
