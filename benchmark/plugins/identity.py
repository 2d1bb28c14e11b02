"""What a plugin computes, as a hash: of the definitions that it rests on, not of files.

From the plugin's class on, each name that a definition uses is followed to where it is
defined: in the plugin's own module or package, in `models`, `benchmark.bases` and
`benchmark.scoring`. A definition enters by its tokens, and a name that leads to another one as
that one's number in the order of the walk, so that neither module names nor aliases count.
:class:`Model`, :class:`History` and the other contracts are followed for what they use of
`benchmark.scoring`, and do not enter themselves. For the rest of the engine stands
:data:`ENGINE_FORMAT`.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache

from benchmark import contracts, scoring
from benchmark.errors import PluginError
from benchmark.plugins.names import (
    HASHED,
    WHOLE,
    Definition,
    Library,
    Module,
    Names,
    Target,
    Uses,
    within,
)
from benchmark.plugins.source import check_known

#: Raised by hand when the engine computes something else from the same plugin.
ENGINE_FORMAT = 1

#: A statement: its module, and its number there.
Place = tuple[str, int]


def source_hash(cls: type, packages: tuple[str, ...] = HASHED) -> str:
    """Hash what a plugin's class computes with.

    Parameters
    ----------
    cls : type
    packages : tuple of str
        Of the engine: those whose definitions count by content, where the class uses them.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    PluginError
        If the source can't be read.
    """
    # what a notebook has defined changes while it runs
    hashed = _hashed.__wrapped__ if cls.__module__ == "__main__" else _hashed
    return hashed(cls, packages)


@cache
def _hashed(cls: type, packages: tuple[str, ...]) -> str:
    walk = _Walk(cls, packages)
    of_contracts = sorted(_digest(walk.text(one)) for one in walk.used_by_contracts)
    text = walk.text(walk.start)
    check_known(text)
    return _digest("\n\n".join([str(ENGINE_FORMAT), text, *of_contracts]))[:16]


def imported_libraries(cls: type) -> set[str]:
    """Return the top-level modules of other libraries that a plugin's own code imports.

    What :mod:`benchmark.bases` imports for it, and the standard library, are left out.
    """
    tops = {name.split()[0].partition(".")[0] for name in _Walk(cls).libraries()}
    return tops - sys.stdlib_module_names


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class _Walk:
    """All statements that a class rests on.

    Attributes
    ----------
    start : Definition
        The class itself.
    used_by_contracts : set of Definition
        What the contracts that it uses take from the scoring code.
    """

    def __init__(self, cls: type, packages: tuple[str, ...] = HASHED) -> None:
        self.names = Names(cls.__module__.partition(".")[0], packages)
        source = self.names.source(cls.__module__)
        name = cls.__qualname__.partition(".")[0]
        known = source is not None and "<locals>" not in cls.__qualname__ and name in source.bound
        if source is None or not (known or hasattr(sys.modules.get(cls.__module__), "__file__")):
            raise PluginError(
                f"class {cls.__name__}: its source, in {cls.__module__!r}, can't be read, so its "
                "runs can't be told apart: define it in a Python file"
            )
        self.start = Definition(cls.__module__, name if known else WHOLE)
        self._uses: dict[Place, Uses] = {}
        self._attributes: set[str] = set()
        size = -1
        while size != len(self._attributes):  # a method that is mentioned may mention others
            size = len(self._attributes)
            self._uses.clear()
            self.used_by_contracts = self._reach()
            for uses in self._uses.values():
                self._attributes |= uses.attributes

    def _reach(self) -> set[Definition]:
        """Follow every name, through contracts too; return what contracts use of scoring."""
        waiting = [(self.start, False)]
        seen: set[tuple[Place, bool]] = set()
        of_contracts = set()
        while waiting:
            target, is_contract = waiting.pop()
            if isinstance(target, Module):
                target = Definition(target.module, WHOLE)
            if isinstance(target, Library):
                continue
            if is_contract and within(target.module, scoring.__name__):
                of_contracts.add(target)
            if within(target.module, contracts.__name__):
                is_contract = True
            elif self.names.is_hashed(target.module):
                is_contract = False
            else:
                continue
            for place in self._places(target):
                if (place, is_contract) not in seen:
                    seen.add((place, is_contract))
                    waiting += [(t, is_contract) for t in self._used(place).targets()]
        return of_contracts

    def libraries(self) -> set[str]:
        """Return other libraries' modules that the plugin's own statements import."""
        own = [u for (module, _), u in self._uses.items() if not within(module, "benchmark")]
        named = {t.name for uses in own for t in uses.targets() if isinstance(t, Library)}
        return named.union(*(uses.libraries for uses in own))

    def text(self, start: Definition) -> str:
        """Return a definition and all that it rests on, in the order of first use."""
        numbers: dict[Place, int] = {}
        waiting: list[Place] = []

        def mark(target: Target) -> str:
            if isinstance(target, Library):
                return f"<import {target.name}>"
            name = WHOLE if isinstance(target, Module) else target.name
            if not self.names.is_hashed(target.module):
                return f"<engine {name}>"
            given = []
            for place in self._places(Definition(target.module, name)):
                if place not in numbers:
                    numbers[place] = len(numbers)
                    waiting.append(place)
                given.append(f"{numbers[place]}")
            return f"<{' '.join(given)} {name}>"

        lines = [mark(start)]
        while waiting:
            place = waiting.pop(0)
            lines.append("\0".join(self._tokens(place, mark)))
        return "\n".join(lines)

    def _places(self, target: Definition) -> list[Place]:
        """Return the statements of a definition, then those that importing its module runs."""
        source = self.names.source(target.module)
        if source is None:
            return []
        if target.name == WHOLE:
            return [(source.name, n) for n in range(len(source.statements))]
        places = [(source.name, n) for n in source.bound.get(target.name, ())]
        module = source.name
        while module and self.names.is_hashed(module):
            above = self.names.source(module)
            places += [(module, n) for n in above.effects] if above is not None else []
            module = module.rpartition(".")[0]
        return places

    def _used(self, place: Place) -> Uses:
        if place not in self._uses:
            module, number = place
            source = self.names.source(module)
            self._uses[place] = Uses(self.names, source, number, self._attributes)
        return self._uses[place]

    def _tokens(self, place: Place, mark: Callable[[Target], str]) -> list[str]:
        uses = self._used(place)
        replaced = {
            begin: (" ".join(map(mark, targets)), end)
            for (begin, end), targets in sorted(uses.by_place.items())
        }
        tokens = list(uses.source.tokens(place[1], replaced, uses.left_out))
        return [*tokens, *map(mark, uses.elsewhere)]
