"""Download a published archive and take single members out of it, both checked and resumable."""

import hashlib
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from benchmark.errors import DataError
from benchmark.reading.folders import working_folder


def verify(archive: Path, md5: str) -> None:
    """Check an archive's MD5 checksum (some seconds for 2.6 GB).

    Raises
    ------
    DataError
        Where `archive` does not have the checksum `md5`.
    """
    with archive.open("rb") as stream:
        actual = hashlib.file_digest(
            stream, partial(hashlib.md5, usedforsecurity=False)
        ).hexdigest()
    if actual != md5:
        raise DataError(
            f"{archive} has the MD5 checksum {actual} instead of {md5}: it is damaged or another "
            "version; move it away and download it again"
        )


def part_of(path: Path) -> Path:
    """Return the file that holds what has arrived of a download to `path`."""
    return path.with_name(f"{path.name}.part")


def download(url: str, md5: str, path: Path) -> None:
    """Download `url` to `path` with progress, going on where an earlier attempt stopped.

    Parameters
    ----------
    url : str
    md5 : str
        The file's checksum; `path` appears only once it is right.
    path : Path
        In a folder that is made where it is missing.

    Raises
    ------
    DataError
        Where the network, the server, the disk or the checksum fails.
    """
    import pooch
    import requests

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            url,
            known_hash=f"md5:{md5}",
            fname=path.name,
            path=path.parent,
            downloader=partial(_fetch, part_of(path)),
        )
    except requests.RequestException as error:
        raise DataError(
            f"could not download {url} ({_reason(error)}); check the network and run the download "
            "again, it goes on where it stopped, or fetch the file by other means and put it into "
            f"{path.parent}"
        ) from error
    except OSError as error:
        raise DataError(f"could not write the download to {path}: {error}") from error
    except ValueError as error:
        raise DataError(
            f"what {url} sent does not have the MD5 checksum {md5} and was removed; run the "
            "download again"
        ) from error


def _reason(error: Exception) -> str:
    """Say in short what requests says at length."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return str(error)


def _fetch(part: Path, url: str, output_file: str, _pooch: object) -> None:
    """Download for pooch, whose own downloader starts from zero each time.

    What arrives is kept in `part` across attempts. Pooch checks `output_file`'s checksum and
    removes it where that is wrong, so a wrong part is never resumed twice.
    """
    import requests

    there = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "polytimbre", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    with requests.get(url, headers=headers, stream=True, timeout=(15, 60)) as response:
        # 416: the part is already as long as the file; the checksum decides.
        if response.status_code != requests.codes.requested_range_not_satisfiable:
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            _receive(response, part, there if resumed else 0)
    part.replace(output_file)


def _receive(response, part: Path, there: int) -> None:
    """Write a response's body behind the first `there` bytes of `part`."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    rest = response.headers.get("Content-Length")
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(file=sys.__stderr__)
    with (
        part.open("ab" if there else "wb") as out,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("", total=there + int(rest) if rest else None, completed=there)
        for chunk in response.iter_content(1 << 16):
            out.write(chunk)
            progress.advance(task, len(chunk))


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
