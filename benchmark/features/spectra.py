"""Short-time power spectra in mel bands: what several front ends begin with."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: Bytes of windows that are transformed at once: few enough to stay in the processor's cache.
AT_ONCE = 2**19
#: Bands that are summed up together: a group needs few of the bins, all need most of them.
GROUP = 8


@dataclass(frozen=True, eq=False)
class MelFilters:
    """Weights of each mel band, in groups of neighbours that share their bins.

    Attributes
    ----------
    groups : tuple of (slice of bands, slice of bins, ndarray of shape (n_bins, n_bands))
    n_bands : int
    """

    groups: tuple[tuple[slice, slice, np.ndarray], ...]
    n_bands: int

    @classmethod
    def of(cls, weights: np.ndarray) -> "MelFilters":
        """Split weights of shape (n_bins, n_bands); their dtype is that of the spectra."""
        groups = []
        for first in range(0, weights.shape[1], GROUP):
            bands = slice(first, first + GROUP)
            used = np.flatnonzero(weights[:, bands].any(axis=1))
            bins = slice(int(used[0]), int(used[-1]) + 1)
            groups.append((bands, bins, np.ascontiguousarray(weights[bins, bands])))
        return cls(tuple(groups), weights.shape[1])


def mel_power(
    signal: np.ndarray, window: np.ndarray, hop: int, n_fft: int, filters: MelFilters
) -> np.ndarray:
    """Return the power of a signal in mel bands.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,), float32 or float64
        All is computed in its precision.
    window : ndarray, shape (length,), of the same dtype
        Multiplied with each stretch of the signal; zeros fill it up to `n_fft`.
    hop : int
        Samples from window to window.
    n_fft : int
    filters : MelFilters
        Of the same dtype.

    Returns
    -------
    ndarray, shape (1 + (n_samples - length) // hop, n_bands)
    """
    length, dtype, n_bins = len(window), signal.dtype, n_fft // 2 + 1
    stretches = sliding_window_view(signal, length)[::hop]
    together = min(max(1, AT_ONCE // (n_fft * dtype.itemsize)), len(stretches))
    # each made once: a page that is new to the process costs as much as what is computed in it
    windows = np.zeros((together, n_fft), dtype)
    spectra = np.empty((together, n_bins), np.result_type(dtype, np.complex64))
    squares, lines = spectra.view(dtype), np.empty((together, n_bins), dtype)
    power = np.empty((len(stretches), filters.n_bands), dtype)
    for start in range(0, len(stretches), together):
        part = stretches[start : start + together]
        n = len(part)
        np.multiply(part, window, out=windows[:n, :length])
        np.fft.rfft(windows[:n], out=spectra[:n])
        np.multiply(squares[:n], squares[:n], out=squares[:n])
        np.add(squares[:n, ::2], squares[:n, 1::2], out=lines[:n])
        for bands, bins, weights in filters.groups:
            np.matmul(lines[:n, bins], weights, out=power[start : start + n, bands])
    return power
