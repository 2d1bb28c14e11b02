"""OpenMIC-2018: 20,000 ten-second clips of the Free Music Archive, labels partly observed.

Source: Humphrey, Durand and McFee, ISMIR 2018; Zenodo record 1432913, version 1.0.0. Reads the
archive itself, a folder that holds it, or the folder it extracts to (mirdata's copy is that
folder too). From an archive only features, labels, metadata and partitions are taken, into a
folder beside it; a clip's audio needs the extracted archive.

Groups are the artists of ``openmic-2018-metadata.csv``. A clip without an artist there is a
group of its own, named after its track: no two clips of OpenMIC-2018 come from one recording.
The authors' script that made ``split01`` divides artists, those of duplicates taken as one
(github.com/cosmir/openmic-2018/pull/25). That is not taken on trust: the split is kept as
published, but an artist of the published table in both partitions becomes two groups,
``<artist>/train`` and ``<artist>/test``, and a :class:`SharedArtistWarning` says how many there
are. Any other split must keep artists apart.

The attribute ``genre`` is the first of the genres that the Free Music Archive lists for a track;
the features ``tags`` are those of them that tell no instrument (see
:mod:`benchmark.datasets.reading.fma`), and the attribute ``tags`` says whether they lead to a
clip's classes or away from them.

Errata, as stated in the README of github.com/cosmir/openmic-2018: the audio of ten source
tracks was corrupted when the responses were collected (071826, 071827, 087435, 095253, 095259,
095263, 102144, 113025, 113604, 138485; github.com/mdeff/fma/issues/27). Three responses came
out wrong and were corrected by the authors: 095253_134400 piano, 095263_96000 mallet
percussion and 113025_99840 trumpet are all "yes". Nothing is changed here.

Duplicates, as found by the authors before the release (github.com/cosmir/openmic-2018/issues/24,
nearest neighbours by L1 distance of the VGGish features): two pairs with identical features,
007954_184320 = 120195_184320 and 074658_372480 = 074328_372480, and one close pair,
021334_11520 and 020898_11520. In the published ``split01`` each pair is on one side: the
first and the third in train, the second in test. All clips are kept; the artists of a pair are
taken as one group, so that a validation part does not share a pair with training either.
"""

import csv
import re
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts.dataset import CLASSES, Dataset, DatasetPlugin
from benchmark.datasets.reading import fma, tags
from benchmark.datasets.reading.archive import download, unpacked, verify
from benchmark.errors import DataError, UnknownNameError
from benchmark.reading.downloads import part_of
from benchmark.reading.files import open_text, read_json, read_text
from benchmark.reading.npz import NpzReader
from benchmark.scoring.metrics import positives

ARCHIVE = "openmic-2018-v1.0.0.tgz"
URL = f"https://zenodo.org/records/1432913/files/{ARCHIVE}"
MD5 = "e4ccf187e2bb5ab2e115416e8aafe7f4"

FOLDER = "openmic-2018"
FEATURES = "openmic-2018.npz"
METADATA = "openmic-2018-metadata.csv"
CLASS_MAP = "class-map.json"
OFFICIAL_SPLIT = "split01"
#: What is taken from an archive; the rest is audio and single-clip files.
MEMBERS = {
    FEATURES, METADATA, CLASS_MAP,
    f"partitions/{OFFICIAL_SPLIT}_train.csv", f"partitions/{OFFICIAL_SPLIT}_test.csv",
}  # fmt: skip

DUPLICATES = (
    ("007954_184320", "120195_184320"),
    ("074658_372480", "074328_372480"),
    ("021334_11520", "020898_11520"),
)

#: Frames of 0.96 s and VGGish dimensions of a clip.
CLIP_SHAPE = (10, 128)

#: What the published files can hold: clips, and bytes of lists of keys, class map and metadata.
MAX_CLIPS = 20_000
MAX_LIST_BYTES = 1 << 20
MAX_METADATA_BYTES = 1 << 27

_AGAIN = "get the data set again"
_ADVICE = "run 'polytimbre data download openmic2018' or point --data-root at a copy"


class SharedArtistWarning(UserWarning):
    """The published split has clips of one artist in both partitions."""


class OpenMIC2018(DatasetPlugin):
    """OpenMIC-2018 with the published VGGish features and ``split01``."""

    name = "openmic2018"
    description = "OpenMIC-2018, 20,000 clips, labels partly observed (2.6 GB download)"
    #: The front end that computes these features from audio.
    features = "vggish"
    citation = (
        "E. J. Humphrey, S. Durand and B. McFee: OpenMIC-2018: An Open Dataset for Multiple "
        "Instrument Recognition. ISMIR 2018. doi:10.5281/zenodo.1432913"
    )
    licence = "CC BY 4.0 (Spotify AB and New York University); each recording under its own"
    splits = (OFFICIAL_SPLIT,)

    def load(self, root: Path | None, split: str = OFFICIAL_SPLIT) -> Dataset:
        """Load features, labels and one split.

        Parameters
        ----------
        root : Path
            The archive, a folder that holds it, or the folder it extracts to.
        split : str
            ``split01``, or any name for which ``partitions/<name>_train.csv`` and
            ``partitions/<name>_test.csv`` list every clip's key, one a line.

        Returns
        -------
        Dataset
            Clips in the file's order; ``official`` is False for any split but ``split01``.

        Raises
        ------
        DataError
            Where something is missing or damaged.
        UnknownNameError
            For a split that has no files.
        """
        source = _locate(root)
        with _members(source) as folder:
            partition_of = _read_split(split, folder, source)
            _check_class_map(folder / CLASS_MAP)
            artist_of, genres_of = _read_metadata(folder / METADATA)
            X, y_true, y_mask, keys = _read_features(folder / FEATURES)
        partition = _partition(keys, partition_of, split)
        groups = _groups(keys, artist_of)
        if split in self.splits:
            groups = _divide_shared(groups, partition, split)
        return Dataset(
            name=self.name,
            X=X,
            y_true=y_true,
            y_mask=y_mask,
            keys=np.array(keys),
            groups=groups,
            partition=partition,
            citation=self.citation,
            licence=self.licence,
            split=split,
            official=split in self.splits,
            **_told(genres_of, keys, y_true, y_mask, partition),
            audio_path=partial(_audio_path, source) if source.is_dir() else None,
        )

    def download(self, root: Path) -> Path:
        """Download the archive into `root`, resuming a broken-off download.

        Returns
        -------
        Path
            `root`, to be passed as ``--data-root``.

        Raises
        ------
        DataError
            Where the network, the server, the disk or the checksum fails.
        """
        archive = Path(root) / ARCHIVE
        if archive.is_file():
            verify(archive, MD5)
        else:
            download(URL, MD5, archive)
        return archive.parent


def _told(
    genres_of: dict[str, list[str]],
    keys: list[str],
    y_true: np.ndarray,
    y_mask: np.ndarray,
    partition: np.ndarray,
) -> dict[str, Any]:
    """Return what the tracks' genres are to a data set: attributes and features."""
    if not genres_of:
        return {}
    genres = [genres_of[key] for key in keys]
    known, y_positive = fma.features(genres), positives(y_true, y_mask)
    first = np.array([titles[0] if titles else "" for titles in genres], str)
    told = tags.expected(known[:, 0] > 0, y_positive, y_mask, partition == "train")
    return {"attributes": {"genre": first, "tags": told}, "further_features": {"tags": known}}


def _locate(root: Path | None) -> Path:
    """Return the archive or the extracted folder that `root` stands for."""
    if root is None:
        raise DataError(f"data set 'openmic2018' needs a data root; {_ADVICE}")
    root = Path(root)
    if root.is_file() and root.name.endswith((".tgz", ".tar.gz")):
        return root
    if root.is_file():
        raise DataError(f"{root} is neither a folder nor the archive {ARCHIVE}; {_ADVICE}")
    if not root.is_dir():
        raise DataError(f"data root {root} does not exist or is no folder; {_ADVICE}")
    for folder in (root, root / FOLDER):
        if (folder / FEATURES).is_file():
            return folder
    if (root / ARCHIVE).is_file():
        return root / ARCHIVE
    if part_of(root / ARCHIVE).is_file():
        raise DataError(
            f"the download of {ARCHIVE} in {root} is not finished; "
            "run 'polytimbre data download openmic2018' again, it goes on where it stopped"
        )
    raise DataError(f"{root} holds neither {FEATURES} nor {ARCHIVE}; {_ADVICE}")


def _members(source: Path) -> AbstractContextManager[Path]:
    """Return the folder with the needed files, unpacked first where `source` is the archive."""
    return nullcontext(source) if source.is_dir() else unpacked(source, MD5, MEMBERS, FOLDER)


def _read_split(split: str, folder: Path, source: Path) -> dict[str, str]:
    """Return the partition of each key."""
    places = [folder / "partitions"]
    if source.is_file():
        places.append(source.parent / "partitions")
    folder_of = {
        path.name.removesuffix("_train.csv"): path.parent
        for place in places
        for path in place.glob("*_train.csv")
        if not path.name.startswith("._")  # macOS leaves them beside what it copies
        and path.with_name(path.name.replace("_train.csv", "_test.csv")).is_file()
    }
    if split not in folder_of:
        if split == OFFICIAL_SPLIT:
            raise DataError(
                f"{places[0]} lacks {split}_train.csv or {split}_test.csv; get the data set again"
            )
        raise UnknownNameError("split", split, folder_of, where="of data set openmic2018")
    partition_of: dict[str, str] = {}
    for partition in ("train", "test"):
        path = folder_of[split] / f"{split}_{partition}.csv"
        for key in _read_keys(path):
            if key in partition_of:
                raise DataError(f"{path}: clip {key!r} is listed twice in split {split!r}")
            partition_of[key] = partition
    return partition_of


def _read_keys(path: Path) -> list[str]:
    keys = read_text(path, MAX_LIST_BYTES, "it must hold one key a line").split()
    # pandas writes a header unless told otherwise; the published files have none.
    keys = keys[1:] if keys[:1] == ["sample_key"] else keys
    for key in keys:
        if not re.fullmatch(r"\w+", key):
            raise DataError(f"{path}: {key!r} is not a key; it must hold one key a line")
    return keys


def _check_class_map(path: Path) -> None:
    in_order = {name: column for column, name in enumerate(CLASSES)}
    if read_json(path, MAX_LIST_BYTES, _AGAIN) != in_order:
        raise DataError(f"{path} does not give the 20 classes of OpenMIC-2018 in their order")


def _read_metadata(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return each key's artist, those of a known duplicate pair as one, and its genres.

    No genres where the file has no column ``track_genres``.
    """
    artist_of: dict[str, str] = {}
    genres_of: dict[str, list[str]] = {}
    # Free text in the metadata may pass the csv module's limit of 128 KiB a field.
    limit = csv.field_size_limit(1 << 24)
    try:
        with open_text(path, MAX_METADATA_BYTES, _AGAIN, errors="replace") as stream:
            rows = csv.DictReader(stream)
            for name in ("sample_key", "artist_id"):
                if name not in (rows.fieldnames or ()):
                    raise DataError(f"{path} has no column {name!r}; {_AGAIN}")
            for row in rows:
                artist = (row["artist_id"] or "").strip()
                key = row["sample_key"] or ""
                missing = artist.lower() in ("", "nan")
                artist_of[key] = f"track-{key.split('_')[0]}" if missing else artist
                if "track_genres" in rows.fieldnames:
                    genres_of[key] = fma.titles(row["track_genres"] or "")
                if len(artist_of) > MAX_CLIPS:
                    raise DataError(f"{path} names more than {MAX_CLIPS:,} clips; {_AGAIN}")
    except csv.Error as error:
        raise DataError(f"{path} can't be read as CSV ({error}); {_AGAIN}") from error
    finally:
        csv.field_size_limit(limit)
    for kept, other in DUPLICATES:
        if kept in artist_of and other in artist_of:
            merged = artist_of[other]
            for key, artist in artist_of.items():
                artist_of[key] = artist_of[kept] if artist == merged else artist
    return artist_of, genres_of


def _read_features(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return X, y_true, y_mask and the keys."""
    with NpzReader(path) as npz:
        npz.require("X", "Y_true", "Y_mask", "sample_key")
        shape = npz.shape("X")
        if len(shape) != 3 or shape[1:] != CLIP_SHAPE or not shape[0]:
            npz.fail(f"array 'X' must have shape (n_clips, 10, 128), got {shape}")
        if shape[0] > MAX_CLIPS:
            npz.fail(f"array 'X' is for {shape[0]:,} clips, OpenMIC-2018 has {MAX_CLIPS:,}")
        labels = (shape[0], len(CLASSES))
        keys = npz.read_strings("sample_key", shape[0])
        y_true = npz.read("Y_true", "f", labels).astype(np.float32)
        y_mask = npz.read("Y_mask", "b", labels)
        return npz.read_as_uint8("X", shape), y_true, y_mask, keys


def _partition(keys: list[str], partition_of: dict[str, str], split: str) -> np.ndarray:
    """Return each clip's partition; clips and split must agree on who is there."""
    for problem, clips in (
        ("clip(s) are in neither partition", set(keys) - set(partition_of)),
        ("clip(s) of its files have no features", set(partition_of) - set(keys)),
    ):
        if clips:
            raise DataError(
                f"split {split!r} of data set 'openmic2018': {len(clips)} {problem}, first "
                f"{min(clips)!r}; the files must list each clip once"
            )
    return np.array([partition_of[key] for key in keys])


def _groups(keys: list[str], artist_of: dict[str, str]) -> np.ndarray:
    missing = [key for key in keys if key not in artist_of]
    if missing:
        raise DataError(
            f"{METADATA} lacks {len(missing)} clip(s), first {missing[0]!r}; get the data set again"
        )
    return np.array([artist_of[key] for key in keys])


def _divide_shared(groups: np.ndarray, partition: np.ndarray, split: str) -> np.ndarray:
    """Make two groups of each artist that the published split has in both partitions."""
    train, test = (np.unique(groups[partition == name]) for name in ("train", "test"))
    shared = np.intersect1d(train, test)
    if not len(shared):
        return groups
    clips = np.isin(groups, shared)
    warnings.warn(
        f"the published split {split!r} has {len(shared)} artist(s) in both partitions "
        f"({clips.sum()} clips); it is kept as it is, scores may profit from known artists",
        SharedArtistWarning,
        stacklevel=3,
    )
    divided = np.char.add(np.char.add(groups, "/"), partition)
    return np.where(clips, divided, groups)


def _audio_path(folder: Path, key: str) -> Path:
    return folder / "audio" / key[:3] / f"{key}.ogg"
