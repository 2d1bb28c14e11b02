"""Read audio files in blocks, mono, in memory that does not grow with their length.

Wav, flac, ogg, opus, mp3 and what else libsndfile reads; MPEG-4 and more with the extra
``ffmpeg``. Every problem with a file is one sentence.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.audio.resampling import Resampler
from benchmark.errors import DataError
from benchmark.reading.files import open_binary, read_text

#: Files of a folder that are taken for audio.
LIBSNDFILE_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64",
)  # fmt: skip
FFMPEG_SUFFIXES = (".m4a", ".mp4", ".aac", ".webm", ".wma", ".mov", ".mka", ".mkv")
SUFFIXES = (*LIBSNDFILE_SUFFIXES, *FFMPEG_SUFFIXES)
#: Text files that name audio files, and bytes that one can have at most.
LISTS = (".txt", ".m3u", ".m3u8")
LARGEST_LIST = 16 * 2**20
#: Bytes of the largest file that is opened; what is read is never held whole.
LARGEST = 1 << 40
#: Seconds of audio that are in memory at a time.
BLOCK_SECONDS = 5.0
#: Samples a second, at least and at most: below, no instrument can be heard.
LEAST_HERTZ, MOST_HERTZ = 1_000, 768_000
#: Shorter ones are refused: no instrument can be told from them.
LEAST_SECONDS = 0.1


@dataclass(frozen=True)
class Recording:
    """A file that can be read.

    Attributes
    ----------
    path : Path
    sample_rate : int
        In Hz, as it is stored.
    channels : int
    """

    path: Path
    sample_rate: int
    channels: int
    ffmpeg: bool = False

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield its samples, mean over channels, float32, in blocks of some seconds.

        Raises
        ------
        DataError
            Where the file turns out to be truncated, damaged, too short, or to hold NaN or
            infinite samples.
        """
        read = _read_by_ffmpeg if self.ffmpeg else _read_by_libsndfile
        done = 0
        for block in read(self.path):
            with np.errstate(over="ignore", invalid="ignore"):  # refused below
                mono = block.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mono).all():
                at = (done + int(np.argmin(np.isfinite(mono)))) / self.sample_rate
                raise DataError(
                    f"{self.path} holds NaN or infinite samples, the first at {at:.3f} s; mend it,"
                    " or write it anew with an audio editor"
                )
            done += len(mono)
            yield mono
        if done < LEAST_SECONDS * self.sample_rate:
            raise DataError(
                f"{self.path} holds {done} sample(s) at {self.sample_rate} Hz, less than"
                f" {LEAST_SECONDS} s: nothing can be heard in it"
            )


def open_recording(path: Path) -> Recording:
    """Look at a file: what it is, not whether all of it can be read.

    Raises
    ------
    DataError
        Where it does not exist, is a folder, is empty, is no audio or has an impossible rate.
    """
    path = Path(path)
    with open_binary(path, LARGEST, "name an audio file") as file:
        start = file.read(12)
    if not start:
        raise DataError(f"{path} is empty (0 bytes)")
    if path.suffix.lower() in FFMPEG_SUFFIXES or start[4:8] == b"ftyp":
        with _opened_by_ffmpeg(path) as (_, stream):
            found = Recording(path, stream.rate, stream.channels, ffmpeg=True)
    else:
        with _opened(path) as file:
            found = Recording(path, file.samplerate, file.channels)
    if not LEAST_HERTZ <= found.sample_rate <= MOST_HERTZ:
        raise DataError(
            f"{path} says that it has {found.sample_rate:,} samples a second; {LEAST_HERTZ:,} to"
            f" {MOST_HERTZ:,} can be heard"
        )
    return found


def find_recordings(path: Path) -> list[Path]:
    """Return the file itself, the audio files in a folder and below, or those that a list names.

    A list is a text file (`LISTS`) with a file a line, relative to its own folder; lines that
    begin with # are passed over, as in a playlist.

    Raises
    ------
    DataError
        Where a folder or a list holds none, or a list can't be read.
    """
    if path.suffix.lower() in LISTS:
        text = read_text(path, LARGEST_LIST, "name audio files, folders, or lists of files")
        if "\0" in text:
            raise DataError(f"the list {path} holds zero bytes, as UTF-16 does: save it as UTF-8")
        lines = [line.strip() for line in text.splitlines()]
        files = [path.parent / line for line in lines if line and not line.startswith("#")]
        if not files:
            raise DataError(f"the list {path} names no file; write one a line")
        return files
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise DataError(f"{path} holds no audio file ({', '.join(SUFFIXES)})")
    return files


def read(path: Path, sample_rate: int) -> np.ndarray:
    """Read a whole file, mono, at another rate.

    Parameters
    ----------
    path : Path
    sample_rate : int
        In Hz.

    Returns
    -------
    ndarray, shape (n_samples,), float32

    Raises
    ------
    DataError
    """
    recording = open_recording(path)
    resampler = Resampler(recording.sample_rate, sample_rate)
    pieces = [resampler.push(block) for block in recording.blocks()]
    return np.concatenate([*pieces, resampler.finish()])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import soundfile

    # names that are not UTF-8 are files, too; Windows has none
    name = path if os.name == "nt" else os.fsencode(path)
    try:
        with soundfile.SoundFile(name) as file:
            yield file
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise DataError(
            f"{path} is not audio that can be read, or is damaged or truncated ({reason})"
        ) from error


def _read_by_libsndfile(path: Path) -> Iterator[np.ndarray]:
    """Yield blocks of shape (n_samples, n_channels)."""
    with _opened(path) as file:
        _check_complete(path, file)
        size, done = round(BLOCK_SECONDS * file.samplerate), 0
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            done += len(block)
            yield block
        # The length of an mp3 without a header is an estimate.
        if done < 0.95 * file.frames and file.frames < 2**62:
            rate = file.samplerate
            raise DataError(
                f"{path} is truncated: it ends after {done / rate:.2f} s of"
                f" {file.frames / rate:.2f} s"
            )


def _check_complete(path: Path, file: Any) -> None:
    """Refuse a file that is shorter than its header says, which libsndfile only notes."""
    if file.format == "OGG":
        complete = _ogg_is_complete(path)
    else:
        # "data : 264600 (should be 132278)"; what was written to a pipe says 2 or 4 GB.
        notes = [line.split() for line in file.extra_info.splitlines() if "(should be" in line]
        pairs = [(words[-4], words[-1].rstrip(")")) for words in notes if len(words) > 4]
        sizes = [(int(a), int(b)) for a, b in pairs if a.isdigit() and b.isdigit()]
        complete = not any(found < said < 2**31 - 2**16 for said, found in sizes)
    if not complete:
        raise DataError(
            f"{path} is truncated: it ends before what its header says; copy or download it again"
        )


def _ogg_is_complete(path: Path) -> bool:
    """Tell whether the last page of an Ogg file is whole and marked as the last."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**17))
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    segments = tail[at + 27 : at + 27 + tail[at + 26]]
    whole = len(segments) == tail[at + 26] and len(tail) >= at + 27 + len(segments) + sum(segments)
    return whole and bool(tail[at + 5] & 4)


@contextmanager
def _opened_by_ffmpeg(path: Path) -> Iterator[tuple[Any, Any]]:
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"{path} is of a kind (MPEG-4 or the like) that needs PyAV: install it with"
            ' `pip install "polytimbre[ffmpeg]"`, or convert the file to flac'
        ) from error
    try:
        # not by its name, which could be no UTF-8, or begin like an address
        with path.open("rb") as file, av.open(file) as container:
            if not container.streams.audio:
                raise DataError(f"{path} holds no audio")
            yield container, container.streams.audio[0]
    except av.FFmpegError as error:
        raise DataError(
            f"{path} is not audio that can be read, or is damaged or truncated ({error.strerror})"
        ) from error


def _read_by_ffmpeg(path: Path) -> Iterator[np.ndarray]:
    """Yield blocks of shape (n_samples, n_channels)."""
    import av

    with _opened_by_ffmpeg(path) as (container, stream):
        convert = av.AudioResampler(format="fltp")
        for frame in container.decode(stream):
            for part in convert.resample(frame):
                yield part.to_ndarray().T
