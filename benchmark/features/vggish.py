"""VGGish (Hershey et al., 2017): the features of AudioSet and of OpenMIC-2018.

A model that was trained on their stored features hears new audio through this front end. The
network is computed with numpy alone. Everything here but the trained weights is in the paper
and the release: 280 MB that users download once.
"""

from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmark.contracts.frontend import FrontEnd, Weights
from benchmark.errors import DataError
from benchmark.features.pretrained import files
from benchmark.features.pretrained.checkpoints import read_single_file
from benchmark.features.pretrained.threads import single_threaded

#: In samples at 16 kHz: 25 ms windows every 10 ms; 96 of them are an example, a frame.
WINDOW, HOP, N_FFT, EXAMPLE = 400, 160, 512, 96
N_BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
LOG_OFFSET = 0.01
#: Values after the principal components are clipped to plus and minus this.
LIMIT = 2.0

#: Convolutions in their order; after those that are marked follows a pool of 2 by 2.
CONVOLUTIONS = (
    ("conv1", True), ("conv2", True), ("conv3/conv3_1", False), ("conv3/conv3_2", True),
    ("conv4/conv4_1", False), ("conv4/conv4_2", True),
)  # fmt: skip
DENSE = ("fc1/fc1_1", "fc1/fc1_2", "fc2")

_RELEASE = "https://storage.googleapis.com/audioset/"
_LICENCE = "Apache 2.0 (AudioSet's release); trained on videos of YouTube"
#: Mean and standard deviation of a 1 kHz sine of 3 s, before and after the last steps, as the
#: release's own smoke test has them; it allows a tenth.
SMOKE_TEST = {"embedding": (0.131, 0.238), "features": (123.0, 75.0)}


class VGGish(FrontEnd):
    """AudioSet's embedding: 128 numbers of 8 bits each 0.96 s.

    Parameters
    ----------
    relu : bool
        Whether a ReLU follows the last layer: OpenMIC's code has one, later releases say that
        there is none.
    truncate : bool
        Whether the 8 bits are cut off, as OpenMIC's code does, or rounded.
    """

    name: ClassVar[str] = "vggish"
    description: ClassVar[str] = (
        "what AudioSet and OpenMIC-2018 are stored as, for audio that is new; 280 MB of weights"
    )
    citation: ClassVar[str] = (
        "S. Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017"
    )
    licence: ClassVar[str] = _LICENCE
    sample_rate: ClassVar[int] = 16_000
    overhang: ClassVar[int] = WINDOW - HOP
    n_features: ClassVar[int] = 128
    dtype: ClassVar[type] = np.uint8
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            source=_RELEASE + "vggish_model.ckpt",
            checksum="md5:d1c7011e6366aa34176bb05c705e31a8",
            size=277_000_000,
            licence=_LICENCE,
        ),
        Weights(
            source=_RELEASE + "vggish_pca_params.npz",
            checksum="md5:c80cae691033abe7c7ecd11ea39fc834",
            size=73_000,
            licence=_LICENCE,
        ),
    )

    def __init__(self, relu: bool = True, truncate: bool = True) -> None:
        self.relu = relu
        self.truncate = truncate

    @single_threaded
    def extract(self, signal):
        """Compute the features of one clip; see :meth:`FrontEnd.extract`."""
        _, pca = self._loaded
        return quantise(whiten(self.embed(signal), *pca), self.truncate)

    def embed(self, signal: np.ndarray) -> np.ndarray:
        """Return what the network gives before the principal components, float32, (n, 128)."""
        n_frames = self.check_signal(signal)
        spectra = log_mel(signal[: self.n_samples(n_frames)])
        network, _ = self._loaded
        return network.embed(spectra.reshape(n_frames, EXAMPLE, N_BANDS), self.relu)

    @cached_property
    def _loaded(self) -> "tuple[Network, tuple[np.ndarray, np.ndarray]]":
        checkpoint, pca = files.installed(self.name, self.weights)
        with np.load(pca, allow_pickle=False) as stored:
            parts = stored["pca_eigen_vectors"], stored["pca_means"].ravel()
        return Network(read_single_file(checkpoint, Network.names())), parts

    def verify(self):
        """Hold a sine against the values that the release's own test has."""
        seconds = np.arange(3 * self.sample_rate) / self.sample_rate
        sine = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
        sentences = []
        for what, values in (("embedding", self.embed(sine)), ("features", self.extract(sine))):
            found, expected = (values.mean(), values.std()), SMOKE_TEST[what]
            sentence = (
                f"{what} of a 1 kHz sine: mean {found[0]:.3f} and standard deviation"
                f" {found[1]:.3f}, published {expected[0]:g} and {expected[1]:g}"
            )
            if not np.allclose(found, expected, rtol=0.1):
                raise DataError(f"vggish does not compute what its release does: {sentence}")
            sentences.append(sentence)
        return sentences


def log_mel(signal: np.ndarray) -> np.ndarray:
    """Compute the network's input.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,), float
        At 16 kHz.

    Returns
    -------
    ndarray, shape (1 + (n_samples - 400) // 160, 64), float32
        Natural logarithm of the mel magnitudes.
    """
    window = np.hanning(WINDOW + 1)[:-1]
    windows = sliding_window_view(np.asarray(signal, dtype=np.float64), WINDOW)[::HOP] * window
    magnitudes = np.abs(np.fft.rfft(windows, N_FFT))
    return np.log(magnitudes @ _mel_filters() + LOG_OFFSET).astype(np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> np.ndarray:
    """Return triangular filters whose slopes are linear in mel, shape (257, 64)."""

    def to_mel(hertz: np.ndarray) -> np.ndarray:
        return 1127 * np.log1p(hertz / 700)

    edges = np.linspace(to_mel(LOWEST_HZ), to_mel(HIGHEST_HZ), N_BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    bins = to_mel(np.arange(N_FFT // 2 + 1)[:, None] * VGGish.sample_rate / N_FFT)
    filters = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
    filters[0] = 0  # what is constant is not heard
    return filters


def whiten(embedding: np.ndarray, vectors: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return principal components, shape (n, 128), of embeddings of that shape."""
    return (embedding - means) @ vectors.T


def quantise(values: np.ndarray, truncate: bool) -> np.ndarray:
    """Return 8 bits for the range from -2 to 2, cut off or rounded."""
    steps = (values.clip(-LIMIT, LIMIT) + LIMIT) * (255 / (2 * LIMIT))
    return (steps if truncate else np.rint(steps)).astype(np.uint8)


class Network:
    """VGGish's network, at inference.

    Parameters
    ----------
    tensors : dict of str to ndarray
        Those of :meth:`names`: convolutions as (3, 3, in, out), dense layers as (in, out).
    """

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors

    @staticmethod
    def names() -> list[str]:
        """Return the names of the tensors that the network needs."""
        layers = [name for name, _ in CONVOLUTIONS] + list(DENSE)
        return [f"vggish/{layer}/{part}" for layer in layers for part in ("weights", "biases")]

    def _weights(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        return self.tensors[f"vggish/{layer}/weights"], self.tensors[f"vggish/{layer}/biases"]

    def embed(self, examples: np.ndarray, relu: bool) -> np.ndarray:
        """Return the last layer's output, (n, 128), of examples, (n, 96, 64)."""
        x = np.stack([self._convolve(example) for example in examples])
        for layer in DENSE:
            weights, biases = self._weights(layer)
            x = x @ weights + biases
            if relu or layer != DENSE[-1]:
                x = np.maximum(x, 0)
        return x

    def _convolve(self, example: np.ndarray) -> np.ndarray:
        """Return the last pool's output, flattened by time, frequency and channel."""
        x = example[:, :, None]
        for layer, pooled in CONVOLUTIONS:
            weights, biases = self._weights(layer)
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            patches = sliding_window_view(padded, (3, 3), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
            height, width, channels = *x.shape[:2], weights.shape[-1]
            flat = patches.reshape(height * width, -1) @ weights.reshape(-1, channels)
            x = np.maximum(flat + biases, 0).reshape(height, width, channels)
            if pooled:
                x = x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
        return x.ravel()
