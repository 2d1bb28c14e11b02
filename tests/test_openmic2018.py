"""Tests of data set openmic2018 on a small replica of the extracted archive."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from openmic_replica import (
    KEYS,
    made_features,
    object_member,
    pickled_keys,
    rewrite,
    small_labels,
    write_folder,
    write_metadata,
    write_small,
    write_split,
)

from benchmark.contracts.dataset import CLASSES, Dataset, DatasetPlugin
from benchmark.datasets import audioset20, audioset_world, openmic2018
from benchmark.datasets.openmic2018 import ARCHIVE, OpenMIC2018, SharedArtistWarning
from benchmark.datasets.reading import fma
from benchmark.errors import DataError, UnknownNameError
from benchmark.reading.npz import NpzReader
from benchmark.reading.pickled import NotStringsError, parse_pickled_strings
from benchmark.runs.request import DataRequest, load


@pytest.fixture
def small_openmic(tmp_path) -> Path:
    return write_small(tmp_path / "data" / "openmic-2018")


@pytest.mark.parametrize("module", [audioset20, audioset_world, openmic2018])
def test_one_plugin_a_file(module):
    plugins = [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, DatasetPlugin)
        and item.__module__ == module.__name__
    ]
    assert len(plugins) == 1
    assert plugins[0].name.replace("-", "_") == module.__name__.rpartition(".")[2]


def test_openmic_small(small_openmic, recwarn):
    dataset = OpenMIC2018().load(small_openmic.parent)
    y_true, y_mask = small_labels()
    assert dataset.keys.tolist() == KEYS
    np.testing.assert_array_equal(dataset.X, made_features(0, 12))
    np.testing.assert_array_equal(dataset.y_mask, y_mask)
    np.testing.assert_allclose(dataset.y_true, np.where(y_mask, y_true, 0), atol=1e-6)
    assert dataset.partition.tolist() == ["train"] * 8 + ["test"] * 4
    assert dataset.groups[:4].tolist() == ["100", "track-000001", "101", "101"]
    assert dataset.official and dataset.split == "split01"
    assert dataset.attributes["genre"][:4].tolist() == ["Folk", "Kid's", "", "Folk"]
    assert {*dataset.attributes["tags"].tolist()} == {""}  # none of these genres is a tag
    assert dataset.audio_path("000046_3840") == small_openmic / "audio/000/000046_3840.ogg"
    assert OpenMIC2018().load(small_openmic, "split01").fingerprint == dataset.fingerprint
    assert not recwarn.list


@pytest.mark.parametrize("x_type", ["u1", "<i4", ">i8", "<u2"])
def test_openmic_other_widths(small_openmic, x_type):
    rewrite(small_openmic, x_type=x_type)
    np.testing.assert_array_equal(OpenMIC2018().load(small_openmic).X, made_features(0, 12))


def test_openmic_compressed_and_plain_keys(small_openmic):
    y_true, y_mask = small_labels()
    arrays = {"X": made_features(0, 12).astype(int), "Y_true": y_true, "Y_mask": y_mask}
    np.savez_compressed(
        small_openmic / "openmic-2018.npz", sample_key=np.array(KEYS, object), **arrays
    )
    pickled = OpenMIC2018().load(small_openmic).fingerprint
    np.savez(small_openmic / "openmic-2018.npz", sample_key=np.array(KEYS), **arrays)
    assert OpenMIC2018().load(small_openmic).fingerprint == pickled


def test_openmic_refuses_a_missing_root(tmp_path):
    with pytest.raises(DataError, match=r"needs a data root.*polytimbre data download"):
        OpenMIC2018().load(None)
    with pytest.raises(DataError, match="nowhere does not exist"):
        OpenMIC2018().load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds neither openmic-2018.npz nor"):
        OpenMIC2018().load(tmp_path)
    (tmp_path / f"{ARCHIVE}.part").write_bytes(b"begun")
    with pytest.raises(DataError, match="is not finished"):
        OpenMIC2018().load(tmp_path)
    (tmp_path / "file.zip").write_bytes(b"")
    with pytest.raises(DataError, match="neither a folder nor the archive"):
        OpenMIC2018().load(tmp_path / "file.zip")


@pytest.mark.parametrize(
    "name", ["openmic-2018-metadata.csv", "class-map.json", "partitions/split01_test.csv"]
)
def test_openmic_refuses_a_missing_file(small_openmic, name):
    (small_openmic / name).unlink()
    with pytest.raises(DataError, match=f"{Path(name).name}.*get the data set again"):
        OpenMIC2018().load(small_openmic)


@pytest.mark.parametrize("name", ["X", "Y_true", "Y_mask", "sample_key"])
def test_openmic_refuses_a_missing_array(small_openmic, name):
    rewrite(small_openmic, skip=(name,))
    with pytest.raises(DataError, match=f"openmic-2018.npz: array '{name}' is missing"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_a_file_that_is_no_npz(small_openmic):
    (small_openmic / "openmic-2018.npz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"is not a readable .npz file"):
        OpenMIC2018().load(small_openmic)


def y_true_with(value: float) -> np.ndarray:
    y_true, y_mask = small_labels()
    y_true[tuple(np.argwhere(y_mask)[3])] = value
    return y_true


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"X": np.zeros((12, 9, 128), int)}, r"'X' must have shape \(n_clips, 10, 128\)"),
        ({"X": np.zeros((12, 1280), int)}, "'X' must have shape"),
        ({"X": np.zeros((12, 10, 128))}, "'X' must be int or uint, got float64"),
        ({"X": np.full((12, 10, 128), 256)}, "values outside 0 to 255"),
        ({"X": np.full((12, 10, 128), -1)}, "values outside 0 to 255"),
        ({"Y_true": np.zeros((12, 19))}, r"'Y_true' must have shape \(12, 20\)"),
        ({"Y_mask": np.zeros((11, 20), bool)}, "'Y_mask' must have shape"),
        ({"Y_mask": np.zeros((12, 20))}, "'Y_mask' must be bool"),
        ({"Y_true": y_true_with(np.nan)}, "NaN"),
        ({"Y_true": y_true_with(1.5)}, r"relevance outside \[0, 1\]"),
        ({"Y_true": y_true_with(-0.1)}, r"relevance outside \[0, 1\]"),
        ({"sample_key": pickled_keys([*KEYS[:11], KEYS[0]])}, "have no features, first"),
        ({"sample_key": pickled_keys(KEYS[:11])}, "'sample_key' must have shape"),
        (
            {"sample_key": object_member(12, pickle.dumps(np.array(KEYS[:11], object), 4))},
            "'sample_key' has 11 entries, expected 12",
        ),
    ],
)
def test_openmic_refuses_bad_arrays(small_openmic, changes, problem):
    rewrite(small_openmic, **changes)
    with pytest.raises(DataError, match=problem):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_duplicate_keys(small_openmic):
    # The partition lists each clip once, as it must, and the features hold one twice.
    rewrite(small_openmic, sample_key=pickled_keys([*KEYS[:11], KEYS[8]]))
    (small_openmic / "partitions/split01_test.csv").write_text("\n".join(KEYS[8:11]))
    with pytest.raises(DataError, match=f"duplicate key '{KEYS[8]}'"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_nan_before_narrowing(small_openmic):
    rewrite(small_openmic, X=np.full((12, 10, 128), np.nan))
    with pytest.raises(DataError, match="'X' must be int"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_truncated_features(small_openmic):
    path = small_openmic / "openmic-2018.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-8] if name == "X.npy" else content)
    with pytest.raises(DataError, match="array 'X' holds 122872 bytes"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_flipped_bytes(small_openmic):
    path = small_openmic / "openmic-2018.npz"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_another_class_order(small_openmic):
    class_map = {name: column for column, name in enumerate(reversed(CLASSES))}
    (small_openmic / "class-map.json").write_text(json.dumps(class_map))
    with pytest.raises(DataError, match="in their order"):
        OpenMIC2018().load(small_openmic)


def test_openmic_refuses_metadata_without_a_clip(small_openmic):
    write_metadata(small_openmic, dict.fromkeys(KEYS[1:], "5"))
    with pytest.raises(DataError, match=f"lacks 1 clip.*{KEYS[0]}"):
        OpenMIC2018().load(small_openmic)
    (small_openmic / "openmic-2018-metadata.csv").write_text("track_id,sample_key\n")
    with pytest.raises(DataError, match="no column 'artist_id'"):
        OpenMIC2018().load(small_openmic)


@pytest.mark.parametrize(
    ("train", "test", "problem"),
    [
        (KEYS[:8], KEYS[7:], "listed twice"),
        (KEYS[:7], KEYS[8:], "1 clip.* in neither partition"),
        (KEYS[:8], [*KEYS[8:], "999999_0"], "have no features, first '999999_0'"),
        (["not, a key"], KEYS, "is not a key"),
    ],
)
def test_openmic_refuses_a_bad_split(small_openmic, train, test, problem):
    (small_openmic / "partitions/split01_train.csv").write_text("\n".join(train))
    (small_openmic / "partitions/split01_test.csv").write_text("\n".join(test))
    with pytest.raises(DataError, match=problem):
        OpenMIC2018().load(small_openmic)


def test_openmic_shared_artist_is_divided_and_warned_of(small_openmic):
    write_metadata(small_openmic, {key: str(row % 5) for row, key in enumerate(KEYS)})
    with pytest.warns(SharedArtistWarning, match=r"4 artist\(s\) in both partitions \(10 clips\)"):
        dataset = OpenMIC2018().load(small_openmic)
    assert dataset.groups.tolist()[:5] == ["0/train", "1/train", "2", "3/train", "4/train"]
    assert dataset.groups.tolist()[8:] == ["3/test", "4/test", "0/test", "1/test"]


def test_openmic_other_split_is_asked_for_by_name(small_openmic):
    write_split(small_openmic / "partitions", "mine", KEYS[4:], KEYS[:4])
    dataset = OpenMIC2018().load(small_openmic, "mine")
    assert dataset.split == "mine" and not dataset.official
    assert dataset.partition.tolist() == ["test"] * 4 + ["train"] * 8
    assert OpenMIC2018().load(small_openmic).official
    for unknown in ("split02", "../partitions/split01", "min"):
        with pytest.raises(UnknownNameError, match=r"unknown split.*(mine|split01)"):
            OpenMIC2018().load(small_openmic, unknown)


def test_openmic_other_split_must_keep_artists_apart(small_openmic):
    write_split(small_openmic / "partitions", "mixed", KEYS[::2], KEYS[1::2])
    with pytest.raises(DataError, match=r"5 group\(s\) are in both partitions, first '101'"):
        OpenMIC2018().load(small_openmic, "mixed")


def test_data_set_refuses_a_group_in_both_partitions(small_openmic):
    whole = OpenMIC2018().load(small_openmic)
    arrays = {name: getattr(whole, name) for name in ("X", "y_true", "y_mask", "keys")}
    with pytest.raises(DataError, match="both partitions, first 'one artist'"):
        Dataset(
            "made",
            **arrays,
            groups=np.full(12, "one artist"),
            partition=whole.partition,
            citation="",
            licence="",
        )


def test_reader_names_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        NpzReader(tmp_path / "no.npz")


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("package", ["numpy.core", "numpy._core"])
def test_keys_of_each_pickle_protocol(protocol, package):
    data = pickle.dumps(np.array(KEYS, object), protocol=protocol)
    core = np.array(0).__reduce__()[0].__module__.removesuffix(".multiarray")
    if protocol < 4:
        data = data.replace(f"c{core}.".encode(), f"c{package}.".encode())
    else:  # names carry their length, and the frame carries the sum
        old, new = (f"{name}.multiarray".encode() for name in (core, package))
        data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
        size = int.from_bytes(data[3:11], "little") + len(new) - len(old)
        data = data[:3] + size.to_bytes(8, "little") + data[11:]
    assert package.encode() in data
    assert pickle.loads(data).tolist() == KEYS  # made above, so this one is safe to load
    assert parse_pickled_strings(data) == KEYS


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def malicious_arrays(command: str) -> list[bytes]:
    """Return pickles that run `command`: alone, as a key, and where numpy's parts belong."""
    bad = Malicious(command)
    with_bad = np.array([bad, *KEYS[1:]], dtype=object)
    pickles = [pickle.dumps(x, protocol=p) for x in (bad, with_bad) for p in (0, 1, 2, 3, 4)]
    honest = pickle.dumps(np.array(KEYS, object), protocol=2)
    core = np.array(0).__reduce__()[0].__module__
    swapped = honest.replace(f"c{core}\n_reconstruct".encode(), b"cos\nsystem")
    return [*pickles, swapped, honest.replace(b"c_codecs\nencode", b"cos\nsystem")]


@pytest.mark.parametrize("number", range(12))
def test_openmic_refuses_a_malicious_pickle(small_openmic, tmp_path, number):
    touched = tmp_path / "touched"
    data = malicious_arrays(f"touch {touched}")[number]
    rewrite(small_openmic, sample_key=object_member(len(KEYS), data))
    with pytest.raises(DataError, match=r"'sample_key' is a pickle that holds.*nothing of it was"):
        OpenMIC2018().load(small_openmic)
    assert not touched.exists()


def test_the_malicious_pickle_would_run(tmp_path):
    # Without this, the test above could pass on a pickle that does nothing.
    touched = tmp_path / "touched"
    pickle.loads(malicious_arrays(f"touch {touched}")[4])
    assert touched.exists()


@pytest.mark.parametrize(
    "content",
    [
        KEYS,
        np.array([1, 2], object),
        np.array([["a"]], object),
        np.array([b"a"], object),
        np.arange(3),
        np.array(["a", None], object),
    ],
)
def test_parser_refuses_anything_else(content):
    with pytest.raises(NotStringsError):
        parse_pickled_strings(pickle.dumps(content, protocol=4))


def test_parser_refuses_damaged_pickles():
    honest = pickle.dumps(np.array(KEYS, object), protocol=4)
    for end in range(len(honest)):
        with pytest.raises(NotStringsError):
            parse_pickled_strings(honest[:end])
    rng = np.random.default_rng(3)
    for _ in range(500):
        data = bytearray(honest)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(256)
        try:
            parsed = parse_pickled_strings(bytes(data))
        except NotStringsError:
            continue
        assert all(type(key) is str for key in parsed)


MEASURE = """
import sys, warnings
from pathlib import Path
from benchmark.datasets.openmic2018 import OpenMIC2018

def peak():
    # Not ru_maxrss: across exec, that keeps the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

warnings.simplefilter("ignore")
before = peak()
dataset = OpenMIC2018().load(Path(sys.argv[1]))
assert dataset.X.shape == (20000, 10, 128)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_official_size_adds_at_most_80_mb(tmp_path):
    keys = [f"{number:06d}_{number * 3840}" for number in range(20_000)]
    labels = np.full((20_000, 20), 0.5), np.zeros((20_000, 20), bool)
    artists = {key: key[:4] for key in keys}
    write_folder(tmp_path / "data", keys, *labels, keys[:15_000], keys[15_000:], artists)
    assert (tmp_path / "data/openmic-2018.npz").stat().st_size > 205_000_000
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    added = float(result.stdout)
    print(f"peak memory grew by {added:.1f} MiB")
    assert 25 < added <= 80 * 1e6 / 2**20


def test_genres_that_tell_no_instrument_are_features(small_openmic):
    path, root = small_openmic / "openmic-2018-metadata.csv", small_openmic.parent
    path.write_text(path.read_text().replace("Jazz: Vocal", "Jazz").replace("Kid's", "Rock"))
    data = load(DataRequest("openmic2018", root, features=("vggish", "tags")))
    assert data.features == "vggish+tags" and data.X.shape == (12, 10, 128 + len(fma.TAGS))
    known = data.X[:, :, 128:] > 0
    assert (known == known[:, :1]).all()
    assert known.any(axis=(1, 2)).tolist() == [True, True, False] * 4
    assert known[:, 0, fma.TAGS.index("Jazz")].tolist() == [True, False, False] * 4
    assert data.attributes["genre"][:3].tolist() == ["Folk", "Rock", ""]
    told = data.attributes["tags"].reshape(4, 3)
    assert (told[:, 2] == "").all() and {*told[:, :2].ravel().tolist()} <= {"", "usual", "unusual"}
    assert (told != "").any()
    with pytest.raises(UnknownNameError, match="Did you mean 'tags'"):
        load(DataRequest("openmic2018", root, features=("tag",)))
