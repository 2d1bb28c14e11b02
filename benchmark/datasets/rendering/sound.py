"""From a planned clip to audio: sampled instruments, levels, room, equalisation, noise.

All instruments are rendered at once, each panned hard to one of two busses. The busses have
equalisations and playing speeds of their own, so that one recorded violin becomes many;
everything linear is done on the spectra of the whole clip.
"""

import io
import wave
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmark.datasets.rendering.orchestra import CLIP_SECONDS, Stem
from benchmark.datasets.rendering.scores import MISSING
from benchmark.errors import DataError

#: In Hz. midirenderer renders at twice this rate; half is enough for the features' highest
#: band and takes half the time.
SAMPLE_RATE = 24_000
N_SAMPLES = round(CLIP_SECONDS * SAMPLE_RATE)
#: Transform length: the clip and 1.3 s for the room's tail.
N_FFT = 1 << 18
#: Instruments differ by this many dB (standard deviation), within these limits.
LEVEL_SPREAD, LEVEL_LIMITS = 4.0, (-9.0, 5.0)
#: Standard deviation in dB, at seven anchors, of a bus's and of the clip's gain curve.
BUS_CURVE, CLIP_CURVE = 2.0, 2.0
#: A bus's samples are played up to this many semitones faster or slower, at the right pitch.
BODY_SHIFT = 1
#: 16-bit amplitude (RMS) of an instrument at 0 dB: seven of them do not clip.
REFERENCE_RMS = 500.0

_VOLUME, _PAN, _REVERB, _CHORUS = 7, 10, 91, 93


def render_audio(stems: list[Stem], rng: np.random.Generator) -> np.ndarray:
    """Render and mix a clip.

    Parameters
    ----------
    stems : list of Stem
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (230400,), float64
        9.6 s at 24 kHz, in [-1, 1].
    """
    spectrum = np.zeros(N_FFT // 2 + 1, dtype=np.complex128)
    for bus in _play(stems, rng):
        spectrum += np.fft.rfft(bus, N_FFT) * curve(BUS_CURVE, rng)
    spectrum *= _room(rng) * curve(CLIP_CURVE, rng) * band_limit(rng)
    mix = np.fft.irfft(spectrum + noise(spectrum, rng), N_FFT)[:N_SAMPLES]
    mix /= np.abs(mix).max()
    if rng.random() < 0.15:
        drive = rng.uniform(1.0, 4.0)
        mix = np.tanh(drive * mix) / np.tanh(drive)
    return mix * 10 ** (rng.uniform(-18, 0) / 20)


def _play(stems: list[Stem], rng: np.random.Generator) -> np.ndarray:
    """Render the instruments on two busses, shape (2, 230400).

    The samples of a bus are transposed by a few semitones and the result is played faster
    or slower by as much, so that pitch and tempo stay and the timbre moves.
    """
    tuning = rng.uniform(-0.4, 0.4)
    semitones = rng.integers(-BODY_SHIFT, BODY_SHIFT + 1, 2)
    speeds = 2 ** ((tuning - semitones) / 12)
    # General MIDI has one percussion channel: drums and cymbals share bus and level.
    percussion = int(rng.integers(2)), rng.uniform(-6, 3)
    players = []
    for stem in stems:
        bus, decibels = int(rng.integers(2)), rng.normal(0, LEVEL_SPREAD)
        decibels = float(np.clip(decibels, *LEVEL_LIMITS))
        if stem.program is None:
            bus, decibels = percussion
        notes = stem.notes * [speeds[bus], speeds[bus], 1, 1]
        if stem.program is not None:
            notes[:, 2] += semitones[bus]
        volume = _volume(stem.program) + decibels
        players.append(_player(stem.program, notes, volume, bus))
    audio = _synthesise(players, CLIP_SECONDS * speeds.max())
    times = np.arange(audio.shape[1])
    return np.stack(
        [
            np.interp(np.arange(N_SAMPLES) * speed, times, bus, right=0.0)
            for speed, bus in zip(speeds, audio, strict=True)
        ]
    )


@lru_cache(maxsize=256)
def _volume(program: int | None) -> float:
    """Return the gain in dB that brings a program's two test notes to the reference level."""
    pitch = 38.0 if program is None else 36.0 if 32 <= program < 40 else 62.0
    notes = np.array([[0.0, 0.4, pitch, 90.0], [0.5, 0.9, pitch + 2, 90.0]])
    audio = _synthesise([_player(program, notes, -12.0, 0)], 1.0).sum(axis=0)
    return -12.0 + 20 * float(np.log10(REFERENCE_RMS / np.sqrt((audio**2).mean())))


def _player(program: int | None, notes: np.ndarray, decibels: float, bus: int):
    """Return a pretty_midi instrument without reverberation, panned hard left or right."""
    pretty_midi = _import("pretty_midi")
    player = pretty_midi.Instrument(program or 0, is_drum=program is None)
    # The synthesiser squares the volume control.
    volume = round(float(np.clip(127 * 10 ** (decibels / 40), 1, 127)))
    controls = {_VOLUME: volume, _PAN: 127 * bus, _REVERB: 0, _CHORUS: 0}
    for number, value in controls.items():
        player.control_changes.append(pretty_midi.ControlChange(number, value, 0.0))
    for start, end, pitch, velocity in notes.tolist():
        player.notes.append(pretty_midi.Note(int(velocity), int(pitch), start, end))
    return player


def _synthesise(players: list, seconds: float) -> np.ndarray:
    """Render pretty_midi instruments to at least `seconds`, shape (2, n_samples)."""
    pretty_midi, midirenderer = _import("pretty_midi"), _import("midirenderer")
    midi = pretty_midi.PrettyMIDI(resolution=960)
    midi.instruments.extend(players)
    # The renderer stops at the last event: keep it going past the end of the clip.
    end = pretty_midi.Note(1, 60, seconds + 0.1, seconds + 0.2)
    players[0].notes.append(end)
    data = io.BytesIO()
    midi.write(data)
    with wave.open(io.BytesIO(midirenderer.render_wave_from(_soundfont(), data.getvalue()))) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, 2)
    samples = samples[: len(samples) // 2 * 2].astype(np.float64)
    # Neighbours are averaged to halve the rate.
    return np.ascontiguousarray((samples[::2] + samples[1::2]).T) / 2


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise DataError(MISSING.format(name)) from error


@lru_cache(maxsize=1)
def _soundfont() -> bytes:
    return (Path(_import("pretty_midi").__file__).parent / "TimGM6mb.sf2").read_bytes()


@lru_cache(maxsize=1)
def _octaves() -> np.ndarray:
    """Octaves above 60 Hz of each spectral line."""
    hertz = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    return np.log2(np.maximum(hertz, 1.0) / 60)


def curve(spread: float, rng: np.random.Generator) -> np.ndarray:
    """Return a random smooth gain over frequency, with anchors from 60 Hz to 12 kHz."""
    decibels = rng.normal(0, spread, 7)
    return 10 ** (np.interp(_octaves(), np.linspace(0, 7.6, 7), decibels) / 20)


def band_limit(rng: np.random.Generator) -> np.ndarray:
    """Return a low-pass gain, as of old recordings or lossy codecs, in some of the clips."""
    if rng.random() < 0.7:
        return np.ones(1)
    cutoff = np.log2(rng.uniform(4000, 11000) / 60)
    slope = rng.uniform(12, 72)
    return 10 ** (-slope * np.maximum(_octaves() - cutoff, 0) / 20)


def _room(rng: np.random.Generator) -> np.ndarray:
    """Return the spectrum of a room: the direct sound and exponentially decaying noise."""
    decay = rng.uniform(0.15, 1.2)
    times = np.arange(round(1.3 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(0, 1, len(times)) * np.exp(-6.9 * times / decay)
    tail[: round(rng.uniform(0.002, 0.03) * SAMPLE_RATE)] = 0
    # Walls absorb high frequencies first: average neighbours.
    tail = np.convolve(tail, np.full(4, 0.25), mode="same")
    tail *= 10 ** (rng.uniform(-30, -6) / 20) / np.sqrt((tail**2).sum())
    tail[0] += 1.0
    return np.fft.rfft(tail, N_FFT)


def noise(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the spectrum of hiss, between white and pink, 20 to 60 dB below the mix."""
    hiss = rng.normal(0, 1, (2, len(spectrum))) * 2.0 ** (-_octaves() * rng.uniform(0, 0.5))
    ratio = (np.abs(spectrum) ** 2).sum() / (hiss**2).sum()
    return (hiss[0] + 1j * hiss[1]) * np.sqrt(ratio) * 10 ** (-rng.uniform(20, 60) / 20)
