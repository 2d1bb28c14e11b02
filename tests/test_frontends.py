"""The contract of front ends: every registered one holds, and each rule can be broken."""

import numpy as np
import pytest
from conftest import Command
from test_documents import plugin

from benchmark.contracts.frontend import FrontEnd, Weights
from benchmark.errors import DataError, PluginError
from benchmark.features.logmel import LogMel, logmel
from benchmark.features.pretrained import files
from benchmark.plugins import registry
from benchmark.plugins.frontend_checks import check_frontend, make_signal


def usable(cls):
    try:
        files.installed(cls.name, cls.weights)
    except DataError:
        return False
    return True


@pytest.mark.parametrize("name", registry.frontends().names())
def test_every_front_end_holds_to_the_contract(name):
    cls = registry.frontends().get(name)
    if not usable(cls):
        pytest.skip(f"the weights of {name} are not here")
    assert len(list(check_frontend(cls))) == 8


def test_the_project_brings_these():
    assert not registry.frontends().failures
    assert {"logmel", "musicnn", "musicnn-tags", "vggish"} <= set(registry.frontends().names())


def test_logmel_is_the_function_that_made_the_embedded_data():
    signal = make_signal(240_000, 24_000)
    assert np.array_equal(LogMel().extract(signal), logmel(signal, 24_000))
    assert LogMel().n_frames(240_000) == 10


class Level(FrontEnd):
    """The level of each frame: a front end as small as can be."""

    name = "level"
    description, citation, licence = "the level of each frame", "none", "none"
    sample_rate = 8_000
    n_features = 2
    dtype = np.float32

    def extract(self, signal):
        n_frames = self.check_signal(signal)
        frames = signal[: self.n_samples(n_frames)].reshape(n_frames, -1)
        return np.stack([frames.std(axis=1), abs(frames).max(axis=1)], axis=1)


def test_a_front_end_takes_a_dozen_lines():
    assert len(list(check_frontend(Level))) == 8


class NoLicence(Level):
    licence = ""


class HalfSamples(Level):
    frame_seconds = 0.9601


class NoChecksum(Level):
    weights = (Weights("https://example.org/w", "sha256:12", 1, "MIT"),)


class WrongShape(Level):
    def extract(self, signal):
        return super().extract(signal)[:, :1]


class LastFrame(Level):
    def extract(self, signal):
        self.check_signal(signal)
        return super().extract(np.pad(signal, (0, self.frame_samples - 1)))


class WrongType(Level):
    def extract(self, signal):
        return super().extract(signal).astype(np.float64)


class TakesGaps(Level):
    def extract(self, signal):
        return super().extract(np.nan_to_num(signal))


class Deaf(Level):
    def extract(self, signal):
        return np.zeros_like(super().extract(signal))


class Remembers(Level):
    loudest = 0.0

    def extract(self, signal):
        features = super().extract(signal)
        self.loudest = max(self.loudest, features.max())
        return features / np.float32(self.loudest)


class ChangesItsInput(Level):
    def extract(self, signal):
        signal -= signal.mean()
        return super().extract(signal)


class Decibels(Level):
    def extract(self, signal):
        with np.errstate(divide="ignore"):
            return np.log10(super().extract(signal))


class Random(Level):
    start = np.float32(np.random.default_rng().random())

    def extract(self, signal):
        return super().extract(signal) + self.start


class NotAsPublished(Level):
    def verify(self):
        raise DataError("the mean is 2, published is 1")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NoLicence, "declared.*it has no `licence`"),
        (HalfSamples, r"declared.*a frame has 7680\.8 samples"),
        (NoChecksum, "declared.*the checksum of https://example.org/w is sha256:12"),
        (WrongShape, r"for any length': 7680 samples give \(1, 1\), declared is \(1, 2\)"),
        (LastFrame, r"for any length': 7681 samples give \(2, 2\), declared is \(1, 2\)"),
        (WrongType, "declared dtype.*the features are float64"),
        (TakesGaps, "refused with a DataError.: a signal with a NaN is taken"),
        (Deaf, "Other signals have other features': two signals give the same"),
        (Remembers, "whatever came before, and is not changed': a signal in between"),
        (ChangesItsInput, "broke the rule.*read-only"),
        (Decibels, "Silence and full scale.*silence gives NaN or infinite"),
        (Random, "Another process computes the same bits': the features differ"),
    ],
)
def test_each_rule_can_be_broken(cls, message):
    with pytest.raises(PluginError, match=message):
        list(check_frontend(cls))


def test_what_is_published_is_part_of_the_contract():
    with pytest.raises(DataError, match="published is 1"):
        list(check_frontend(NotAsPublished))


def test_a_front_end_of_another_package_is_listed_and_checked(polytimbre: Command):
    source = plugin("CONTRIBUTING.md", "octaves")
    polytimbre.add_plugin("own_octaves", source, "polytimbre.frontends", "octaves", "Octaves")
    results = polytimbre.several(["list", "frontends"], ["check", "octaves"], ["check", "octave"])
    (_, listed), (code, checked), (wrong, advice) = results
    assert "octaves                levels of eight octaves" in listed and "logmel" in listed
    assert code == 0 and "front end 'octaves' holds to the contract" in checked
    assert wrong == 2 and "'octaves'" in advice
