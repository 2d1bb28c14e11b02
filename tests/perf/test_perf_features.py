"""Time the front ends: a clip of 10 s on one core, and log-mel against librosa's."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmark.features import musicnn
from benchmark.features.logmel import LogMel, _band_levels
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


def test_logmel_of_librosa(benchmark):
    """The same parameters, and the same levels."""
    librosa = pytest.importorskip("librosa", reason="pip install librosa")
    signal = make_signal(240_000, 24_000).astype(np.float64)
    window = np.hanning(961)[:-1]
    beyond = np.concatenate([signal, np.zeros(1024 - 480)])

    def levels():
        power = librosa.feature.melspectrogram(
            y=beyond, sr=24_000, n_fft=1024, win_length=960, hop_length=480, center=False,
            n_mels=64, fmin=50.0, fmax=12_000.0, htk=True, norm=None,
        )  # fmt: skip
        return librosa.power_to_db(power / (window.sum() / 2) ** 2, top_db=None).T

    # librosa's window stands in the middle of what is transformed, ours at its beginning
    found, shift = benchmark(levels), (1024 - 960) // 2
    expected = _band_levels(np.concatenate([signal, np.zeros(shift)])[shift:], 24_000, 480)
    np.testing.assert_allclose(found[: len(expected)], expected[: len(found)], atol=1e-4)


@pytest.mark.parametrize("hop", [9.6, 0.96])
def test_musicnn(benchmark, hop):
    """Windows of 9.6 s of one recording, one after the other or overlapping as in `listen`."""
    files.installed("musicnn", musicnn.Musicnn.weights)
    signal, front_end = make_signal(16_000 * 120, 16_000), musicnn.Musicnn()
    starts = iter(np.arange(0, 110 * 16_000, round(hop * 16_000)))

    def window():
        start = next(starts)
        return (signal[start : start + 153_600],), {}

    benchmark.pedantic(front_end.extract, setup=window, rounds=11)


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
