"""A fitted model on new audio: instruments over time, from files or from a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.audio.files import open_recording
from benchmark.audio.windows import CLIP_FRAMES, Window, cut
from benchmark.contracts.dataset import OWN
from benchmark.contracts.frontend import FrontEnd
from benchmark.contracts.model import Model
from benchmark.errors import DataError, StoreError
from benchmark.features.joining import join
from benchmark.plugins import registry
from benchmark.runs.features import features_of
from benchmark.scoring.metrics import Ranking
from benchmark.scoring.thresholds import choose

if TYPE_CHECKING:
    from benchmark.runs.reading import Runs
    from benchmark.runs.record import Record

#: Windows that are scored together where nobody waits for each.
TOGETHER = 32
#: Samples that are nowhere larger are silence, about -100 dB.
SILENCE = 1e-5


@dataclass(frozen=True, eq=False)
class Heard:
    """What a model heard in one recording.

    Attributes
    ----------
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

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    seconds: float
    repeated: bool
    silent: bool

    @property
    def clip(self) -> np.ndarray:
        """Scores of the whole recording, shape (n_classes,): the highest over its windows.

        So a class is present where a window is found in which it sounds.
        """
        return self.scores.max(axis=0)


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
    """

    model: Model
    front_ends: tuple[FrontEnd, ...]
    n_frames: int

    def windows(
        self,
        blocks: Iterable[np.ndarray],
        sample_rate: float,
        hop_seconds: float | None = None,
        together: int = 1,
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

        Yields
        ------
        window : Window
        scores : ndarray, shape (n_classes,), float32
        """
        windows = cut(blocks, sample_rate, self.front_ends, self.n_frames, hop_seconds)
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
        return Heard(starts, ends, scores, seconds, repeated, silent=loudest < SILENCE)


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


def recogniser(store: "Runs", run_id: str) -> "tuple[Recogniser, Record]":
    """Load a stored run's model, and the front ends of the features it was trained on.

    Raises
    ------
    UnknownNameError
        If there is no such run.
    StoreError
        If the run failed, or its model is not stored.
    DataError
        If its features can't be computed from audio.
    """
    record = store.get(run_id)
    spec, folder = record.spec, store.model_folder(record)
    if not record.finished:
        raise StoreError(f"run {record.run_id} failed ({record.error}): it has no model")
    if not folder.is_dir():
        raise StoreError(
            f"the model of run {record.run_id} is not stored there: published sets hold scores."
            " Run it again with `polytimbre run`, which keeps the model"
        )
    features = features_of(spec)
    model = registry.models().get(spec.model).from_params(**spec.params)
    model.load(folder)
    return Recogniser(model, front_ends(features), CLIP_FRAMES), record


def thresholds(store: "Runs", record: "Record") -> np.ndarray:
    """Return a run's global threshold, chosen on *select*, for each class, (n_classes,)."""
    on_select = store.labels(record.spec.division_id)["select"]
    scores = store.scores(record)["select"]
    ranking = Ranking.of(on_select.y_positive, scores, on_select.y_mask)
    return np.broadcast_to(choose(ranking)["global"], (scores.shape[1],))
