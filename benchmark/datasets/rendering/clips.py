"""The clips of the rendered data set, one by one and as the committed file.

Each clip depends on its index alone: the work, the orchestration, the sound and the mask
each draw from a seed of their own. Nothing counts on the order or the process in which
clips are made, so any of them can be checked without the others.
"""

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.contracts.dataset import CLASSES
from benchmark.contracts.seeds import derive_seed
from benchmark.datasets.reading.embedded import write_archive
from benchmark.datasets.rendering import scores
from benchmark.datasets.rendering.orchestra import PROGRAMS, plan_clip
from benchmark.datasets.rendering.sound import SAMPLE_RATE, render_audio
from benchmark.features.logmel import logmel

N_CLIPS = 6000
#: The root seed of the data set, part of its definition.
ROOT_SEED = 20180
#: How often a positive and a negative label is observed: about a quarter of all labels,
#: over two fifths of them positive, as in OpenMIC-2018.
OBSERVED_POSITIVE, OBSERVED_NEGATIVE = 0.68, 0.18
TEST_SHARE = 0.25


class _Rendered(NamedTuple):
    """The clips of one score file."""

    path: str
    incipit: str
    indices: list[int]
    features: np.ndarray
    labels: np.ndarray


def clip_rng(index: int, purpose: str) -> np.random.Generator:
    """Return the generator of one of a clip's draws."""
    return np.random.default_rng(derive_seed(ROOT_SEED, "rendered", purpose, index))


def score_of(index: int) -> str:
    """Return the score file of a clip, relative to music21's corpus."""
    rng = clip_rng(index, "work")
    shares = np.array([share for share, _ in scores.COLLECTIONS.values()])
    name = list(scores.COLLECTIONS)[int(rng.choice(len(shares), p=shares))]
    files = scores.collections()[name]
    return files[int(rng.integers(len(files)))]


def render_clip(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip.

    Parameters
    ----------
    index : int
        From 0; the committed data set holds 0 to 5999.

    Returns
    -------
    features : ndarray, shape (10, 128), uint8
        From :func:`benchmark.features.logmel.logmel`.
    labels : ndarray, shape (20,), bool
        The complete labels, in the order of :data:`benchmark.contracts.dataset.CLASSES`.

    Raises
    ------
    DataError
        Where music21, pretty_midi or midirenderer is not installed.
    """
    audio, labels = render_audio_of(index)
    return logmel(audio, SAMPLE_RATE), labels


def render_audio_of(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip's audio, 9.6 s at 24 kHz in [-1, 1], and its complete labels."""
    stems = plan_clip(scores.read_voices(score_of(index)), clip_rng(index, "orchestra"))
    audio = render_audio(stems, clip_rng(index, "sound"))
    present = {stem.label for stem in stems}
    return audio, np.array([name in present for name in CLASSES])


def observation_mask(
    index: int, labels: np.ndarray, playable: Collection[str] = tuple(PROGRAMS)
) -> np.ndarray:
    """Draw which labels of a clip are observed, shape (20,), bool.

    Classes that no source plays (General MIDI has neither mandolin nor ukulele) never are.
    """
    chance = np.where(labels, OBSERVED_POSITIVE, OBSERVED_NEGATIVE)
    observed = clip_rng(index, "mask").random(len(CLASSES)) < chance
    return observed & np.array([name in playable for name in CLASSES])


def build(
    path: Path,
    *,
    clips: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Render the data set and write its file, and its SHA-256 beside it.

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
        The file's SHA-256. The arrays repeat bit for bit; the file's bytes repeat where
        Python is linked to the same zlib.
    """
    total = N_CLIPS if clips is None else clips
    jobs: dict[str, list[int]] = defaultdict(list)
    for index in range(total):
        jobs[score_of(index)].append(index)
    parts, done = [], 0
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for part in pool.imap_unordered(_render_score, sorted(jobs.items())):
            parts.append(part)
            done += len(part.indices)
            if progress:
                progress(done, total)
    return _write_clips(path, parts)


def _write_clips(path: Path, parts: list[_Rendered]) -> str:
    order = np.argsort(np.concatenate([part.indices for part in parts]))
    features = np.concatenate([part.features for part in parts])[order]
    labels = np.concatenate([part.labels for part in parts])[order]
    merged = merge_works({part.path: part.incipit for part in parts})
    groups = np.array([merged[part.path] for part in parts for _ in part.indices])[order]
    mask = np.array([observation_mask(index, row) for index, row in enumerate(labels)])
    return write_archive(
        path,
        {
            "band_differences": np.diff(features, axis=2, prepend=np.uint8(0)),
            "labels": np.packbits(labels, axis=1),
            "observed": np.packbits(mask, axis=1),
            "keys": np.array([f"rendered-{index:04d}" for index in range(len(labels))]),
            "groups": groups,
            "test": partition(groups.tolist()),
        },
    )


def _render_score(job: tuple[str, list[int]]) -> _Rendered:
    path, indices = job
    clips = [render_clip(index) for index in indices]
    features, labels = (np.stack(column) for column in zip(*clips, strict=True))
    opening = scores.incipit(scores.read_voices(path))
    return _Rendered(path, opening, indices, features, labels)


def merge_works(incipits: dict[str, str]) -> dict[str, str]:
    """Name the group of each score file: works that share a name or an incipit are one.

    Parameters
    ----------
    incipits : dict
        Score file to the opening of its top voice.

    Returns
    -------
    dict
        Score file to group, named after the alphabetically first work in it.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for path, opening in sorted(incipits.items()):
        for tie in (scores.group_of(path), f"~{opening}"):
            first, second = sorted((find(path), find(tie)))
            leader[second] = first
    members: dict[str, list[str]] = defaultdict(list)
    for path in incipits:
        members[find(path)].append(scores.group_of(path))
    return {path: min(members[find(path)]) for path in incipits}


def partition(groups: Iterable[str]) -> np.ndarray:
    """Choose the test clips: whole groups, about a quarter of each composer's or book's.

    Returns
    -------
    ndarray, shape (n_clips,), bool
        True for test.
    """
    names, counts = np.unique(np.array(list(groups)), return_counts=True)
    order = sorted(range(len(names)), key=lambda i: derive_seed(ROOT_SEED, "partition", names[i]))
    taken, wanted, test = defaultdict(int), defaultdict(float), set()
    for i in order:
        wanted[names[i].split("/")[0]] += TEST_SHARE * counts[i]
    for i in order:
        book = names[i].split("/")[0]
        if taken[book] + counts[i] / 2 <= wanted[book]:
            taken[book] += counts[i]
            test.add(names[i])
    return np.array([group in test for group in groups])
