"""musicnn (Pons and Serra, 2019): what a network trained to tag music hears.

The network is computed with numpy alone, from the weights that its authors publish. A frame
of 0.96 s is described by the three seconds around it, which is how long a stretch the network
has learnt from: their layers are pooled by maximum and mean, and go through a dense layer.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmark.contracts.frontend import FrontEnd, Weights
from benchmark.features.pretrained import files
from benchmark.features.pretrained.checkpoints import read_bundle
from benchmark.features.pretrained.threads import single_threaded
from benchmark.features.spectra import MelFilters, mel_power

N_FFT, HOP, N_BANDS = 512, 256, 96
#: Places of a kernel along the bands that are computed at once: few, for the cache.
TOGETHER = 8
#: Spectra that the network pools over, 3 s, and those from one frame to the next.
POOLED, STEP = 187, 60
#: The last hidden layer is given in 8 bits, in steps of 1/32 from -1 on, up to 6.97: a unit that
#: is off is at -0.72 or above, and in rendered clips none passes 6.
LOWEST, STEPS = -1.0, 32
#: The tags, in the order of the network's last layer.
TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast",
    "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male",
    "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman",
    "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice",
    "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip

#: The checkpoint in the distribution, and the SHA-256 of its two files.
_FILES = {
    "musicnn/MTT_musicnn/.index": (
        "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57"
    ),
    "musicnn/MTT_musicnn/.data-00000-of-00001": (
        "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab"
    ),
}


class Musicnn(FrontEnd):
    """The 200 units below the tags of musicnn, for each 0.96 s with its surroundings."""

    name: ClassVar[str] = "musicnn"
    description: ClassVar[str] = (
        "the last hidden layer of musicnn, a network trained to tag music; 9.5 MB of weights"
    )
    citation: ClassVar[str] = (
        "J. Pons and X. Serra, musicnn: Pre-trained Convolutional Neural Networks for Music"
        " Audio Tagging, ISMIR 2019 late-breaking"
    )
    licence: ClassVar[str] = "ISC (weights); trained on MagnaTagATune, whose audio is for research"
    sample_rate: ClassVar[int] = 16_000
    n_features: ClassVar[int] = 200
    dtype: ClassVar[type] = np.uint8
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            source="musicnn==0.1.0",
            checksum="sha256:f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
            size=29_292_476,
            licence=licence,
            members=_FILES,
        ),
    )

    def extract(self, signal):
        """Compute the features of one clip; see :meth:`FrontEnd.extract`."""
        return quantise(self.layers(signal)[0])

    @single_threaded
    def layers(self, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the last hidden layer, (n_frames, 200), and the tags, (n_frames, 50), float32."""
        return _network().tail(self.pooled(signal))

    @single_threaded
    def pooled(self, signal: np.ndarray) -> np.ndarray:
        """Return maximum and mean of all layers over 3 s, (n_frames, 1506), float32."""
        n_frames = self.check_signal(signal)
        spectra = log_mel(signal[: self.n_samples(n_frames)])[: n_frames * STEP]
        layers = _network().layers(spectra)
        last = max(0, len(layers) - POOLED)
        # Around the middle of each frame; inside the clip, so that all are as long.
        starts = [min(max(0, i * STEP + (STEP - POOLED) // 2), last) for i in range(n_frames)]
        return np.stack([pool(layers[s : s + POOLED]) for s in starts])


class MusicnnTags(Musicnn):
    """The 50 tags of musicnn, for each 0.96 s with its surroundings."""

    name: ClassVar[str] = "musicnn-tags"
    description: ClassVar[str] = "the 50 tags of musicnn, as probabilities; 9.5 MB of weights"
    n_features: ClassVar[int] = len(TAGS)
    dtype: ClassVar[type] = np.float32

    def extract(self, signal):
        """Compute the features of one clip; see :meth:`FrontEnd.extract`."""
        return self.layers(signal)[1]


class MusicnnPooled(Musicnn):
    """All layers of musicnn below its last hidden one, for each 0.96 s with its surroundings."""

    name: ClassVar[str] = "musicnn-pooled"
    description: ClassVar[str] = (
        "maximum and mean over 3 s of musicnn's convolutions, more than its last layer keeps;"
        " 9.5 MB of weights"
    )
    n_features: ClassVar[int] = 1506
    dtype: ClassVar[type] = np.float32

    def extract(self, signal):
        """Compute the features of one clip; see :meth:`FrontEnd.extract`."""
        return self.pooled(signal)


def quantise(hidden: np.ndarray) -> np.ndarray:
    """Return the last hidden layer in 8 bits, so that a processor's last bits do not show."""
    return np.rint((hidden - LOWEST) * STEPS).clip(0, 255).astype(np.uint8)


@cache
def _network() -> "Network":
    index, data = files.installed(Musicnn.name, Musicnn.weights)
    return Network(read_bundle(index, data))


def log_mel(signal: np.ndarray) -> np.ndarray:
    """Compute the network's input.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,), float
        At 16 kHz.

    Returns
    -------
    ndarray, shape (1 + n_samples // 256, 96), float32
    """
    # In 16 bits as its authors do; multiplied in 32, where the factor does not overflow.
    mel = mel_spectra(signal).astype(np.float16).astype(np.float32)
    return np.log10(10_000 * mel + 1)


def mel_spectra(signal: np.ndarray) -> np.ndarray:
    """Compute mel power spectra, centred on every 256th sample, with zeros at both ends."""
    # in 64 bits: differences in the last of 32 would move values across a step of 16
    padded = np.pad(np.asarray(signal, dtype=np.float64), N_FFT // 2)
    window = np.hanning(N_FFT + 1)[:-1]
    return mel_power(padded, window, HOP, N_FFT, _mel_filters())


@lru_cache(maxsize=1)
def _mel_filters() -> MelFilters:
    """Return the triangular filters of Slaney's mel scale, of equal area."""
    hertz = np.arange(N_FFT // 2 + 1) * Musicnn.sample_rate / N_FFT
    # Linear below 1 kHz (three mels every 200 Hz); then 27 mels for each factor of 6.4.
    mel = np.linspace(0, 15 + 27 * np.log(hertz[-1] / 1000) / np.log(6.4), N_BANDS + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (hertz[:, None] - low) / (centre - low)
    falling = (high - hertz[:, None]) / (high - centre)
    weights = np.minimum(rising, falling).clip(0) * 2 / (high - low)
    return MelFilters.of(weights)


def pool(layers: np.ndarray) -> np.ndarray:
    """Pool (n, 753) over n by maximum and mean; each channel's two are neighbours."""
    return np.stack([layers.max(axis=0), layers.mean(axis=0)], axis=1).ravel()


class Network:
    """musicnn's network, at inference.

    Parameters
    ----------
    tensors : dict of str to ndarray
        The checkpoint's, by name. A convolution is called ``conv2d`` (the first), ``conv2d_1``
        and so on; ``batch_normalization`` and ``dense`` likewise.
    """

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors
        # Of the window before, for each convolution over bands: parts by what they are made of.
        self._before: list[dict[bytes, np.ndarray]] = [{} for _ in range(5)]

    def _weights(self, kind: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        name = f"{kind}_{number}" if number else kind
        return self.tensors[f"{name}/kernel"], self.tensors[f"{name}/bias"]

    def _norm_part(self, number: int, part: str) -> np.ndarray:
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        return self.tensors[f"{name}/{part}"]

    def _scale(self, number: int) -> np.ndarray:
        variance = self._norm_part(number, "moving_variance")
        return self._norm_part(number, "gamma") / np.sqrt(variance + np.float32(1e-3))

    def _norm(self, x: np.ndarray, number: int) -> np.ndarray:
        scale, mean = self._scale(number), self._norm_part(number, "moving_mean")
        return x * scale + (self._norm_part(number, "beta") - mean * scale)

    def layers(self, spectra: np.ndarray) -> np.ndarray:
        """Compute what the network pools over.

        Parameters
        ----------
        spectra : ndarray, shape (n, 96), float32
            From :func:`log_mel`.

        Returns
        -------
        ndarray, shape (n, 753), float32
        """
        x = self._norm(spectra, 0)
        with ThreadPoolExecutor() as pool:  # NumPy's products let other threads run
            front = np.concatenate(list(pool.map(partial(self._over_bands, x), range(5))), axis=1)
        first = self._over_channels(front, 5)
        second = first + self._over_channels(first, 6)
        third = second + self._over_channels(second, 7)
        return np.concatenate([front, first, second, third], axis=1)

    def _over_bands(self, x: np.ndarray, number: int) -> np.ndarray:
        """Convolve over time and bands, and take the maximum over bands; (n, channels).

        Part by part, each from the spectra that it depends on alone: so a part that the window
        before held too has the same bits, and need not be computed again.
        """
        length = len(self._weights("conv2d", number)[0])
        padded = np.pad(x, (((length - 1) // 2, length // 2), (0, 0)))
        before, now, parts = self._before[number], {}, []
        for start in range(0, len(x), STEP):
            part = padded[start : start + STEP + length - 1]
            seen = part.tobytes()
            now[seen] = before[seen] if seen in before else self._best_band(part, number)
            parts.append(now[seen])
        self._before[number] = now
        return np.concatenate(parts)

    def _best_band(self, padded: np.ndarray, number: int) -> np.ndarray:
        kernel, bias = self._weights("conv2d", number)
        length, width, _, channels = kernel.shape
        # Bias, ReLU and norm do not change which band is the highest, unless the norm turns a
        # channel round: so the maximum comes first, and of a turned channel the minimum.
        sign = np.where(self._scale(number + 1) < 0, np.float32(-1), np.float32(1))
        flat = kernel.reshape(-1, channels) * sign
        places = sliding_window_view(padded, (length, width)).swapaxes(0, 1)
        best = np.full((places.shape[1], channels), -np.inf, dtype=np.float32)
        for i in range(0, len(places), TOGETHER):
            values = places[i : i + TOGETHER].reshape(-1, length * width) @ flat
            np.maximum(best, values.reshape(-1, *best.shape).max(axis=0), out=best)
        return self._norm(np.maximum(best * sign + bias, 0), number + 1)

    def _over_channels(self, x: np.ndarray, number: int) -> np.ndarray:
        """Convolve over time and all channels; (n, 64)."""
        kernel, bias = self._weights("conv2d", number)
        length = len(kernel)
        padded = np.pad(x, (((length - 1) // 2, length // 2), (0, 0)))
        out = sum(padded[i : i + len(x)] @ kernel[i, :, 0] for i in range(length))
        return self._norm(np.maximum(out + bias, 0), number + 1)

    def tail(self, pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the last hidden layer, (n, 200), and the tags, (n, 50), of (n, 1506)."""
        kernel, bias = self._weights("dense", 0)
        hidden = np.maximum(self._norm(pooled, 9) @ kernel + bias, 0)
        hidden = self._norm(hidden, 10)
        kernel, bias = self._weights("dense", 1)
        return hidden, 1 / (1 + np.exp(-(hidden @ kernel + bias)))
