"""Genres of the Free Music Archive: what its curators say of the track that a clip was cut from.

Source: Defferrard, Benzi, Vandergheynst and Bresson, "FMA: a dataset for music analysis", ISMIR
2017. As side information only those genres count that tell neither an instrument nor singing by
their name or by what they are made of. Left out are, each with all that stands below it:

- singing and words: pop, hip-hop, folk and singer-songwriter, spoken, opera and choral music, jazz
  and easy listening that is called vocal, punk, Bollywood, fado, "instrumental", which says that
  nobody sings, and musical theater;
- instruments: electronic, chip music, electroacoustic and the genres of club music, country and
  bluegrass, blues, metal, reggae, funk, swing and big band, surf, polka, tango, flamenco, klezmer,
  chamber music and symphony, African music, and the traditional music of India.
"""

import re
from collections.abc import Sequence

import numpy as np

#: Genres that are left in, by their titles.
TAGS = (
    "Rock", "Indie-Rock", "Loud-Rock", "Psych-Rock", "Space-Rock", "Soul-RnB", "Disco", "Dance",
    "Jazz", "Free-Jazz", "Modern Jazz", "Be-Bop", "Classical", "20th Century Classical",
    "Contemporary Classical", "Minimalism", "Experimental", "Avant-Garde", "Improv", "Drone",
    "Ambient", "Field Recordings", "Unclassifiable", "Easy Listening", "Lounge", "New Age",
    "Old-Time / Historic", "Kid-Friendly", "Christmas", "International", "Europe", "Balkan",
    "Celtic", "Turkish", "Middle East", "North African", "Asia-Far East", "Indian", "Pacific",
    "Latin America", "Brazilian", "Salsa",
)  # fmt: skip


def titles(listed: str) -> list[str]:
    """Return the titles of a track's genres, as its metadata list them: a Python literal.

    Examples
    --------
    >>> titles("[{'genre_id': '4', 'genre_title': 'Jazz', 'genre_url': 'http://...'}]")
    ['Jazz']
    """
    found = re.finditer(r"""'genre_title': (?:'([^']*)'|"([^"]*)")""", listed)
    return [(one[1] or one[2] or "").strip() for one in found]


def features(genres: Sequence[Sequence[str]]) -> np.ndarray:
    """Return each clip's tags: 255 where one is among its genres, else 0.

    Parameters
    ----------
    genres : sequence of sequence of str
        Titles, one sequence a clip.

    Returns
    -------
    ndarray, shape (n_clips, 1, 42), uint8
    """
    held = np.array([[tag in known for tag in TAGS] for known in genres], bool)
    return np.where(held[:, None, :], np.uint8(255), np.uint8(0))
