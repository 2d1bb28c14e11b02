"""Tests of data set audioset20 on small made files in both published layouts."""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets import audioset_world
from benchmark.datasets.audioset20 import CLASS_LABELS, AudioSet20
from benchmark.datasets.reading import audioset, genres, tags
from benchmark.errors import DataError, UnknownNameError
from benchmark.runs.request import DataRequest, load


def label_names() -> list[str]:
    known = CLASS_LABELS, audioset_world.CLASS_LABELS, *genres.ATTRIBUTES.values()
    named = [name for labels in known for names in labels.values() for name in names]
    return ["Music", "Speech", *dict.fromkeys((*named, *genres.OTHERS, *tags.TAGS))]


def write_labels(root: Path, names: list[str]) -> list[str]:
    mids = [f"/m/{number:04d}" for number in range(len(names))]
    with (root / audioset.LABELS).open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["index", "mid", "display_name"])
        rows.writerows(
            (i, mid, name) for i, (mid, name) in enumerate(zip(mids, names, strict=True))
        )
    return mids


def made_segment(seed: int) -> list[dict]:
    """Return clips: one label each, one clip of speech alone, one short one."""
    rng = np.random.default_rng(seed)
    labels = [[0], [1], [2], [0, 5], [8], [1, 30]]
    frames = [10, 10, 10, 10, 7, 10]
    return [
        {
            "video": f"{'zyxwvu'[i]}{seed}-video{i:03d}",
            "start": 10.0 * i,
            "labels": labels[i],
            "X": rng.integers(0, 256, (frames[i], 128), np.uint8),
        }
        for i in range(6)
    ]


def write_npz(path: Path, clips: list[dict], labels: list[str], **changes) -> None:
    X = np.zeros((len(clips), 10, 128), np.uint8)
    Y = np.zeros((len(clips), len(labels)), np.uint8)
    for row, clip in enumerate(clips):
        X[row, : len(clip["X"])] = clip["X"]
        Y[row, clip["labels"]] = 1
    arrays = {
        "X": X,
        "Y": np.packbits(Y, axis=1),
        "n_frames": np.array([len(clip["X"]) for clip in clips], np.int16),
        "video_id": np.array([clip["video"] for clip in clips]),
        "start": np.array([clip["start"] for clip in clips], np.float32),
        "mids": np.array(labels),
    }
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})


def write_shards(folder: Path, clips: list[dict]) -> None:
    from tfrecord.writer import TFRecordWriter

    folder.mkdir(parents=True)
    for number in range(2):
        writer = TFRecordWriter(str(folder / f"{number}.tfrecord"))
        for clip in clips[number::2]:
            context = {
                "video_id": (clip["video"].encode(), "byte"),
                "start_time_seconds": (clip["start"], "float"),
                "end_time_seconds": (clip["start"] + 10, "float"),
                "labels": (clip["labels"], "int"),
            }
            frames = [frame.tobytes() for frame in clip["X"]]
            writer.write(context, {"audio_embedding": (frames, "byte")})
        writer.close()


@pytest.fixture
def small_audioset(tmp_path) -> tuple[Path, Path]:
    """Return the roots of one made data set as ``.npz`` and as shards."""
    roots = tmp_path / "npz", tmp_path / "shards"
    for root in roots:
        root.mkdir()
        mids = write_labels(root, label_names())
    for seed, segment in enumerate(("bal_train", "eval")):
        clips = made_segment(seed)
        write_npz(roots[0] / f"{segment}_vggish.npz", clips, mids)
        write_shards(roots[1] / segment, clips)
    return roots


def test_small_audioset_both_layouts(small_audioset):
    npz, shards = (AudioSet20().load(root) for root in small_audioset)
    assert npz.fingerprint == shards.fingerprint
    # Speech alone and the short clip are out; what is left is sorted by key.
    assert npz.keys[:4].tolist() == [
        "u0-video005_50.000", "w0-video003_30.000", "x0-video002_20.000", "z0-video000_0.000",
    ]  # fmt: skip
    assert npz.partition.tolist() == ["train"] * 4 + ["test"] * 4
    assert npz.y_true[2].nonzero()[0].tolist() == [CLASSES.index("accordion")]
    # Auxiliary are all ten-frame clips of the training segment, with every label of AudioSet.
    assert npz.auxiliary.groups.tolist() == [
        f"{c}0-video00{i}" for c, i in zip("uwxyz", (5, 3, 2, 1, 0))
    ]
    assert npz.auxiliary.y_true.shape == (5, len(label_names())) and npz.auxiliary.y_mask.all()
    assert [np.flatnonzero(row).tolist() for row in npz.auxiliary.y_true] == [
        [1, 30], [0, 5], [2], [1], [0],
    ]  # fmt: skip
    assert "torch" not in sys.modules and "tensorflow" not in sys.modules


def test_auxiliary_clips_of_new_instruments_hold_none_of_them(small_audioset):
    data = audioset_world.AudioSetWorld().load(small_audioset[0])
    held = set(data.groups[data.y_true.any(axis=1)].tolist())
    assert data.auxiliary.classes == CLASSES and data.auxiliary.y_mask.all()
    assert len(data.auxiliary) == 4 and not held & set(data.auxiliary.groups.tolist())


def test_audioset_refuses_a_missing_root(tmp_path):
    with pytest.raises(DataError, match="needs a data root"):
        AudioSet20().load(None)
    with pytest.raises(DataError, match="does not exist"):
        AudioSet20().load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"class_labels_indices.csv is missing"):
        AudioSet20().load(tmp_path)
    write_labels(tmp_path, label_names())
    with pytest.raises(DataError, match="holds neither"):
        AudioSet20().load(tmp_path)


def test_audioset_refuses_another_split(small_audioset):
    with pytest.raises(UnknownNameError, match=r"unknown split.*'folds'"):
        AudioSet20().load(small_audioset[0], "folds")


def test_audioset_refuses_an_unknown_label(small_audioset):
    root = small_audioset[0]
    names = ["Ukelele" if name == "Ukulele" else name for name in label_names()]
    write_labels(root, names)
    with pytest.raises(DataError, match="no label 'Ukulele'"):
        AudioSet20().load(root)


def test_audioset_refuses_a_bad_label_table(small_audioset):
    path = small_audioset[0] / audioset.LABELS
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(DataError, match="out of order"):
        AudioSet20().load(small_audioset[0])
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not AudioSet's table"):
        AudioSet20().load(small_audioset[0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_frames": None}, "array 'n_frames' is missing"),
        ({"X": np.zeros((6, 9, 128), np.uint8)}, "'X' must have shape"),
        ({"X": np.zeros((6, 10, 128))}, "'X' must be uint8, got float64"),
        ({"mids": np.array(["/m/other"])}, "other labels"),
        ({"video_id": np.array([{}] * 6, object)}, "'video_id' must be str, got object"),
    ],
)
def test_audioset_refuses_a_bad_npz(small_audioset, changes, problem):
    root = small_audioset[0]
    mids = [f"/m/{number:04d}" for number in range(len(label_names()))]
    write_npz(root / "eval_vggish.npz", made_segment(1), mids, **changes)
    with pytest.raises(DataError, match=problem):
        AudioSet20().load(root)


def test_audioset_refuses_half_a_data_set(small_audioset):
    npz, shards = small_audioset
    (npz / "eval_vggish.npz").unlink()
    with pytest.raises(DataError, match=r"eval_vggish.npz is missing"):
        AudioSet20().load(npz)
    shutil.rmtree(shards / "eval")
    with pytest.raises(DataError, match=r"holds no .tfrecord shard"):
        AudioSet20().load(shards)


# Package tfrecord leaves a shard that it can't read open until it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_audioset_refuses_a_damaged_shard(small_audioset, damage):
    path = small_audioset[1] / "bal_train" / "0.tfrecord"
    content = path.read_bytes()
    if damage == "empty":
        for shard in path.parent.iterdir():
            shard.write_bytes(b"")
    else:
        path.write_bytes(content[:-40] if damage == "cut" else content[:12] + b"\xff" * 2000)
    with pytest.raises(DataError, match="hold no clip" if damage == "empty" else "is damaged"):
        AudioSet20().load(small_audioset[1])


def test_what_genre_labels_say_of_a_clip(small_audioset):
    table = audioset.read_label_table(small_audioset[0] / audioset.LABELS)
    named = ((), ("Afrobeat",), ("Afrobeat", "Jazz"), ("Jazz", "Blues"), ("New-age music",))
    labels = np.zeros((len(named), len(table.mids)), bool)
    for row, names in enumerate(named):
        labels[row, table.columns(*names)] = True
    regions = genres.values(labels, table, genres.REGIONS)
    assert regions.tolist() == ["", "Africa", "Africa", "other", "other"]
    styles = genres.values(labels, table, genres.STYLES)
    assert styles.tolist() == ["", "other", "jazz", "several", "other"]


def test_tags_are_features_that_are_joined_by_name(small_audioset):
    data = load(DataRequest("audioset20", small_audioset[0], features=("vggish", "tags")))
    assert data.features == "vggish+tags" and data.X.shape == (8, 10, 128 + len(tags.TAGS))
    assert data.fingerprint == AudioSet20().load(small_audioset[0]).fingerprint
    with pytest.raises(UnknownNameError, match="Did you mean 'tags'"):
        load(DataRequest("audioset20", small_audioset[0], features=("vggish", "tag")))
    table = audioset.read_label_table(small_audioset[0] / audioset.LABELS)
    labels = np.zeros((2, len(table.mids)), bool)
    labels[1, table.columns("Jazz")] = True
    assert np.argwhere(tags.features(labels, table) == 255).tolist() == [
        [1, 0, tags.TAGS.index("Jazz")]
    ]
