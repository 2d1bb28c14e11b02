"""What a front end is: audio in, frames of features out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from benchmark.errors import DataError


@dataclass(frozen=True)
class Weights:
    """A file of pretrained weights that a front end needs and that is not shipped with it.

    Attributes
    ----------
    source : str
        Where it comes from: a URL, or a distribution on a package index, as in
        ``"musicnn==0.1.0"``.
    checksum : str
        The kind of checksum and its hexadecimal digits, as in ``"sha256:f38a..."``.
    size : int
        Of what is downloaded, in bytes.
    licence : str
        Of the weights, and what is known of the audio that they were trained on.
    members : mapping of str to str
        Of a distribution: the files that are kept of it, and the SHA-256 of each.
    """

    source: str
    checksum: str
    size: int
    licence: str
    members: Mapping[str, str] | None = None


class FrontEnd(ABC):
    """From a clip's audio to frames of features.

    A signal is extracted as a whole, and nothing is kept from one signal to the next. So a
    long recording, or a stream, is cut into windows as long as the clips that a model has
    learnt from, and each of them is extracted as if it were a clip; see
    :mod:`benchmark.audio.windows`.

    A plugin is one file in ``benchmark/features/`` (or an entry point of the group
    ``polytimbre.frontends``) that defines a subclass with a ``name``.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    #: In Hz.
    sample_rate: ClassVar[int]
    #: Length of a frame in seconds: a whole number of samples.
    frame_seconds: ClassVar[float] = 0.96
    #: Samples that the last frame needs beyond its own.
    overhang: ClassVar[int] = 0
    n_features: ClassVar[int]
    dtype: ClassVar[type[np.uint8] | type[np.float32]]
    #: Distributions whose versions the features rest on.
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)
    #: What to know before scores that rest on its features are believed: a sentence, or nothing.
    caveat: ClassVar[str] = ""
    #: Files of pretrained weights.
    weights: ClassVar[tuple[Weights, ...]] = ()

    @property
    def frame_samples(self) -> int:
        """Samples from the beginning of a frame to the beginning of the next."""
        return round(self.frame_seconds * self.sample_rate)

    def n_frames(self, n_samples: int) -> int:
        """Return how many whole frames a signal of `n_samples` has."""
        return max(0, n_samples - self.overhang) // self.frame_samples

    def n_samples(self, n_frames: int) -> int:
        """Return how many samples are needed for `n_frames` frames."""
        return n_frames * self.frame_samples + self.overhang

    @abstractmethod
    def extract(self, signal: np.ndarray) -> np.ndarray:
        """Compute the features of one clip.

        Parameters
        ----------
        signal : ndarray, shape (n_samples,), float32
            Mono, in [-1, 1], at :attr:`sample_rate`. A last frame that is not complete is
            left out.

        Returns
        -------
        ndarray, shape (n_frames, n_features), of the declared dtype

        Raises
        ------
        DataError
            Where the signal is not mono, not finite or shorter than one frame, or the weights
            are missing.
        """

    def check_signal(self, signal: np.ndarray) -> int:
        """Return how many frames a signal has; refuse one that can't be used.

        Raises
        ------
        DataError
        """
        signal = np.asarray(signal)
        frames = self.n_frames(len(signal)) if signal.ndim == 1 else 0
        if not frames or not np.isfinite(signal).all():
            raise DataError(
                f"{self.name} needs a finite mono signal of at least"
                f" {self.n_samples(1) / self.sample_rate:.3g} s at {self.sample_rate} Hz,"
                f" got shape {signal.shape}"
            )
        return frames

    def verify(self) -> list[str]:
        """Compare with published values where there are any; return a sentence for each.

        Raises
        ------
        DataError
            Where a value differs.
        """
        return []
