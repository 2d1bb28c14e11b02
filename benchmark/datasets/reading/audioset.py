"""AudioSet's VGGish release, as its data sets read it.

Source: Gemmeke et al., ICASSP 2017; features and labels by Google, CC BY 4.0. Train is the
balanced training segment, test the evaluation segment. A class that is not listed for a clip
counts as absent, as usual in evaluations on AudioSet, so every label is observed. All ten-frame
clips of the balanced training segment, with all of AudioSet's labels, are auxiliary clips, unless
a data set names other classes of its own for them.

The data root holds ``class_labels_indices.csv`` and either ``bal_train_vggish.npz`` and
``eval_vggish.npz`` or the folders ``bal_train`` and ``eval`` with the official ``.tfrecord``
shards (at the root, in ``tfrecords/`` or in ``audioset_v1_embeddings/``). The ``.npz`` files
are read where both kinds are there. Clips are sorted by key within a partition, so that both
kinds give the same data set, bit for bit.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmark.contracts.dataset import Auxiliary, Dataset, DatasetPlugin
from benchmark.datasets.reading import genres, tags
from benchmark.datasets.reading.tfrecord import read_records
from benchmark.errors import DataError, UnknownNameError
from benchmark.reading.files import open_text
from benchmark.reading.npz import load_npz

N_FRAMES, N_FEATURES = 10, 128
LABELS = "class_labels_indices.csv"
#: Partition -> AudioSet's name of the segment.
SEGMENTS = {"train": "bal_train", "test": "eval"}
#: Where the segments' tfrecord folders may lie below the root.
SHARD_FOLDERS = ("", "tfrecords", "audioset_v1_embeddings")
#: Clips of the largest segment that is read; the evaluation segment has 20,371.
MAX_CLIPS = 1 << 16
#: Bytes of the largest table of labels; AudioSet's has 15 kB.
MAX_TABLE_BYTES = 1 << 20
#: Frames of the longest clip that a shard may hold; those with other than 10 are left out.
MAX_FRAMES = 1000

#: A clip with this label is kept even where it holds none of the classes.
MUSIC = "Music"


class LabelTable(NamedTuple):
    """AudioSet's labels: identifiers in label order, and each display name's identifier."""

    mids: tuple[str, ...]
    mid_of: dict[str, str]

    def columns(self, *names: str) -> list[int]:
        """Return the label columns of display names.

        Raises
        ------
        DataError
            For a name that is not in the table.
        """
        for name in names:
            if name not in self.mid_of:
                raise DataError(f"{LABELS} has no label {name!r}; get AudioSet's own file")
        return [self.mids.index(self.mid_of[name]) for name in names]


class Clips(NamedTuple):
    """Clips of one segment as released.

    Attributes
    ----------
    X : ndarray, shape (n_clips, 10, 128), uint8
        Zeros where a clip is shorter.
    n_frames : ndarray, shape (n_clips,), int16
    labels : ndarray, shape (n_clips, n_labels), bool
        In the order of ``class_labels_indices.csv``.
    video : ndarray of str, shape (n_clips,)
    start : ndarray, shape (n_clips,), float32
        Seconds into the video.
    """

    X: np.ndarray
    n_frames: np.ndarray
    labels: np.ndarray
    video: np.ndarray
    start: np.ndarray

    @property
    def keys(self) -> np.ndarray:
        """Video identifier and start time."""
        return np.array([f"{v}_{s:.3f}" for v, s in zip(self.video, self.start, strict=True)])

    def take(self, rows: np.ndarray) -> "Clips":
        """Return the clips at `rows`."""
        return Clips(*(array[rows] for array in self))


class AudioSetPlugin(DatasetPlugin):
    """Music of AudioSet under a list of classes; every label observed.

    Kept are the clips with exactly ten frames that are labelled Music or any of the classes.
    """

    #: Each class by the AudioSet display names it stands for.
    class_labels: ClassVar[Mapping[str, Sequence[str]]]
    #: Classes of the auxiliary clips, which then are music that holds none of `class_labels`;
    #: None: all labels of AudioSet, on all clips.
    auxiliary_labels: ClassVar[Mapping[str, Sequence[str]] | None] = None
    #: The front end that computes these features from audio.
    features = "vggish"
    offers_auxiliary = True
    citation = (
        "J. F. Gemmeke, D. P. W. Ellis, D. Freedman, A. Jansen, W. Lawrence, R. C. Moore, "
        "M. Plakal and M. Ritter: Audio Set: An ontology and human-labeled dataset for audio "
        "events. ICASSP 2017. doi:10.1109/ICASSP.2017.7952261"
    )
    licence = "CC BY 4.0 (Google)"

    def load(self, root: Path | None, split: str = "official") -> Dataset:
        """Load both segments.

        Parameters
        ----------
        root : Path
            See the module's description.
        split : str
            Only ``official``: train is the balanced segment, test the evaluation segment.

        Returns
        -------
        Dataset
            Attributes: ``region`` and ``style`` by AudioSet's own genre labels (see
            :mod:`benchmark.datasets.reading.genres`), and ``instruments``, how many of the classes
            are labelled; a clip where none is has no such number, since other instruments sound
            there that AudioSet did not label. The features ``tags`` are what else AudioSet says
            of the music, and the attribute ``tags`` whether that leads to a clip's classes or away
            from them (see :mod:`benchmark.datasets.reading.tags`).

        Raises
        ------
        DataError
            Where something is missing or damaged.
        UnknownNameError
            For any other split.
        """
        if split not in self.splits:
            raise UnknownNameError("split", split, self.splits, where=f"of data set {self.name}")
        root = _check_root(self.name, root)
        table = read_label_table(root / LABELS)
        segments = _read(root, table)
        parts = {name: _select(clips, table, self.class_labels) for name, clips in segments.items()}
        clips = Clips(*(np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True)))
        y_true = class_targets(clips.labels, table, self.class_labels)
        partition = np.repeat(list(parts), [len(part.X) for part in parts.values()])
        known = tags.features(clips.labels, table)
        told = tags.expected(known[:, 0] > 0, y_true, np.ones_like(y_true), partition == "train")
        return Dataset(
            name=self.name,
            X=clips.X,
            y_true=y_true.astype(np.float32),
            y_mask=np.ones_like(y_true),
            keys=clips.keys,
            groups=clips.video,
            partition=partition,
            auxiliary=self._auxiliary(segments["train"], table),
            citation=self.citation,
            licence=self.licence,
            features=self.features,
            classes=tuple(self.class_labels),
            attributes={
                name: genres.values(clips.labels, table, kinds)
                for name, kinds in genres.ATTRIBUTES.items()
            }
            | {"instruments": genres.numbers(y_true), "tags": told},
            further_features={"tags": known},
        )

    def _auxiliary(self, clips: Clips, table: LabelTable) -> Auxiliary:
        """Return ten-frame clips of the training segment with labels of the auxiliary classes."""
        if self.auxiliary_labels is None:
            clips = _whole(clips, np.ones(len(clips.X), bool))
            held, classes = clips.labels, table.mids
        else:
            new = class_targets(clips.labels, table, self.class_labels).any(axis=1)
            clips = _select(clips.take(np.flatnonzero(~new)), table, self.auxiliary_labels)
            held = class_targets(clips.labels, table, self.auxiliary_labels)
            classes = tuple(self.auxiliary_labels)
        return Auxiliary(
            held.astype(np.float32),
            np.ones_like(held),
            classes=classes,
            X=clips.X,
            groups=clips.video,
        )


def _check_root(name: str, root: Path | None) -> Path:
    advice = f"point --data-root at a folder with {LABELS} and AudioSet's VGGish features"
    if root is None:
        raise DataError(f"data set {name!r} needs a data root; {advice}")
    if not Path(root).is_dir():
        raise DataError(f"data root {root} does not exist or is not a folder; {advice}")
    return Path(root)


def _read(root: Path, table: LabelTable) -> dict[str, Clips]:
    """Read both segments, from ``.npz`` where they are there."""
    files = {name: root / f"{segment}_vggish.npz" for name, segment in SEGMENTS.items()}
    if any(path.is_file() for path in files.values()):
        return {name: read_npz(path, table) for name, path in files.items()}
    for below in SHARD_FOLDERS:
        folders = {name: root / below / segment for name, segment in SEGMENTS.items()}
        if any(folder.is_dir() for folder in folders.values()):
            return {name: read_tfrecords(path, table) for name, path in folders.items()}
    raise DataError(
        f"{root} holds neither bal_train_vggish.npz and eval_vggish.npz nor the folders bal_train "
        "and eval of tfrecord shards; point --data-root at one of them"
    )


def read_label_table(path: Path) -> LabelTable:
    """Read AudioSet's table of labels, ``class_labels_indices.csv``.

    Raises
    ------
    DataError
        Where it is missing, has other columns, or numbers the labels otherwise than in order.
    """
    try:
        with open_text(path, MAX_TABLE_BYTES, "get the file that comes with AudioSet") as stream:
            rows = list(csv.DictReader(stream))
        mids = tuple(row["mid"] for row in rows)
        mid_of = {row["display_name"]: row["mid"] for row in rows}
        in_order = [int(row["index"]) for row in rows] == list(range(len(rows)))
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not AudioSet's table of labels: {error!r}") from error
    if not rows or not in_order or len(mid_of) != len(rows) or len(set(mids)) != len(rows):
        raise DataError(f"{path} is not AudioSet's table: labels out of order or named twice")
    return LabelTable(mids, mid_of)


def class_targets(
    labels: np.ndarray, table: LabelTable, class_labels: Mapping[str, Sequence[str]]
) -> np.ndarray:
    """Return which classes each clip holds.

    Parameters
    ----------
    labels : ndarray, shape (n_clips, n_labels), bool
    table : LabelTable
    class_labels : mapping of str to sequence of str
        The display names that each class stands for.

    Returns
    -------
    ndarray, shape (n_clips, n_classes), bool
    """
    columns = [labels[:, table.columns(*names)].any(axis=1) for names in class_labels.values()]
    return np.stack(columns, axis=1)


def _select(clips: Clips, table: LabelTable, class_labels: Mapping[str, Sequence[str]]) -> Clips:
    """Keep ten-frame clips of music or of a class, sorted by key."""
    music = clips.labels[:, table.columns(MUSIC)[0]]
    return _whole(clips, music | class_targets(clips.labels, table, class_labels).any(axis=1))


def _whole(clips: Clips, wanted: np.ndarray) -> Clips:
    """Return those of the wanted clips that have ten frames, sorted by key."""
    clips = clips.take(np.flatnonzero(wanted & (clips.n_frames == N_FRAMES)))
    return clips.take(np.argsort(clips.keys, kind="stable"))


def read_npz(path: Path, table: LabelTable) -> Clips:
    """Read a segment from the ``.npz`` layout.

    Parameters
    ----------
    path : Path
        Arrays ``X``, ``n_frames``, ``Y`` (labels, packed bits), ``video_id``, ``start``
        and ``mids``.
    table : LabelTable

    Returns
    -------
    Clips

    Raises
    ------
    DataError
        Where the file is missing or damaged, or its labels are not those of `table`.
    """
    arrays = load_npz(
        path,
        {
            "X": ("u1", ("clips", N_FRAMES, N_FEATURES)),
            "n_frames": ("iu", ("clips",)),
            "Y": ("u1", ("clips", -(-len(table.mids) // 8))),
            "video_id": ("U", ("clips",)),
            "start": ("fiu", ("clips",)),
            "mids": ("U", ("labels",)),
        },
        clips=MAX_CLIPS,
        labels=MAX_CLIPS,
    )
    if tuple(arrays["mids"].tolist()) != table.mids:
        raise DataError(f"{path} has other labels than {LABELS}; get both from one release")
    return Clips(
        arrays["X"],
        arrays["n_frames"].astype(np.int16),
        np.unpackbits(arrays["Y"], axis=1, count=len(table.mids)).astype(bool),
        arrays["video_id"],
        arrays["start"].astype(np.float32),
    )


def read_tfrecords(folder: Path, table: LabelTable) -> Clips:
    """Read a segment from the official ``.tfrecord`` shards.

    Parameters
    ----------
    folder : Path
        Its ``*.tfrecord`` files hold one ``SequenceExample`` a clip.
    table : LabelTable

    Returns
    -------
    Clips
        Shard by shard, in the order of the shards' names.

    Raises
    ------
    DataError
        Where the folder has no shard, or a shard is damaged.
    """
    # macOS leaves files such as ._x.tfrecord beside what it copies
    paths = sorted(path for path in folder.glob("*.tfrecord") if not path.name.startswith("._"))
    if not paths:
        raise DataError(f"{folder} holds no .tfrecord shard; both segments must be there")
    index_of = {mid: index for index, mid in enumerate(table.mids)}
    rows = []
    for path in paths:
        for number, record in enumerate(read_records(path)):
            try:
                rows.append(_parse(record, index_of))
            except ValueError as error:
                raise DataError(
                    f"{path}: record {number} is no clip of AudioSet's VGGish release: {error}; "
                    "get the shard again"
                ) from error
            if len(rows) > MAX_CLIPS:
                raise DataError(f"{folder} holds more than {MAX_CLIPS:,} clips; get it again")
    if not rows:
        raise DataError(f"the shards in {folder} hold no clip; get them again")
    X, n_frames, labels, video, start = zip(*rows, strict=True)
    return Clips(
        np.stack(X),
        np.array(n_frames, np.int16),
        np.stack(labels),
        np.array(video),
        np.array(start, np.float32),
    )


def _parse(record: bytes, index_of: dict[str, int]) -> tuple[Any, ...]:
    """Return a clip's features, number of frames, labels, video identifier and start.

    Raises
    ------
    ValueError
        Saying what the record holds instead of what.
    """
    from google.protobuf.message import DecodeError
    from tfrecord import example_pb2

    example = example_pb2.SequenceExample()
    try:
        example.ParseFromString(record)
    except DecodeError as error:
        raise ValueError(f"it is no SequenceExample ({error})") from error
    about, lists = example.context.feature, example.feature_lists.feature_list
    frames = _frames(lists)
    clip = np.zeros((N_FRAMES, N_FEATURES), np.uint8)
    for row, frame in zip(clip, frames, strict=False):
        row[:] = np.frombuffer(frame, np.uint8)
    labels = np.zeros(len(index_of), bool)
    labels[_label_indices(about["labels"], index_of)] = True
    video = about["video_id"].bytes_list.value
    start = about["start_time_seconds"].float_list.value
    if len(video) != 1 or len(start) != 1:
        raise ValueError("it must have one video_id, of bytes, and one start_time_seconds, a float")
    return clip, len(frames), labels, video[0].decode(), start[0]


def _frames(lists: Any) -> list[bytes]:
    """Return a clip's frames, of 128 bytes each."""
    if "audio_embedding" not in lists:
        keys = ", ".join(sorted(map(repr, lists))) or "none"
        hint = "; YouTube-8M's frames are 'audio', with other labels" if "audio" in lists else ""
        raise ValueError(f"its frames must be 'audio_embedding', it has {keys}{hint}")
    features = lists["audio_embedding"].feature
    if any(feature.WhichOneof("kind") == "float_list" for feature in features):
        raise ValueError("its frames are floats; the release's are quantised to 128 bytes each")
    frames = [value for feature in features for value in feature.bytes_list.value]
    if len(frames) != len(features) or any(len(frame) != N_FEATURES for frame in frames):
        raise ValueError(f"a frame does not hold {N_FEATURES} bytes")
    if len(frames) > MAX_FRAMES:
        raise ValueError(f"it has {len(frames)} frames")
    return frames


def _label_indices(labels: Any, index_of: dict[str, int]) -> list[int]:
    """Return the rows of a clip's labels in AudioSet's table; some files hold identifiers."""
    named = [mid.decode() for mid in labels.bytes_list.value]
    unknown = [mid for mid in named if mid not in index_of]
    indices = [*labels.int64_list.value, *(index_of[mid] for mid in named if mid in index_of)]
    unknown += [str(index) for index in indices if not 0 <= index < len(index_of)]
    if unknown:
        raise ValueError(
            f"its label {unknown[0]!r} is not in {LABELS}, which has the indices 0 to "
            f"{len(index_of) - 1}"
        )
    if not indices:
        raise ValueError("its 'labels' must be indices or identifiers such as /m/04rlf")
    return indices
