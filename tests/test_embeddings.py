"""Embeddings from a file: shapes, kinds of numbers, keys; and what is refused."""

import os

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.features.embeddings import read
from benchmark.features.joining import join
from benchmark.runs.features import parse

KEYS = np.array(["c", "a", "b"])
X = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)


def save(tmp_path, **arrays):
    path = tmp_path / "some.npz"
    np.savez(path, **{"key": KEYS, "X": X, **arrays})
    return path


def write(tmp_path, kind, values):
    """Write the same embeddings in each of the ways that can be read."""
    if kind == "npz":
        return save(tmp_path, X=values)
    if kind == "folder":
        (tmp_path / "folder" / "deep").mkdir(parents=True)
        for key, row in zip(KEYS, values):
            np.save(tmp_path / "folder" / ("deep" if key == "a" else "") / f"{key}.npy", row)
        return tmp_path / "folder"
    pyarrow = pytest.importorskip("pyarrow", reason='needs: pip install "polytimbre[parquet]"')
    from pyarrow import parquet

    path = tmp_path / "some.parquet"
    parquet.write_table(pyarrow.table({"key": KEYS.tolist(), "X": values.tolist()}), path)
    return path


@pytest.mark.parametrize("kind", ["npz", "folder", "parquet"])
@pytest.mark.parametrize("frames", [True, False])
def test_clips_come_in_the_order_of_the_data_set(tmp_path, kind, frames):
    embeddings = read(write(tmp_path, kind, X if frames else X[:, 0]))
    found, ignored = embeddings.of(np.array(["a", "c"]))
    expected = X[[1, 0]] if frames else X[[1, 0], :1]
    assert np.array_equal(found, expected) and found.dtype == np.float32
    assert ignored == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8, ">f4"])
def test_any_float_is_taken_as_float32_and_bytes_stay_bytes(tmp_path, dtype):
    found, _ = read(save(tmp_path, X=X.astype(dtype))).of(KEYS)
    assert np.array_equal(found, X)
    assert found.dtype == (np.uint8 if dtype is np.uint8 else np.float32)


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_one_layer_of_several(tmp_path, layer):
    embeddings = read(save(tmp_path), layer)
    assert np.array_equal(embeddings.of(KEYS)[0], X[:, layer][:, None])
    # one name for one layer
    assert embeddings.name.startswith(f"some.npz[{layer % X.shape[1]}]:")


def test_the_name_follows_the_content(tmp_path):
    first, again = read(save(tmp_path)), read(save(tmp_path))
    other = read(save(tmp_path, X=X + 1))
    assert first.name == again.name != other.name
    assert first.name == f"some.npz:{first.sha256[:8]}"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"key": np.array(["a", "b", "b"])}, "the key 'b' is there twice"),
        ({"key": np.array([1, 2, 3])}, "array 'key' must be str, got int64"),
        (
            {"key": np.array(["a", "b", "c"], dtype=object)},
            "must be str, got object .a pickle, which is never",
        ),
        (
            {"X": np.array([[1.0], [2.0], None], dtype=object)},
            "got object .a pickle, which is never loaded",
        ),
        ({"key": KEYS[:2]}, r"2 keys, and X of shape \(3, 2, 4\)"),
        ({"X": X[0]}, r"3 keys, and X of shape \(2, 4\)"),
        ({"X": X[0, 0, 0]}, r"3 keys, and X of shape \(\)"),
        ({"X": X[:, 0, 0]}, r"must have shape .*, got \(3,\)"),
        ({"X": X[:, :, :0]}, r"must have shape .*, got \(3, 2, 0\)"),
        ({"X": X.astype(np.int64)}, "must be float or uint, got int64"),
        ({"X": X.astype(np.uint16)}, "must be uint8 or floats, got uint16"),
        ({"X": X.astype(complex)}, "must be float or uint, got complex128"),
    ],
)
def test_what_can_not_be_used_is_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        read(save(tmp_path, **arrays))


def test_missing_clips_and_values_are_named(tmp_path):
    with pytest.raises(DataError, match="lacks 2 of the data set's 3 clips, the first is 'x'"):
        read(save(tmp_path)).of(np.array(["a", "x", "y"]))
    gap = X.copy()
    gap[2, 1, 3] = np.nan
    embeddings = read(save(tmp_path, X=gap))
    with pytest.raises(DataError, match="NaN or infinite as float32, the first in the clip 'b'"):
        embeddings.of(KEYS)
    embeddings.of(KEYS[:2])  # what is not needed does no harm


def test_layers_and_files_that_are_not_there(tmp_path):
    path = save(tmp_path)
    with pytest.raises(DataError, match="there is no layer 2"):
        read(path, 2)
    with pytest.raises(DataError, match="there is no file none.npz, which --features names"):
        parse("logmel+none.npz")  # before any data set is loaded
    with pytest.raises(DataError, match=r"none\.npz is missing"):
        read(tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"name a \.npz or \.parquet, or a folder"):
        read(tmp_path / "some.csv")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"some\.npz is not a readable"):
        read(path)
    np.savez(path, key=KEYS)
    with pytest.raises(DataError, match="array 'X' is missing"):
        read(path)


def test_folders_of_unlike_or_pickled_arrays(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.npy file"):
        read(tmp_path)
    np.save(tmp_path / "a.npy", X[0])
    np.save(tmp_path / "b.npy", X[0, 0])
    with pytest.raises(DataError, match="all clips' must be alike"):
        read(tmp_path)
    np.save(tmp_path / "b.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(DataError, match=r"a pickle\), which are never loaded"):
        read(tmp_path)


def test_keys_that_are_no_text(tmp_path):
    for code in (0xD800, 0xFFFFFFFF):  # numpy takes any four bytes for a character
        with pytest.raises(DataError, match="array 'key' is damaged"):
            read(save(tmp_path, key=np.array([code, 97, 98], np.uint32).view("U1")))


def test_files_of_a_folder_may_be_called_anything(tmp_path):
    for name in ("a.npy", os.fsdecode(b"\xff.npy")):
        np.save(tmp_path / name, X[0])
    (tmp_path / "._a.npy").write_bytes(b"what macOS leaves")
    assert read(tmp_path).of(np.array(["a"]))[1] == 1


def test_values_beyond_float32_are_refused_without_a_warning(tmp_path, recwarn):
    with pytest.raises(DataError, match="infinite as float32, the first in the clip 'c'"):
        read(save(tmp_path, X=X + np.float64(1e300))).of(KEYS)
    assert not recwarn


def tables(pa):
    """Tables that can't be used, and what is said about them."""
    keys, floats, good = pa.array(["a", "b"]), pa.list_(pa.float32()), pa.array([[1.0], [2.0]])
    of_keys, of_X = "`key` must hold a text in each row, got ", "`X` must hold lists of floats or"
    no_bytes = pa.array([b"\xff", b"b"])
    twice = pa.Table.from_arrays([keys, good, good], ["key", "X", "X"])
    yield twice, "one column `X`, it has 2 among: key, X, X"
    yield pa.table({"X": good}), "one column `key`, it has 0 among: X"
    for key, told in (
        (pa.array(["a", None]), of_keys + "string, 1 of 2"),
        (pa.array([1, 2]), of_keys + "int64"),
        (pa.array([["a"], []]), of_keys + "list"),
        (no_bytes, "can't be read: Invalid UTF8"),
        (no_bytes.view(pa.string()), "can't be read: 'utf-8' codec"),
        (pa.array(["a", "b" * 257]), "`key` has texts of more than 256 characters"),
    ):
        yield pa.table({"key": key, "X": good}), told
    for values, told in (
        (pa.array([None, None], floats), "lists that are all as long"),
        (pa.array([[None], [None]], pa.list_(floats)), "lists that are all as long"),
        (pa.array([[1.0], [1.0, 2.0]]), "lists that are all as long"),
        (pa.array([[1.0], [None]]), "`X` has gaps"),
        (pa.array([[], []], floats), r"must have shape .*, got \(2, 0\)"),
        (pa.array([[("x", 1.0)]] * 2, pa.map_(pa.string(), pa.float32())), of_X),
        (pa.array([[{"x": 1.0}]] * 2), of_X),
        (pa.array([["a"], ["b"]]), of_X),
        (pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1 << 25, "f4")), 1 << 24), "claims"),
    ):
        yield pa.table({"key": keys, "X": values}), told


def test_tables_that_can_not_be_used_are_refused(tmp_path, recwarn):
    pa = pytest.importorskip("pyarrow", reason='needs: pip install "polytimbre[parquet]"')
    from pyarrow import parquet

    for table, told in tables(pa):
        parquet.write_table(table, tmp_path / "some.parquet")
        with pytest.raises(DataError, match=told):
            read(tmp_path / "some.parquet")
    assert not recwarn


def test_sets_are_joined_along_their_features():
    clip_level = np.full((3, 1, 5), 7, dtype=np.float32)
    joined = join(["A", "B"], [X, clip_level])
    assert joined.shape == (3, 2, 9) and joined.dtype == np.float32
    assert np.array_equal(joined[:, :, :4], X) and (joined[:, :, 4:] == 7).all()
    small = X.astype(np.uint8)
    assert join(["A", "B"], [small, small]).dtype == np.uint8
    assert join(["A", "B"], [small, X]).dtype == np.float32
    with pytest.raises(DataError, match="'A' has 2 frames a clip, another set .* has 3"):
        join(["A", "B"], [X, np.zeros((3, 3, 4), np.float32)])
    with pytest.raises(DataError, match="'B' has 2 clips and 'A' has 3"):
        join(["A", "B"], [X, X[:2]])
