"""Notes played on recordings of single notes, on drum hits and on a model of a plucked string."""

import io
import re
from functools import cache

import numpy as np

from benchmark.datasets.rendering import sources
from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE

#: Semitones above C, as the files are named: "Cs4" is C sharp 4.
_STEPS = {
    "C": 0, "Cs": 1, "D": 2, "Ds": 3, "E": 4, "F": 5, "Fs": 6, "G": 7, "Gs": 8, "A": 9, "As": 10,
    "B": 11,
}  # fmt: skip
#: Files of Sonic Pi for the notes of the percussion channel, by the note's kind.
HITS: dict[tuple[int, ...], tuple[str, ...]] = {
    (35, 36): (
        "bd_808", "bd_boom", "bd_fat", "bd_gas", "bd_haus", "bd_klub", "bd_pure", "bd_sone",
        "bd_tek", "bd_zome", "bd_zum", "drum_heavy_kick", "drum_bass_hard", "drum_bass_soft",
    ),
    (37, 38, 40): (
        "sn_dolf", "sn_dub", "sn_generic", "sn_zome", "drum_snare_hard", "drum_snare_soft",
    ),
    (41, 43): ("drum_tom_lo_hard", "drum_tom_lo_soft"),
    (45, 47): ("drum_tom_mid_hard", "drum_tom_mid_soft"),
    (48, 50): ("drum_tom_hi_hard", "drum_tom_hi_soft"),
    (60, 61, 62, 63, 64): (
        "tabla_ghe1", "tabla_ghe4", "tabla_ke1", "tabla_na", "tabla_na_o", "tabla_re",
        "tabla_tas1", "tabla_te1", "tabla_tun1", "tabla_dhec",
    ),
    (42,): ("drum_cymbal_closed",),
    (44,): ("drum_cymbal_pedal",),
    (46,): ("drum_cymbal_open",),
    (49, 51, 53, 57, 59): ("drum_cymbal_hard", "drum_cymbal_soft"),
    (52, 55): ("drum_splash_hard", "drum_splash_soft", "drum_cymbal_hard"),
}  # fmt: skip
#: How long a note rings after its end, in seconds, where the instrument is struck or plucked.
_RINGING = {
    "xylophone": 0.6, "piano": 0.25, "guitar-acoustic": 0.3, "guitar-electric": 0.25,
    "guitar-nylon": 0.3, "harp": 0.8, "bass-electric": 0.15, "contrabass": 0.2,
}  # fmt: skip
_RELEASE = 0.08


def play_recorded(instrument: str, notes: np.ndarray, n_samples: int, rng) -> np.ndarray:
    """Play notes on recorded ones, each transposed from one of the two nearest.

    Parameters
    ----------
    instrument : str
        A source of :data:`benchmark.datasets.rendering.sources.SOURCES`.
    notes : ndarray, shape (n_notes, 4), float64
        Start and end in seconds, MIDI pitch, velocity.
    n_samples : int
        At 24 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_samples,), float64
    """
    pitches, waves = _recorded(instrument)
    release = _RINGING.get(instrument, _RELEASE)
    out = np.zeros(n_samples)
    for start, end, pitch, velocity in notes.tolist():
        nearest = np.argsort(np.abs(pitches - pitch), kind="stable")[:2]
        chosen = int(rng.choice(nearest, p=(0.8, 0.2) if len(nearest) == 2 else None))
        samples = _faster(waves[chosen], 2 ** ((pitch - pitches[chosen]) / 12))
        _add(out, samples, start, end - start, release, _gain(velocity))
    return out


def play_hits(notes: np.ndarray, n_samples: int, rng) -> np.ndarray:
    """Play the percussion channel on recorded hits, one file a kind of hit, see :data:`HITS`."""
    out, kit = np.zeros(n_samples), {}
    for start, _, pitch, velocity in notes.tolist():
        kind, names = next((k, v) for k, v in HITS.items() if int(pitch) in k)
        if kind not in kit:
            kit[kind] = str(rng.choice(names)), 2 ** rng.uniform(-0.25, 0.25)
        name, speed = kit[kind]
        samples = _faster(_hit(name), speed * 2 ** ((pitch - kind[0]) / 48))
        _add(out, samples, start, len(samples) / SAMPLE_RATE, _RELEASE, _gain(velocity))
    return out


def play_plucked(strings: int, notes: np.ndarray, n_samples: int, rng) -> np.ndarray:
    """Play notes on plucked strings (Karplus and Strong, 1983).

    The strings of a course are tuned some hundredths of a semitone apart. The pluck is noise
    without the harmonics that have a node where the string is plucked; the sound goes through
    three resonances of a small body.
    """
    out = np.zeros(n_samples)
    place, ringing = rng.uniform(0.08, 0.3), rng.uniform(0.05, 0.4)
    brightness = rng.uniform(0.2, 0.5)
    for start, end, pitch, velocity in notes.tolist():
        seconds = end - start + ringing
        for _ in range(strings):
            hertz = 440 * 2 ** ((pitch - 69 + rng.normal(0, 0.04)) / 12)
            string = _string(hertz, seconds, place, brightness, rng)
            _add(out, string, start + rng.uniform(0, 0.006), end - start, ringing, _gain(velocity))
    return _body(out, rng.uniform(0.85, 1.2))


def _string(hertz: float, seconds: float, place: float, loss: float, rng) -> np.ndarray:
    """Return a plucked string: the noise in a loop, averaged a little at each turn."""
    period = max(int(SAMPLE_RATE / hertz - loss), 4)
    noise = rng.uniform(-1, 1, period)
    loop = noise - np.roll(noise, int(place * period))
    turns = int(np.ceil(seconds * SAMPLE_RATE / period)) + 1
    # A turn averages neighbours: on the loop's spectrum that is one factor to the turn's power.
    factor = (1 - loss) + loss * np.exp(-2j * np.pi * np.arange(period // 2 + 1) / period)
    powers = np.cumprod(np.tile(0.998 * factor, (turns, 1)), axis=0)
    string = np.fft.irfft(np.fft.rfft(loop) * powers, period, axis=1).ravel()
    # The loop is a whole number of samples long: play it at the speed that gives the pitch.
    return _faster(string, hertz * (period + loss) / SAMPLE_RATE)


def _body(signal: np.ndarray, size: float) -> np.ndarray:
    """Add a small wooden body's resonances."""
    hertz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    gain = np.ones(len(hertz))
    for centre, width, height in ((290, 60, 2.0), (530, 90, 1.5), (1150, 250, 1.0)):
        gain += height / (1 + ((hertz - centre / size) / width) ** 2)
    return np.fft.irfft(np.fft.rfft(signal) * gain, len(signal))


def _faster(samples: np.ndarray, speed: float) -> np.ndarray:
    positions = np.arange(0, len(samples) - 1, speed)
    return np.interp(positions, np.arange(len(samples)), samples)


def _gain(velocity: float) -> float:
    return (velocity / 100) ** 1.5


def _add(out: np.ndarray, samples: np.ndarray, start: float, seconds: float, release, gain) -> None:
    """Add a note to the mix, faded out after its end."""
    first, held = round(start * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
    samples = samples[: held + round(release * SAMPLE_RATE)][: max(len(out) - first, 0)].copy()
    tail = samples[held:]
    tail *= np.linspace(1, 0, len(tail)) ** 2
    out[first : first + len(samples)] += gain * samples


@cache
def _recorded(instrument: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the pitches and the waves of an instrument's recorded notes, equally loud."""
    found = {}
    for name, content in sources.recordings(instrument).items():
        if note := re.fullmatch(r"([A-G]s?)(\d)", name):
            found[12 * (int(note[2]) + 1) + _STEPS[note[1]]] = _read(io.BytesIO(content))
    return np.array(sorted(found), dtype=float), [found[pitch] for pitch in sorted(found)]


@cache
def _hit(name: str) -> np.ndarray:
    return _read(sources.hit(name))


def _read(file: io.BytesIO) -> np.ndarray:
    """Read a sound as mono float32 at 24 kHz, from its onset on, at most 6 s, scaled to 1."""
    import soundfile
    import soxr

    signal, rate = soundfile.read(file, always_2d=True)
    signal = soxr.resample(signal[: 6 * rate].mean(axis=1), rate, SAMPLE_RATE)
    signal /= np.abs(signal).max()
    return signal[max(int(np.argmax(np.abs(signal) > 0.02)) - 48, 0) :].astype(np.float32)
