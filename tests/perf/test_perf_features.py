"""Time the front ends: a clip of 10 s on one core, and log-mel against librosa's."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmark.features import musicnn
from benchmark.features.logmel import LogMel
from benchmark.features.pretrained import files
from benchmark.plugins.frontend_checks import make_signal


@pytest.fixture(scope="module", autouse=True)
def one_core():
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def clip():
    return make_signal(160_000, 16_000)


def test_logmel(benchmark):
    benchmark(LogMel().extract, make_signal(240_000, 24_000))


def test_musicnn(benchmark, clip):
    files.installed("musicnn", musicnn.Musicnn.weights)
    benchmark(musicnn.Musicnn().extract, clip)


def test_mel_spectra(benchmark, clip):
    benchmark(musicnn.mel_spectra, clip)


def test_mel_spectra_of_librosa(benchmark, clip):
    """The same parameters, and the same numbers."""
    librosa = pytest.importorskip("librosa", reason="pip install librosa")

    def mel():
        return librosa.feature.melspectrogram(
            y=clip, sr=16_000, n_fft=512, hop_length=256, n_mels=96, pad_mode="constant"
        ).T

    np.testing.assert_allclose(musicnn.mel_spectra(clip), benchmark(mel), rtol=1e-4, atol=1e-6)
