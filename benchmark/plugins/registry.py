"""The plugins: found by scanning folders and entry points, named or refused by name."""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import io
import pkgutil
import tokenize
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from benchmark.contracts.dataset import DatasetPlugin
from benchmark.contracts.model import Model
from benchmark.errors import PluginError, UnknownNameError


@dataclass
class Registry:
    """Plugins of one kind.

    Attributes
    ----------
    kind : str
        ``"model"`` or ``"data set"``.
    plugins : dict of str to type
        By name.
    failures : dict of str to str
        Traceback or complaint, by the module or entry point that could not be used.
    """

    kind: str
    plugins: dict[str, type] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the usable plugins' names, sorted."""
        return sorted(self.plugins)

    def get(self, name: str) -> type:
        """Return a plugin by name.

        Raises
        ------
        UnknownNameError
            With the nearest known name.
        PluginError
            If the plugin is there but can't be imported.
        """
        if name in self.plugins:
            return self.plugins[name]
        for where, trace in self.failures.items():
            if where.rpartition(".")[2] == name:
                raise PluginError(
                    f"{self.kind} {name!r} can't be used: {trace.strip().splitlines()[-1]} "
                    f"(in {where}). Mend the plugin file, then run again"
                )
        raise UnknownNameError(self.kind, name, self.plugins)

    def add_module(self, module: ModuleType, base: type) -> None:
        """Add the concrete subclasses of `base` that `module` defines."""
        for cls in vars(module).values():
            if not (inspect.isclass(cls) and issubclass(cls, base)):
                continue
            if cls.__module__ == module.__name__ and not cls.__name__.startswith("_"):
                self.add(cls, module.__name__)

    def add(self, cls: type, where: str) -> None:
        """Add one plugin class; note it under `failures` where it breaks its contract."""
        name = getattr(cls, "name", None)
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(cls.__abstractmethods__))
            self.failures[where] = f"class {cls.__name__} lacks {missing}"
        elif not isinstance(name, str) or not name:
            self.failures[where] = f"class {cls.__name__} has no `name`"
        elif name in self.plugins and self.plugins[name] is not cls:
            other = self.plugins[name].__module__
            raise PluginError(
                f"two {self.kind}s are named {name!r}: one in {other}, one in {where}"
            )
        else:
            self.plugins[name] = cls


def discover(kind: str, folder: ModuleType, group: str, base: type) -> Registry:
    """Scan a package's folder, then an entry-point group, for subclasses of `base`."""
    registry = Registry(kind)
    for info in pkgutil.iter_modules(folder.__path__):
        if info.ispkg or info.name.startswith("_"):
            continue
        where = f"{folder.__name__}.{info.name}"
        try:
            registry.add_module(importlib.import_module(where), base)
        except PluginError:
            raise
        except Exception:
            registry.failures[where] = traceback.format_exc()
    for point in entry_points(group=group):
        try:
            registry.add(point.load(), point.value)
        except PluginError:
            raise
        except Exception:
            registry.failures[point.name] = traceback.format_exc()
    return registry


def check_class(kind: str, cls: type, base: type) -> None:
    """Refuse what is no usable subclass of `base`.

    Raises
    ------
    PluginError
    """
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        raise PluginError(f"a {kind} is a name or a subclass of {base.__name__}, got {cls!r}")
    one = Registry(kind)
    one.add(cls, cls.__module__)
    for problem in one.failures.values():
        raise PluginError(problem)


@cache
def models() -> Registry:
    """Return the models in ``models/`` and under ``polytimbre.models``."""
    import models as folder

    return discover("model", folder, "polytimbre.models", Model)


@cache
def datasets() -> Registry:
    """Return the data sets in ``benchmark/datasets/`` and under ``polytimbre.datasets``."""
    from benchmark import datasets as folder

    return discover("data set", folder, "polytimbre.datasets", DatasetPlugin)


def source_hash(cls: type) -> str:
    """Hash the code a plugin rests on, comments and docstrings apart.

    That is its own file and what it imports, directly or not, from its package and this one.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    own = {cls.__module__.partition(".")[0], "benchmark", "models"}
    seen: dict[str, str] = {}
    todo = [cls.__module__]
    if cls.__module__ == "__main__":  # a script's or a notebook's: the class alone
        source = _own_source(cls)
        tree = ast.parse(source)
        seen["__main__"] = _code(source, tree)
        todo = [base.__module__ for base in cls.__mro__[1:]]
    while todo:
        name = todo.pop()
        if name in seen or (source := _source(name)) is None:
            continue
        tree = ast.parse(source)
        seen[name] = _code(source, tree)
        todo += [m for m in _imported(tree) if m.partition(".")[0] in own]
    text = "\n".join(f"{name}\n{code}" for name, code in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _own_source(cls: type) -> str:
    try:
        return inspect.cleandoc("\n" + inspect.getsource(cls))
    except (OSError, TypeError) as error:
        raise PluginError(
            f"the source of class {cls.__name__} can't be read ({error}), and without it a run "
            "has no identity: write the class to a file, and import it"
        ) from error


def _source(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None  # `from package.module import name` also proposes package.module.name
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).read_text(encoding="utf-8")


def _code(source: str, tree: ast.Module) -> str:
    """Cut comments and docstrings out of the text; an unparsed tree differs between Pythons."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                for row in range(first.lineno - 1, first.end_lineno):
                    lines[row] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
