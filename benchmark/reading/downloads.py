"""Download a published file: checked, and going on where an earlier attempt stopped."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmark.errors import DataError


def checksum(path: Path, kind: str) -> str:
    """Return a file's checksum, as in ``"md5:d41d..."`` (some seconds for 2.6 GB)."""
    made = partial(hashlib.new, kind, usedforsecurity=False)
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, made).hexdigest()}"


def part_of(path: Path) -> Path:
    """Return the file that holds what has arrived of a download to `path`."""
    return path.with_name(f"{path.name}.part")


def download(url: str, expected: str, path: Path, instead: str) -> None:
    """Download `url` to `path` with progress, going on where an earlier attempt stopped.

    Parameters
    ----------
    url : str
    expected : str
        The file's checksum, as in ``"md5:d41d..."``; `path` appears only once it is right.
    path : Path
        In a folder that is made where it is missing.
    instead : str
        What to do with a file that was fetched by other means, as the end of a sentence.

    Raises
    ------
    DataError
        Where the network, the server or the checksum fails, or another process downloads it.
    OSError
        Where nothing can be written.
    """
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    part, (kind, _, digits) = part_of(path), expected.partition(":")
    with _alone(part):
        try:
            _fetch(url, part)
        except requests.RequestException as error:
            raise DataError(
                f"could not download {url} ({_reason(error)}); check the network and run the"
                " download again, it goes on where it stopped, or fetch the file by other means"
                f" and {instead}"
            ) from error
        if checksum(part, kind) != expected:
            part.unlink()  # it would be resumed for ever
            raise DataError(
                f"what {url} sent does not have the {kind.upper()} checksum {digits} and was"
                " removed; run the download again"
            )
        part.replace(path)


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Refuse to write to a part that another process writes to."""
    import filelock

    path = part.with_name(f"{part.name}.lock")
    try:
        lock = filelock.FileLock(path).acquire(timeout=0)
    except filelock.Timeout:
        raise DataError(
            f"another process downloads to {part}: wait until it has ended, and run the download"
            " again"
        ) from None
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):  # not every system removes what is open
                path.unlink()


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


def _fetch(url: str, part: Path) -> None:
    """Download into `part`, what has arrived of it before included."""
    import requests

    there = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "polytimbre", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    with requests.get(url, headers=headers, stream=True, timeout=(15, 60)) as response:
        start = _start(response, part, there)
        if start is not None:
            _receive(response, part, start)


def _start(response, part: Path, there: int) -> int | None:
    """Return where a response's body begins in the file; None where all of it has arrived.

    Raises
    ------
    DataError
        Where it is another file's: a part of gigabytes is worth more than a server's page.
    """
    import requests

    status, headers = response.status_code, response.headers
    named = headers.get("Content-Range", "")
    if there and status == requests.codes.requested_range_not_satisfiable:
        total = named.rpartition("/")[2]
        if not total.isdecimal() or int(total) <= there:  # the checksum decides
            return None
    response.raise_for_status()
    if not there:
        return 0
    if status == requests.codes.partial_content and named.startswith(f"bytes {there}-"):
        return there
    length = headers.get("Content-Length", "")
    if status == requests.codes.ok and length.isdecimal() and int(length) >= there:
        return 0  # a server that knows no ranges sends all of it once more
    sent = named or f"{length or 'some'} bytes"
    raise DataError(
        f"{response.url} sends something else than the rest of {part}, of which {there:,} bytes are"
        f" here: {sent}. Look whether it asks for a login, and run"
        " the download again, or remove that file to begin anew"
    )


def _receive(response, part: Path, start: int) -> None:
    """Write a response's body behind the first `start` bytes of `part`."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    rest = response.headers.get("Content-Length")
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(file=sys.__stderr__)
    with (
        part.open("ab" if start else "wb") as out,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("", total=start + int(rest) if rest else None, completed=start)
        for chunk in response.iter_content(1 << 16):
            out.write(chunk)
            progress.advance(task, len(chunk))
