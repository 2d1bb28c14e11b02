"""Resample a stream to exactly what the whole signal would be resampled to."""

import numpy as np

#: Of soxr. The resampler is part of what a front end computes: another one moves features.
QUALITY = "HQ"


class Resampler:
    """Change the rate of a mono signal that comes in blocks.

    Parameters
    ----------
    source, target : float
        Rates in Hz.

    Examples
    --------
    >>> resampler = Resampler(48_000, 16_000)
    >>> signal = np.zeros(48_000, dtype=np.float32)
    >>> len(resampler.push(signal)) + len(resampler.finish())
    16000
    """

    def __init__(self, source: float, target: float) -> None:
        import soxr

        self._stream = None
        if source != target:
            self._stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality=QUALITY)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next block, of any length, and return what is ready, float32."""
        block = np.ascontiguousarray(block, dtype=np.float32)
        return block if self._stream is None else self._stream.resample_chunk(block)

    def finish(self) -> np.ndarray:
        """Return the rest, once the last block was pushed."""
        empty = np.zeros(0, dtype=np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)
