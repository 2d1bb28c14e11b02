"""Download a published archive and take single members out of it, checked."""

import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from benchmark.errors import DataError
from benchmark.reading import downloads
from benchmark.reading.folders import in_the_way, working_folder


def verify(archive: Path, md5: str) -> None:
    """Check an archive's MD5 checksum (some seconds for 2.6 GB).

    Raises
    ------
    DataError
        Where `archive` does not have the checksum `md5`.
    """
    actual = downloads.checksum(archive, "md5").removeprefix("md5:")
    if actual != md5:
        raise DataError(
            f"{archive} has the MD5 checksum {actual} instead of {md5}: it is damaged or another "
            "version; move it away and download it again"
        )


def download(url: str, md5: str, archive: Path) -> None:
    """Download an archive with progress, going on where an earlier attempt stopped.

    Raises
    ------
    DataError
        Where the network, the server, the disk or the checksum fails.
    """
    instead = f"put it into {archive.parent}"
    try:
        downloads.download(url, f"md5:{md5}", archive, instead)
    except OSError as error:
        reason = in_the_way(error) or error.strerror or error
        raise DataError(
            f"could not write the download to {archive} ({reason}); name another folder with"
            " --data-root, or mend this one"
        ) from error


@contextmanager
def unpacked(archive: Path, md5: str, members: Collection[str], top: str) -> Iterator[Path]:
    """Yield a folder that holds some members of a ``.tgz``.

    They are kept in ``<archive>.features`` beside the archive, so that checksum and unpacking
    are paid once, or in a temporary folder where that can't be written.

    Parameters
    ----------
    archive : Path
    md5 : str
        The archive's checksum, checked before anything of it is read.
    members : collection of str
        Paths of files below `top`; all must be there.
    top : str
        The archive's only top folder.

    Raises
    ------
    DataError
        Where the archive is damaged, another version or lacks a member.
    """
    cache = archive.with_name(f"{archive.name}.features")
    state = archive.stat()
    stamp = f"{md5} {state.st_size} {state.st_mtime_ns}"
    if _stamp(cache) == stamp:
        yield cache
        return
    verify(archive, md5)
    beside = archive.parent if os.access(archive.parent, os.W_OK) else None
    with working_folder(beside) as folder:
        _extract(archive, set(members), top, folder)
        (folder / "stamp").write_text(stamp, encoding="utf-8")
        if beside is None:
            yield folder
            return
        shutil.rmtree(cache, ignore_errors=True)
        try:
            folder.replace(cache)
        except OSError:  # another process was first, with the same content
            if _stamp(cache) != stamp:
                raise
    yield cache


def _stamp(cache: Path) -> str | None:
    try:
        return (cache / "stamp").read_text(encoding="utf-8")
    except (OSError, ValueError):  # what can't be read says that nothing is there
        return None


def _extract(archive: Path, wanted: set[str], top: str, folder: Path) -> None:
    """Copy `wanted` in one pass; names in the archive are compared, never used as paths."""
    from rich.console import Console
    from rich.progress import open as open_with_progress

    console = Console(file=sys.__stderr__)
    progress = open_with_progress(
        archive,
        "rb",
        description="unpacking",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        with progress as raw, tarfile.open(fileobj=raw, mode="r|gz") as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                name = "/".join(parts[1:]) if parts[:1] == (top,) else ""
                if name in wanted and member.isreg():
                    _copy(tar, member, folder / name)
                    wanted.remove(name)
                if not wanted:
                    return
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"could not unpack {archive}: {error}") from error
    raise DataError(f"{archive} lacks {', '.join(sorted(wanted))}; download it again")


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None, "a regular file has content"
    with content, path.open("wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
