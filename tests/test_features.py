"""Runs on other features than a data set's own: files of embeddings, and extracted ones."""

import io
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Command, install

import polytimbre as pt
from benchmark.datasets.reading.embedded import write_features
from benchmark.errors import DataError, UnknownNameError
from benchmark.features.logmel import LogMel
from benchmark.runs import extraction
from benchmark.runs.features import parse
from benchmark.runs.reading import Runs

KEYS = np.array([f"clip{i:03d}" for i in range(240)])

#: Three instruments at three pitches, from files or rendered; it logs what it renders.
SUNG = """
import os
import time
from pathlib import Path

import numpy as np

from benchmark.contracts.dataset import Dataset, DatasetPlugin
from benchmark.errors import UnknownNameError

RNG = np.random.default_rng(0)
LABELS = RNG.random((60, 3)) < 0.5
FOLDER = Path(__file__).with_name("sung")


class Sung(DatasetPlugin):
    name, description, citation, licence = "sung", "tones", "none", "CC0"
    needs_root = False
    feature_files = {"logmel": FOLDER / "logmel.npz"}

    def load(self, root, split):
        if split != "official":
            raise UnknownNameError("split", split, self.splits)
        files = (FOLDER / "files").is_dir()
        return Dataset(
            name=self.name, X=np.ones((60, 10, 1), np.uint8), y_true=LABELS.astype(np.float32),
            y_mask=np.ones_like(LABELS), keys=np.array([f"s{i:02d}" for i in range(60)]),
            groups=np.array([f"g{i // 2:02d}" for i in range(60)]),
            partition=np.where(np.arange(60) < 44, "train", "test"),
            classes=("low", "middle", "high"), citation="none", licence="CC0",
            audio_path=(lambda key: FOLDER / "files" / f"{key}.wav") if files else None,
        )

    def render(self, key):
        while int(key[1:]) >= 48 and not (FOLDER / "gate").exists():
            time.sleep(0.01)
        with (FOLDER / "log").open("a") as log:
            log.write(f"{key}\\n")
        return tones(int(key[1:])), 24_000


def tones(i):
    times = np.arange(24_000) / 24_000
    noise = np.random.default_rng(i).normal(0, 0.1, 24_000)
    return noise + 0.1 * LABELS[i] @ np.sin(np.outer([200, 900, 4000], 2 * np.pi * times))
"""


SUNG_PLUGIN = "sung_plugin", SUNG, "polytimbre.datasets", "sung", "Sung"


@pytest.fixture
def sung(polytimbre: Command, tmp_path) -> Command:
    """The command with a data set of 60 clips of audio, and with a cache of its own."""
    polytimbre.add_plugin(*SUNG_PLUGIN)
    (polytimbre.site / "sung").mkdir()
    polytimbre.environment["POLYTIMBRE_CACHE"] = str(tmp_path / "cache")
    return polytimbre


def tones(command: Command):
    names: dict = {"__file__": str(command.site / "sung_plugin.py"), "__name__": "sung_plugin"}
    exec(SUNG, names)
    return names["tones"]


def logged(command: Command) -> list[str]:
    return (command.site / "sung" / "log").read_text().split()


EXTRACT = ("features", "extract", "--dataset", "sung", "--features", "logmel")


def run_on(*features: object, dataset="tiny", model="guess", seed=0):
    command = ("run", "--dataset", dataset, "--model", model, "--seed", seed, "--workers", 0)
    return (*command, "--features", *features) if features else command


# --- extracted from audio


def test_extracted_features_score_as_the_embedded_ones(sung: Command):
    """Bit for bit: whether a data set brings them or they are computed from its audio."""
    (sung.site / "sung" / "gate").touch()
    signals = [tones(sung)(i).astype(np.float32) for i in range(60)]
    expected = np.stack([LogMel().extract(np.resize(s, 230_400)) for s in signals])
    keys = np.array([f"s{i:02d}" for i in range(60)])
    write_features(sung.site / "sung" / "logmel.npz", keys, expected)
    (code, printed), embedded, checked = sung.several(
        (*EXTRACT, "--workers", 0), run_on("logmel", dataset="sung"), ("check", "sung")
    )
    assert code == embedded[0] == checked[0] == 0, (printed, embedded, checked)
    assert "its logmel features are there, of these clips" in checked[1]
    path = Path(printed.split()[-1])
    with np.load(path) as found:
        assert np.array_equal(found["X"], expected) and np.array_equal(found["key"], keys)
    sung(*run_on(path, dataset="sung"))
    runs = Runs(sung.store)
    first, second = runs.records()
    assert first.spec.features == "logmel" and second.spec.features.startswith(f"{path.name}:")
    assert first.spec.features_sha256 == second.spec.features_sha256
    assert np.array_equal(runs.scores(first)["test"], runs.scores(second)["test"])
    assert first.run_id != second.run_id and first.spec.division_id == second.spec.division_id


def test_extraction_goes_on_after_a_kill_and_hears_each_clip_once(sung: Command):
    (sung.site / "sung" / "logmel.npz").touch()
    process = sung.start(*EXTRACT, "--workers", 1)
    parts = Path(sung.environment["POLYTIMBRE_CACHE"]) / "features"
    deadline = time.monotonic() + 120
    while not list(parts.glob("*.parts/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(logged(sung)) == 48 and not list(parts.glob("*.npz"))
    (sung.site / "sung" / "gate").touch()
    again = sung.several((*EXTRACT, "--workers", 0), (*EXTRACT, "--workers", 0))
    assert [code for code, _ in again] == [0, 0], again
    assert sorted(logged(sung)) == [f"s{i:02d}" for i in range(60)]
    assert not list(parts.glob("*.parts")) and len(list(parts.glob("*.npz"))) == 1


def test_clips_that_cannot_be_read_are_named_and_stop_no_other(sung: Command):
    folder = sung.site / "sung" / "files"
    folder.mkdir()
    for i in range(60):
        soundfile.write(folder / f"s{i:02d}.wav", tones(sung)(i), 24_000)
    whole = (folder / "s07.wav").read_bytes()
    (folder / "s07.wav").write_bytes(whole[:1000])
    (folder / "s21.wav").unlink()
    printed = sung(*EXTRACT, "--workers", 0, code=2)
    assert "2 clip(s) have no features, the first because" in printed and "truncated" in printed
    for name in ("s07.wav", "s21.wav"):
        (folder / name).write_bytes(whole)
    (folder / "s08.wav").unlink()  # what is there is not heard again
    assert "logmel features of 60 clips" in sung(*EXTRACT, "--workers", 0)


def test_what_is_missing_or_damaged_says_what_to_do(sung: Command):
    (sung.site / "sung" / "gate").touch()
    (sung.site / "sung_plugin.py").write_text(SUNG.replace('{"logmel": FOLDER', '{"other": FOLDER'))
    on_logmel = run_on("logmel", dataset="sung")
    extract = (*EXTRACT, "--workers", 0)
    results = sung.several(
        on_logmel,
        (*EXTRACT[:-1], "vggish", "--workers", 0),
        (*EXTRACT[:3], "tiny", "--features", "logmel", "--workers", 0),
        (*EXTRACT[:-1], "logmell"),
        extract,
        on_logmel,
    )
    missing, weights, silent, unknown, extracted, _ = results
    assert "polytimbre features extract --dataset sung --features logmel" in missing[1]
    assert "polytimbre features download vggish" in weights[1]
    assert "'tiny' has no audio here: no features can be computed from it" in silent[1]
    assert "Did you mean 'logmel'" in unknown[1]
    assert [code for code, _ in results] == [2, 2, 2, 2, 0, 0], results
    path = Path(extracted[1].split()[-1])
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)
    assert "is damaged: its SHA-256 is" in sung(*on_logmel, "--force", code=2)


def test_damaged_features_are_named_and_extracted_again(sung: Command):
    (sung.site / "sung" / "gate").touch()
    (sung.site / "sung_plugin.py").write_text(SUNG.replace('{"logmel": FOLDER', '{"other": FOLDER'))
    extract, on_logmel = (*EXTRACT, "--workers", 0), (*run_on("logmel", dataset="sung"), "--force")
    path = Path(sung(*extract).split()[-1])
    whole, noted = path.read_bytes(), path.with_suffix(".sha256")
    for damage in (path.unlink, lambda: path.write_bytes(whole[:-9]), lambda: noted.write_text("")):
        damage()
        told, extracted, ran = sung.several(on_logmel, extract, on_logmel)
        assert told[0] == 2 and f"{path} is damaged: " in told[1]
        assert "`polytimbre features extract --dataset sung --features logmel`" in told[1]
        assert extracted[0] == ran[0] == 0, (extracted, ran)
        with np.load(path) as found, np.load(io.BytesIO(whole)) as before:
            assert np.array_equal(found["X"], before["X"])


def test_a_worker_that_does_not_see_the_cache_folder_says_so(tmp_path):
    clips = extraction.Clips("rendered", "logmel", ("a",), None)
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'no'}, where all workers must"):
        extraction.compute(clips, tmp_path / "no", lambda stage: None)


@pytest.mark.parametrize("room", [10_000, 70_000])
def test_a_full_cache_folder_is_named_and_loses_nothing(sung: Command, room):
    """For a job's features, or for all: a real limit on file size stands in for a full disk."""
    pytest.importorskip("resource")
    (sung.site / "sung" / "gate").touch()
    sung.first = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
    )
    cache = Path(sung.environment["POLYTIMBRE_CACHE"])
    told = sung(*EXTRACT, "--workers", 0, code=2)
    assert f"the cache folder {cache} is full (File too large). Free some space, or name" in told
    files = [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(files) == (2 if room == 70_000 else 0), files
    sung.first = ""
    sung(*EXTRACT, "--workers", 0)
    assert len(logged(sung)) == (60 if room == 70_000 else 60 + 48)


# --- files of embeddings


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """A store with runs on a data set's own features, on a file and on both."""
    command = install(tmp_path_factory.mktemp("features"))
    path = command.site / "clap.npz"
    X = np.random.default_rng(0).normal(size=(241, 3, 4)).astype(np.float16)
    np.savez(path, key=np.append(KEYS, "more"), X=X)
    results = command.several(
        run_on(), run_on(path, "--layer", 1), run_on(path), run_on(f"own+{path}", "--layer", 0)
    )
    assert [code for code, _ in results] == [0, 0, 0, 0], results
    assert "holds 1 clip(s) that data set 'tiny' does not have" in results[1][1]
    assert "frames a clip; were these layers, --layer" in results[2][1]
    assert "were these layers" not in results[1][1]
    return command


def test_runs_on_other_features_stand_apart_in_a_comparison(embedded: Command):
    records = Runs(embedded.store).records()
    names = [record.spec.features for record in records]
    tail = names[2].partition(":")[2]
    layers = [f"clap.npz[{i}]:{tail}" for i in (0, 1)]
    assert names == ["own", layers[1], f"clap.npz:{tail}", f"own+{layers[0]}"]
    assert len({record.spec.features_sha256 for record in records}) == 4
    assert len({record.spec.division_id for record in records}) == 1
    everything, alone, unknown = embedded.several(
        ("compare", "--format", "json"),
        ("compare", "--features", "clap.npz", "--format", "json"),
        ("compare", "--features", "clapp.npz"),
    )
    rows = json.loads(everything[1])
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert {row["model"] for row in rows} == {
        f"guess on {name}" for name in ("own", "clap.npz[1]", "clap.npz", "own+clap.npz[0]")
    }  # a hash tells files of one name apart
    assert alone[0] == 0 and '"guess"' in alone[1] and "guess on" not in alone[1]
    assert unknown[0] == 2 and "Did you mean 'clap.npz'" in unknown[1]
    stored = pt.store(embedded.store)
    assert len(pt.compare(stored, resamples=39).frame) == 4
    assert list(pt.compare(stored, features="clap.npz", resamples=39).frame["model"]) == ["guess"]
    with pytest.raises(UnknownNameError, match=r"Did you mean 'clap\.npz'"):
        pt.compare(stored, features="clapp.npz")


def test_a_run_on_a_file_is_reproduced_with_the_file(embedded: Command):
    run_id = Runs(embedded.store).records()[1].run_id
    again = ("reproduce", run_id, "--store", embedded.store)
    file = ("--features", embedded.site / "clap.npz")
    missing, other, right = embedded.several(again, (*again, *file), (*again, *file, "--layer", 1))
    assert missing[0] == 2 and "name it as in --features clap.npz" in missing[1]
    assert other[0] == 2 and "of another content" in other[1]
    assert right[0] == 0 and "to the last bit" in right[1]


def test_features_that_can_not_be_used_are_refused(embedded: Command):
    X = np.zeros((240, 7, 2), np.float32)
    few, long, gaps = (embedded.site / f"{name}.npz" for name in ("few", "long", "gaps"))
    np.savez(few, key=KEYS[:1], X=X[:1])
    np.savez(long, key=KEYS, X=X)
    X[3, 2, 1] = np.nan
    np.savez(gaps, key=KEYS, X=X)
    refused = {
        ("no.npz",): "there is no file no.npz, which --features names",
        ("logmell",): "unknown features 'logmell' of data set tiny. Did you mean 'logmel'?",
        ("own+",): "lack a name",
        ("own+own",): "name the same twice",
        ("own", "--layer", 1): "name the file with --features",
        (long, "--layer", 7): "there is no layer 7",
        (few,): "lacks 239 of the data set's 240 clips, the first is 'clip001'",
        (
            gaps,
        ): "holds values that are NaN or infinite as float32, the first in the clip 'clip003'",
        (f"{long}+own",): "has 7 frames a clip",
    }
    results = embedded.several(*(run_on(*features) for features in refused))
    for (code, printed), sentence in zip(results, refused.values(), strict=True):
        assert code == 2 and sentence in printed, (printed, sentence)


def test_a_study_is_of_its_features(embedded: Command):
    file = ("--features", embedded.site / "clap.npz", "--layer", 0)
    tune = ("tune", "--dataset", "tiny", "--model", "dial", "--trials", 1, "--workers", 0)
    run = ("run", "--dataset", "tiny", "--model", "dial", "--seeds", 1, "--workers", 0, "--tuned")
    study = ("--study", "tiny-clap.npz-dial")
    results = embedded.several((*tune, *file), (*run, *file), (*run, *study), (*tune, *study))
    tuned, ran, other, continued = results
    assert tuned[0] == ran[0] == 0 and "study tiny-clap.npz-dial" in tuned[1], results
    assert other[0] == 2 and "chose for something else: its features is clap.npz[0]" in other[1]
    assert continued[0] == 2 and "can't be continued, its features differs" in continued[1]


def test_names_of_features_are_taken_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a+b.npz", "c.npz"):
        Path(name).touch()
    assert parse("a+b.npz") == (str(tmp_path / "a+b.npz"),)
    assert parse("logmel+c.npz") == ("logmel", str(tmp_path / "c.npz"))
    assert parse(None) == () and parse(Path("c.npz")) == (str(tmp_path / "c.npz"),)
    with pytest.raises(DataError, match="lack a name"):
        parse("")


def test_data_on_other_features_from_python():
    data = pt.load("rendered-full", features="logmel")
    assert data.features == "logmel" and data.origin is None
    louder = data.with_features("level", data.X[:, :, :1])
    assert louder.fingerprint == data.fingerprint
    assert pt.divide(louder).id == pt.divide(data).id
    assert louder.features_sha256 != data.features_sha256
    run = pt.run("constant", louder)
    assert run.record.spec.features == "level"
    published = [one for one in pt.published("rendered-full") if one.label == "constant"]
    names = pt.compare(run, published).frame["model"].tolist()
    assert sorted(names) == ["constant on level", "constant on logmel", "constant on musicnn"]
    with pytest.raises(UnknownNameError, match="of data set rendered-full"):
        pt.load("rendered-full", features="mell")
