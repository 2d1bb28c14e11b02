"""The musical works that the clips come from: which are one group, and which are for the test.

``works.csv`` holds what :func:`divide` finds, which reads all scores and takes minutes; so any
clip can be rendered without the others.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from benchmark.contracts.seeds import derive_seed
from benchmark.datasets.rendering import scores

N_CLIPS = 6000
#: The root seed of the data set, part of its definition.
ROOT_SEED = 20180
TEST_SHARE = 0.25
#: The share of the test clips that are played on held-out timbres.
UNHEARD_SHARE = 0.5
WORKS = Path(__file__).with_name("works.csv")


def clip_rng(index: int, purpose: str) -> np.random.Generator:
    """Return the generator of one of a clip's draws."""
    return np.random.default_rng(derive_seed(ROOT_SEED, "rendered", purpose, index))


def score_of(index: int) -> str:
    """Return the score file of a clip, relative to music21's corpus."""
    return _draw(index, {path: group for path, (group, _) in works().items()})


def _draw(index: int, groups: dict[str, str]) -> str:
    """Draw a collection, a group of it and one of the group's files.

    Drawn file by file, a work of many movements would hold a large share of the clips.
    """
    rng = clip_rng(index, "work")
    shares = np.array([share for share, _ in scores.COLLECTIONS.values()])
    name = list(scores.COLLECTIONS)[int(rng.choice(len(shares), p=shares))]
    members = defaultdict(list)
    for path in scores.collections()[name]:
        members[groups[path]].append(path)
    group = list(members.values())[int(rng.integers(len(members)))]
    return group[int(rng.integers(len(group)))]


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


def divide() -> dict[str, tuple[str, str]]:
    """Read all scores and return the group and the partition of each."""
    paths = [path for files in scores.collections().values() for path in files]
    groups = merge_works({path: scores.incipit(scores.read_voices(path)) for path in paths})
    drawn = [groups[_draw(index, groups)] for index in range(N_CLIPS)]
    in_test = dict(zip(drawn, partition(drawn), strict=True))
    sides = {group: "test" if in_test.get(group) else "train" for group in groups.values()}
    return {path: (groups[path], sides[groups[path]]) for path in sorted(groups)}


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
