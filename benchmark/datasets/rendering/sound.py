"""Gains over frequency and noise, on the spectrum of a whole clip."""

from functools import lru_cache

import numpy as np

from benchmark.datasets.rendering.orchestra import CLIP_SECONDS
from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE

N_SAMPLES = round(CLIP_SECONDS * SAMPLE_RATE)
#: Transform length: the clip and 1.3 s for the room's tail.
N_FFT = 1 << 18


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


def noise(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the spectrum of hiss, between white and pink, 20 to 60 dB below the mix."""
    hiss = rng.normal(0, 1, (2, len(spectrum))) * 2.0 ** (-_octaves() * rng.uniform(0, 0.5))
    ratio = (np.abs(spectrum) ** 2).sum() / (hiss**2).sum()
    return (hiss[0] + 1j * hiss[1]) * np.sqrt(ratio) * 10 ** (-rng.uniform(20, 60) / 20)
