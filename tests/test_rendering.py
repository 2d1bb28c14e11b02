"""The embedded data set: its file, its labels, and that it can be rendered again."""

import importlib.util
import shutil
import sys

import numpy as np
import pytest

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets import rendered
from benchmark.datasets.reading import embedded
from benchmark.datasets.rendering import clips, orchestra, scores, sound
from benchmark.errors import DataError
from benchmark.features.logmel import CENTRE, MEAN_STEPS, N_BANDS, logmel

EXTRA = ("music21", "pretty_midi", "midirenderer")
needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in EXTRA),
    reason='rendering needs: pip install "polytimbre[render]"',
)


@pytest.fixture(scope="module")
def dataset():
    return rendered.Rendered().load(None, "official")


@pytest.fixture(scope="module")
def full():
    return rendered.RenderedFull().load(None, "official")


def column(name):
    return CLASSES.index(name)


# --- the committed file


def test_shapes_and_partition(dataset):
    assert dataset.X.shape == (6000, 10, 128) and dataset.X.dtype == np.uint8
    assert 0.2 < (dataset.partition == "test").mean() < 0.3
    assert len(set(dataset.groups.tolist())) > 300


def test_about_a_quarter_is_observed_and_nearly_half_of_it_positive(dataset):
    playable = np.array([name not in rendered.UNPLAYABLE for name in CLASSES])
    assert playable.sum() == 18
    assert 0.2 < dataset.y_mask[:, playable].mean() < 0.3
    assert 0.38 < dataset.y_true[dataset.y_mask].mean() < 0.52
    assert not dataset.y_mask[:, ~playable].any()


def test_every_playable_class_has_at_least_500_observed_positives(dataset):
    positives = (dataset.y_true * dataset.y_mask).sum(axis=0)
    assert all(positives[column(name)] >= 500 for name in orchestra.PROGRAMS)


def test_full_holds_the_same_clips_with_every_label(dataset, full):
    assert np.array_equal(dataset.X, full.X) and np.array_equal(dataset.groups, full.groups)
    assert np.array_equal(dataset.partition, full.partition)
    assert full.y_mask.sum() == 18 * len(full)
    assert np.array_equal(dataset.y_true[dataset.y_mask], full.y_true[dataset.y_mask])
    assert full.y_true.sum(axis=1).min() >= 1 and full.y_true.sum(axis=1).max() <= 7
    assert full.fingerprint != dataset.fingerprint


def test_damaged_file_is_refused(tmp_path, monkeypatch):
    for suffix in (".npz", ".sha256"):
        shutil.copy(rendered.FILE.with_suffix(suffix), tmp_path)
    damaged = tmp_path / "rendered.npz"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(rendered, "FILE", damaged)
    with pytest.raises(DataError, match="is damaged: its SHA-256 is"):
        rendered.Rendered().load(None, "official")


def test_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        embedded.read_archive(tmp_path / "rendered.npz")


def test_archive_bytes_repeat(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.uint8), "b": np.array(["x", "yz"])}
    path = tmp_path / "some.npz"
    first = embedded.write_archive(path, arrays), path.read_bytes()
    assert (embedded.write_archive(path, arrays), path.read_bytes()) == first
    read = embedded.read_archive(path)
    assert all(np.array_equal(read[name], array) for name, array in arrays.items())


def test_more_features_are_kept_to_the_bit_and_belong_to_their_clips(tmp_path):
    path, keys = tmp_path / "some-musicnn.npz", np.array(["a", "b", "c"])
    X = np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    first = embedded.write_features(path, keys, X), path.read_bytes()
    assert (embedded.write_features(path, keys, X), path.read_bytes()) == first
    assert np.array_equal(embedded.read_features(path, keys), X)
    with pytest.raises(DataError, match="features of other clips than the data set has"):
        embedded.read_features(path, keys[::-1])
    with pytest.raises(DataError, match="must be uint8, one .* for each of 3 keys, got float32"):
        embedded.write_features(path, keys, X.astype(np.float32))


# --- rendering again


@needs_extra
def test_twenty_clips_are_rendered_bit_for_bit(dataset, full):
    # Quartets are left out, whose scores take seconds to read.
    quick = ("bach", "monteverdi", "ryansMammoth", "trecento")
    indices = [i for i, group in enumerate(dataset.groups.tolist()) if group.startswith(quick)]
    for index in indices[:: len(indices) // 20][:20]:
        features, labels = clips.render_clip(index)
        assert np.array_equal(features, dataset.X[index]), f"features of clip {index}"
        assert np.array_equal(labels, full.y_true[index] > 0.5), f"labels of clip {index}"
        assert np.array_equal(clips.observation_mask(index, labels), dataset.y_mask[index])


@needs_extra
def test_groups_and_partition_follow_from_the_scores(dataset):
    assert np.array_equal(clips.partition(dataset.groups.tolist()), dataset.partition == "test")
    books = {clips.score_of(i).split("/")[0] for i in range(0, 6000, 50)}
    assert books <= {group.split("/")[0] for group in dataset.groups.tolist()}


@needs_extra
def test_an_instrument_plays_its_notes_on_its_own_bus():
    notes = np.array([[0.5, 1.0, 69.0, 90.0], [1.5, 2.0, 69.0, 90.0]])
    left, right = sound._synthesise([sound._player(73, notes, 0.0, 0)], 3.0)
    assert len(left) >= 3 * sound.SAMPLE_RATE
    assert np.abs(right).max() < np.abs(left).max() / 10
    assert np.abs(left[: sound.SAMPLE_RATE // 4]).max() < np.abs(left).max() / 100
    spectrum = np.abs(np.fft.rfft(left[: 3 * sound.SAMPLE_RATE]))
    assert abs(np.argmax(spectrum) / 3 - 440) < 5


@needs_extra
def test_programs_are_brought_to_one_level():
    notes = np.array([[0.0, 0.4, 62.0, 90.0], [0.5, 0.9, 64.0, 90.0]])
    for program in (0, 40, 56, 73):
        player = sound._player(program, notes, sound._volume(program), 0)
        level = np.sqrt((sound._synthesise([player], 1.0).sum(axis=0) ** 2).mean())
        assert 0.9 < level / sound.REFERENCE_RMS < 1.1


def test_missing_extra_is_a_data_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    scores.corpus_folder.cache_clear()
    with pytest.raises(DataError, match=r"install the extra: pip install \"polytimbre\[render\]\""):
        scores.corpus_folder()


# --- planning


def scale_voices():
    steps = np.array([0, 2, 4, 5, 7, 9, 11, 12] * 8)
    onsets = np.arange(len(steps)) / 2
    notes = np.stack([onsets, np.full(len(steps), 0.5), 60.0 + steps], axis=1)
    return notes, notes - [0, 0, 12]


def test_planned_parts_are_playable_and_within_the_clip():
    for seed in range(60):
        for stem in orchestra.plan_clip(scale_voices(), np.random.default_rng(seed)):
            assert len(stem.notes) >= orchestra.LEAST_NOTES
            assert (stem.notes[:, 0] >= 0).all()
            assert (stem.notes[:, 0] < stem.notes[:, 1]).all()
            assert stem.notes[:, 1].max() <= orchestra.CLIP_SECONDS
            if stem.label in orchestra.RANGES:
                low, high = orchestra.RANGES[stem.label]
                assert stem.notes[:, 2].min() >= low and stem.notes[:, 2].max() <= high


def test_plan_depends_on_the_seed_alone():
    one, two, other = (
        orchestra.plan_clip(scale_voices(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert [s.label for s in one] == [s.label for s in two]
    assert all(np.array_equal(a.notes, b.notes) for a, b in zip(one, two, strict=True))
    assert [s.notes.shape for s in one] != [s.notes.shape for s in other]


def test_ranges_hold_an_octave_so_that_every_part_fits():
    assert all(high - low >= 12 for low, high in orchestra.RANGES.values())
    assert set(orchestra.PROGRAMS) == set(CLASSES) - set(rendered.UNPLAYABLE)


def test_works_that_share_an_opening_or_an_opus_are_one_group():
    merged = clips.merge_works(
        {
            "bach/bwv1.6.mxl": "2 2 1",
            "bach/bwv9.7.mxl": "2 2 1",
            "bach/bwv9.1.mxl": "-1 3",
            "mozart/k80/movement1.mxl": "5 5",
            "mozart/k80/movement2.mxl": "7 5",
            "bach/bwv2.6.mxl": "4",
        }
    )
    assert {merged[p] for p in ("bach/bwv1.6.mxl", "bach/bwv9.7.mxl", "bach/bwv9.1.mxl")} == {
        "bach/bwv1"
    }
    assert merged["mozart/k80/movement1.mxl"] == merged["mozart/k80/movement2.mxl"]
    assert merged["bach/bwv2.6.mxl"] == "bach/bwv2"


def test_line_keeps_one_note_at_a_time():
    chords = np.array([[0, 2, 60], [0, 2, 64], [1, 1, 67], [2, 1, 62]], dtype=float)
    top = scores.line(chords, highest=True)
    assert top.tolist() == [[0, 1, 64], [1, 1, 67], [2, 1, 62]]
    assert scores.line(chords, highest=False)[0].tolist() == [0, 1, 60]


# --- log-mel features


def tone(hertz, rate, seconds=2.0, level=1.0):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_logmel_finds_a_tone_at_any_rate(rate):
    hiss = np.random.default_rng(0).normal(0, 1e-3, 2 * rate)
    features = logmel(tone(1000, rate) + hiss, rate)
    assert features.shape == (2, 128) and features.dtype == np.uint8
    assert (features[:, :N_BANDS].argmax(axis=1) == 18).all()
    assert logmel(tone(4000, rate) + hiss, rate)[0, :N_BANDS].argmax() > 30


def test_logmel_does_not_depend_on_gain():
    noise = np.random.default_rng(0).normal(0, 0.1, 96_000)
    loud, soft = (logmel(gain * noise, 48_000).astype(int) for gain in (1.0, 0.1))
    assert np.abs(loud - soft).max() <= 1
    assert abs(loud[:, :N_BANDS].mean() - CENTRE) < 1


def test_logmel_measures_levels_in_half_decibels():
    noise = np.random.default_rng(0).normal(0, 0.1, 96_000)
    noise[46_080:] *= 0.1
    features = logmel(noise, 48_000).astype(int)
    fall = (features[0, :N_BANDS] - features[1, :N_BANDS]).mean()
    assert abs(fall - 20 * MEAN_STEPS) < 2


def test_logmel_of_silence_is_even_and_of_change_has_deviation():
    silence = logmel(np.zeros(48_000), 48_000)
    assert (silence[:, :N_BANDS] == CENTRE).all() and not silence[:, N_BANDS:].any()
    steady, pulsed = tone(1000, 48_000), tone(1000, 48_000)
    pulsed[: len(pulsed) // 4] = 0
    assert logmel(steady, 48_000)[0, N_BANDS + 18] <= 1
    assert logmel(pulsed, 48_000)[0, N_BANDS + 18] > 50


def test_logmel_leaves_out_an_incomplete_frame():
    assert len(logmel(tone(440, 48_000, seconds=9.6), 48_000)) == 10
    assert len(logmel(tone(440, 48_000, seconds=9.59), 48_000)) == 9


@pytest.mark.parametrize(
    ("signal", "rate", "message"),
    [
        (np.zeros(48_000), 16_000, "resample"),
        (np.zeros(48_000), 44_111, "multiple of 50"),
        (np.zeros((48_000, 2)), 48_000, "mono"),
        (np.zeros(1000), 48_000, "at least 0.96 s"),
        (np.full(48_000, np.nan), 48_000, "finite"),
    ],
)
def test_logmel_refuses_what_it_cannot_use(signal, rate, message):
    with pytest.raises(DataError, match=message):
        logmel(signal, rate)
