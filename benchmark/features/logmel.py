"""Log-mel features of audio, with the same bytes in every process.

A clip becomes frames of 0.96 s, the length of AudioSet's VGGish frames. Each frame is
described by the mean and the standard deviation, over its 48 short-time spectra, of the
level in 64 mel bands. Levels are relative to the clip's own, so that gain plays no part.
Everything is computed in float64 and rounded to uint8 at the end, so that differences in the
last bits between machines do not reach the result.
"""

from functools import lru_cache
from typing import ClassVar

import numpy as np

from benchmark.contracts.frontend import FrontEnd
from benchmark.errors import DataError
from benchmark.features.pretrained.threads import single_threaded
from benchmark.features.spectra import MelFilters, mel_power

#: Length of a frame in seconds.
FRAME_SECONDS = 0.96
N_BANDS = 64
N_FEATURES = 2 * N_BANDS
#: Edges of the lowest and of the highest mel band in Hz.
LOWEST_HZ, HIGHEST_HZ = 50.0, 12_000.0
#: Levels below this are silence; 0 dB is about a full-scale sine.
FLOOR_DB = -100.0
#: Where the clip's mean level lies in the quantised means.
CENTRE = 96
#: uint8 steps per decibel, of means and of standard deviations.
MEAN_STEPS, STD_STEPS = 2.0, 5.0

_WINDOW_SECONDS, _HOP_SECONDS = 0.04, 0.02


def logmel(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute quantised log-mel features of a mono signal.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,), float
        One clip, in [-1, 1]. A last frame that is not complete is left out.
    sample_rate : int
        In Hz: a multiple of 50, at least 24,000.

    Returns
    -------
    ndarray, shape (n_frames, 128), uint8
        Columns 0 to 63: mean level of each mel band, ``2 * dB + 96``, where 0 dB is the mean
        over all frames and bands of the clip. Columns 64 to 127: standard deviation of the
        level, ``5 * dB``.

    Raises
    ------
    DataError
        Where the sample rate can't be used, or the signal is not mono, not finite or
        shorter than one frame.

    Notes
    -----
    The mel scale is that of O'Shaughnessy (1987), as used by HTK: ``2595 log10(1 + f/700)``.
    """
    signal = np.asarray(signal, dtype=np.float64)
    if sample_rate % 50 or sample_rate < 2 * HIGHEST_HZ:
        raise DataError(
            f"log-mel features need a sample rate that is a multiple of 50 and at least"
            f" {2 * HIGHEST_HZ:.0f} Hz, got {sample_rate}; resample the audio first"
        )
    frame = round(FRAME_SECONDS * sample_rate)
    if signal.ndim != 1 or len(signal) < frame or not np.isfinite(signal).all():
        raise DataError(
            f"log-mel features need a finite mono signal of at least {FRAME_SECONDS} s,"
            f" got shape {signal.shape} at {sample_rate} Hz"
        )
    hop = round(_HOP_SECONDS * sample_rate)
    n_frames = len(signal) // frame
    levels = _band_levels(signal[: n_frames * frame], sample_rate, hop)
    levels = levels.reshape(n_frames, frame // hop, N_BANDS)
    mean = np.rint((levels.mean(axis=1) - FLOOR_DB) * MEAN_STEPS).astype(np.int64)
    std = np.rint(levels.std(axis=1) * STD_STEPS).astype(np.int64)
    # In whole steps, so that the shift is exact.
    mean += CENTRE - mean.sum() // mean.size
    return np.concatenate([mean, std], axis=1).clip(0, 255).astype(np.uint8)


@single_threaded
def _band_levels(signal: np.ndarray, sample_rate: int, hop: int) -> np.ndarray:
    """Return levels in dB, shape (n_hops, 64); the last window is padded with zeros."""
    length = round(_WINDOW_SECONDS * sample_rate)
    window = np.hanning(length + 1)[:-1]
    # A full-scale sine has amplitude sum(window) / 2 in its spectral line.
    window /= window.sum() / 2
    n_fft = 1 << (length - 1).bit_length()
    padded = np.concatenate([signal, np.zeros(length - hop)])
    levels = mel_power(padded, window, hop, n_fft, _mel_filters(sample_rate, n_fft))
    np.maximum(levels, 10 ** (FLOOR_DB / 10), out=levels)
    np.log10(levels, out=levels)
    return np.multiply(levels, 10, out=levels)


@lru_cache(maxsize=8)
def _mel_filters(sample_rate: int, n_fft: int) -> MelFilters:
    """Return triangular filters, from the edges of their neighbours to their own centre."""
    mel = np.linspace(_to_mel(LOWEST_HZ), _to_mel(HIGHEST_HZ), N_BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.arange(n_fft // 2 + 1)[:, None] * sample_rate / n_fft
    rising, falling = (hertz - low) / (centre - low), (high - hertz) / (high - centre)
    return MelFilters.of(np.minimum(rising, falling).clip(0))


def _to_mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


class LogMel(FrontEnd):
    """Log-mel levels relative to the clip's own, which the data set `rendered` is stored as."""

    name: ClassVar[str] = "logmel"
    description: ClassVar[str] = (
        "mean and standard deviation of the level in 64 mel bands; needs no weights, and does"
        " not carry over well from rendered clips to recordings"
    )
    caveat: ClassVar[str] = (
        "what a model learns from log-mel features of rendered clips does not carry over to"
        " recordings: its scores are little better than chance there"
    )
    citation: ClassVar[str] = (
        "S. Davis and P. Mermelstein, Comparison of Parametric Representations for Monosyllabic"
        " Word Recognition in Continuously Spoken Sentences, IEEE TASSP 28(4), 1980"
    )
    licence: ClassVar[str] = "MIT, as polytimbre"
    sample_rate: ClassVar[int] = 24_000
    frame_seconds: ClassVar[float] = FRAME_SECONDS
    n_features: ClassVar[int] = N_FEATURES
    dtype: ClassVar[type] = np.uint8

    def extract(self, signal):
        """Compute the features of one clip; see :func:`logmel`."""
        self.check_signal(signal)
        return logmel(signal, self.sample_rate)
