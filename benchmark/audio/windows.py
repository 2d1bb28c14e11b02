"""Cut a signal that comes in blocks into windows, one for each clip that a model scores."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.audio.resampling import Resampler
from benchmark.contracts.frontend import FrontEnd

#: Frames of a clip, in every data set whose features are computed from audio.
CLIP_FRAMES = 10


@dataclass(frozen=True)
class Window:
    """A stretch of a signal.

    Attributes
    ----------
    start, end : float
        In seconds.
    signals : tuple of ndarray
        Its samples at the rate of each front end, float32, mono, repeated to a window's length.
    repeated : bool
        Whether the signal was shorter and was repeated to the window's length.
    """

    start: float
    end: float
    signals: tuple[np.ndarray, ...]
    repeated: bool = False


class _Track:
    """The signal at one front end's rate; what no window needs any more is let go."""

    def __init__(
        self, sample_rate: float, front_end: FrontEnd, n_frames: int, heard_frames: int
    ) -> None:
        self.rate = front_end.sample_rate
        self.length = front_end.n_samples(heard_frames)
        self.whole = front_end.n_samples(n_frames)
        self.resampler = Resampler(sample_rate, self.rate)
        self.first, self.samples = 0, np.zeros(0, dtype=np.float32)

    @property
    def end(self) -> int:
        return self.first + len(self.samples)

    def add(self, samples: np.ndarray) -> None:
        self.samples = np.concatenate([self.samples, samples])

    def forget(self, before: float) -> None:
        """Let go of what is before `before` seconds, but keep the last window's length."""
        cut = min(round(before * self.rate), self.end - self.length) - self.first
        if cut > 0:
            self.samples, self.first = self.samples[cut:].copy(), self.first + cut

    def window(self, start: float) -> np.ndarray:
        at = min(round(start * self.rate), self.end - self.length) - self.first
        return self._repeated(self.samples[at : at + self.length])

    def all(self) -> np.ndarray:
        return self._repeated(self.samples)

    def early(self, hop: float) -> np.ndarray:
        """Return silence of `hop` seconds, and the first window's samples but its last `hop`."""
        silence = np.zeros(round(hop * self.rate), dtype=np.float32)
        return self._repeated(np.concatenate([silence, self.samples])[: self.length])

    def _repeated(self, samples: np.ndarray) -> np.ndarray:
        return samples if len(samples) == self.whole else np.resize(samples, self.whole)


def cut(
    blocks: Iterable[np.ndarray],
    sample_rate: float,
    front_ends: tuple[FrontEnd, ...],
    n_frames: int,
    hop_seconds: float | None = None,
    heard_frames: int | None = None,
    *,
    early: bool = False,
) -> Iterator[Window]:
    """Cut a signal into windows of `n_frames` frames, as soon as each is complete.

    Parameters
    ----------
    blocks : iterable of ndarray, float32
        A mono signal, in blocks of any length. They change nothing but the time at which a
        window is given.
    sample_rate : float
        Of the signal, in Hz.
    front_ends : tuple of FrontEnd
        Each gets the window at its own rate.
    n_frames : int
        Frames of a window: as many as the clips have that the model learnt from.
    hop_seconds : float, optional
        From the start of a window to that of the next; its length unless told.
    heard_frames : int, optional
        Frames that are taken from the signal and repeated to `n_frames`; all unless told.
    early : bool
        Whether a window that begins with silence, a hop before the signal, is given first, so that
        what the first one shares with it can be computed while that one's end is not there yet.

    Yields
    ------
    Window
        The last one ends where the signal does, and may overlap the one before by more than
        the others; a rest of less than a frame is left out. A signal shorter than a window is
        repeated.
    """
    frame_seconds = front_ends[0].frame_seconds
    heard_frames = heard_frames or n_frames
    length = heard_frames * frame_seconds
    hop = length if hop_seconds is None else hop_seconds
    tracks = [_Track(sample_rate, front_end, n_frames, heard_frames) for front_end in front_ends]
    source, number = 0, 0

    def ready() -> Iterator[Window]:
        nonlocal number
        while all(t.end >= round(number * hop * t.rate) + t.length for t in tracks):
            start = number * hop
            number += 1
            yield Window(start, start + length, tuple(t.window(start) for t in tracks))
            for track in tracks:
                track.forget(number * hop)

    for block in blocks:
        source += len(block)
        for track in tracks:
            track.add(track.resampler.push(block))
        if early and hop < length and all(t.end >= t.length - round(hop * t.rate) for t in tracks):
            early = False
            if any(t.end < t.length for t in tracks):
                yield Window(-hop, length - hop, tuple(t.early(hop) for t in tracks))
        yield from ready()
    for track in tracks:
        track.add(track.resampler.finish())
    yield from ready()
    seconds = source / sample_rate
    if number == 0:
        # A resampler may give one sample less than expected: that is no repetition to tell of.
        short = seconds < length - frame_seconds / 100
        yield Window(0.0, seconds, tuple(t.all() for t in tracks), repeated=short)
    elif seconds - max((number - 1) * hop + length, number * hop) >= frame_seconds:
        start = seconds - length
        yield Window(start, seconds, tuple(t.window(start) for t in tracks))
