"""The plugins: every model and data set there is, and those that can't be used, by name."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import NoReturn

from benchmark.contracts.dataset import DatasetPlugin
from benchmark.contracts.frontend import FrontEnd
from benchmark.contracts.model import Model
from benchmark.errors import PluginError, UnknownNameError, told

#: What is said of a name that is :func:`misnamed`; spaces and other signs do no harm.
NAME = "letters, digits, - and _ alone, a letter first"


def misnamed(name: str) -> bool:
    """Say whether a name can't be asked for, as in ``model:preset``, or can't be a file's."""
    return (
        name.startswith((".", "-"))
        or name != name.strip()
        or not name.isprintable()
        or any(character in name for character in ":/\\")
    )


@dataclass
class Registry:
    """Plugins of one kind.

    Attributes
    ----------
    kind : str
        ``"model"`` or ``"data set"``.
    base : type
        What every plugin's class is a subclass of.
    plugins : dict of str to type
        By name.
    failures : dict of str to str
        Complaint, by the module or entry point that can't be used; of two plugins with one name,
        or with one that can't be used, by that name and each one's module.
    defined : dict of str to list of str
        The names of the plugins that each module of the folder defines, usable or not.
    """

    kind: str
    base: type
    plugins: dict[str, type] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    defined: dict[str, list[str]] = field(default_factory=dict)

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
            If the plugin is there but can't be used.
        """
        if name in self.plugins:
            return self.plugins[name]
        self.refuse_broken(name)
        raise UnknownNameError(self.kind, name, self.plugins)

    def refuse_broken(self, name: str) -> None:
        """Raise PluginError if a plugin of that name is there but can't be used."""
        for where, problem in self.failures.items():
            module = where.rpartition(".")[2].partition(":")[0]
            if name in (module, where.partition(" in ")[0], where.partition(" (")[0]):
                self._refuse(name, where, problem)
        for where, names in self.defined.items():
            if name == where.rpartition(".")[2]:
                named = f"only {self.kind}s of other names: {', '.join(map(repr, names))}"
                none = f"no subclass of {self.base.__name__}"
                self._refuse(name, where, f"it defines {named if names else none}")

    def _refuse(self, name: str, where: str, problem: str) -> NoReturn:
        raise PluginError(
            f"{self.kind} {name!r} can't be used: {problem} (in {where.rpartition(' in ')[2]}). "
            "Mend the plugin file, then run again"
        )

    def add_module(self, module: ModuleType) -> None:
        """Add the concrete plugins that `module` defines."""
        defined = self.defined[module.__name__] = []
        for cls in list(vars(module).values()):
            if not (inspect.isclass(cls) and issubclass(cls, self.base)):
                continue
            if cls.__module__ == module.__name__ and not cls.__name__.startswith("_"):
                defined.append(str(getattr(cls, "name", cls.__name__)))
                self.add(cls, module.__name__)

    def add(self, plugin: object, where: str) -> None:
        """Add what should be a plugin's class; note under `failures` why it can't be used."""
        name = getattr(plugin, "name", None)
        if not (inspect.isclass(plugin) and issubclass(plugin, self.base)):
            self.failures[where] = f"it is no subclass of {self.base.__name__} but {plugin!r}"
            if hasattr(plugin, "get_params"):
                self.failures[where] += (
                    "; an estimator of scikit-learn is wrapped in pt.BinaryRelevance, as in "
                    "models/README.md"
                )
        elif inspect.isabstract(plugin):
            missing = ", ".join(sorted(plugin.__abstractmethods__))
            self.failures[where] = f"class {plugin.__name__} lacks {missing}"
        elif not isinstance(name, str) or not name:
            self.failures[where] = f"class {plugin.__name__} has no `name`"
        elif misnamed(name):
            self.failures[f"{name} in {plugin.__module__}:{plugin.__qualname__}"] = (
                f"its name may hold {NAME}"
            )
        elif self.plugins.get(name) is not plugin:
            self._add_named(plugin, name)

    def _add_named(self, plugin: type, name: str) -> None:
        """Add a plugin unless another one has its name: then neither can be used."""
        others = [where for where in self.failures if where.startswith(f"{name} in ")]
        first = self.plugins.pop(name, None)
        if first is None and not others:
            self.plugins[name] = plugin
            return
        complaint = f"several {self.kind}s have the name {name!r}; rename all but one"
        for cls in filter(None, (first, plugin)):
            self.failures[f"{name} in {cls.__module__}:{cls.__qualname__}"] = complaint

    def attempt(self, where: str, add: Callable[[], None]) -> None:
        """Import and add something; whatever it raises, or that it exits, is its failure."""
        try:
            add()
        except KeyboardInterrupt:
            raise
        except SystemExit as end:
            self.failures[where] = (
                f"it ended the command when it was imported (exit code {end.code}): put what "
                'only a script does under `if __name__ == "__main__":`'
            )
        except BaseException as error:
            self.failures[where] = told(error)


def discover(kind: str, folder: ModuleType, group: str, base: type) -> Registry:
    """Scan a package's folder, then an entry-point group, for subclasses of `base`."""
    registry = Registry(kind, base)
    for info in pkgutil.iter_modules(folder.__path__):
        if not info.ispkg and not info.name.startswith("_"):
            where = f"{folder.__name__}.{info.name}"
            registry.attempt(where, lambda: registry.add_module(importlib.import_module(where)))  # noqa: B023
    for point in entry_points(group=group):
        where = f"{point.name} ({point.value})"
        registry.attempt(where, lambda: registry.add(point.load(), where))  # noqa: B023
    return registry


def check_class(kind: str, cls: object, base: type) -> None:
    """Refuse what can't be used as a plugin's class.

    Raises
    ------
    PluginError
        Saying why.
    """
    one = Registry(kind, base)
    one.add(cls, kind)
    for problem in one.failures.values():
        raise PluginError(f"the {kind} can't be used: {problem}")


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


@cache
def frontends() -> Registry:
    """Return the front ends in ``benchmark/features/`` and under ``polytimbre.frontends``."""
    from benchmark import features as folder

    return discover("front end", folder, "polytimbre.frontends", FrontEnd)
