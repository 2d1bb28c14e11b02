"""Tests of audioset20 and openmic2018 against real files.

They need POLYTIMBRE_DATA, the folder that holds those files, and are skipped without it. What
can be tested on small made files is in test_audioset20.py and test_openmic2018*.py.
"""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from openmic_replica import CHUNK, made_features, write_folder

from benchmark.contracts.dataset import CLASSES, Dataset
from benchmark.datasets import openmic2018
from benchmark.datasets.audioset20 import AudioSet20
from benchmark.datasets.audioset_world import AudioSetWorld
from benchmark.datasets.openmic2018 import OpenMIC2018, SharedArtistWarning
from benchmark.datasets.reading import audioset as release
from benchmark.datasets.reading import genres, tags

DATA = Path(os.environ.get("POLYTIMBRE_DATA") or "missing")
pytestmark = pytest.mark.skipif(
    "POLYTIMBRE_DATA" not in os.environ, reason="POLYTIMBRE_DATA is not set: no real data here"
)

TRAIN = (61, 60, 121, 67, 63, 64, 330, 62, 447, 128, 60, 120, 90, 63, 119, 65, 63, 60, 64, 960)
TEST = (61, 60, 120, 67, 60, 70, 334, 60, 406, 128, 63, 123, 94, 62, 100, 64, 63, 60, 60, 813)


@pytest.fixture(scope="module")
def audioset() -> Dataset:
    return AudioSet20().load(DATA / "audioset")


def test_audioset_counts(audioset):
    for name, clips, positives in (("train", 7353, TRAIN), ("test", 6677, TEST)):
        rows = audioset.partition == name
        assert rows.sum() == clips
        assert tuple(audioset.y_true[rows].sum(axis=0).astype(int)) == positives
    assert audioset.y_mask.all()
    assert audioset.X.shape == (14030, 10, 128) and audioset.X.dtype == np.uint8
    assert audioset.official and audioset.split == "official"
    assert all(
        key.startswith(f"{group}_")
        for key, group in zip(audioset.keys, audioset.groups, strict=True)
    )


def test_audioset_attributes(audioset):
    known = {name: set(values.tolist()) for name, values in audioset.attributes.items()}
    assert known["instruments"] == {"", "1", "2 or more"}
    assert known["region"] == {"", *genres.REGIONS, "other", "several"}
    assert known["style"] == {"", *genres.STYLES, "other", "several"}
    told = audioset.attributes["tags"][audioset.partition == "test"].tolist()
    assert (told.count("usual"), told.count("unusual")) == (133, 151)
    region, style = audioset.attributes["region"], audioset.attributes["style"]
    assert ((region == "") == (style == "")).all()


def test_audioset_world_keeps_every_ten_frame_clip_of_its_classes():
    """Most classes have the 59 to 66 positives that AudioSet's balanced segments are made for."""
    root = DATA / "audioset"
    data, table = AudioSetWorld().load(root), release.read_label_table(root / release.LABELS)
    assert len(data.classes) == 22 and len(data) == 13_704
    for partition, segment in release.SEGMENTS.items():
        clips = release.read_npz(root / f"{segment}_vggish.npz", table)
        held = release.class_targets(clips.labels, table, AudioSetWorld.class_labels)
        expected = held[clips.n_frames == 10].sum(axis=0)
        positives = data.y_true[data.partition == partition].sum(axis=0)
        np.testing.assert_array_equal(positives, expected)
        assert positives.min() >= 56 and positives.max() <= 66
    assert len(data.auxiliary) == 6_830 and data.auxiliary.classes == CLASSES
    assert not set(data.groups[data.y_true.any(axis=1)]) & set(data.auxiliary.groups)


TELLS = re.compile(
    r"\b(accordion|banjo|bass|cello|clarinet|cymbals?|hi-hat|drums?|flute|guitars?|marimba|organ|"
    r"mandolin|xylophone|piano|saxophone|synth\w*|trombone|trumpet|ukulele|violin|fiddle|strings?|"
    r"voices?|vocals?|sing|singers?|singing|sung|songs?|lyrics?|choir|chant\w*|rap\w*|percussi\w+)\b",
    re.IGNORECASE,
)


def test_no_tag_s_definition_nor_one_above_it_tells_an_instrument_or_singing():
    known = json.loads((DATA / "audioset/ontology.json").read_text())
    by_name = {one["name"]: one for one in known}
    above = {child: one["name"] for one in known for child in one["child_ids"]}
    assert TELLS.search(by_name["Heavy metal"]["description"])
    for tag in tags.TAGS:
        name, told = tag, ""
        while name and name not in ("Music genre", "Music mood", "Music role"):
            told += f"{name}. {by_name[name]['description']} "
            name = above.get(by_name[name]["id"])
        assert not TELLS.search(told), tag


@pytest.mark.parametrize("segment", ["bal_train", "eval"])
def test_audioset_shards_equal_npz(segment):
    table = release.read_label_table(DATA / "audioset" / release.LABELS)
    shards = release.read_tfrecords(DATA / "audioset/tfrecords" / segment, table)
    npz = release.read_npz(DATA / "audioset" / f"{segment}_vggish.npz", table)
    npz = npz.take(np.flatnonzero(np.isin(npz.keys, shards.keys)))
    shards, npz = (clips.take(np.argsort(clips.keys)) for clips in (shards, npz))
    assert len(shards.keys) > 100
    for ours, theirs in zip((*shards, shards.keys), (*npz, npz.keys), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype.kind == theirs.dtype.kind


def test_audioset_data_set_from_shards(audioset, tmp_path):
    shutil.copy(DATA / "audioset" / release.LABELS, tmp_path)
    shutil.copytree(DATA / "audioset/tfrecords", tmp_path / "tfrecords")
    shards = AudioSet20().load(tmp_path)
    rows = np.flatnonzero(np.isin(audioset.keys, shards.keys))
    assert len(rows) == len(shards) > 50
    for name in ("X", "y_true", "y_mask", "keys", "groups", "partition"):
        np.testing.assert_array_equal(getattr(shards, name), getattr(audioset, name)[rows])


@pytest.fixture(scope="module")
def replica(tmp_path_factory) -> Path:
    """Return a replica with the official size: real keys, partitions, labels where there."""
    real = DATA / "openmic2018"
    split = [(real / f"partitions/split01_{p}.csv").read_text().split() for p in ("train", "test")]
    keys = sorted(split[0] + split[1])
    labels = np.load(real / "labels.npz", allow_pickle=False)
    rows = np.searchsorted(keys, labels["sample_key"])
    known = np.zeros((len(keys), 20), np.int8)
    known[rows] = labels["label"]
    y_true = np.where(known > 0, 0.9, np.where(known < 0, 0.1, 0.5))
    # Artists are made: by track number, and one of them in both partitions.
    artist_of = {
        key: f"{key[:4]}{side}" for side, half in zip("ab", split, strict=True) for key in half
    }
    artist_of[split[0][0]] = artist_of[split[1][0]] = "both"
    folder = tmp_path_factory.mktemp("replica") / "openmic-2018"
    write_folder(folder, keys, y_true, known != 0, *split, artist_of)
    return folder


def test_replica_is_read_in_full(replica):
    with pytest.warns(SharedArtistWarning, match=r"1 artist\(s\) in both partitions \(2 clips\)"):
        dataset = OpenMIC2018().load(replica)
    assert (replica / "openmic-2018.npz").stat().st_size > 205_000_000
    assert dataset.X.shape == (20_000, 10, 128)
    for first in range(0, 20_000, CHUNK):
        block = made_features(first, CHUNK)
        np.testing.assert_array_equal(dataset.X[first : first + CHUNK], block)
    assert [(dataset.partition == p).sum() for p in ("train", "test")] == [14_915, 5_085]
    labels = np.load(DATA / "openmic2018/labels.npz", allow_pickle=False)
    rows = np.searchsorted(dataset.keys, labels["sample_key"])
    np.testing.assert_array_equal(dataset.y_mask[rows], labels["label"] != 0)
    positive = (dataset.y_true >= 0.5) & dataset.y_mask
    np.testing.assert_array_equal(positive[rows], labels["label"] > 0)


def test_known_duplicates_are_on_one_side_of_split01():
    for partition, pairs in (("train", (0, 2)), ("test", (1,))):
        path = DATA / f"openmic2018/partitions/split01_{partition}.csv"
        keys = set(path.read_text().split())
        for pair in pairs:
            assert set(openmic2018.DUPLICATES[pair]) <= keys


def test_artists_of_a_duplicate_pair_are_one_group(replica):
    with pytest.warns(SharedArtistWarning):
        dataset = OpenMIC2018().load(replica)
    group_of = dict(zip(dataset.keys.tolist(), dataset.groups.tolist(), strict=True))
    for one, other in openmic2018.DUPLICATES:
        assert group_of[one] == group_of[other]


def test_metadata_as_published():
    """The published header names key and artist as the loader expects them."""
    path = DATA / "openmic2018/one-clip/openmic-2018-metadata.csv"
    assert openmic2018._read_metadata(path) == (
        {"000046_3840": "4", "000135_483840": "52"},
        {
            "000046_3840": ["Experimental Pop", "Singer-Songwriter"],
            "000135_483840": ["Loud-Rock", "Psych-Rock"],
        },
    )
