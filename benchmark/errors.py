"""The expected errors: one family, each one clear sentence, exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches


class PolytimbreError(Exception):
    """An error the user can act on; printed without a traceback."""


class UnknownNameError(PolytimbreError):
    """A model, data set, parameter, split or run that does not exist."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], none: str = "There is none."
    ) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        if near:
            advice = f"Did you mean {near[0]!r}?"
        elif known:
            shown = known if len(known) <= 30 else known[:10]
            more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
            advice = f"Known: {', '.join(shown)}{more}."
        else:
            advice = none
        super().__init__(f"unknown {kind} {name!r}. {advice}")


class ParameterError(PolytimbreError):
    """A value that a model's parameter may not have."""


class DataError(PolytimbreError):
    """A data set that is missing, damaged or breaks the data contract."""


class PluginError(PolytimbreError):
    """A model or data-set plugin that breaks its contract."""


class StoreError(PolytimbreError):
    """A store that can't be read or written, or a record that is damaged."""


class ProtocolError(PolytimbreError):
    """A comparison or score that the protocol does not allow."""
