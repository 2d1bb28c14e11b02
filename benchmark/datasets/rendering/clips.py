"""The clips of the rendered data set, one by one and as the committed files.

Each clip depends on its index alone: the work, the arrangement, the sound and the mask each draw
from a seed of their own. Whether its work is of the training or of the test part stands in
``works.csv``. Nothing counts on the order or the process in which clips are made, so any of them
can be checked without the others.
"""

import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets.reading.embedded import write_archive, write_features
from benchmark.datasets.rendering import scores, sources
from benchmark.datasets.rendering.arrangement import arrange
from benchmark.datasets.rendering.orchestra import CLIP_SECONDS
from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE
from benchmark.datasets.rendering.studio import record
from benchmark.datasets.rendering.works import N_CLIPS, clip_rng, is_heard, score_of, works
from benchmark.features.logmel import logmel

#: How often a positive and a negative label is observed: about a quarter of all labels,
#: over two fifths of them positive, as in OpenMIC-2018.
OBSERVED_POSITIVE, OBSERVED_NEGATIVE = 0.68, 0.18
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


class _Row(NamedTuple):
    """A clip's features, and the clip without its audio."""

    logmel: np.ndarray
    musicnn: np.ndarray | None
    clip: Rendered


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


def observation_mask(index: int, labels: np.ndarray) -> np.ndarray:
    """Draw which labels of a clip are observed, shape (20,), bool."""
    chance = np.where(labels, OBSERVED_POSITIVE, OBSERVED_NEGATIVE)
    return clip_rng(index, "mask").random(len(CLASSES)) < chance


def build(
    path: Path,
    *,
    clips: int | None = None,
    musicnn: bool = False,
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
    musicnn : bool
        Write the features of musicnn too, to ``NAME-musicnn.npz``; its weights must be here.
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
    rows: dict[int, _Row] = {}
    deaf = signal.signal, (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    with multiprocessing.get_context("spawn").Pool(workers, *deaf) as pool:
        for done in pool.imap_unordered(
            partial(_render_all, musicnn=musicnn), sorted(jobs.values())
        ):
            rows |= done
            if progress:
                progress(len(rows), total)
    return _write(path, [rows[index] for index in range(total)])


def _render_all(indices: list[int], *, musicnn: bool) -> dict[int, _Row]:
    rows = {}
    for index in indices:
        clip = render(index)
        deep = _musicnn(clip.audio) if musicnn else None
        mel = logmel(clip.audio, SAMPLE_RATE)
        rows[index] = _Row(mel, deep, clip._replace(audio=np.empty(0)))
    return rows


def _musicnn(audio: np.ndarray) -> np.ndarray:
    from benchmark.audio.resampling import Resampler
    from benchmark.features.musicnn import Musicnn

    front_end = Musicnn()
    resampler = Resampler(SAMPLE_RATE, front_end.sample_rate)
    signal = np.concatenate([resampler.push(audio.astype(np.float32)), resampler.finish()])
    return front_end.extract(np.resize(signal, round(CLIP_SECONDS * front_end.sample_rate)))


def _write(path: Path, rows: list[_Row]) -> str:
    features = np.stack([row.logmel for row in rows])
    labels = np.stack([row.clip.labels for row in rows])
    columns = zip(*(row.clip.attributes for row in rows), strict=True)
    owners = [works()[score_of(index)] for index in range(len(rows))]
    masks = [observation_mask(index, row) for index, row in enumerate(labels)]
    arrays = {
        "band_differences": np.diff(features, axis=2, prepend=np.uint8(0)),
        "labels": np.packbits(labels, axis=1),
        "observed": np.packbits(np.array(masks), axis=1),
        "keys": np.array([f"rendered-{index:04d}" for index in range(len(rows))]),
        "groups": np.array([group for group, _ in owners]),
        "test": np.array([partition == "test" for _, partition in owners]),
    }
    if rows[0].musicnn is not None:
        deep = np.stack([row.musicnn for row in rows])
        write_features(path.with_name(f"{path.stem}-musicnn.npz"), arrays["keys"], deep)
    named = zip(ATTRIBUTES, columns, strict=True)
    return write_archive(path, arrays | {f"@{name}": np.array(values) for name, values in named})
