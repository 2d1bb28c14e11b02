"""Read the one kind of pickle that published data need: a numpy array of str.

:func:`numpy.load` unpickles an object array, which runs whatever the file says. Here Python's
own unpickler runs with few of its opcodes, and what a pickle names is one of five stand-ins below,
never an imported object. So a call that it asks for reaches a stand-in, or nothing.
"""

import io
import pickle
from typing import Any


class NotStringsError(ValueError):
    """The pickle holds anything but one numpy array of str."""


class _Dtype:
    """Takes the place of numpy's dtype of objects while a pickle is read."""

    def __setstate__(self, state: Any) -> None:
        """Take what numpy says of its byte order, which objects don't have."""


class _Array:
    """Takes the place of the array while a pickle is read; `items` is its content."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, items = state
        if type(dtype) is not _Dtype or fortran is not False or type(items) is not list:
            raise NotStringsError("no array of objects")
        if [type(length) for length in shape] != [int]:
            raise NotStringsError("no one-dimensional numpy array")
        if not all(type(item) is str for item in items):
            raise NotStringsError("entries that are not str")
        if len(items) != shape[0]:
            raise NotStringsError(f"{len(items)} entries where its header says {shape[0]}")
        self.items = list(items)  # opcodes that follow can still change the other one


def _reconstruct(kind: Any, shape: Any, first: Any) -> _Array:
    return _Array()


def _dtype(code: Any, *flags: Any) -> _Dtype:
    if code not in ("O", "O4", "O8"):
        raise NotStringsError("another dtype than object")
    return _Dtype()


#: What a numpy array of str refers to, and what stands for it.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # numpy 2 renamed it
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): lambda text, encoding: b"",  # how protocol 2 spells bytes
}

#: Neither dictionaries and sets, whose hashing can be made to last for ever, nor anything that
#: asks for memory by a number in the file.
_OPCODES = (
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINSTRING", "SHORT_BINSTRING",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
)  # fmt: skip


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """The unpickler in Python: the one in C takes memory for a memo of any size it is told."""

    dispatch = {
        code: pickle._Unpickler.dispatch[code]  # type: ignore[attr-defined]
        for code in (getattr(pickle, name)[0] for name in _OPCODES)
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise NotStringsError(f"a reference to {f'{module}.{name}'[:80]!r}") from None


def parse_pickled_strings(data: bytes) -> list[str]:
    """Read a pickled one-dimensional numpy array of str; nothing in it is imported or called.

    Parameters
    ----------
    data : bytes
        A pickle of protocol 2, 3 or 4, as ``numpy.save`` writes for an object array.

    Returns
    -------
    list of str

    Raises
    ------
    NotStringsError
        Where the pickle holds anything else.
    """
    try:
        array = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        if type(array) is not _Array:
            raise NotStringsError("no numpy array")
        return array.items
    except NotStringsError:
        raise
    except KeyError as error:  # of an opcode that isn't among those above
        raise NotStringsError(f"an opcode that names don't need ({error})") from error
    except Exception as error:  # what a damaged pickle raises is of many kinds
        raise NotStringsError(f"a damaged pickle ({type(error).__name__}: {error})") from error
