"""A fitted model on new audio: instruments over time, from files or from a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from benchmark.audio.files import open_recording
from benchmark.audio.windows import Window, cut
from benchmark.contracts.dataset import OWN
from benchmark.contracts.frontend import FrontEnd
from benchmark.contracts.model import Model
from benchmark.errors import DataError, ParameterError
from benchmark.features.joining import join
from benchmark.plugins import registry

#: Windows that are scored together where nobody waits for each.
TOGETHER = 32
#: Seconds from window to window, at least and at most.
LEAST_HOP, MOST_HOP = 0.01, 3600
#: Windows that are no further apart are neighbours, in seconds.
TOUCHING = 0.01
#: Samples that are nowhere larger are silence, about -100 dB.
SILENCE = 1e-5


@dataclass(frozen=True, eq=False)
class Heard:
    """What a model heard in one recording.

    Attributes
    ----------
    file : Path
    starts, ends : ndarray, shape (n_windows,)
        Of each window, in seconds.
    scores : ndarray, shape (n_windows, n_classes), float32
    seconds : float
        Length of the recording.
    repeated : bool
        Whether the recording was shorter than a window and was repeated to its length.
    silent : bool
        Whether there was nothing to hear: the scores are those of silence.
    """

    file: Path
    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    seconds: float
    repeated: bool
    silent: bool

    @property
    def name(self) -> str:
        """Name of the file, in which bytes that are no UTF-8 are spelled out."""
        return self.file.name.encode(errors="backslashreplace").decode()

    @property
    def clip(self) -> np.ndarray:
        """Scores of the whole recording, shape (n_classes,): the highest over its windows.

        So a class is present where a window is found in which it sounds.
        """
        return self.scores.max(axis=0)

    def stretches(self, c: int, threshold: float) -> list[tuple[float, float]]:
        """Return when a class sounds: windows that reach the threshold, neighbours joined.

        Returns
        -------
        list of (float, float)
            Start and end of each stretch, in seconds.
        """
        stretches: list[tuple[float, float]] = []
        sounds = self.scores[:, c] >= threshold
        for start, end in zip(self.starts[sounds], self.ends[sounds], strict=True):
            if stretches and start <= stretches[-1][1] + TOUCHING:
                stretches[-1] = (stretches[-1][0], float(end))
            else:
                stretches.append((float(start), float(end)))
        return stretches

    @property
    def warnings(self) -> list[str]:
        """Say what is to be known of the recording before its scores are believed."""
        said = []
        if self.repeated:
            said.append(
                f"{self.file} is {self.seconds:.2f} s long, less than a window: it was repeated"
            )
        if self.silent:
            said.append(f"{self.file} is silent: its scores say nothing")
        return said


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A fitted model, and the way from audio to the features that it learnt from.

    Attributes
    ----------
    model : Model
        Fitted.
    front_ends : tuple of FrontEnd
        Their features are joined in this order.
    n_frames : int
        Frames of the clips that the model learnt from: so long is a window.
    heard_frames : int, optional
        Frames of the recording in a window, which are repeated to `n_frames`; all unless told.
    """

    model: Model
    front_ends: tuple[FrontEnd, ...]
    n_frames: int
    heard_frames: int | None = None

    @property
    def features(self) -> str:
        """What the model's features are called, as in ``"logmel"`` or ``"A+B"``."""
        return "+".join(front_end.name for front_end in self.front_ends)

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return (self.heard_frames or self.n_frames) * self.front_ends[0].frame_seconds

    def with_window(self, seconds: float) -> "Recogniser":
        """Return the same recogniser with windows of another length.

        Parameters
        ----------
        seconds : float
            Cut down to whole frames. What is shorter than the clips that the model learnt from
            is repeated to their length.

        Raises
        ------
        ParameterError
            For less than a frame, or a frame more than those clips have.
        """
        frame = self.front_ends[0].frame_seconds
        if not frame <= seconds < (self.n_frames + 1) * frame:
            raise ParameterError(
                f"a window of {seconds:g} s can't be scored: the model learnt from clips of"
                f" {self.n_frames * frame:g} s. Windows may have {frame:g} s to that; shorter"
                " ones are repeated"
            )
        return replace(self, heard_frames=min(self.n_frames, int(seconds / frame + 1e-9)))

    def windows(
        self,
        blocks: Iterable[np.ndarray],
        sample_rate: float,
        hop_seconds: float | None = None,
        together: int = 1,
        *,
        early: bool = False,
    ) -> Iterator[tuple[Window, np.ndarray]]:
        """Score a signal that comes in blocks, window after window.

        Parameters
        ----------
        blocks : iterable of ndarray, float32
            Mono, in [-1, 1]; of any length.
        sample_rate : float
            In Hz.
        hop_seconds : float, optional
            From window to window; a window's length unless told.
        together : int
            How many windows are waited for and scored at once. The scores are the same.
        early : bool
            Whether a window that begins before the signal is given first; see
            :func:`benchmark.audio.windows.cut`.

        Raises
        ------
        ParameterError
            For a hop that is no time.

        Yields
        ------
        window : Window
        scores : ndarray, shape (n_classes,), float32
        """
        check_hop(hop_seconds)
        windows = cut(
            blocks, sample_rate, self.front_ends, self.n_frames, hop_seconds, self.heard_frames,
            early=early,
        )  # fmt: skip
        while batch := list(islice(windows, together)):
            yield from zip(batch, self.model.predict_proba(self._features(batch)), strict=True)

    def _features(self, windows: Sequence[Window]) -> np.ndarray:
        names = [front_end.name for front_end in self.front_ends]
        sets = [
            np.stack([front_end.extract(window.signals[i]) for window in windows])
            for i, front_end in enumerate(self.front_ends)
        ]
        return join(names, sets)

    def hear(self, path: Path, hop_seconds: float | None = None) -> Heard:
        """Score an audio file of any kind, rate, number of channels and length.

        Raises
        ------
        DataError
            Where the file can't be read, or weights of a front end are missing.
        """
        recording = open_recording(path)
        samples, loudest = 0, 0.0

        def listen() -> Iterator[np.ndarray]:
            nonlocal samples, loudest
            for block in recording.blocks():
                samples += len(block)
                loudest = max(loudest, float(np.abs(block).max(initial=0)))
                yield block

        scored = self.windows(listen(), recording.sample_rate, hop_seconds, TOGETHER)
        rows, repeated = [], False
        for window, scores in scored:
            rows.append((window.start, window.end, scores))
            repeated = repeated or window.repeated
        starts, ends, scores = (np.array(column) for column in zip(*rows, strict=True))
        seconds = samples / recording.sample_rate
        return Heard(Path(path), starts, ends, scores, seconds, repeated, silent=loudest < SILENCE)


def check_hop(seconds: float | None) -> None:
    """Refuse a time from window to window that is too short, too long, or no time.

    Raises
    ------
    ParameterError
    """
    if seconds is not None and not LEAST_HOP <= seconds <= MOST_HOP:
        raise ParameterError(
            f"from window to window there must be a time of {LEAST_HOP} to {MOST_HOP:,} s (--hop),"
            f" not {seconds:g}"
        )


def check_window(seconds: float | None) -> None:
    """Refuse a window that is no time, before a model says how long one may be.

    Raises
    ------
    ParameterError
    """
    if seconds is not None and not 0 < seconds < np.inf:
        raise ParameterError(
            f"a window needs a length in seconds (--window), and {seconds:g} is none"
        )


def front_ends(features: str) -> tuple[FrontEnd, ...]:
    """Return the front ends of features that are named as in ``"logmel"`` or ``"A+B"``.

    Raises
    ------
    UnknownNameError
        With the nearest known name.
    DataError
        Where a name is there twice, or the front ends have frames of different lengths.
    """
    names = features.split("+")
    if OWN in names:
        raise DataError(
            "the data set does not say by which front end its features were made: they can't be"
            " computed from audio"
        )
    if files := [name for name in names if ":" in name]:
        raise DataError(
            f"the features {files[0]} were read from a file: polytimbre can't compute them from"
            " audio. Use a run on features of a front end, see `polytimbre list frontends`"
        )
    if len(set(names)) < len(names):
        raise DataError(f"the features {features!r} name a front end twice")
    made = tuple(registry.frontends().get(name)() for name in names)
    if len({front_end.frame_seconds for front_end in made}) > 1:
        seconds = ", ".join(f"{one.name} {one.frame_seconds:g} s" for one in made)
        raise DataError(f"the features {features!r} have frames of different lengths: {seconds}")
    return made
