"""Contract rules: methods that check one thing each, named by their docstrings."""

import inspect
from collections.abc import Callable, Iterator

from benchmark.errors import PluginError, told

Rule = Callable[[], None]


class BrokenRule(PluginError):
    """A rule that does not hold, named."""


def sentence(rule: Rule) -> str:
    """Return the first sentence of a rule's docstring."""
    return inspect.getdoc(rule).partition("\n")[0].rstrip(".")


class Rules:
    """The rules for one plugin's class; the first sentence of each is its docstring's.

    Attributes
    ----------
    kind : str
        What the class is, as in ``"model"``.
    not_its_fault : tuple of exception classes
        Errors that say nothing about the rule, such as missing weights.
    """

    kind: str
    not_its_fault: tuple[type[Exception], ...] = ()

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def broken(self, rule: Rule, reason: object) -> BrokenRule:
        """Return the error of a rule that does not hold."""
        name = getattr(self.cls, "name", self.cls.__name__)
        return BrokenRule(f"{self.kind} {name!r} broke the rule {sentence(rule)!r}: {reason}")

    def require(self, holds: bool, rule: Rule, reason: str) -> None:
        """Raise the error of a rule unless it holds."""
        if not holds:
            raise self.broken(rule, reason)

    def explained(self, rule: Rule, error: BaseException) -> BrokenRule:
        """Return the broken rule that explains an error which came up while one was checked."""
        return error if isinstance(error, BrokenRule) else self.broken(rule, told(error))

    def check(self, *rules: Rule) -> Iterator[str]:
        """Yield the sentence of each rule that holds; raise BrokenRule at the first other."""
        for rule in rules:
            try:
                rule()
            except self.not_its_fault:
                raise
            except (Exception, SystemExit) as error:
                broken = self.explained(rule, error)
                raise broken from (None if broken is error else error)
            yield sentence(rule)
