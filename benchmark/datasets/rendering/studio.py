"""From parts to a clip: levels, equalisation, room, noise, lossy codecs.

Everything linear is done on the spectra of the whole clip.
"""

import io
from typing import NamedTuple

import numpy as np

from benchmark.datasets.rendering.arrangement import Part
from benchmark.datasets.rendering.orchestra import CLIP_SECONDS
from benchmark.datasets.rendering.sound import N_FFT, N_SAMPLES, band_limit, curve, noise
from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE
from benchmark.datasets.rendering.timbres import render_notes

#: Instruments differ by this many dB (standard deviation), within these limits.
LEVEL_SPREAD, LEVEL_LIMITS = 5.0, (-14.0, 6.0)
#: Standard deviation in dB, at seven anchors, of a part's and of the clip's gain curve.
PART_CURVE, CLIP_CURVE = 2.5, 2.5
#: A part's samples are played up to this many semitones faster or slower, at the right pitch.
BODY_SHIFT = 1
#: How often: each room, with its decay in seconds and its level in dB below the direct sound.
ROOMS = {
    "dry": (0.3, (0.1, 0.3), (-34, -20)),
    "room": (0.45, (0.25, 0.7), (-22, -8)),
    "hall": (0.25, (0.7, 1.6), (-16, -4)),
}
#: How often: no codec, and each with soundfile's format, subtype and range of compression.
#: MP3 then has 25 to 55 kbit/s, Opus 30 to 70.
CODECS = {
    "none": (0.5, None, None, (0, 0)),
    "mp3": (0.35, "MP3", "MPEG_LAYER_III", (0.3, 0.99)),
    "opus": (0.15, "OGG", "OPUS", (0.75, 0.895)),
}
HUM_RATE = 0.08


class Clip(NamedTuple):
    """A rendered clip: mono at 24 kHz in [-1, 1], and the names of its room and codec."""

    audio: np.ndarray
    room: str
    codec: str


def record(parts: list[Part], rng: np.random.Generator) -> Clip:
    """Play, mix and encode a clip's parts.

    Parameters
    ----------
    parts : list of Part
    rng : numpy.random.Generator

    Returns
    -------
    Clip
        `audio` has shape (230400,), float64: 9.6 s.

    Raises
    ------
    DataError
        Where a source is missing or another version.
    """
    tuning = rng.uniform(-0.4, 0.4)
    spectrum = np.zeros(N_FFT // 2 + 1, dtype=np.complex128)
    for part in parts:
        spectrum += np.fft.rfft(_play(part, tuning, rng), N_FFT) * curve(PART_CURVE, rng)
    name = _draw(ROOMS, rng)
    spectrum *= _room(*ROOMS[name][1:], rng) * curve(CLIP_CURVE, rng) * band_limit(rng)
    spectrum += noise(spectrum, rng)
    if rng.random() < HUM_RATE:
        spectrum += _hum(spectrum, rng)
    mix = np.fft.irfft(spectrum, N_FFT)[:N_SAMPLES]
    mix /= np.abs(mix).max()
    if rng.random() < 0.15:
        drive = rng.uniform(1.0, 4.0)
        mix = np.tanh(drive * mix) / np.tanh(drive)
    mix *= 10 ** (rng.uniform(-18, -0.5) / 20)
    codec = _draw(CODECS, rng)
    return Clip(_encoded(mix, codec, rng), name, codec)


def _draw(choices: dict[str, tuple], rng: np.random.Generator) -> str:
    return str(rng.choice(list(choices), p=[choice[0] for choice in choices.values()]))


def _play(part: Part, tuning: float, rng: np.random.Generator) -> np.ndarray:
    """Render a part at its level, shape (230400,).

    Its samples are transposed by a few semitones and the result is played faster or slower by
    as much, so that pitch and tempo stay and the timbre moves.
    """
    unpitched = part.label in ("drums", "cymbals")
    semitones = 0 if unpitched else int(rng.integers(-BODY_SHIFT, BODY_SHIFT + 1))
    speed = 2 ** ((tuning - semitones) / 12)
    notes = part.notes * [speed, speed, 1, 1] + [0, 0, semitones, 0]
    signal = render_notes(part.timbre, notes, CLIP_SECONDS * speed, rng)
    signal = np.interp(np.arange(N_SAMPLES) * speed, np.arange(len(signal)), signal, right=0.0)
    decibels = float(np.clip(rng.normal(0, LEVEL_SPREAD), *LEVEL_LIMITS))
    return signal * 10 ** (decibels / 20) / loudness(signal)


def loudness(signal: np.ndarray) -> float:
    """Return the root mean square of a signal's loud frames: the level while it plays.

    Examples
    --------
    >>> half = np.repeat([0.5, 0.0], 115200)
    >>> loudness(half)
    0.5
    """
    powers = (signal.reshape(-1, 1200) ** 2).mean(axis=1)
    return float(np.sqrt(powers[powers >= 0.1 * powers.max()].mean()))


def _room(decays: tuple, levels: tuple, rng: np.random.Generator) -> np.ndarray:
    """Return the spectrum of a room: the direct sound and exponentially decaying noise."""
    times = np.arange(N_FFT - N_SAMPLES) / SAMPLE_RATE
    tail = rng.normal(0, 1, len(times)) * np.exp(-6.9 * times / rng.uniform(*decays))
    tail[: round(rng.uniform(0.002, 0.04) * SAMPLE_RATE)] = 0
    # Walls absorb high frequencies first: average neighbours.
    width = int(rng.integers(2, 7))
    tail = np.convolve(tail, np.full(width, 1 / width), mode="same")
    tail *= 10 ** (rng.uniform(*levels) / 20) / np.sqrt((tail**2).sum())
    tail[0] += 1.0
    return np.fft.rfft(tail, N_FFT)


def _hum(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the spectrum of mains hum at 50 or 60 Hz, 25 to 45 dB below the mix."""
    hertz = float(rng.choice((50.0, 60.0)))
    times = np.arange(N_SAMPLES) / SAMPLE_RATE
    hum = sum(
        rng.uniform(0, 1) / k * np.sin(2 * np.pi * (k * hertz * times + rng.random()))
        for k in (1, 2, 3, 5, 7)
    )
    hum = np.fft.rfft(hum, N_FFT)
    ratio = (np.abs(spectrum) ** 2).sum() / (np.abs(hum) ** 2).sum()
    return hum * np.sqrt(ratio) * 10 ** (-rng.uniform(25, 45) / 20)


def _encoded(mix: np.ndarray, codec: str, rng: np.random.Generator) -> np.ndarray:
    """Encode and decode a clip."""
    _, kind, subtype, levels = CODECS[codec]
    if kind is None:
        return mix
    import soundfile

    # In 16 bits: encoders decide by thresholds, where differences in the last bits would show.
    file, mix = io.BytesIO(), np.rint(mix * 32767).astype(np.int16)
    level = float(rng.uniform(*levels))
    soundfile.write(file, mix, SAMPLE_RATE, format=kind, subtype=subtype, compression_level=level)
    file.seek(0)
    decoded, _ = soundfile.read(file)
    return np.pad(decoded, (0, max(N_SAMPLES - len(decoded), 0)))[:N_SAMPLES].clip(-1, 1)
