"""Side information: AudioSet's labels of genre, mood and role, as features of one frame.

``--features vggish+tags`` gives a model both what it hears and what is known of the music. No tag
may tell an instrument or singing by its name or meaning. Left out is each label whose definition in
AudioSet's ontology, or that of a genre above it, names one of the 20 classes, singing or words:

- words or singing: pop, hip hop, beatboxing, punk rock, grunge, progressive rock, rhythm and blues,
  folk, opera, vocal music, a capella, chant and mantra, Afrobeat, gospel, Carnatic music,
  Bollywood, jingle, lullaby, song;
- instruments: heavy metal, reggae, country and bluegrass (strings, banjos, guitars), swing, funk,
  blues, ska, music of Africa, video game music, electronic music and all that stands below it.

Flamenco is left out too: its definition says singing and guitar in Spanish (cante, toque).
"""

from typing import Any

import numpy as np

#: Weight, in clips, of a class's share of all clips in its share of the clips of one tag.
PRIOR_CLIPS = 10

#: Labels that are left in, by AudioSet's display names.
TAGS = (
    "Rock music", "Rock and roll", "Psychedelic rock", "Soul music", "Middle Eastern music", "Jazz",
    "Disco", "Classical music", "Music of Latin America", "Salsa music", "Music for children",
    "New-age music", "Christian music", "Music of Asia", "Traditional music", "Independent music",
    "Happy music", "Funny music", "Sad music", "Tender music", "Exciting music", "Angry music",
    "Scary music", "Background music", "Theme music", "Soundtrack music", "Christmas music",
    "Dance music", "Wedding music",
)  # fmt: skip


def features(labels: np.ndarray, table: Any) -> np.ndarray:
    """Return each clip's tags: 255 where one is labelled, else 0.

    Parameters
    ----------
    labels : ndarray, shape (n_clips, n_labels), bool
    table : LabelTable

    Returns
    -------
    ndarray, shape (n_clips, 1, 29), uint8
    """
    return np.where(labels[:, None, table.columns(*TAGS)], np.uint8(255), np.uint8(0))


def expected(
    tags: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray, train: np.ndarray
) -> np.ndarray:
    """Say whether a clip's tags lead to its classes or away from them.

    A class is expected of a tag by the logarithm of its share among the training clips with that
    tag over its share among all of them; of few clips the share is drawn to that of all. A clip's
    tags are ``"usual"`` where that is not below 0, on average over its tags and classes, else
    ``"unusual"``: its classes are rarer with such tags.

    Parameters
    ----------
    tags : ndarray of bool, shape (n_clips, n_tags)
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
    train : ndarray of bool, shape (n_clips,)
        The clips that shares are taken of.

    Returns
    -------
    ndarray of str, shape (n_clips,)
        Empty for a clip without a tag, or without a class that is known to be heard.
    """
    seen, positive, known = (one[train].astype(float) for one in (tags, y_positive, y_mask))
    share = (positive.sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    given = (seen.T @ positive + PRIOR_CLIPS * share) / (seen.T @ known + PRIOR_CLIPS)
    lift = np.log(given / share)
    weight = np.einsum("it,ic->i", tags, y_positive, dtype=float)
    mean = np.einsum("it,tc,ic->i", tags, lift, y_positive) / np.maximum(weight, 1)
    return np.where(weight == 0, "", np.where(mean < 0, "unusual", "usual"))
