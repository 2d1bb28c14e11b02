"""Audio as it comes: a microphone, raw samples on standard input, or a file in real time."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from benchmark.audio.files import LEAST_HERTZ, MOST_HERTZ, Recording
from benchmark.errors import DataError

#: Seconds that are taken at a time: what comes later can't be heard earlier.
BLOCK_SECONDS = 0.02
#: The most channels that raw samples may be said to have.
MOST_CHANNELS = 64


@dataclass(frozen=True)
class Live:
    """A signal that comes while it is heard.

    Attributes
    ----------
    name : str
    sample_rate : float
        In Hz.
    blocks : iterator of ndarray, float32
        Mono, each given as soon as it is there.
    """

    name: str
    sample_rate: float
    blocks: Iterator[np.ndarray]


def in_real_time(recording: Recording) -> Live:
    """Play a file to the listener as fast as it would sound.

    Raises
    ------
    DataError
        While it is heard, where the file turns out to be damaged.
    """
    size = max(1, round(BLOCK_SECONDS * recording.sample_rate))

    def blocks() -> Iterator[np.ndarray]:
        started, given = time.monotonic(), 0
        for large in recording.blocks():
            for block in np.split(large, range(size, len(large), size)):
                given += len(block)
                time.sleep(max(0.0, started + given / recording.sample_rate - time.monotonic()))
                yield block

    return Live(str(recording.path), recording.sample_rate, blocks())


def raw(stream: BinaryIO, sample_rate: float, channels: int = 1) -> Live:
    """Read raw samples, 32-bit little-endian floats, channels interleaved.

    Parameters
    ----------
    stream : binary file
        Unbuffered, so that samples are there as soon as they are written.
    sample_rate : float
        In Hz.
    channels : int

    Raises
    ------
    DataError
        For an impossible rate or number of channels; while it is heard, for NaN or infinite
        samples, and at its end if that is in the middle of a sample, or there was nothing.
    """
    if not LEAST_HERTZ <= sample_rate <= MOST_HERTZ:
        raise DataError(
            f"samples can't come at {sample_rate:g} Hz: say their rate with --rate, {LEAST_HERTZ:,}"
            f" to {MOST_HERTZ:,}"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise DataError(f"samples can't have {channels} channels: 1 to {MOST_CHANNELS}")
    return Live("standard input", sample_rate, _raw_blocks(stream, sample_rate, channels))


def _raw_blocks(stream: BinaryIO, sample_rate: float, channels: int) -> Iterator[np.ndarray]:
    size, rest, done = 4 * channels, b"", 0
    while content := stream.read(max(1, round(BLOCK_SECONDS * sample_rate)) * size):
        content = rest + content
        whole = len(content) // size * size
        content, rest = content[:whole], content[whole:]
        samples = np.frombuffer(content, "<f4").reshape(-1, channels)
        with np.errstate(invalid="ignore"):  # NaN is not below either
            sound = (np.abs(samples) <= LOUDEST).all(axis=1)
        if not sound.all():
            at = (done + int(np.argmin(sound))) / sample_rate
            raise DataError(
                f"standard input holds what is no sound, at {at:.3f} s: NaN, infinite or huge"
                " samples. It has to be raw 32-bit little-endian floats (f32le)"
            )
        done += len(samples)
        if len(samples):
            yield samples.mean(axis=1, dtype=np.float32)
    if rest:
        raise DataError(
            f"standard input ends in the middle of a sample: {len(rest)} byte(s) are left of {size}"
            f" for {channels} channel(s) of 32-bit floats. What came before was heard; check"
            " --channels, and that it is f32le"
        )
    if not done:
        raise DataError("standard input is empty: pipe raw 32-bit floats (f32le) into it")


#: Samples are in [-1, 1]; integers that are read as floats are far beyond, or next to nothing.
LOUDEST = 1000.0


@contextmanager
def microphone(device: str | None = None) -> Iterator[Live]:
    """Record from an input device, the default one unless another is named.

    Parameters
    ----------
    device : str, optional
        Its number, or a part of its name.

    Raises
    ------
    DataError
        If the package for it is missing, there is no such device, or it can't be opened.
    """
    sounddevice = _sounddevice()
    chosen = int(device) if device is not None and device.isdigit() else device
    try:
        about = sounddevice.query_devices(chosen, "input")
        rate, pieces = float(about["default_samplerate"]), queue.Queue()
        stream = sounddevice.InputStream(
            device=chosen,
            samplerate=rate,
            channels=1,
            dtype="float32",
            latency="low",
            callback=lambda samples, *_: pieces.put(samples[:, 0].copy()),
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise DataError(_no_device(sounddevice, device, error)) from error
    with stream:
        yield Live(about["name"], rate, _recorded(stream, pieces))


def _recorded(stream: Any, pieces: "queue.Queue[np.ndarray]") -> Iterator[np.ndarray]:
    while True:
        try:
            yield pieces.get(timeout=2)
        except queue.Empty:
            if not stream.active:
                raise DataError("the input device has stopped giving sound") from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise DataError(
            "listening to a microphone needs the package sounddevice: install it with"
            ' `pip install "polytimbre[live]"`, or pipe raw samples into `polytimbre listen -`'
        ) from error
    except OSError as error:
        raise DataError(
            f"the sound library PortAudio is not there ({error}): install it, as with"
            " `apt install libportaudio2`, or pipe raw samples into `polytimbre listen -`"
        ) from error
    return sounddevice


def _no_device(sounddevice: Any, device: str | None, error: Exception) -> str:
    devices = [one for one in sounddevice.query_devices() if one["max_input_channels"]]
    found = [f"{one['index']} {one['name']}" for one in devices]
    told = f"Input devices: {', '.join(found)}" if found else "There is no input device"
    which = "the default input device" if device is None else f"the input device {device!r}"
    return f"{which} can't be used ({error}). {told}"
