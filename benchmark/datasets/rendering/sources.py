"""Where the sampled instruments come from: files that are fetched once and checked.

TimGM6mb comes with the extra `render`. The others are Debian packages and npm packages; their
files are looked for where the package puts them and in a folder of one's own, so that any
machine can use them.

None of the training sources shares a recording with a held-out one. TimGM6mb and sf_GMbank
do with each other: 301 of the 456 samples of sf_GMbank are in TimGM6mb byte for byte, and none
of 114 and 119 that were looked for is in FluidR3. So these two stand on one side.
"""

import hashlib
import io
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.datasets.rendering.soundfonts import Bank, imported
from benchmark.errors import DataError
from benchmark.features.pretrained import files
from benchmark.reading.files import open_binary

#: Bytes of the largest file of sampled instruments that is read.
LARGEST = 1 << 29


@dataclass(frozen=True)
class Source:
    """A file of sampled instruments.

    Attributes
    ----------
    file : str
        Its name, below the folder of one's own.
    installed : str
        Where its package puts it; empty where that is the folder of one's own.
    checksum : str
        SHA-256.
    command, package : str
        What fetches it.
    licence : str
    """

    file: str
    installed: str
    checksum: str
    command: str
    package: str
    licence: str


SOURCES: dict[str, Source] = {
    "fluid": Source(
        "FluidR3_GM.sf2",
        "/usr/share/sounds/sf2/FluidR3_GM.sf2",
        "74594e8f4250680adf590507a306655a299935343583256f3b722c48a1bc1cb0",
        "apt-get install",
        "fluid-soundfont-gm",
        "MIT (F. Wen, 2000-2008)",
    ),
    "timgm": Source(
        "TimGM6mb.sf2",
        "",
        "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1",
        "pip install",
        '"polytimbre[render]"',
        "GPL-2 (T. Brechbill, 2004)",
    ),
    "gmbank": Source(
        "sf_GMbank.sf2",
        "/usr/share/sounds/sf2/sf_GMbank.sf2",
        "9f39fc53bd3a1a69f13cb486838944eded358b3b6e8afbd6c1c2c33675b2034b",
        "apt-get install",
        "csound-soundfont",
        "public domain, as the file says",
    ),
    "sonic-pi": Source(
        "sonic-pi-samples",
        "/usr/share/sonic-pi/samples",
        "222b31f66d7f1b991ef823ff3daa470847bf51aa2156503aa8526e73bc456adb",
        "apt-get install",
        "sonic-pi-samples",
        "CC0 (Freesound's users)",
    ),
}

#: Recorded notes: a line each with npm's name and version of a package and its archive's SHA-256.
RECORDINGS = Path(__file__).with_name("recordings.txt")
for _package, _checksum in map(str.split, RECORDINGS.read_text(encoding="utf-8").splitlines()):
    _name = _package.split("@")[0].removeprefix("tonejs-instrument-").removesuffix("-mp3")
    SOURCES[_name] = Source(
        f"{_package.replace('@', '-')}.tgz",
        "",
        _checksum,
        "npm pack",
        _package,
        "CC BY 3.0 (N. Brosowsky, tonejs-instruments, from recordings by Versilian Studios,"
        " Karoryfer, the University of Iowa and Freesound's users)",
    )


def folder() -> Path:
    """Return the folder of one's own for sources: ``sounds`` in the cache folder."""
    return files.folder() / "sounds"


def require(names: Collection[str]) -> None:
    """Check that sources are here.

    Raises
    ------
    DataError
        Where some are missing: which, and the commands that fetch them.
    """
    missing: dict[str, list[str]] = {}
    for name in names:
        if not _path(name).exists():
            missing.setdefault(SOURCES[name].command, []).append(SOURCES[name].package)
    if missing:
        commands = " and ".join(f"`{c} {' '.join(packages)}`" for c, packages in missing.items())
        raise DataError(
            f"{sum(map(len, missing.values()))} of the sampled instruments that clips are rendered"
            f" on are not here; fetch them with {commands}, in {folder()}"
        )


@cache
def locate(name: str) -> Path:
    """Return where a source lies, its SHA-256 checked.

    Raises
    ------
    DataError
        Where it is missing or another version, with the command that fetches it.
    """
    require([name])
    source, path = SOURCES[name], _path(name)
    if (actual := _digest(path)) != source.checksum:
        raise DataError(
            f"{path} is another version than clips are rendered on: its SHA-256 is"
            f" {actual[:16]}..., {source.checksum[:16]}... was expected;"
            f" put what `{source.command} {source.package}` fetches into {folder()}"
        )
    return path


def _path(name: str) -> Path:
    """Return where a source is: in the folder of one's own, or where its package puts it."""
    source = SOURCES[name]
    if name == "timgm":
        return Path(imported("pretty_midi").__file__).with_name(source.file)
    own = folder() / source.file
    return own if own.exists() or not source.installed else Path(source.installed)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the FLAC files of a folder in a row."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.flac")) if path.is_dir() else [path]:
        with open_binary(file, LARGEST, f"fetch it again, into {folder()}") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@cache
def bank(name: str) -> Bank:
    """Return a SoundFont, checked and read once a process."""
    return Bank(locate(name).read_bytes())


@cache
def recordings(instrument: str) -> dict[str, bytes]:
    """Return the recorded notes of an instrument: the note's name to the file's content."""
    with tarfile.open(locate(instrument)) as archive:
        return {
            Path(member.name).stem: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.name.endswith(".mp3")
        }


def hit(name: str) -> io.BytesIO:
    """Return a file of Sonic Pi's samples, by name."""
    return io.BytesIO((locate("sonic-pi") / f"{name}.flac").read_bytes())
