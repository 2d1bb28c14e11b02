"""Clips of several sources of sampled instruments, half of the test clips on held-out ones.

Each clip depends on its index alone, as in :mod:`benchmark.datasets.rendering.clips`: whether
its work is of the training or of the test part stands in ``works.csv``, so that no other clip
is needed to know on which timbres it is played.
"""

import csv
import multiprocessing
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets.rendering import scores, sources
from benchmark.datasets.rendering.arrangement import arrange
from benchmark.datasets.rendering.clips import (
    N_CLIPS,
    clip_rng,
    observation_mask,
    score_of,
    write_archive,
)
from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE
from benchmark.datasets.rendering.studio import record
from benchmark.features.logmel import logmel

WORKS = Path(__file__).with_name("works.csv")
#: The share of the test clips that are played on held-out timbres.
UNHEARD_SHARE = 0.5
#: Names of what is known of each clip beside its labels.
ATTRIBUTES = ("timbre", "codec", "room")


class Rendered(NamedTuple):
    """A clip before its features are computed.

    Attributes
    ----------
    audio : ndarray, shape (230400,), float64
        9.6 s at 24 kHz, in [-1, 1].
    labels : ndarray, shape (20,), bool
        The complete labels, in the order of :data:`benchmark.contracts.dataset.CLASSES`.
    attributes : tuple of str
        Named by :data:`ATTRIBUTES`: ``"heard"`` or ``"unheard"``, codec, room.
    """

    audio: np.ndarray
    labels: np.ndarray
    attributes: tuple[str, ...]


@cache
def works() -> dict[str, tuple[str, str]]:
    """Return the group and the partition of each score file."""
    with WORKS.open(newline="", encoding="utf-8") as file:
        return {row["score"]: (row["group"], row["partition"]) for row in csv.DictReader(file)}


def is_heard(index: int) -> bool:
    """Tell whether a clip is played on the timbres of training: always, in training."""
    if works()[score_of(index)][1] == "train":
        return True
    return bool(clip_rng(index, "timbre").random() >= UNHEARD_SHARE)


def render(index: int) -> Rendered:
    """Render one clip.

    Parameters
    ----------
    index : int
        From 0; the data set holds 0 to 5999.

    Raises
    ------
    DataError
        Where the extra `render` or a source is missing, or a source is another version.
    """
    heard = is_heard(index)
    voices = scores.read_voices(score_of(index))
    parts = arrange(voices, heard=heard, rng=clip_rng(index, "arrangement"))
    clip = record(parts, clip_rng(index, "studio"))
    present = {part.label for part in parts}
    attributes = ("heard" if heard else "unheard", clip.codec, clip.room)
    return Rendered(clip.audio, np.array([name in present for name in CLASSES]), attributes)


def build(
    path: Path,
    *,
    clips: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Render the clips and write their log-mel features, labels and attributes.

    Parameters
    ----------
    path : Path
        The ``.npz`` to write; the checksum goes to the same name with ``.sha256``.
    clips : int, optional
        How many; 6,000 unless told.
    workers : int
        Processes, spawned.
    progress : callable, optional
        Called with the numbers of finished and of all clips after each score.

    Returns
    -------
    str
        The file's SHA-256. The arrays repeat bit for bit with the same libraries; the file's
        bytes repeat where Python is linked to the same zlib.

    Raises
    ------
    DataError
        Where sources are missing, or one is another version.
    """
    sources.require(sources.SOURCES)
    total = N_CLIPS if clips is None else clips
    jobs: dict[str, list[int]] = defaultdict(list)
    for index in range(total):
        jobs[score_of(index)].append(index)
    rows: dict[int, tuple[np.ndarray, Rendered]] = {}
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done in pool.imap_unordered(_render_all, sorted(jobs.values())):
            rows |= done
            if progress:
                progress(len(rows), total)
    return _write(path, [rows[index] for index in range(total)])


def _render_all(indices: list[int]) -> dict[int, tuple[np.ndarray, Rendered]]:
    rows = {}
    for index in indices:
        clip = render(index)
        rows[index] = logmel(clip.audio, SAMPLE_RATE), clip._replace(audio=np.empty(0))
    return rows


def _write(path: Path, rows: list[tuple[np.ndarray, Rendered]]) -> str:
    features = np.stack([features for features, _ in rows])
    labels = np.stack([clip.labels for _, clip in rows])
    columns = zip(*(clip.attributes for _, clip in rows), strict=True)
    owners = [works()[score_of(index)] for index in range(len(rows))]
    masks = [observation_mask(index, row, CLASSES) for index, row in enumerate(labels)]
    arrays = {
        "band_differences": np.diff(features, axis=2, prepend=np.uint8(0)),
        "labels": np.packbits(labels, axis=1),
        "observed": np.packbits(np.array(masks), axis=1),
        "keys": np.array([f"rendered-{index:04d}" for index in range(len(rows))]),
        "groups": np.array([group for group, _ in owners]),
        "test": np.array([partition == "test" for _, partition in owners]),
    }
    named = zip(ATTRIBUTES, columns, strict=True)
    return write_archive(path, arrays | {f"@{name}": np.array(values) for name, values in named})
