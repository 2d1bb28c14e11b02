"""Write replicas of OpenMIC-2018 in the published layout, with made features."""

import csv
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np

from benchmark.contracts.dataset import CLASSES

CHUNK = 1000


def made_features(first: int, count: int) -> np.ndarray:
    """Return made features of rows that lie in one chunk."""
    rng = np.random.default_rng(first // CHUNK)
    block = rng.integers(0, 256, (CHUNK, 10, 128), np.uint8)
    return block[first % CHUNK : first % CHUNK + count]


def write_array(archive: zipfile.ZipFile, name: str, shape: tuple, dtype, chunks) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for chunk in chunks:
            stream.write(np.ascontiguousarray(chunk, dtype))


def object_member(length: int, pickled: bytes) -> bytes:
    """Return a ``.npy`` member whose header says `length` objects."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + pickled


def pickled_keys(keys: list[str]) -> bytes:
    """Return a ``.npy`` member as numpy writes it for an object array."""
    return object_member(len(keys), pickle.dumps(np.array(keys, dtype=object), protocol=4))


def write_openmic(folder: Path, keys: list[str], y_true, y_mask, **changes) -> None:
    """Write ``openmic-2018.npz`` chunk by chunk in the official layout."""
    n, x_type = len(keys), changes.get("x_type", np.int64)
    blocks = (made_features(i, min(CHUNK, n - i)) for i in range(0, n, CHUNK))
    y_true, y_mask = changes.get("Y_true", y_true), changes.get("Y_mask", y_mask)
    skip = changes.get("skip", ())
    with zipfile.ZipFile(folder / "openmic-2018.npz", "w") as archive:
        if "X" not in skip:
            X = changes.get("X")
            if X is None:
                write_array(archive, "X", (n, 10, 128), x_type, blocks)
            else:
                write_array(archive, "X", X.shape, X.dtype, [X])
        for name, array in (("Y_true", y_true), ("Y_mask", y_mask)):
            if name not in skip:
                write_array(archive, name, array.shape, array.dtype, [array])
        if "sample_key" not in skip:
            archive.writestr("sample_key.npy", changes.get("sample_key") or pickled_keys(keys))


def write_metadata(folder: Path, artist_of: dict[str, str]) -> None:
    with (folder / "openmic-2018-metadata.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        heads = "track_id artist_id track_information sample_key start_time track_genres"
        rows.writerow(heads.split())
        for row, (key, artist) in enumerate(artist_of.items()):
            track, start = key.split("_")
            # Free text with a line break, and one long enough to pass csv's default limit.
            text = 'a "text"\nof two lines' if row else "x" * 200_000
            titles = (["Folk", "Jazz: Vocal"], ["Kid's"], [])[row % 3]
            genres = [{"genre_id": "17", "genre_title": title} for title in titles]
            rows.writerow([int(track), artist, text, key, int(start) / 1000, genres])


def write_folder(folder: Path, keys, y_true, y_mask, train, test, artist_of) -> None:
    (folder / "partitions").mkdir(parents=True)
    (folder / "partitions/split01_train.csv").write_text("\n".join(train) + "\n")
    (folder / "partitions/split01_test.csv").write_text("\n".join(test) + "\n")
    class_map = {name: column for column, name in enumerate(CLASSES)}
    (folder / "class-map.json").write_text(json.dumps(class_map))
    write_metadata(folder, artist_of)
    write_openmic(folder, keys, y_true, y_mask)


KEYS = [f"{number:06d}_{number * 3840}" for number in range(12)]


def small_labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    y_mask = rng.random((len(KEYS), 20)) < 0.4
    return np.where(y_mask, rng.random((len(KEYS), 20)), 0.5), y_mask


def write_small(folder: Path) -> Path:
    """Write twelve clips, eight of them for training, one without an artist."""
    artists = {key: str(100 + row // 2) for row, key in enumerate(KEYS)}
    artists[KEYS[1]] = ""
    write_folder(folder, KEYS, *small_labels(), KEYS[:8], KEYS[8:], artists)
    return folder


def rewrite(folder: Path, **changes) -> None:
    write_openmic(folder, KEYS, *small_labels(), **changes)


def write_split(folder: Path, name: str, train: list[str], test: list[str]) -> None:
    (folder / f"{name}_train.csv").write_text("\n".join(["sample_key", *train]))
    (folder / f"{name}_test.csv").write_text("\n".join(["sample_key", *test]))
