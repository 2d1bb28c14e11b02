"""Hear a signal while it comes: scores of the last window, again and again."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.audio.live import Live
from benchmark.predict.recogniser import SILENCE, Recogniser


@dataclass(frozen=True, eq=False)
class Update:
    """Scores of the window that has just ended.

    Attributes
    ----------
    start, end : float
        Of the window, in seconds since the beginning.
    scores : ndarray, shape (n_classes,), float32
    latency : float
        Seconds from when the window's last sound was there until its scores were.
    repeated : bool
        Whether all that came was shorter than a window, and was repeated.
    silent : bool
        Whether nothing sounds in the window: its scores say nothing.
    """

    start: float
    end: float
    scores: np.ndarray
    latency: float
    repeated: bool
    silent: bool


def listen(recogniser: Recogniser, live: Live, hop_seconds: float) -> Iterator[Update]:
    """Score a signal as it comes, by the code and in the windows of a file.

    Parameters
    ----------
    recogniser : Recogniser
    live : Live
    hop_seconds : float
        From update to update. The first comes when a whole window has been heard.

    Yields
    ------
    Update

    Raises
    ------
    DataError, ParameterError
    """
    arrived, heard = time.monotonic(), 0.0
    loudest: deque[tuple[float, float]] = deque()  # of each block: its end, its largest sample

    def blocks() -> Iterator[np.ndarray]:
        nonlocal arrived, heard
        for block in live.blocks:
            arrived, heard = time.monotonic(), heard + len(block) / live.sample_rate
            loudest.append((heard, float(np.abs(block).max(initial=0))))
            yield block

    windows = recogniser.windows(blocks(), live.sample_rate, hop_seconds, early=True)
    for window, scores in windows:
        if window.start < 0:  # scored for what the first one shares with it
            continue
        # What the resampler held back, or a block was too long by, was there before.
        waited = max(0.0, heard - window.end)
        latency = time.monotonic() - arrived + waited
        while loudest and loudest[0][0] <= window.start:
            loudest.popleft()
        silent = all(peak < SILENCE for _, peak in loudest)
        yield Update(window.start, window.end, scores, latency, window.repeated, silent)
