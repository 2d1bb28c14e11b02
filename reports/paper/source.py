"""Read the paper's source: where bound values are called for, and what is prose.

Not a parser of Typst: it tells text from code, strings, comments and raw text, which is enough
to find calls and numbers that were typed by hand. Typst's own queries can't serve here: they
give what a call made, not where in the source it stands, and `--bind` rewrites the source.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from benchmark.errors import PolytimbreError

#: Functions of ``bindings.typ`` whose calls are bound.
BOUND = ("num", "claim", "table-of", "figure-of", "findings", "published")
#: A figure that the text takes from elsewhere, and says from where.
GIVEN = "given"
#: Their arguments are names, not prose.
_OPAQUE = (*BOUND, GIVEN, "link", "cite", "bibliography", "image", "read", "json", "ref", "label")

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STATEMENTS = ("let", "set", "show", "import", "include", "return")
_UNIT = r"(?:pt|em|mm|cm|in|fr|deg|rad|%)"
#: Decimal numbers, percentages, thousands with commas, integers; no versions such as 0.15.2, names
#: such as OpenMIC-2018 or 1-D, years, and numbers of list items.
_TYPED = re.compile(
    r"(?<![\w.,])(?:\d+(?:\.\d+)?|\.\d+)(?:[\s~\u00a0\u202f]*(?:\\?%|per[\s~]cent\b|percent\b))"
    r"|(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,]\w)"
    r"|(?<![\w.,])\d*\.\d+(?:e[-+]?\d+)?(?![\w]|\.\d)"
    r"|(?<![\w.,])\d+e[-+]\d+(?!\w)"
    r"|(?<![\w.,:@#<>/-])(?!(?:19|20)\d\d\b)(?!(?<=\n)\d+\.\s)\d+(?!\w|[-.,:/]\w)"
)
#: A string that names a file or an address is no prose.
_PATH = re.compile(r"://|\.[A-Za-z]\w{0,3}$")
#: Where a sentence begins: behind another one, or behind a heading.
_BREAK = re.compile(r"[.!?]\]?\s+(?=[A-Z#⟨\[])(?![^⟨⟩]*⟩)|^=+ .*\n", re.MULTILINE)
_STOP = re.compile(r"[.!?](?=\]?(\s|$))(?![^⟨⟩]*⟩)")
_CODE_NUMBER = re.compile(rf"(?<![\w.])\d*\.\d+(?!\w|%|\.\d|{_UNIT})")


@dataclass(frozen=True)
class Text:
    """A string literal: its content, and where that stands in the source."""

    content: str
    start: int
    end: int


@dataclass(frozen=True)
class Call:
    """A call of a bound function.

    Attributes
    ----------
    function : str
    start, end : int
        Of the call in the source, brackets of arguments included.
    positional : list
        `Text`, list, dict, or None for what is no literal.
    named : dict
    body : tuple of int, or None
        Of the content block behind the arguments.
    """

    function: str
    start: int
    end: int
    positional: list[Any]
    named: dict[str, Any]
    body: tuple[int, int] | None = None


@dataclass
class Source:
    """The text of a paper, its calls and what was typed by hand.

    Attributes
    ----------
    name : str
        Of the file.
    text : str
    calls : list of Call
        In the order of the text.
    typed : list of (int, str)
        Numbers in prose that nothing binds, and where.
    blocks : list of (int, int)
        Where text in brackets begins and ends.
    """

    name: str
    text: str
    calls: list[Call] = field(default_factory=list)
    typed: list[tuple[int, str]] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        scanner = _Scanner(self)
        scanner.markup(0, closing=None)
        self.calls.sort(key=lambda call: call.start)
        self.typed.sort()

    def line(self, at: int) -> int:
        """Return the line of a position, counted from 1."""
        return bisect_right(self._lines, at)

    def sentence(self, start: int, end: int) -> str:
        """Return the sentence around a span, calls written as names in angle brackets."""
        inside = [(a, b) for a, b in self.blocks if a <= start and end <= b]
        low, high = max(inside, default=(0, len(self.text)))
        first, last = self.text.rfind("\n\n", low, start), self.text.find("\n\n", end, high)
        before = self.plain(low if first < 0 else first, start)
        behind = self.plain(end, high if last < 0 else last)
        starts = [m.end() for m in _BREAK.finditer(before)]
        stop = _STOP.search(behind)
        sentence = before[starts[-1] if starts else 0 :] + self.plain(start, end)
        sentence = " ".join((sentence + behind[: stop.end() if stop else None]).split()).strip("[]")
        return sentence if len(sentence) <= 240 else sentence[:239] + "…"

    def plain(self, start: int, end: int) -> str:
        """Return a span with a name in the place of each call."""
        pieces, at = [], start
        for call in self.calls:
            head = call.body[0] if call.body else call.end
            if call.start < at or head > end:
                continue
            name = call.positional[0] if call.positional else None
            shown = f"⟨{name.content}⟩" if isinstance(name, Text) else "⟨?⟩"
            shown = name.content if call.function == GIVEN and isinstance(name, Text) else shown
            pieces += [self.text[at : call.start], "" if call.body else shown]
            at = head
        return "".join((*pieces, self.text[at:end]))


def without(text: str, calls: list[Call]) -> str:
    """Return a text with blanks in the place of calls; everything else stays where it is."""
    for call in calls:
        gone = re.sub(r"[^\n]", " ", text[call.start : call.end])
        text = text[: call.start] + gone + text[call.end :]
    return text


class _Scanner:
    """Walks over the source; each function returns where it stopped."""

    def __init__(self, source: Source) -> None:
        self.source, self.text = source, source.text

    def markup(self, at: int, closing: str | None) -> int:
        """Walk over text until `closing`, collecting numbers."""
        text, depth, prose, begin = self.text, 0, at, at
        while at < len(text):
            if (past := self._skipped(at)) > at:
                self._prose(prose, at)
                prose = at = past
            elif text.startswith(("http://", "https://"), at):
                self._prose(prose, at)
                prose = at = re.compile(r"[^\s\])]*").match(text, at).end()
            elif text[at] == "\\":
                at += 1 if text[at + 1 : at + 2] == "%" else 2
            elif text[at] == "#":
                self._prose(prose, at)
                prose = at = self._hash(at + 1)
            elif text[at] == "$" != closing:
                self._prose(prose, at)
                prose = at = self.markup(at + 1, "$")
            elif text[at] == closing and not depth:
                self._prose(prose, at)
                self.source.blocks.append((begin, at))
                return at + 1
            else:
                depth += {"[": 1, "]": -1}.get(text[at], 0) if closing == "]" else 0
                at += 1
        self._prose(prose, at)
        if closing:
            raise PolytimbreError(
                f"{self.source.name}:{self.source.line(prose)}: a {closing!r} is missing. Close "
                "what was opened before"
            )
        return at

    def _skipped(self, at: int) -> int:
        """Return the end of a comment or raw text that starts here, or `at`."""
        text = self.text
        if text.startswith("//", at) and text[at - 1 : at] != ":":
            end = text.find("\n", at)
            return len(text) if end < 0 else end
        if text.startswith("/*", at):
            depth = 0
            for match in re.compile(r"/\*|\*/").finditer(text, at):
                depth += 1 if match.group() == "/*" else -1
                if not depth:
                    return match.end()
            return len(text)
        if text[at] == "`":
            ticks = re.compile("`+").match(text, at).group()
            if len(ticks) == 2:
                return at + 2
            end = text.find(ticks, at + len(ticks))
            return len(text) if end < 0 else end + len(ticks)
        return at

    def _prose(self, start: int, end: int) -> None:
        for match in _TYPED.finditer(self.text[start:end]):
            self.source.typed.append((start + match.start(), match.group()))

    def _hash(self, at: int) -> int:
        """Walk over the code expression behind a hash."""
        text = self.text
        word = _IDENTIFIER.match(text, at)
        if word and word.group() in _STATEMENTS:
            return self._statement(word.end(), word.group() not in ("import", "include"))
        if word and word.group() in ("if", "for", "while", "context"):
            return self._control(word.end())
        if not word and text[at : at + 1] not in tuple('([{"') and text[at : at + 1] != "$":
            number = re.compile(r"-?[\d.]*\d").match(text, at)
            if number:
                self._prose(at, number.end())
            return number.end() if number else at
        return self._expression(at)

    def _expression(self, at: int, prose: bool = True) -> int:
        """Walk over an identifier, literal or block, and the calls and fields behind it."""
        text = self.text
        while at < len(text):
            start, word = at, _IDENTIFIER.match(text, at)
            at = word.end() if word else self._code(at, prose)
            name = word.group() if word else ""
            while text[at : at + 1] in ("(", "["):
                if text[at] == "(" and name in (*BOUND, GIVEN):
                    self._call(name, start, at)
                at = self._code(at, prose and name not in _OPAQUE)
            if text[at : at + 1] == "." and _IDENTIFIER.match(text, at + 1):
                at += 1
                continue
            return at
        return at

    def _statement(self, at: int, prose: bool) -> int:
        """Walk over a statement, to the end of its line."""
        while at < len(self.text) and self.text[at] not in "\n;]}":
            at = self._code(at, prose)
        return at + (self.text[at : at + 1] == ";")

    def _control(self, at: int) -> int:
        """Walk over a condition or loop and its bodies."""
        text = self.text
        while at < len(text):
            body = text[at] in "{["
            at = self._code(at, prose=True)
            if body:
                other = re.compile(r"\s*else\b").match(text, at)
                if not other:
                    return at
                at = other.end()
        return at

    def _code(self, at: int, prose: bool) -> int:
        """Walk over one element of code: a string, block, comment, call or character."""
        text = self.text
        if (past := self._skipped(at)) > at:
            return past
        char = text[at]
        if char == '"':
            end = _string_end(text, at)
            if prose and not _PATH.search(text[at : end - 1]):
                self._prose(at + 1, end - 1)
            return end
        if char == "[":
            return self.markup(at + 1, "]")
        if char == "$":
            return self.markup(at + 1, "$")
        if char in "({":
            closing = ")" if char == "(" else "}"
            at += 1
            while at < len(text) and text[at] != closing:
                at = self._code(at, prose)
            return at + 1
        if _IDENTIFIER.match(text, at):
            return self._expression(at, prose)
        number = re.compile(rf"[\d.]*\d{_UNIT}?").match(text, at)
        if number:
            if prose and _CODE_NUMBER.fullmatch(number.group()):
                self.source.typed.append((at, number.group()))
            return number.end()
        return at + 1

    def _call(self, name: str, start: int, opening: int) -> None:
        arguments = _Arguments(self, opening)
        end, body = arguments.end, None
        if self.text[end : end + 1] == "[":
            quiet = _Scanner(Source("", ""))
            quiet.source.name, quiet.source._lines = self.source.name, self.source._lines
            quiet.text = self.text
            body = (end + 1, quiet.markup(end + 1, "]") - 1)
            end = body[1] + 1
        hashed = start - (self.text[start - 1 : start] == "#")
        self.source.calls.append(
            Call(name, hashed, end, arguments.positional, arguments.named, body)
        )


def _string_end(text: str, at: int) -> int:
    match = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL).match(text, at)
    return match.end() if match else len(text)


class _Arguments:
    """The literals between a call's brackets."""

    def __init__(self, scanner: _Scanner, opening: int) -> None:
        self.scanner, self.text = scanner, scanner.text
        self.quiet = _Scanner(Source("", ""))
        self.quiet.text = scanner.text
        self.quiet.source.name, self.quiet.source._lines = "", scanner.source._lines
        items, self.end = self._items(opening)
        self.positional = [value for key, value in items if key is None]
        self.named = {k.content if isinstance(k, Text) else k: v for k, v in items if k is not None}

    def _items(self, opening: int) -> tuple[list[tuple[Any, Any]], int]:
        """Read what stands in round brackets: (key or None, value) pairs, and the end."""
        at, items = self._blank(opening + 1), []
        while at < len(self.text) and self.text[at] != ")":
            if self.text[at] == ",":
                at = self._blank(at + 1)
                continue
            key, (value, at) = None, self._value(at)
            if self.text[at : at + 1] == ":":
                key, (value, at) = value, self._value(self._blank(at + 1))
            if (key, value) != (None, ":"):
                items.append((key, value))
        return items, at + 1

    def _value(self, at: int) -> tuple[Any, int]:
        """Read a string, array, dictionary or name; anything else is None."""
        text, start = self.text, at
        if text[at] == '"':
            end = _string_end(text, at)
            literal: Any = Text(re.sub(r"\\(.)", r"\1", text[at + 1 : end - 1]), at + 1, end - 1)
            at = end
        elif text[at] == "(":
            items, at = self._items(at)
            keyed = [key for key, _ in items if key is not None]
            literal = items if keyed or text[start:at].replace(" ", "") == "(:)" else None
            literal = [value for _, value in items] if literal is None else literal
        elif word := _IDENTIFIER.match(text, at):
            literal, at = word.group(), word.end()
        elif text[at] == ":":
            return ":", at + 1
        else:
            literal = None
        at = self._blank(at)
        if text[at : at + 1] not in (",", ")", ":"):  # an expression: no literal
            literal = None
            while at < len(text) and text[at] not in ",)":
                at = self.quiet._code(at, prose=False)
        return literal, at

    def _blank(self, at: int) -> int:
        while at < len(self.text):
            past = self.scanner._skipped(at) if self.text[at] == "/" else at
            if past == at and not self.text[at].isspace():
                break
            at = past if past > at else at + 1
        return at
