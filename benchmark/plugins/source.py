"""A module's text, cut into the definitions at its top level and into tokens.

Comments, docstrings, indentation widths and line breaks inside a statement are left out, and
the tokens are the same on every Python: since 3.12 the tokenizer takes f-strings apart, here
each stays one token.
"""

import ast
import hashlib
import importlib.util
import inspect
import io
import linecache
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path, PurePath
from types import FunctionType, ModuleType

from benchmark.errors import PluginError

#: Types whose values are written as they are shown.
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
#: Stands in a notebook's text for what has none.
_UNKNOWN = "__without_a_text__"

Position = tuple[int, int]

#: Tokens that carry structure or nothing, by what they count as.
LAYOUT = {
    tokenize.NEWLINE: "<newline>",
    tokenize.INDENT: "<indent>",
    tokenize.DEDENT: "<dedent>",
}
NOTHING = (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def text_of(module: str) -> str | None:
    """Return a module's source text; None if there is no such module.

    A byte order mark, a coding line and any line ends are understood. A compiled module's text
    is one line with its SHA-256; a notebook's is put together from what its cells define.

    Raises
    ------
    PluginError
        If the module is there, but its file can't be read.
    """
    loaded = sys.modules.get(module)
    if module == "__main__" and not hasattr(loaded, "__file__"):
        return _notebook_text(loaded)
    try:
        spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    path = spec.origin if spec else getattr(loaded, "__file__", None)
    if spec and spec.submodule_search_locations is not None and not spec.has_location:
        return ""  # a folder without __init__.py
    if path is None:
        return None if loaded is None else _notebook_text(loaded)
    try:
        content = Path(path).read_bytes()
        if path.endswith(tuple(EXTENSION_SUFFIXES)):
            return f"compiled = {hashlib.sha256(content).hexdigest()!r}\n"
        return importlib.util.decode_source(content)
    except (OSError, TypeError, ValueError, SyntaxError) as error:
        raise PluginError(
            f"the source of the module {module!r} can't be read ({error}), so runs of its models "
            "can't be told apart: define a model in a Python file"
        ) from error


def _notebook_text(main: ModuleType) -> str:
    """Return what a notebook has defined by now: imports, constants, functions and classes.

    Arrays are constants too, as are lists, sets and dicts of constants. A name that holds anything
    else has a text that :func:`check_known` refuses, where a plugin uses that name.
    """
    lines = []
    for name, value in vars(main).items():
        origin, defined_as = (getattr(value, n, None) for n in ("__module__", "__qualname__"))
        if name.startswith("_"):
            continue
        if inspect.ismodule(value):
            lines.append(f"import {value.__name__} as {name}")
        elif origin == main.__name__ and (inspect.isclass(value) or inspect.isfunction(value)):
            lines.append(_cell_text(value) or f"{name} = {_unknown(value)}")
        elif origin and defined_as and defined_as.isidentifier():
            lines.append(f"from {origin} import {defined_as} as {name}")
        else:
            constant = None
            with suppress(RecursionError):  # a list that holds itself
                constant = _constant(value)
            lines.append(f"{name} = {constant or _unknown(value)}")
    return "\n".join(lines)


def _constant(value: object) -> str | None:
    """Return a constant's text, in which an array's content is a hash; None if it is none."""
    import numpy as np  # here alone, so that files are hashed where no library is installed

    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            return None
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array({str(value.dtype)!r}, {value.shape}, {content!r})"
    if isinstance(value, PurePath) or type(value) in _PLAIN:
        return repr(value)
    if type(value) in (list, tuple):
        entries = [*map(_constant, value)]
    elif type(value) in (set, frozenset):
        entries = [*map(_constant, value)]
        entries = entries if None in entries else sorted(entries)
    elif type(value) is dict:
        entries = [_constant(pair) for pair in value.items()]
    else:
        return None
    return None if None in entries else f"{type(value).__name__}([{', '.join(entries)}])"


def _unknown(value: object) -> str:
    return f"{_UNKNOWN}({type(value).__name__!r})"


def check_known(text: str) -> None:
    """Raise PluginError where code that a plugin uses holds an object without source text.

    Raises
    ------
    PluginError
        Naming the kind.
    """
    if _UNKNOWN in text:
        kind = text.partition(_UNKNOWN)[2].split("'")[1]
        raise PluginError(
            f"a model uses what a notebook keeps in a name, of type {kind}, so its runs can't be "
            "told apart: use constants, arrays, functions and classes there, or give it as a "
            "parameter"
        )


def _cell_text(defined: type | FunctionType) -> str | None:
    """Return a class or function as the cell that defined it has it; None where it isn't there."""
    functions = vars(defined).values() if inspect.isclass(defined) else [defined]
    for code in (f.__code__ for f in functions if inspect.isfunction(f)):
        cell = "".join(linecache.getlines(code.co_filename))
        for node in reversed(ast.parse(cell).body):
            if getattr(node, "name", None) == defined.__name__:
                first = min(one.lineno for one in (node, *node.decorator_list))
                return "\n".join(cell.splitlines()[first - 1 : node.end_lineno])
    return None


def is_module(name: str) -> bool:
    """Say whether there is a module of this name; only its parents are imported."""
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


class Source:
    """One module's statements and tokens.

    Attributes
    ----------
    name : str
        The module's.
    package : str
        What its relative imports start from.
    statements : list of ast.stmt
        Those at its top level.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        spec = getattr(sys.modules.get(name), "__spec__", None)
        is_package = bool(spec and spec.submodule_search_locations is not None)
        self.package = name if is_package else name.rpartition(".")[0]
        self.statements = ast.parse(text).body
        self._lines = text.split("\n")
        self._text = text

    @cached_property
    def bound(self) -> Mapping[str, list[int]]:
        """The numbers of the statements that bind a name, by name, imports apart."""
        names: dict[str, list[int]] = {}
        for number, statement in enumerate(self.statements):
            for name in dict.fromkeys(_binds(statement)):
                names.setdefault(name, []).append(number)
        return names

    @cached_property
    def imports(self) -> list[ast.Import | ast.ImportFrom]:
        """The import statements outside functions and classes."""
        return list(imports_in(self.statements))

    @cached_property
    def effects(self) -> list[int]:
        """The numbers of the statements that are there for what importing the module does."""
        return [n for n, statement in enumerate(self.statements) if _is_effect(statement)]

    def origin(self, statement: ast.ImportFrom) -> str:
        """Return the module that a ``from`` statement names, a relative one spelled out."""
        module = statement.module or ""
        if not statement.level:
            return module
        package = self.package.split(".")
        return ".".join([*package[: len(package) - statement.level + 1], module]).rstrip(".")

    def position(self, line: int, column: int) -> Position:
        """Return where a node lies, in characters; the parser counts bytes."""
        text = self._lines[line - 1]
        return line, column if text.isascii() else len(text.encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[Position, Position]:
        """Return where a statement or an expression begins and ends, decorators included."""
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno)
        column = node.col_offset  # that of the decorator's @
        return self.position(first.lineno, column), self.position(
            node.end_lineno, node.end_col_offset
        )

    @cached_property
    def _tokens(self) -> list[tuple[int, str, Position, Position]]:
        """All tokens that count, f-strings whole."""
        kept = []
        depth, start = 0, (0, 0)
        for token in tokenize.generate_tokens(io.StringIO(self._text).readline):
            kind = tokenize.tok_name[token.type]
            if kind in ("FSTRING_START", "TSTRING_START"):
                start = start if depth else token.start
                depth += 1
            elif kind in ("FSTRING_END", "TSTRING_END"):
                depth -= 1
                if not depth:
                    kept.append((tokenize.STRING, self._slice(start, token.end), start, token.end))
            elif not depth and token.type not in NOTHING:
                kept.append((token.type, token.string, token.start, token.end))
        return kept

    def _slice(self, start: Position, end: Position) -> str:
        lines = self._lines[start[0] - 1 : end[0]]
        lines[-1] = lines[-1][: end[1]]
        lines[0] = lines[0][start[1] :]
        return "\n".join(lines)

    def tokens(
        self,
        number: int,
        replaced: Mapping[Position, tuple[str, Position]],
        left_out: Iterable[ast.AST],
    ) -> Iterator[str]:
        """Yield the tokens of a statement at the top level.

        Parameters
        ----------
        number : int
        replaced : mapping
            By where a name begins: what stands for it, and where it ends.
        left_out : iterable of ast.AST
            Nodes that do not count; docstrings never do.
        """
        node = self.statements[number]
        start, end = self.span(node)
        spans = dict(map(self.span, (*_docstrings(node), *left_out)))
        inside = [t for t in self._tokens if start <= t[2] and t[3] <= end]
        while inside and inside[0][0] in LAYOUT:  # the end of what stands before
            del inside[0]
        done = start
        own_line = True  # whether a statement begins a line here
        gone = None  # whether one that was left out began one
        for kind, text, begin, _ in inside:
            if begin < done:
                continue
            if gone is not None:
                first, gone = gone, None
                if text == ";" or (kind == tokenize.NEWLINE and first):
                    own_line = first
                    continue
            if begin in spans:
                done, gone = spans[begin], own_line
            elif begin in replaced and kind == tokenize.NAME:
                text, done = replaced[begin]
                yield text
            else:
                yield LAYOUT.get(kind, text)
            own_line = kind in LAYOUT


def imports_in(statements: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield import statements, in blocks too, but not those of inner functions and classes."""
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from imports_in(ast.iter_child_nodes(node))


def is_text(node: ast.AST) -> bool:
    """Say whether a statement is nothing but a string."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_effect(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
        return True
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass) or is_text(statement):
        return False
    return next(_binds(statement), None) is None


def _docstrings(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.walk(node):
        if isinstance(inner, (*FUNCTIONS, ast.ClassDef)) and is_text(inner.body[0]):
            yield inner.body[0]


def _binds(node: ast.AST, inside: bool = False) -> Iterator[str]:
    """Yield the names that a statement binds at its module's top level, imports apart.

    A plain import statement binds nothing here; one inside `try` or `if` does, since the block
    decides what the name is.
    """
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name
        for inner in ast.walk(node):  # `global NAME` in a function
            if isinstance(inner, ast.Global):
                yield from inner.names
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        if inside:
            yield from (a.asname or a.name.partition(".")[0] for a in node.names)
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from _binds(child, True)
