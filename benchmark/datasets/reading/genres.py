"""What AudioSet's own genre labels say of a clip: the region and the style of its music.

AudioSet rates each label by itself and names few instruments where it names a genre. A clip
without any genre label therefore has no region and no style: it is unknown, not other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Region -> labels of music from there. All other genres are those of Europe and North America,
#: or are at home everywhere.
REGIONS: dict[str, tuple[str, ...]] = {
    "Africa": ("Music of Africa", "Afrobeat"),
    "Asia": ("Music of Asia", "Carnatic music", "Music of Bollywood"),
    "Latin America": ("Music of Latin America", "Salsa music"),
    "Middle East": ("Middle Eastern music",),
    "Flamenco": ("Flamenco",),
    "Traditional": ("Traditional music",),
}

#: Style -> labels.
STYLES: dict[str, tuple[str, ...]] = {
    "blues": ("Blues",),
    "classical": ("Classical music", "Opera"),
    "country and folk": ("Country", "Bluegrass", "Folk music"),
    "electronic": (
        "Electronic music", "House music", "Techno", "Dubstep", "Drum and bass", "Electronica",
        "Electronic dance music", "Ambient music", "Trance music",
    ),
    "gospel": ("Christian music", "Gospel music"),
    "hip hop": ("Hip hop music",),
    "jazz": ("Jazz", "Swing music"),
    "pop": ("Pop music",),
    "reggae and ska": ("Reggae", "Ska"),
    "rock": (
        "Rock music", "Heavy metal", "Punk rock", "Grunge", "Progressive rock", "Rock and roll",
        "Psychedelic rock",
    ),
    "soul and funk": ("Rhythm and blues", "Soul music", "Funk", "Disco"),
}  # fmt: skip

#: Further labels of genres, which name neither a region nor one of the styles.
OTHERS = ("New-age music", "Music for children", "Independent music")

#: Attribute -> what its values stand for.
ATTRIBUTES = {"region": REGIONS, "style": STYLES}

#: The value of a clip whose genre is none of an attribute's, and of one with several of them.
OTHER, SEVERAL = "other", "several"


def values(labels: np.ndarray, table: Any, kinds: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return each clip's value of an attribute.

    Parameters
    ----------
    labels : ndarray, shape (n_clips, n_labels), bool
    table : LabelTable
    kinds : mapping of str to sequence of str
        Labels by the value that they stand for; one of `ATTRIBUTES`.

    Returns
    -------
    ndarray of str, shape (n_clips,)
        ``"several"`` where labels of more than one value are there, ``"other"`` where genres of
        no value are, empty without any genre.
    """
    every = [
        n for known in (*ATTRIBUTES.values(), {"": OTHERS}) for ns in known.values() for n in ns
    ]
    held = np.stack([labels[:, table.columns(*names)].any(axis=1) for names in kinds.values()], 1)
    names = np.array(list(kinds))[held.argmax(axis=1)]
    number, any_genre = held.sum(axis=1), labels[:, table.columns(*every, *OTHERS)].any(axis=1)
    return np.select([number == 1, number > 1, any_genre], [names, SEVERAL, OTHER], "")


def numbers(held: np.ndarray, most: int = 2) -> np.ndarray:
    """Return how many classes each clip is labelled with, in words; empty where none is."""
    number = held.sum(axis=1)
    told = np.minimum(number, most).astype(str)
    return np.select([number == 0, number < most], ["", told], f"{most} or more")
