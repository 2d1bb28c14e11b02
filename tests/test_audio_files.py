"""Audio in: every kind of file, in blocks, resampled, cut into windows; and what is refused."""

import os
import sys

import numpy as np
import pytest
import soundfile
import soxr

from benchmark.audio import files
from benchmark.audio.files import find_recordings, open_recording, read
from benchmark.audio.resampling import QUALITY, Resampler
from benchmark.audio.windows import cut
from benchmark.errors import DataError
from benchmark.features.logmel import LogMel
from benchmark.features.musicnn import Musicnn


def tone(seconds=3.0, rate=44_100, hertz=440.0):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(seconds, rate, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def in_blocks(signal, size):
    return [signal[i : i + size] for i in range(0, len(signal), size)]


def write(path, signal, rate=44_100, **kwargs):
    soundfile.write(path, signal, rate, **kwargs)
    return path


# --- what can be read


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.wav", 44_100, {"subtype": "PCM_16"}),
        ("a.wav", 8_000, {"subtype": "PCM_U8"}),
        ("a.wav", 96_000, {"subtype": "PCM_24"}),
        ("a.wav", 11_025, {"subtype": "FLOAT"}),
        ("a.wav", 22_050, {"subtype": "DOUBLE"}),
        ("a.flac", 48_000, {}),
        ("a.ogg", 44_100, {}),
        ("a.opus", 48_000, {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", 44_100, {}),
        ("a.aiff", 32_000, {}),
    ],
)
def test_a_tone_stays_a_tone_in_any_format_rate_and_depth(tmp_path, name, rate, options):
    """440 Hz at the right level: so rate, gain and order of samples are right."""
    signal = read(write(tmp_path / name, tone(2, rate), rate, **options), 16_000)
    assert abs(len(signal) - 32_000) < 2000 and signal.dtype == np.float32  # codecs pad
    middle = signal[8000:24_000]  # one second: a line a hertz
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(16_000)))
    assert spectrum.argmax() == 440
    assert np.abs(middle).max() == pytest.approx(0.3, abs=0.03)


def test_channels_are_averaged(tmp_path):
    left, right = noise(1, 16_000, 1), noise(1, 16_000, 2)
    channels = np.stack([left, right, np.zeros_like(left)], axis=1)
    path = write(tmp_path / "a.wav", channels, 16_000, subtype="FLOAT")
    assert open_recording(path).channels == 3
    np.testing.assert_allclose(read(path, 16_000), (left + right) / 3, atol=1e-7)


@pytest.mark.parametrize(
    ("source", "target"), [(44_100, 16_000), (8_000, 24_000), (16_000, 16_000)]
)
@pytest.mark.parametrize("size", [1, 777, 65_536])
def test_a_stream_is_resampled_to_what_the_whole_signal_is(source, target, size):
    signal = noise(0.2 if size == 1 else 3, source)
    resampler = Resampler(source, target)
    pieces = [resampler.push(block) for block in in_blocks(signal, size)]
    streamed = np.concatenate([*pieces, resampler.finish()])
    whole = signal if source == target else soxr.resample(signal, source, target, quality=QUALITY)
    assert np.array_equal(streamed, whole)


def test_blocks_do_not_change_what_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.flac", noise(12, 44_100), 44_100)
    expected = read(path, 16_000)
    monkeypatch.setattr(files, "BLOCK_SECONDS", 0.013)
    assert len(list(open_recording(path).blocks())) > 900
    assert np.array_equal(read(path, 16_000), expected)


def test_a_folder_gives_its_audio_files_in_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.wav", "a.FLAC", "deep/c.ogg", "notes.txt", "cover.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in find_recordings(tmp_path)] == ["a.FLAC", "b.wav", "c.ogg"]
    assert find_recordings(tmp_path / "b.wav") == [tmp_path / "b.wav"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none holds no audio file"):
        find_recordings(tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_not_utf8_is_a_name(tmp_path):
    named = tmp_path / os.fsdecode(b"bad\xff.wav")
    write(tmp_path / "good.wav", tone()).rename(named)
    assert open_recording(named).sample_rate == 44_100
    assert len(read(named, 16_000)) == 48_000
    named.write_bytes(b"RIFF, and no more")
    with pytest.raises(DataError, match="not audio that can be read"):
        open_recording(named)


def test_mpeg4_needs_the_extra_and_reads_with_it(tmp_path, monkeypatch):
    av = pytest.importorskip("av", reason='MPEG-4 needs: pip install "polytimbre[ffmpeg]"')
    path, signal = tmp_path / "a.m4a", tone(2, 44_100)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(signal[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = 44_100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    middle = read(path, 16_000)[8000:24_000]
    assert np.abs(np.fft.rfft(middle * np.hanning(16_000))).argmax() == 440
    assert np.abs(middle).max() == pytest.approx(0.3, abs=0.03)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match="a.m4a is not audio that can be read, or is damaged"):
        read(path, 16_000)
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    with pytest.raises(DataError, match=r'pip install "polytimbre\[ffmpeg\]"'):
        open_recording(path)


# --- what is refused, with a sentence


def bad(tmp_path, kind):
    path = tmp_path / "bad.wav"
    if kind == "missing":
        return path
    if kind == "folder":
        return tmp_path
    if kind in ("empty", "text"):
        path.write_bytes(b"" if kind == "empty" else b"this is no audio " * 20)
    elif kind in ("NaN", "infinite"):
        signal = tone(1)
        signal[22_050] = np.nan if kind == "NaN" else np.inf
        write(path, signal, subtype="FLOAT")
    elif kind == "infinite both ways":
        write(path, np.float32([[np.inf, -np.inf]] * 9999), subtype="FLOAT")
    elif kind == "1 Hz":
        write(path, tone(1), 1)
    elif kind == "0 Hz":
        content = bytearray(write(path, tone(1)).read_bytes())
        content[24:28] = bytes(4)
        path.write_bytes(content)
    else:
        write(path, tone()[: {"no samples": 0, "one sample": 1}[kind]])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"bad\.wav is missing; name an audio file"),
        ("folder", "it is a folder, not a file; name an audio file"),
        ("empty", r"is empty \(0 bytes\)"),
        ("text", "is not audio that can be read"),
        ("NaN", "NaN or infinite samples, the first at 0.500 s"),
        ("infinite", "NaN or infinite samples, the first at 0.500 s"),
        ("infinite both ways", "NaN or infinite samples, the first at 0.000 s"),
        ("0 Hz", "is not audio that can be read"),
        ("1 Hz", r"bad\.wav says that it has 1 samples a second; 1,000 to 768,000 can be heard"),
        ("no samples", r"holds 0 sample\(s\) at 44100 Hz"),
        ("one sample", r"holds 1 sample\(s\) at 44100 Hz"),
    ],
)
def test_bad_input_gets_a_sentence(tmp_path, kind, message, recwarn):
    with pytest.raises(DataError, match=message):
        read(bad(tmp_path, kind), 16_000)
    assert not recwarn


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.mp3", "a.ogg", "a.opus"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    """Whatever the format: half a song is not scored as if it were one."""
    opus = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    path = write(tmp_path / name, noise(6, 48_000), 48_000, **opus)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    with pytest.raises(DataError, match="truncated"):
        read(path, 16_000)


def test_what_was_written_to_a_pipe_is_no_truncated_file(tmp_path):
    """Such a header can't know the length and says 4 GB."""
    path = write(tmp_path / "a.wav", tone(1))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read(path, 44_100)) == 44_100


# --- windows


BOTH = (LogMel(), Musicnn())


def windows(signal, rate, size, hop=None, front_ends=BOTH):
    return list(cut(in_blocks(signal, size), rate, front_ends, 10, hop))


@pytest.mark.parametrize("hop", [None, 0.96, 5.0, 14.0])
def test_blocks_do_not_change_the_windows(hop):
    signal = noise(33.3, 44_100)
    expected = windows(signal, 44_100, len(signal), hop=hop)
    assert all(w.end - w.start == pytest.approx(9.6) for w in expected)
    assert [[len(s) for s in w.signals] for w in expected] == [[230_400, 153_600]] * len(expected)
    for size in (999, 44_100):
        found = windows(signal, 44_100, size, hop=hop)
        assert [w.start for w in found] == [w.start for w in expected]
        for one, other in zip(found, expected, strict=True):
            assert all(map(np.array_equal, one.signals, other.signals))


def test_windows_are_cut_where_they_say():
    signal = noise(25.0, 24_000)
    found = windows(signal, 24_000, 5000, hop=4.0, front_ends=(LogMel(),))
    assert [w.start for w in found] == pytest.approx([0, 4, 8, 12, 15.4])  # the last to the end
    for window in found:
        at = round(window.start * 24_000)
        assert np.array_equal(window.signals[0], signal[at : at + 230_400])


@pytest.mark.parametrize("hop", [0.96, 2.5])
def test_a_window_before_the_signal_holds_the_beginning_of_the_first(hop):
    """It comes before that one is complete, and changes none of those that follow."""
    signal = noise(14.0, 44_100)
    early, *found = cut(in_blocks(signal, 4000), 44_100, BOTH, 10, hop, early=True)
    expected = windows(signal, 44_100, 4000, hop=hop)
    assert (early.start, early.end) == pytest.approx((-hop, 9.6 - hop))
    for one, first in zip(early.signals, expected[0].signals, strict=True):
        silent = len(one) - round((9.6 - hop) * len(one) / 9.6)
        assert len(one) == len(first) and not one[:silent].any()
        assert np.array_equal(one[silent:], first[: len(first) - silent])
    assert [w.start for w in found] == [w.start for w in expected]
    for one, other in zip(found, expected, strict=True):
        assert all(map(np.array_equal, one.signals, other.signals))


@pytest.mark.parametrize(("seconds", "hop", "size"), [(12.0, 9.6, 999), (12.0, 1.0, 600_000)])
def test_where_nothing_is_shared_or_all_is_there_no_window_comes_early(seconds, hop, size):
    signal = noise(seconds, 44_100)
    first, *_ = cut(in_blocks(signal, size), 44_100, BOTH, 10, hop, early=True)
    assert first.start == 0


def test_a_rest_of_less_than_a_frame_is_left_out():
    assert len(windows(noise(10.0, 24_000), 24_000, 4096)) == 1
    assert len(windows(noise(10.6, 24_000), 24_000, 4096)) == 2


def test_a_short_signal_is_repeated():
    signal = noise(4.0, 24_000)
    (window,) = windows(signal, 24_000, 1000, front_ends=(LogMel(),))
    assert window.repeated and (window.start, window.end) == (0.0, 4.0)
    assert np.array_equal(window.signals[0][96_000:192_000], signal)
    (whole,) = windows(noise(9.6, 44_100), 44_100, 1000)
    assert not whole.repeated  # though a resampler may be a sample short


def test_windows_need_no_more_memory_for_a_longer_signal():
    """Three hours at 8 kHz; what is kept never exceeds the window and the block."""
    import tracemalloc

    block = noise(10.0, 8_000)
    tracemalloc.start()
    count = sum(1 for _ in cut((block for _ in range(1080)), 8_000, (Musicnn(),), 10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1125 and peak < 8e6
