"""Hearing live: from raw samples, a file in real time, and a sound server's null sink."""

import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from heard import song, store_of

from benchmark.audio import live
from benchmark.audio.files import open_recording
from benchmark.cli.listen import _check
from benchmark.cli.listen import listen as listen_command
from benchmark.errors import DataError, ParameterError
from benchmark.predict import choosing
from benchmark.predict.listening import listen
from benchmark.runs.reading import Runs

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("listening") / "store", "logistic_regression")


@pytest.fixture(scope="module")
def recogniser(store):
    return choosing.load_run(*choosing.choose_run([Runs(store)], features="logmel")).recogniser


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return song(tmp_path_factory.mktemp("songs") / "long.wav", seconds=15, rate=48_000)


def raw_of(file):
    return soundfile.read(file, dtype="float32", always_2d=True)[0]


class Pipe(io.RawIOBase):
    """Gives at most some bytes at a time, as a pipe does."""

    def __init__(self, content: bytes, most: int) -> None:
        self.content, self.most = io.BytesIO(content), most

    def read(self, size: int = -1) -> bytes:
        return self.content.read(min(size, self.most))


@pytest.mark.parametrize("most", [4001, 65_536])
def test_a_stream_has_the_scores_of_the_file(recogniser, long, most):
    """Whatever a pipe gives at a time, also the middle of a sample."""
    expected = recogniser.hear(long, 0.96)
    stream = Pipe(raw_of(long).tobytes(), most)
    found = list(listen(recogniser, live.raw(stream, 48_000, 2), 0.96))
    assert [update.end for update in found] == pytest.approx(expected.ends)
    np.testing.assert_allclose([u.scores for u in found], expected.scores, rtol=0, atol=1e-6)
    assert all(update.latency >= 0 for update in found)


def test_a_file_sounds_as_long_as_it_is(recogniser, tmp_path):
    file = song(tmp_path / "short.wav", seconds=1.2, rate=24_000)
    started = time.monotonic()
    (update,) = listen(recogniser, live.in_real_time(open_recording(file)), 0.96)
    assert time.monotonic() - started >= 1.2
    assert update.repeated and np.array_equal(update.scores, recogniser.hear(file).scores[0])


SILENT = np.zeros(24_000, np.float32)


@pytest.mark.parametrize(
    ("content", "channels", "sentence"),
    [
        (SILENT.tobytes()[:-2], 1, r"ends in the middle of a sample: 2 byte\(s\) are left of 4"),
        (SILENT[:-1].tobytes(), 2, r"4 byte\(s\) are left of 8 for 2 channel"),
        (b"", 1, "is empty"),
        (b"ab", 1, "in the middle of a sample"),
        (np.float32([0, 0, np.nan]).tobytes(), 1, "what is no sound, at 0.000 s"),
        (np.float32([0] * 24 + [np.inf]).tobytes(), 1, "what is no sound, at 0.001 s"),
        (np.float32([0] * 24 + [np.inf, -np.inf]).tobytes(), 2, "what is no sound, at 0.001 s"),
        (np.float32([0] * 24 + [3e38, 3e38]).tobytes(), 2, "what is no sound, at 0.001 s"),
        (np.full(9999, 20_000, np.int16).tobytes(), 1, "32-bit little-endian floats"),
    ],
)
def test_raw_samples_that_can_not_be_used_are_refused(content, channels, sentence, recwarn):
    blocks = live.raw(io.BytesIO(content), 24_000, channels).blocks
    with pytest.raises(DataError, match=sentence):
        list(blocks)
    assert not recwarn


@pytest.mark.parametrize("rate", [0, -1, 0.001, float("nan"), 1e9])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(DataError, match="samples can't come at"):
        live.raw(io.BytesIO(), rate)


@pytest.mark.parametrize("hop", [0, -1, float("nan"), float("inf"), 1e308])
def test_an_impossible_hop_is_refused(recogniser, hop):
    with pytest.raises(ParameterError, match=r"a time of 0.01 to 3,600 s \(--hop\), not"):
        next(recogniser.windows([SILENT], 24_000, hop))
    with pytest.raises(ParameterError, match="--hop"):
        listen_command("-", 48_000, hop=hop)


def test_silence_is_told(recogniser, long):
    """Of a window that holds nothing else, whatever the model makes of it."""
    song = raw_of(long)[:, :1]
    content = np.concatenate([song, 0 * song, 0 * song, song])
    found = list(listen(recogniser, live.raw(io.BytesIO(content.tobytes()), 48_000), 0.96))
    silent = [(update.start, update.end) for update in found if update.silent]
    assert silent == [(u.start, u.end) for u in found if u.start > 14.9 and u.end < 45.1]
    assert len(silent) > 10 and not found[0].silent and not found[-1].silent


def test_what_does_not_belong_together_is_refused():
    for asked, sentence in (
        (("-", None, None, None), "--rate 48000"),
        (("song.wav", 48_000, None, None), "--rate is .* give - as the source"),
        (("song.wav", None, 2, None), "--channels .* give - as the source"),
        ((None, None, 2, None), "--channels .* give - as the source"),
        (("-", 48_000, None, "1"), "leave out the source"),
    ):
        with pytest.raises(DataError, match=sentence):
            _check(*asked)


def test_standard_input_is_heard_until_it_ends(store, long):
    """Every update that can be made is printed before the sentence on what is wrong."""
    command = (sys.executable, "-m", "benchmark", "listen", "-", "--rate", "48000", "--channels")
    command += ("2", "--format", "json", "--features", "logmel", "--store", str(store))
    content = raw_of(long).tobytes()[:-3]
    done = subprocess.run(command, cwd=ROOT, input=content, capture_output=True, timeout=120)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["end"] for line in lines] == pytest.approx([9.6 + 0.96 * i for i in range(6)])
    assert set(lines[0]) == {"start", "end", "latency", "silent", "present", "scores"}
    err = done.stderr.decode()
    assert done.returncode == 2 and "Traceback" not in err
    assert "5 byte(s) are left of 8" in err and "6 updates; latency beyond the window" in err


def test_no_device_is_a_sentence():
    pytest.importorskip("sounddevice", reason="no PortAudio here", exc_type=OSError)
    code = (
        "from benchmark.audio.live import microphone\n"
        "from benchmark.errors import DataError\n"
        "for device in ('7777', 'no such thing'):\n"
        "    try:\n        microphone(device).__enter__()\n"
        "    except DataError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("can't be used" in line for line in lines)
    assert "'7777'" in lines[0] and "'no such thing'" in lines[1]


ALSA = """
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


@pytest.fixture
def sound_server(tmp_path):
    """The environment of a PulseAudio server of our own, whose only sink goes nowhere."""
    for program in ("pulseaudio", "paplay", "pactl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: apt-get install pulseaudio pulseaudio-utils")
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("ALSA can't reach PulseAudio: apt-get install libasound2-plugins")
    pytest.importorskip("sounddevice", reason="no PortAudio here", exc_type=OSError)
    (tmp_path / "asound.conf").write_text(ALSA)
    socket = tmp_path / "socket"
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_RUNTIME_PATH": str(tmp_path),
        "PULSE_SERVER": f"unix:{socket}",
        "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"),
    }
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "-L"]
    command += ["module-null-sink", "-L", f"module-native-protocol-unix socket={socket}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(200):
            asked = subprocess.run(["pactl", "info"], env=environment, capture_output=True)
            if asked.returncode == 0 or server.poll() is not None:
                break
            time.sleep(0.1)
        assert asked.returncode == 0, (tmp_path / "log").read_text()
        yield environment
    finally:
        server.terminate()
        server.wait(10)


def test_what_a_sound_server_plays_is_heard(sound_server, store, tmp_path):
    """The null sink's monitor is the default input: what is played there is recorded."""
    file = song(tmp_path / "song.wav", seconds=40, rate=44_100)
    player = subprocess.Popen(["paplay", str(file)], env=sound_server)
    command = (sys.executable, "-m", "benchmark", "listen", "--format", "json", "--window", "1")
    command += ("--features", "logmel", "--store", str(store))
    listener = subprocess.Popen(
        command,
        cwd=ROOT,
        env=sound_server,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        while len(lines) < 3:
            ready, _, _ = select.select([listener.stdout], [], [], 60)
            assert ready, "nothing was heard in a minute"
            line = listener.stdout.readline()
            assert line, listener.stderr.read()
            lines.append(json.loads(line))
        listener.send_signal(2)  # Ctrl-C is how listening ends
        _, err = listener.communicate(timeout=60)
        assert listener.returncode == 0 and "latency beyond the window" in err, err
    finally:
        for process in (player, listener):
            process.kill()
            process.wait()
    recogniser = choosing.load_run(*choosing.choose_run([Runs(store)], features="logmel"))
    windows = recogniser.recogniser.with_window(1).windows([np.zeros(48_000)], 48_000)
    silence = next(scores for _, scores in windows)
    scores = np.array([list(line["scores"].values()) for line in lines])
    assert np.abs(scores - silence).max(axis=1).min() > 0.01  # it was no silence
