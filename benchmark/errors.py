"""The expected errors: one family, each one clear sentence, exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches

#: How alike a name is to one that is suggested for it, from 0 to 1: "cnm" and "cnn" are by 0.67,
#: "irmas" and "ranks", which have nothing to do with each other, by 0.6.
NEAR = 0.65
#: Names that are listed all; of more, as of runs, the first ten.
LISTED = 40


class PolytimbreError(Exception):
    """An error the user can act on; printed without a traceback."""


def one_line(error: BaseException) -> str:
    """Return an error's kind and its text, where it has one, in one line."""
    return ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


def told(error: BaseException) -> str:
    """Return an error in one line: of an expected one the sentence alone."""
    return str(error) if isinstance(error, PolytimbreError) else one_line(error)


class UnknownNameError(PolytimbreError):
    """A model, data set, parameter, split or run that does not exist.

    Parameters
    ----------
    kind, name : str
        What it is, and what was asked for.
    known : iterable of str
        The names that exist: the nearest is suggested or, if none is near, they are listed.
    none, many : str
        What to say where there is no name, or more than can be listed, in place of some of them.
    more : str
        What else to say where there are names.
    where : str
        Of what it is, or among what, as in ``"of model cnn"``.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        none: str = "There is none.",
        many: str = "",
        more: str = "",
        where: str = "",
    ) -> None:
        known = sorted(known)
        spelt = {one.lower(): one for one in known}
        near = get_close_matches(str(name).lower(), spelt, n=1, cutoff=NEAR)
        if near:
            advice = f"Did you mean {spelt[near[0]]!r}?"
        elif many and len(known) > LISTED:
            advice = many
        elif known:
            shown = known if len(known) <= LISTED else known[:10]
            others = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
            advice = f"Known: {', '.join(shown)}{others}."
        else:
            advice = none
        more = f" {more}" if more and known else ""
        where = f" {where}" if where else ""
        super().__init__(f"unknown {kind} {name!r}{where}. {advice}{more}")


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
