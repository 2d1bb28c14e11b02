"""Where the names that a definition uses are defined: in which module, under which name."""

import ast
import pkgutil
import sys
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

from benchmark import bases, contracts, scoring
from benchmark.plugins.source import FUNCTIONS, Position, Source, imports_in, is_module, text_of

#: The public API's module: its names are classes and functions that live elsewhere.
API = "polytimbre"
#: The engine's packages that a model's plugin rests on.
HASHED = (bases.__name__, scoring.__name__)
#: In place of a name: everything that the module defines.
WHOLE = "*"
IMPORTERS = ("import_module", "__import__")


class Module(NamedTuple):
    """A name stands for a module of this project or of the plugin."""

    module: str


class Library(NamedTuple):
    """A name comes from another library."""

    name: str


class Definition(NamedTuple):
    """A name is bound at the top level of a module of this project or of the plugin."""

    module: str
    name: str


Target = Module | Library | Definition


def within(module: str, *packages: str) -> bool:
    """Say whether a module is one of these packages, or inside one."""
    return any(module == name or module.startswith(f"{name}.") for name in packages)


_parsed = lru_cache(maxsize=256)(Source)


class Names:
    """Names of this project and of one plugin, followed to their definitions.

    Parameters
    ----------
    own : str
        The plugin's top-level package or module.
    hashed : tuple of str
        The engine's packages whose definitions are part of the plugin's identity.
    """

    def __init__(self, own: str, hashed: tuple[str, ...] = HASHED) -> None:
        self.own, self.hashed = own, hashed
        self._sources: dict[str, Source | None] = {}

    def source(self, module: str) -> Source | None:
        """Return a module's source; None if there is no such module."""
        if module not in self._sources:
            text = text_of(module)
            self._sources[module] = None if text is None else _parsed(module, text)
        return self._sources[module]

    def is_ours(self, module: str) -> bool:
        """Say whether a module is of this project or of the plugin."""
        return within(module, "benchmark", "models", API, self.own)

    def is_hashed(self, module: str) -> bool:
        """Say whether a module's definitions are part of a plugin's identity."""
        if within(module, "benchmark"):
            return within(module, *self.hashed)
        return within(module, "models", self.own)

    def member(self, module: str, name: str) -> list[Target]:
        """Return what `name` is in `module`; the whole module where that can't be told."""
        if module == API:
            value = getattr(import_module(API), name, None)
            module = getattr(value, "__module__", None) or API
            name = getattr(value, "__qualname__", name)
        source = self.source(module)
        if source is not None and (targets := self.top_level(source, name)):
            return targets
        if is_module(f"{module}.{name}"):
            return [Module(f"{module}.{name}")]
        return [Definition(module, WHOLE if self.is_hashed(module) else name)]

    def top_level(self, source: Source, name: str) -> list[Target]:
        """Return what a name is at a module's top level; nothing where the module lacks it."""
        targets: list[Target] = [Definition(source.name, name)] if name in source.bound else []
        for statement in source.imports:
            targets += self.imported(source, statement, name)
        return targets

    def imported(
        self, source: Source, statement: ast.Import | ast.ImportFrom, name: str
    ) -> list[Target]:
        """Return what a name is if an import statement binds it, nothing if it doesn't."""
        targets: list[Target] = []
        for alias in statement.names:
            bound = alias.asname or alias.name
            if isinstance(statement, ast.Import):
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                if name == (alias.asname or module):
                    targets.append((Module if self.is_ours(module) else Library)(module))
            elif not self.is_ours(module := source.origin(statement)):
                if name == bound:
                    targets.append(Library(f"{module} {alias.name}"))
            elif alias.name == "*":
                star = self.source(module)
                targets += self.top_level(star, name) if star is not None else []
            elif name == bound:
                targets += self.member(module, alias.name)
        return targets

    def is_own_import(self, source: Source, node: ast.AST) -> bool:
        """Say whether a node imports modules of this project or the plugin, and nothing else."""
        if isinstance(node, ast.ImportFrom):
            return self.is_ours(source.origin(node))
        return isinstance(node, ast.Import) and all(self.is_ours(a.name) for a in node.names)

    def everything_own(self) -> list[Target]:
        """Return all modules of the plugin's package, whole."""
        modules = [self.own]
        folder = getattr(sys.modules.get(self.own), "__path__", None)
        if folder is not None:
            modules += [m.name for m in pkgutil.walk_packages(folder, f"{self.own}.")]
        return [Definition(name, WHOLE) for name in modules]


class Uses(ast.NodeVisitor):
    """What one statement at a module's top level uses.

    Attributes
    ----------
    by_place : dict
        Targets by where a name begins and ends.
    elsewhere : list of Target
        Those that have no place: in an f-string, or imported by a function's call.
    attributes : set of str
        Every name that stands behind a dot, so that methods of these names count.
    left_out : list of ast.AST
        Imports of this project's modules; of the engine's code, what no text of an error and
        no unused method may change.
    libraries : set of str
        Other libraries' modules that are imported inside.
    """

    def __init__(self, names: Names, source: Source, number: int, attributes: set[str]) -> None:
        self.names, self.source = names, source
        self.by_place: dict[tuple[Position, Position], list[Target]] = {}
        self.elsewhere: list[Target] = []
        self.attributes: set[str] = set()
        self.left_out: list[ast.AST] = []
        self.libraries: set[str] = set()
        self._scopes: list[tuple[list[ast.Import | ast.ImportFrom], set[str]]] = []
        self._in_string = False
        statement = source.statements[number]
        self._is_engine = within(source.name, "benchmark")
        narrow = within(source.name, scoring.__name__, contracts.__name__)
        if narrow and isinstance(statement, ast.ClassDef) and WHOLE not in attributes:
            self.left_out += [m for m in statement.body if _unused(m, attributes)]
        self.visit(statement)

    def targets(self) -> list[Target]:
        """Return all that is used, in the order of the text."""
        return [t for place in sorted(self.by_place) for t in self.by_place[place]] + self.elsewhere

    def visit(self, node: ast.AST) -> None:
        """Visit a node unless it is left out."""
        if node not in self.left_out:
            super().visit(node)

    def _lookup(self, name: str) -> list[Target]:
        for imports, local in reversed(self._scopes):
            for statement in imports:
                if targets := self.names.imported(self.source, statement, name):
                    ours = [t for t in targets if not isinstance(t, Library)]
                    return ours  # another library's import stands in the text already
            if name in local:
                return []
        return self.names.top_level(self.source, name)

    def _use(self, node: ast.AST, targets: list[Target]) -> None:
        if self._in_string:  # before Python 3.12 places inside f-strings are wrong
            self.elsewhere += targets
        elif targets:
            self.by_place[self.source.span(node)] = targets

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name that is read."""
        if not isinstance(node.ctx, ast.Store):
            self._use(node, self._lookup(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Follow ``module.name`` to what it is there."""
        chain: list[ast.Attribute] = []
        base: ast.AST = node
        while isinstance(base, ast.Attribute):
            chain.append(base)
            base = base.value
        self.attributes |= {one.attr for one in chain}
        if not isinstance(base, ast.Name):
            self.visit(base)
            return
        targets = self._lookup(base.id)
        while chain and len(targets) == 1 and isinstance(targets[0], Module):
            base = chain.pop()
            targets = self.names.member(targets[0].module, base.attr)
        self._use(base, targets)

    def visit_Call(self, node: ast.Call) -> None:
        """Note what a call imports, or asks an object for by name."""
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if called in IMPORTERS:
            self._import(texts[0] if texts else None)
        elif called in ("getattr", "attrgetter", "methodcaller"):
            self.attributes |= {t for t in texts if isinstance(t, str)} or {WHOLE}
        self.generic_visit(node)

    def _import(self, name: str | None) -> None:
        if name is None:
            self.elsewhere += self.names.everything_own()
            return
        bare = name.lstrip(".")
        level = len(name) - len(bare)
        module = self.source.origin(ast.ImportFrom(bare, [], level))
        if self.names.is_ours(module):
            self.elsewhere.append(Definition(module, WHOLE))
        else:
            self.libraries.add(module)

    def _visit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if self.names.is_own_import(self.source, node):
            self.left_out.append(node)
            if node.names[0].name == "*":
                self.elsewhere.append(Definition(self.source.origin(node), WHOLE))
        elif isinstance(node, ast.ImportFrom):
            self.libraries.add(node.module or "")
        else:
            self.libraries |= {alias.name for alias in node.names}

    visit_Import = visit_ImportFrom = _visit_import

    def visit_Global(self, node: ast.Global) -> None:
        """Note a module's variable that a function sets."""
        for name in node.names:
            self.elsewhere += self.names.top_level(self.source, name)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Note names inside an f-string, without their places."""
        outer, self._in_string = self._in_string, True
        self.generic_visit(node)
        self._in_string = outer

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave out the texts of the engine's errors."""
        if self._is_engine:
            texts = (n for n in ast.walk(node) if isinstance(n, ast.JoinedStr) or _is_str(n))
            self.left_out += texts
        self.generic_visit(node)

    def _visit_scope(self, node: ast.AST) -> None:
        for outside in (*node.decorator_list, *getattr(node, "bases", ())):
            self.visit(outside)
        local = set() if isinstance(node, ast.ClassDef) else _locals(node)
        self._scopes.append((list(imports_in(node.body)), local))
        for child in ast.iter_child_nodes(node):
            if child not in node.decorator_list and child not in getattr(node, "bases", ()):
                self.visit(child)
        self._scopes.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _visit_scope


def _is_str(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _unused(member: ast.stmt, attributes: set[str]) -> bool:
    """Say whether a class's member is a method that nothing mentions."""
    if not isinstance(member, FUNCTIONS) or member.name.startswith("__"):
        return False
    return member.name not in attributes


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return names that are surely a function's own; comprehensions have theirs."""
    shared: set[str] = set()
    names: set[str] = set()

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif not isinstance(
            node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
        ):
            for child in ast.iter_child_nodes(node):
                look(child)

    for statement in function.body:
        look(statement)
    names |= {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    return names - shared
