"""Folders that are worked in, beside the place of what is made there."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Errors of the system that say that there is no room left.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PREFIX = ".polytimbre-work-"
LOCK = "lock"


def in_the_way(error: OSError) -> str | None:
    """Name the file that stands where a folder must be; None where something else is wrong."""
    if error.filename is None or not isinstance(error, FileExistsError | NotADirectoryError):
        return None
    path = Path(error.filename)
    found = (one for one in (path, *path.parents) if one.is_file())
    return next((f"{one} is a file, not a folder" for one in found), None)


@contextmanager
def working_folder(parent: Path | None) -> Iterator[Path]:
    """Give an empty folder to work in, on the disk of what is made there; removed at the end.

    What a killed process left beside it is removed first: a lock, which ends with its process,
    tells it from a folder that another one works in now.

    Parameters
    ----------
    parent : Path, optional
        The system's folder of temporary files if None.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    import filelock

    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name:
        folder = Path(name)
        for other in folder.parent.iterdir():
            # without a lock it has only just been made
            if re.fullmatch(rf"{PREFIX}\w{{8}}", other.name) and (other / LOCK).is_file():
                with suppress(OSError), filelock.FileLock(other / LOCK, timeout=0):
                    shutil.rmtree(other)
        with filelock.FileLock(folder / LOCK):
            (folder / "in").mkdir()
            yield folder / "in"
