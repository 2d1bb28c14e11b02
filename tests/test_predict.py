"""A fitted model on new audio: the same scores from files, streams and stored features."""

import csv
import io
import json
import os

import numpy as np
import pytest
import soundfile
from conftest import Command

from benchmark.audio.files import read
from benchmark.contracts.model import History, Model
from benchmark.errors import DataError, UnknownNameError
from benchmark.features.logmel import LogMel
from benchmark.features.musicnn import Musicnn
from benchmark.predict.recogniser import Recogniser, front_ends


class Linear(Model):
    """Scores that depend on every feature of a window."""

    name = "linear"

    def __init__(self, n_features=128):
        self.weight = np.random.default_rng(0).normal(0, 0.01, (10, n_features, 20))

    def predict_proba(self, X):
        logits = np.tensordot(X.astype(np.float64) - 100, self.weight, 2)
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    def fit(self, train, stop, *, seed, report=None):
        return History("fit")

    def save(self, folder): ...

    def load(self, folder): ...


@pytest.fixture
def recogniser():
    return Recogniser(Linear(), (LogMel(),), 10)


@pytest.fixture
def song(tmp_path):
    """47 s of changing noise in two channels at 44.1 kHz."""
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, (47 * 44_100, 2)) * rng.random(47).repeat(44_100)[:, None]
    soundfile.write(tmp_path / "song.flac", signal, 44_100)
    return tmp_path / "song.flac"


def test_a_file_is_scored_as_its_windows_would_be_as_clips(recogniser, song):
    heard = recogniser.hear(song)
    signal = read(song, 24_000)
    assert heard.starts == pytest.approx([0, 9.6, 19.2, 28.8, 37.4])
    assert heard.ends[-1] == pytest.approx(47) and not heard.repeated and not heard.silent
    for start, scores in zip(heard.starts, heard.scores):
        at = round(start * 24_000)
        features = LogMel().extract(signal[at : at + 230_400])
        assert np.array_equal(recogniser.model.predict_proba(features[None])[0], scores)
    assert np.array_equal(heard.clip, heard.scores.max(axis=0))


@pytest.mark.parametrize("size", [512, 10_000])
def test_a_stream_is_scored_as_the_file_is(recogniser, song, size):
    """Whatever comes at a time, and window by window as soon as each is complete."""
    expected = recogniser.hear(song, hop_seconds=0.96)
    signal = soundfile.read(song, dtype="float32")[0].mean(axis=1, dtype=np.float32)
    given, behind = 0, []

    def blocks():
        nonlocal given
        for start in range(0, len(signal), size):
            given = min(start + size, len(signal))
            yield signal[start : start + size]

    found = []
    for window, scores in recogniser.windows(blocks(), 44_100, hop_seconds=0.96):
        found.append(scores)
        behind.append(given / 44_100 - window.end)
    np.testing.assert_allclose(found, expected.scores, atol=1e-6)
    assert max(behind) < size / 44_100 + 0.05  # the block, and the resampler's delay


def test_joined_front_ends_hear_the_same_stretch(song):
    """Each at its own rate, as if it were alone."""
    both = Recogniser(Linear(328), (LogMel(), Musicnn()), 10)
    try:
        Musicnn().extract(np.zeros(16_000, np.float32))
    except DataError as error:
        pytest.skip(f"no weights of musicnn: {error}")
    with_features = next(iter(both.windows([read(song, 44_100)], 44_100)))[0]
    features = both._features([with_features])
    signal = read(song, 16_000)[:153_600]
    assert np.array_equal(features[0, :, 128:], Musicnn().extract(signal))


def test_a_short_file_is_repeated_and_silence_is_noticed(recogniser, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(2 * 24_000), 24_000)
    heard = recogniser.hear(tmp_path / "short.wav")
    assert heard.repeated and heard.silent and heard.scores.shape == (1, 20)
    assert np.isfinite(heard.scores).all() and heard.ends.tolist() == [2.0]


def test_front_ends_are_named_and_joined():
    assert [one.name for one in front_ends("logmel+musicnn")] == ["logmel", "musicnn"]
    with pytest.raises(UnknownNameError, match="Did you mean 'musicnn'"):
        front_ends("logmel+musican")
    with pytest.raises(DataError, match="name a front end twice"):
        front_ends("logmel+logmel")


# --- the command


HEARD = '''
"""The tiny data set, as if its features had come from the front end "logmel"."""

from dataclasses import replace

import numpy as np
from tiny_plugins import Tiny


class Heard(Tiny):
    name = "heard"
    rendered = True  # so that the caution about log-mel is told
    features = "logmel"

    def load(self, root, split):
        data = super().load(root, split)
        return replace(data, X=np.tile(data.X, (1, 1, 8)))
'''


@pytest.fixture
def with_run(polytimbre: Command):
    """The command with one stored run whose features can be computed from audio."""
    polytimbre.add_plugin("heard_set", HEARD, "polytimbre.datasets", "heard", "Heard")
    arguments = ("--model", "guess", "--seeds", 1)
    polytimbre("run", "--dataset", "heard", *arguments, "--workers", 0)
    return polytimbre


def test_what_was_heard_before_ctrl_c_is_kept(with_run: Command, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "abc":
        soundfile.write(folder / f"{name}.wav", np.zeros(24_000), 24_000)
    with_run.first = (
        "from benchmark.predict.recogniser import Recogniser\nhear = Recogniser.hear\n"
        "def stop(self, file, *rest):\n"
        "    if file.name == 'c.wav':\n        raise KeyboardInterrupt\n"
        "    return hear(self, file, *rest)\n"
        "Recogniser.hear = stop\n"
    )
    run = with_run("list", "runs", "--format", "csv").splitlines()[1].split(",")[0]
    out = tmp_path / "heard.csv"
    asked = ("predict", folder, "--run", run, "--format", "csv", "--per", "clip")
    told = with_run(*asked, "--out", out, code=130)
    assert "heard.csv holds the 2 of 3 files that were heard" in told
    assert [row["file"] for row in csv.DictReader(out.open())] == [
        str(folder / name) for name in ("a.wav", "b.wav")
    ]
    assert "warning: interrupted\n" in with_run(*asked, code=130)


def in_json(out):
    return json.loads(out[out.index("[\n") : out.rindex("]") + 1])


def test_the_command_tells_what_sounds_when(with_run: Command, song, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    soundfile.write(folder / "short.wav", np.zeros(48_000), 24_000)
    (folder / "broken.wav").write_bytes(b"no audio")
    run = with_run("list", "runs", "--format", "csv").splitlines()[1].split(",")[0]
    asked = ("--run", run[:8])
    with_run.environment |= {"COLUMNS": "80", "FORCE_COLOR": "1"}  # a narrow terminal
    results = with_run.several(
        ("predict", song, *asked, "--format", "json"),
        ("predict", song, *asked, "--format", "csv", "--hop", 5),
        ("predict", song, *asked),
        ("predict", song, folder, *asked, "--format", "json"),
        ("predict", folder / "broken.wav", *asked),
        ("predict", song, *asked, "--format", "xml"),
        ("predict", song, "--run", "0" * 16),
        ("predict", song, "--timeline", tmp_path / "o.html", "--out", tmp_path / "o.html"),
        ("predict", song, "--window", "nan"),
    )
    codes, (as_json, as_csv, table, many, broken, form, unknown, twice, none) = zip(*results)
    assert codes == (0, 0, 0, 1, 2, 2, 2, 2, 2), results
    assert "o.html is named for two outputs" in twice and not (tmp_path / "o.html").exists()
    assert "a window needs a length in seconds" in none

    (one,) = in_json(as_json)
    assert one["run"] == run and one["features"] == "logmel" and one["duration"] == 47
    assert [window["start"] for window in one["windows"]] == [0, 9.6, 19.2, 28.8, 37.4]
    for name, clip in one["clip"].items():
        assert clip["score"] == max(window["scores"][name] for window in one["windows"])
        assert clip["present"] == (clip["score"] >= clip["threshold"])

    rows = list(csv.DictReader(io.StringIO(as_csv[as_csv.index("file,") :])))
    assert [row["start"] for row in rows] == [f"{5 * i}.000" for i in range(8)] + ["37.400"]
    assert float(rows[0]["voice"]) == one["windows"][0]["scores"]["voice"]

    best = max(one["clip"], key=lambda name: one["clip"][name]["score"])
    lines = table.splitlines()
    assert f"{song} (0:47)" in lines
    assert best in next(line for line in lines if "0:00–" in line)
    assert "threshold (│)" in table
    assert "…" not in table  # nothing is cut off
    assert "does not carry over to recordings" in table

    assert [len(result["windows"]) for result in in_json(many)] == [5, 1]
    for words in ("1 of 3 files can't be read", "it was repeated", "its scores say nothing"):
        assert words in many
    assert "broken.wav is not audio" in broken
    assert "unknown format 'xml'" in form and "unknown run" in unknown

    model = with_run.store / "runs" / run / "model"
    (weights,) = model.iterdir()
    weights.write_bytes(weights.read_bytes().replace(b"0", b"1"))
    assert f"model/{weights.name} does not match" in with_run("predict", song, *asked, code=2)


@pytest.mark.parametrize("columns", [0, 1, 60])
def test_a_terminal_that_is_too_narrow_loses_no_score(with_run: Command, song, columns):
    with_run.environment |= {"COLUMNS": str(columns), "FORCE_COLOR": "1"}
    table = with_run("predict", song, "--dataset", "heard", "--hop", 5)
    assert all(words in table for words in ("0:00–0:47", "when", "score", "chance"))
    assert "…" not in table
    with_run.environment["COLUMNS"] = "200"
    assert "█" in with_run("predict", song, "--dataset", "heard")


def test_nothing_that_is_read_is_written_over(with_run: Command, song, tmp_path):
    """Neither a list of files, nor by a link, nor by a label track."""
    listed = tmp_path / "song.txt"
    listed.write_text("song.flac\n")
    (tmp_path / "link").symlink_to(listed)
    (tmp_path / "page").symlink_to(tmp_path / "o.html")
    (tmp_path / "away").symlink_to(tmp_path / "no" / "o.html")
    asked = ("--dataset", "heard")
    results = with_run.several(
        ("predict", listed, *asked, "--out", listed),
        ("predict", listed, *asked, "--timeline", tmp_path / "link"),
        ("predict", listed, *asked, "--format", "audacity", "--out", tmp_path),
        ("predict", song, *asked, "--timeline", tmp_path / "o.html", "--out", tmp_path / "page"),
        ("predict", song, *asked, "--out", tmp_path / "away"),
    )
    assert [code for code, _ in results] == [2] * 5, results
    assert all("is what is read: name another" in said for _, said in results[:3])
    assert "page is named for two outputs" in results[3][1]
    assert f"away can't be written: there is no folder {tmp_path / 'no'}" in results[4][1]
    assert listed.read_text() == "song.flac\n" and not (tmp_path / "o.html").exists()


ODD_NAMES = (b"\xff.flac", b"$x^$.flac", b"<script>.flac", "\u65e5\n\t.flac".encode(), b"=1.flac")


@pytest.mark.skipif(os.name == "nt", reason="files have no such names there")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_recordings_of_any_name_are_told_of(with_run: Command, song, tmp_path, name):
    odd = song.rename(tmp_path / os.fsdecode(name))
    asked = ("predict", odd, "--dataset", "heard")
    written = [tmp_path / f"o.{kind}" for kind in ("html", "csv", "json", "txt", "svg", "pdf")]
    page, as_csv, as_json, table, *figures = written
    results = with_run.several(
        (*asked, "--timeline", page, "--out", table),
        *((*asked, "--figure", one, "--out", tmp_path / "other") for one in figures),
        (*asked, "--format", "csv", "--out", as_csv),
        (*asked, "--format", "json", "--out", as_json),
    )
    assert [code for code, _ in results] == [0] * 5, results
    assert "Warning" not in str(results)
    assert all(one.stat().st_size for one in written)
    assert page.read_text().count("<script") == 2
    assert json.loads(as_json.read_text())[0]["file"] == str(odd)
    with as_csv.open(newline="", encoding="utf-8") as stream:
        told = next(csv.DictReader(stream))["file"]
    assert told == str(odd).encode(errors="backslashreplace").decode()


def test_a_recording_that_nobody_may_open_costs_none_of_the_others(with_run: Command, song):
    """Nor does one whose name is too long for a file."""
    listed = song.with_name("list.m3u")
    listed.write_text(f"{'x' * 300}.wav\nsong.flac\n.\n")
    table = with_run("predict", listed, "--dataset", "heard", code=1)
    assert "song.flac (0:47)" in table and "2 of 3 files can't be read" in table
    assert "File name too long" in table and "it is a folder, not a file" in table
    listed.write_bytes("song.flac\n".encode("utf-16-le"))
    assert "holds zero bytes, as UTF-16 does" in with_run("predict", listed, code=2)


def test_a_run_on_features_that_no_audio_has_is_refused(polytimbre: Command, song):
    polytimbre("run", "--dataset", "tiny", "--model", "guess", "--seeds", 1, "--workers", 0)
    run = polytimbre("list", "runs", "--format", "csv").splitlines()[1].split(",")[0]
    assert "can't be computed from audio" in polytimbre("predict", song, "--run", run, code=2)
