"""A folder with a table of labels is a data set; what is wrong with one is a sentence."""

import csv
from pathlib import Path

import numpy as np
import pytest
from test_documents import blocks
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.datasets.folder import Folder
from benchmark.errors import DataError, UnknownNameError
from benchmark.plugins.checks import check_dataset
from benchmark.protocol import divide
from benchmark.reading.spreadsheets import KEYS
from benchmark.runs.request import DataRequest, load

HEADS = ["key", "group", "partition", "@genre", "cello", "flute"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYTIMBRE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_sound(path: Path, seconds: float = 0.2) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 200 + len(path.stem) * 10
    soundfile.write(path, 0.3 * np.sin(np.arange(int(24_000 * seconds)) * pitch / 4000), 24_000)


def write_table(
    root: Path, rows: list[list[str]], heads=HEADS, ending="\r\n", mark="", between=",",
    encoding="utf-8",
) -> Path:  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    lines = [between.join(map(str, row)) for row in (heads, *rows)]
    (root / "labels.csv").write_bytes((mark + ending.join(lines) + ending).encode(encoding))
    return root


def good_rows(n: int = 40) -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [
        [
            f"clip{i:02d}", f"song{i // 2}", "train" if i < 30 else "test", "folk" if i % 3 else "",
            str(i % 2), "" if rng.random() < 0.2 else f"{(i // 2) % 2 * 0.75:g}",
        ]
        for i in range(n)
    ]  # fmt: skip


def with_features(root: Path, n: int = 40) -> Path:
    rng = np.random.default_rng(1)
    keys = np.array([f"clip{i:02d}" for i in range(n)][::-1])
    np.savez(root / "features.npz", key=keys, X=rng.random((n, 3, 8), np.float32))
    return root


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_and_a_file_of_features(tmp_path, ending, mark):
    root = with_features(write_table(tmp_path / "data", good_rows(), ending=ending, mark=mark))
    data = Folder().load(root)
    assert data.classes == ("cello", "flute") and data.official and len(data) == 40
    assert data.attributes["genre"][:3].tolist() == ["", "folk", "folk"]
    assert {*data.y_true[:, 1].tolist()} == {0, 0.75} and 0.6 < data.y_mask[:, 1].mean() < 1
    with np.load(root / "features.npz") as stored:
        np.testing.assert_array_equal(data.X[0], stored["X"][-1])
    assert len(list(check_dataset(Folder, root))) == 5


def test_without_partitions_clips_are_divided_by_group_and_marked(tmp_path):
    rows = [row[:2] + row[4:] for row in good_rows()]
    heads = HEADS[:2] + HEADS[4:]
    root = with_features(write_table(tmp_path, rows, heads))
    data = Folder().load(root)
    assert data.split == "made" and not data.official
    assert 0.2 < (data.partition == "test").mean() < 0.3
    assert Folder().load(root, "made").fingerprint == data.fingerprint
    with pytest.raises(UnknownNameError, match="unknown split 'folds' of data set folder"):
        Folder().load(root, "folds")


def test_audio_is_heard_once(tmp_path, cache, monkeypatch):
    import soundfile

    rows = [[f"a/{row[0]}", *row[1:]] for row in good_rows(36)]
    root = write_table(tmp_path / "data", rows)
    for row in rows:
        write_sound(root / f"{row[0]}.wav")
    data = Folder().load(root)
    assert data.X.shape == (36, 10, 128) and data.audio_path("a/clip03").name == "clip03.wav"
    divide(data)
    assert load(DataRequest("folder", root)).features == "logmel"
    assert len(list((cache / "folders").iterdir())) == 1
    with monkeypatch.context() as patched:
        patched.setattr(soundfile, "SoundFile", None)  # no file is decoded again
        assert Folder().load(root).fingerprint == data.fingerprint
    (kept,) = (cache / "folders").iterdir()
    kept.write_bytes(kept.read_bytes()[:99])  # what is damaged there is computed again
    assert Folder().load(root).fingerprint == data.fingerprint == Folder().load(root).fingerprint
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    write_sound(root / "a/clip00.wav", 0.3)
    assert Folder().load(root).fingerprint != data.fingerprint
    assert len(list((cache / "folders").iterdir())) == 2


def changed(row: int, column: str, cell: str):
    rows = good_rows()
    rows[row][HEADS.index(column)] = cell
    return rows


@pytest.mark.parametrize(
    ("rows", "heads", "sentence"),
    [
        (changed(5, "key", "clip01"), HEADS, "the key 'clip01' is in rows 2 and 6"),
        (changed(5, "key", ""), HEADS, "row 6 has no key"),
        (changed(5, "group", ""), HEADS, "row 6 has no group"),
        (changed(5, "group", "song17"), HEADS, "in both partitions, first 'song17'"),
        (changed(5, "partition", "valid"), HEADS, "'clip05' is in partition 'valid'; write"),
        (changed(5, "cello", "1.5"), HEADS, r"'clip05' has '1.5' for 'cello'.*\[0, 1\]"),
        (changed(5, "cello", "yes"), HEADS, "'clip05' has 'yes' for 'cello'.* called '@cello'"),
        (changed(5, "cello", "nan"), HEADS, "'clip05' has 'nan' for 'cello'"),
        (changed(5, "cello", "1,"), HEADS, "row 6 has 7 cells, the heading has 6"),
        ([[*row[:4], "0", row[5]] for row in good_rows()], HEADS, "of 'cello', heard in no tr"),
        ([[*row[:4], "0.4", ""] for row in good_rows()], HEADS, "learnt of 'cello', 'flute', he"),
        (good_rows(), ["title", *HEADS[1:]], "has no column 'key'"),
        (good_rows(), [*HEADS[:5], "cello"], "has two columns 'cello'"),
        (good_rows(), [*HEADS[:3], "@", *HEADS[4:]], "a column '@', which needs a name"),
        ([row[:4] for row in good_rows()], HEADS[:4], "has no column of a class"),
        ([], HEADS, "needs a heading and a row a clip"),
        (changed(5, "key", "clip99"), HEADS, "features.npz.* lacks 1 of the data set's 40 clips"),
    ],
)
def test_what_is_wrong_with_a_table_is_a_sentence(tmp_path, rows, heads, sentence):
    with pytest.raises(DataError, match=sentence):
        Folder().load(with_features(write_table(tmp_path, rows, heads)))


@pytest.mark.parametrize("name", KEYS)
def test_the_column_of_keys_is_called_as_evaluate_takes_it(tmp_path, name):
    data = Folder().load(with_features(write_table(tmp_path, good_rows(), [name, *HEADS[1:]])))
    assert data.keys.tolist() == [row[0] for row in good_rows()]
    assert data.classes == ("cello", "flute")


def test_missing_files_are_sentences(tmp_path):
    with pytest.raises(DataError, match=r"labels.csv is missing; `--data-root` names"):
        Folder().load(tmp_path)
    root = write_table(tmp_path, good_rows())
    with pytest.raises(DataError, match="holds no audio file"):
        Folder().load(root)
    write_sound(root / "clip00.wav")
    with pytest.raises(DataError, match="39 of the 40 clips .* have no audio file, the first"):
        Folder().load(root)
    silent = write_table(root, [[*row[:4], "0", "0"] for row in good_rows()])
    with pytest.raises(DataError, match="39 of the 40 clips .* have no audio file"):
        Folder().load(silent)  # a wrong path is told before what the labels lack
    write_sound(root / "clip00.flac")
    with pytest.raises(DataError, match=r"clip00.flac and .*clip00.wav are of one key, 'clip00'"):
        Folder().load(root)
    (root / "clip00.flac").unlink()
    (root / "labels.csv").write_bytes("cl\u00e9,cello".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels.csv is no text in UTF-8"):
        Folder().load(root)


def test_verify_names_clips_with_the_same_features(tmp_path):
    root = with_features(write_table(tmp_path, good_rows()))
    with np.load(root / "features.npz") as stored:
        arrays = dict(stored)
    for one, other in ((0, 39), (12, 13)):  # keys are the other way round
        arrays["X"][one] = arrays["X"][other]
    np.savez(root / "features.npz", **arrays)
    data = Folder().load(root)
    assert [data.keys[rows].tolist() for rows in data.identical()] == [
        ["clip00", "clip39"], ["clip26", "clip27"],
    ]  # fmt: skip
    done = CliRunner().invoke(app, ["data", "verify", "folder", "--data-root", str(root)])
    assert done.exit_code == 0, done.output
    first, second = (line for line in done.output.splitlines() if line.startswith("identical"))
    assert first.startswith("identical    clip00 (") and first.endswith(" = clip39 (test)")
    assert second.startswith("identical    clip26 (")
    assert "attribute    genre: 1 value\n" in done.output


def test_the_table_in_the_documents_is_read(tmp_path):
    (shown,) = (b for b in blocks("benchmark/datasets/README.md", "") if b.startswith("key,"))
    (tmp_path / "labels.csv").write_text(shown)
    for line in shown.splitlines()[1:]:
        write_sound(tmp_path / f"{line.partition(',')[0]}.wav")
    data = Folder().load(tmp_path)
    assert data.classes == ("cello", "flute") and [*data.attributes] == ["genre"]
    divide(data)


def recipe(name: str) -> str:
    (source,) = (b for b in blocks("benchmark/datasets/README.md", "python") if f"of {name}." in b)
    return source


def test_the_recipe_of_irmas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"]
    for i, code in enumerate(codes):
        for n in range(6):
            more = ("[dru][jaz_blu]", "[nod][cla]", "[pop_roc]")[n // 2]  # drums may be untold
            first = "008__" if n // 2 == 1 else ""
            name = f"{first}[{code}]{more}{100 * i + n // 2:04d}__{n % 2 + 1}.wav"
            write_sound(Path("IRMAS-TrainingData", code, name))
    parts = "Part1/Part1", "Part2/IRTestingData-Part2"  # as they are unpacked
    for n, told in enumerate(("gel", "voi\t\npia\t\n")):
        path = Path(f"IRMAS-TestingData-{parts[n]}", f"05 - A Song.x-{n + 1}.wav")
        write_sound(path)
        path.with_suffix(".txt").write_text(told)
    exec(recipe("IRMAS"), {})
    data = Folder().load(tmp_path)
    assert len(data) == 68 and data.official and data.classes == tuple(codes)
    assert data.y_true[data.partition == "train"].sum(axis=0).tolist() == [6.0] * 11
    assert data.y_true[data.partition == "test"].sum(axis=1).tolist() == [1, 2]
    assert len({*data.groups[data.partition == "train"].tolist()}) == 33
    assert {*data.groups[data.partition == "test"].tolist()} == {"test 05 - A Song.x"}
    divide(data)


def test_the_recipe_of_medley_solos_db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = "clarinet,distorted electric guitar,female singer,flute,piano,tenor saxophone"
    with Path("Medley-solos-DB_metadata.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["subset", "instrument", "instrument_id", "song_id", "uuid4"])
        for n in range(60):
            subset = ("training", "training", "validation", "test")[n // 6 % 4]
            uuid = f"0a282672-c22c-59ff-faaa-{n:012d}"
            rows.writerow([subset, names.split(",")[n % 6], n % 6, f"{n // 3:03d}", uuid])
            write_sound(Path("audio", f"Medley-solos-DB_{subset}-{n % 6}_{uuid}.wav"))
    exec(recipe("Medley-solos-DB"), {})
    data = Folder().load(tmp_path)
    assert data.classes == tuple(names.split(",")) and (data.y_true.sum(axis=1) == 1).all()
    assert (data.partition == "test").sum() == 12
    divide(data)
