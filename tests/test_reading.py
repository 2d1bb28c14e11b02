"""Files that others wrote: bounded memory, regular files alone, and a sentence for each fault."""

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openmic_replica import KEYS, object_member, pickled_keys, rewrite, write_small
from test_audioset20 import label_names, made_segment, write_labels, write_npz, write_shards

from benchmark.analysis.audits import protocol_audit
from benchmark.datasets.audioset20 import AudioSet20
from benchmark.datasets.openmic2018 import OpenMIC2018
from benchmark.datasets.reading.tfrecord import crc32c, masked, read_records
from benchmark.errors import DataError
from benchmark.reading.files import open_binary, read_json, read_text
from benchmark.reading.folders import PREFIX, working_folder
from benchmark.reading.npz import load_npz
from benchmark.reading.pickled import NotStringsError, parse_pickled_strings


def npy_header(shape: tuple, dtype: str) -> bytes:
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def write_zeros(path: Path, name: str, header: bytes, n_bytes: int, **others: bytes) -> None:
    """Write an ``.npz`` whose array `name` is zeros, which compress to nearly nothing."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, content in others.items():
            archive.writestr(f"{other}.npy", content)
        with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
            stream.write(header)
            for _ in range(n_bytes >> 20):
                stream.write(bytes(1 << 20))


TRY_ALL = """
import sys
from pathlib import Path

from benchmark.analysis.audits.protocol_audit import read_labels
from benchmark.datasets.audioset20 import AudioSet20
from benchmark.datasets.openmic2018 import OpenMIC2018
from benchmark.errors import DataError

def peak():
    # Not ru_maxrss: across exec, that keeps the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before = peak()
for folder in sorted(Path(sys.argv[1]).iterdir()):
    reader = {"o": OpenMIC2018().load, "a": AudioSet20().load, "l": read_labels}[folder.name[0]]
    try:
        reader(folder / "labels.npz" if folder.name[0] == "l" else folder)
        print(f"{folder.name} was read")
    except DataError as error:
        print(f"{peak() - before:.0f} {folder.name}: {error}")
"""


def openmic(folder: Path) -> Path:
    return write_small(folder) / "openmic-2018.npz"


def audioset(folder: Path) -> Path:
    folder.mkdir()
    mids = write_labels(folder, label_names())
    for seed, segment in enumerate(("bal_train", "eval")):
        write_npz(folder / f"{segment}_vggish.npz", made_segment(seed), mids)
    return folder / "bal_train_vggish.npz"


def shards(folder: Path) -> Path:
    folder.mkdir()
    write_labels(folder, label_names())
    for seed, segment in enumerate(("bal_train", "eval")):
        write_shards(folder / segment, made_segment(seed))
    return folder / "bal_train" / "0.tfrecord"


def claiming(n_bytes: int) -> bytes:
    """Return the beginning of a record that claims a length, with the checksum of that."""
    length = struct.pack("<Q", n_bytes)
    return length + struct.pack("<I", masked(crc32c(length))) + bytes(36)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_files_that_ask_for_memory_are_refused_before_they_get_it(tmp_path):
    size = 1 << 28
    n = size // 1280
    write_zeros(openmic(tmp_path / "o-zeros"), "X", npy_header((n, 10, 128), "|u1"), n * 1280)
    keys = {"sample_key": pickled_keys(KEYS), "Y_true": b"", "Y_mask": b""}
    many = npy_header((10**12, 10, 128), "|u1")
    write_zeros(openmic(tmp_path / "o-claims"), "X", many, 0, **keys)
    version_2 = b"\x93NUMPY\x02\x00" + struct.pack("<I", size - 12)
    write_zeros(openmic(tmp_path / "o-header"), "X", version_2, size, **keys)
    rewrite(
        openmic(tmp_path / "o-names").parent,
        sample_key=object_member(12, b"\x80\x02" + b"]" * (size >> 4)),
    )
    names = npy_header((size // 1280,), "<U320")
    write_zeros(audioset(tmp_path / "a-names"), "video_id", names, size)
    write_zeros(audioset(tmp_path / "a-zeros"), "X", npy_header((n, 10, 128), "|u1"), n * 1280)
    shards(tmp_path / "a-shard").write_bytes(claiming(3 << 30))
    shards(tmp_path / "a-shard2").write_bytes(claiming(1 << 63))
    for name, header in (
        ("l-zeros", npy_header((size // 20, 20), "|i1")),
        ("l-claims", npy_header((10**12, 20), "|i1")),
    ):
        (tmp_path / name).mkdir()
        write_zeros(tmp_path / name / "labels.npz", "label", header, size if "z" in name else 0)
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    for line in lines:
        assert " was read" not in line
        assert int(line.split()[0]) < 200, line


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
@pytest.mark.parametrize(
    ("make", "name", "load"),
    [
        (openmic, "openmic-2018-metadata.csv", OpenMIC2018().load),
        (openmic, "class-map.json", OpenMIC2018().load),
        (openmic, "partitions/split01_train.csv", OpenMIC2018().load),
        (shards, "class_labels_indices.csv", AudioSet20().load),
        (shards, "eval/1.tfrecord", AudioSet20().load),
    ],
)
def test_special_files_are_refused_at_once(tmp_path, make, name, load, kind):
    make(tmp_path / "data")
    path = tmp_path / "data" / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(
        DataError, match=f"{path.name}.*(is missing|not a file|Is a directory|lacks)"
    ):
        load(tmp_path / "data")


def test_a_special_file_in_the_place_of_features(tmp_path):
    path = openmic(tmp_path / "data")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="holds neither openmic-2018.npz nor"):
        OpenMIC2018().load(tmp_path / "data")
    with pytest.raises(DataError, match="it is a FIFO, not a file"):
        protocol_audit.read_labels(path)


def test_a_file_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # takes no place on the disk
    with pytest.raises(DataError, match="1,099,511,627,776 bytes, more than the 1,000"):
        open_binary(path, 1000, "look at it")


def test_byte_order_marks_are_read_over(tmp_path):
    for name, text in (("a.json", '{"a": 1}'), ("b.csv", "a,b")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json", 100, "") == {"a": 1}
    assert read_text(tmp_path / "b.csv", 100, "") == "a,b"
    plain, marked = (openmic(tmp_path / name).parent for name in ("plain", "marked"))
    for name in ("openmic-2018-metadata.csv", "class-map.json", "partitions/split01_train.csv"):
        path = marked / name
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    loaded = [OpenMIC2018().load(folder).fingerprint for folder in (plain, marked)]
    assert loaded[0] == loaded[1]


def test_nested_json_is_one_sentence(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json is no JSON that can be read \(nested"):
        read_json(path, 1 << 20, "get it again")


def test_axes_of_one_name_have_one_length(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros((3, 4), np.float32), b=np.array(["x", "y", "z"]))
    expected = {"a": ("f", ("clips", 4)), "b": ("U", ("clips",))}
    assert load_npz(path, expected, clips=3)["b"].tolist() == ["x", "y", "z"]
    with pytest.raises(DataError, match="'a' is for 3 clips, more than the 2"):
        load_npz(path, expected, clips=2)
    np.savez(path, a=np.zeros((3, 4), np.float32), b=np.array(["x", "y"]))
    with pytest.raises(DataError, match=r"'b' must have shape \(3,\), got \(2,\)"):
        load_npz(path, expected, clips=3)
    with pytest.raises(DataError, match="'a' must be float64, got float32"):
        load_npz(path, {"a": ("f8", (3, 4))})
    with pytest.raises(DataError, match="'a' must have shape"):
        load_npz(path, {"a": ("f4", ("clips",))}, clips=3)


def test_keys_as_bytes_are_read_as_text(tmp_path):
    path = openmic(tmp_path / "data")
    expected = OpenMIC2018().load(path.parent).keys
    stream = io.BytesIO()
    np.save(stream, np.array(KEYS, "S"))
    rewrite(path.parent, sample_key=stream.getvalue())
    assert OpenMIC2018().load(path.parent).keys.tolist() == expected.tolist()


def test_video_ids_as_bytes_and_the_files_of_macos(tmp_path):
    path = audioset(tmp_path / "npz")
    plain = AudioSet20().load(path.parent)
    mids = write_labels(path.parent, label_names())
    clips = made_segment(0)
    write_npz(path, clips, mids, video_id=np.array([c["video"] for c in clips], "S"))
    assert AudioSet20().load(path.parent).fingerprint == plain.fingerprint
    folder = shards(tmp_path / "shards").parent
    (folder / "._0.tfrecord").write_bytes(b"\0\5\x16\7" * 100)
    assert AudioSet20().load(tmp_path / "shards").fingerprint == plain.fingerprint


@pytest.mark.parametrize("place", [20, -3, -60])
def test_a_changed_byte_of_a_shard_is_found(tmp_path, place):
    path = shards(tmp_path / "data")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    number = 0 if place > 0 else 2
    with pytest.raises(DataError, match=rf"0\.tfrecord is damaged at record {number}.*checksum"):
        AudioSet20().load(tmp_path / "data")


def test_checksums_are_those_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"") == 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=9000))
def test_checksums_of_any_length_are_those_of_the_definition(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    assert crc32c(data) == crc ^ 0xFFFFFFFF


VARIANTS = {
    "index -1": ({"labels": ([-1], "int")}, {}, r"label '-1' is not in .* indices 0 to"),
    "index 527": ({"labels": ([527], "int")}, {}, "label '527' is not in"),
    "another identifier": ({"labels": ([b"/m/xyz"], "byte")}, {}, "label '/m/xyz' is not in"),
    "no label": ({"labels": ([], "int")}, {}, "must be indices or identifiers such as"),
    "the key audio": ({}, {"audio": ([bytes(128)] * 10, "byte")}, "'audio_embedding', .* YouTube"),
    "floats": ({}, {"audio_embedding": ([0.5] * 128, "float")}, "its frames are floats"),
    "short frames": ({}, {"audio_embedding": ([bytes(64)] * 10, "byte")}, "does not hold 128"),
    "start as int": ({"start_time_seconds": (3, "int")}, {}, "one start_time_seconds, a float"),
}


def write_clip(path: Path, context: dict, frames: dict) -> None:
    from tfrecord.writer import TFRecordWriter

    about = {
        "video_id": (b"abc", "byte"),
        "start_time_seconds": (30.0, "float"),
        "labels": ([0], "int"),
    }
    writer = TFRecordWriter(str(path))
    writer.write({**about, **context}, frames or {"audio_embedding": ([bytes(128)] * 10, "byte")})
    writer.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_variants_of_shards_are_named(tmp_path, variant):
    context, frames, problem = VARIANTS[variant]
    write_clip(shards(tmp_path / "data"), context, frames)
    with pytest.raises(DataError, match=rf"0\.tfrecord: record 0 is no clip .*{problem}"):
        AudioSet20().load(tmp_path / "data")


def test_labels_as_identifiers_are_read(tmp_path):
    one, two = (shards(tmp_path / name) for name in ("one", "two"))
    write_clip(one, {"labels": ([0, 4], "int")}, {})
    write_clip(two, {"labels": ([b"/m/0000", b"/m/0004"], "byte")}, {})
    loaded = [AudioSet20().load(tmp_path / name).fingerprint for name in ("one", "two")]
    assert loaded[0] == loaded[1]


HOSTILE = {
    "memo of any size": b"\x80\x02]r\xff\xff\xff\x7f.",
    "bytes of any size": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "a persistent id": b"\x80\x02X\x01\0\0\0aQ.",
    "an instance": b"(S'ls'\nios\nsystem\n.",
    "a class by number": b"\x80\x02\x82\x01.",
    "a dict whose hash lasts": b"\x80\x02}" + b")" + b"2\x86" * 60 + b"Ns.",
    "a call of text": b"\x80\x02X\x02\0\0\0ls)R.",
    "a list in the place of a dtype": b"\x80\x02cnumpy\ndtype\n]\x85R.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name):
    with pytest.raises(NotStringsError):
        parse_pickled_strings(HOSTILE[name])


def test_items_that_are_added_after_the_check_are_left_out():
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87Rq\5"
    dtype = b"cnumpy\ndtype\nU\2O8K\0K\1\x87R"
    content = b"]q\6X\1\0\0\0aa"
    built = b"\x80\2" + array + b"(K\1K\1\x85" + dtype + b"\x89" + content + b"tb"
    assert parse_pickled_strings(built + b".") == ["a"]
    # the list is taken out of the memo, gets a number, and the array is handed on
    assert parse_pickled_strings(built + b"h\6K\7ah\5.") == ["a"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_are_refused_in_a_sentence(tmp_path_factory, data):
    """Random bytes, and real files that were cut or changed, in the place of each file."""
    folder = tmp_path_factory.mktemp("any")
    path = folder / "file"
    np.savez_compressed(
        path.with_suffix(".npz"), label=np.zeros((3, 20), np.int8), sample_key=KEYS[:3]
    )
    write_clip(folder / "clip", {}, {})
    real = data.draw(st.sampled_from([path.with_suffix(".npz"), folder / "clip"])).read_bytes()
    changed = bytearray(real[: data.draw(st.integers(0, len(real)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        data.draw(st.sampled_from([bytes(changed), data.draw(st.binary(max_size=200))]))
    )
    expected = {"sample_key": ("U", ("clips",)), "label": ("i1", ("clips", 20))}
    for read in (
        lambda: load_npz(path, expected, clips=100),
        lambda: list(read_records(path)),
        lambda: read_json(path, 10_000, ""),
        lambda: read_text(path, 10_000, ""),
    ):
        try:
            read()
        except DataError as error:
            assert str(path) in str(error)
    with suppress(NotStringsError):
        parse_pickled_strings(path.read_bytes())


def test_a_class_map_that_is_no_json(tmp_path):
    folder = openmic(tmp_path / "data").parent
    (folder / "class-map.json").write_text(json.dumps({"a": 1})[:-2])
    with pytest.raises(DataError, match=r"class-map\.json is no JSON"):
        OpenMIC2018().load(folder)


def test_a_file_is_put_into_a_pipe_and_under_any_name(tmp_path):
    from benchmark.runs.files import put

    source, target = os.pipe()
    put(Path(f"/dev/fd/{target}"), b"whole")
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        assert pipe.read() == b"whole"
    named = tmp_path / ("音" * 84)
    put(named, b"whole")
    assert named.read_bytes() == b"whole" and [*tmp_path.iterdir()] == [named]
    with pytest.raises(OSError, match="nowhere") as failed:
        put(tmp_path / "nowhere" / "file", b"whole")
    assert failed.value.filename == str(tmp_path / "nowhere" / "file")


def test_a_folder_that_a_killed_process_worked_in_is_removed_by_the_next(tmp_path):
    killed = (
        "import os, sys\nfrom pathlib import Path\n"
        "from benchmark.reading.folders import working_folder\n"
        "with working_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'large').touch()\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)])
    (left,) = tmp_path.iterdir()
    assert (left / "in" / "large").exists()
    (tmp_path / f"{PREFIX}notes of mine").mkdir()  # which nobody left here
    with working_folder(tmp_path) as first, working_folder(tmp_path) as second:
        assert not left.exists()
        assert first.is_dir() and second.is_dir()  # both are worked in
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}notes of mine"]
