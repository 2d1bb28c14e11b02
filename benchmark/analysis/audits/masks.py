"""Masks that leave as many labels observed as OpenMIC-2018's.

Given the label, either every clip has the same chance to be observed, or a model's scores have a
say. OpenMIC's own clips were not drawn at random: a model chose, class by class, whom to ask about
(Humphrey et al., 2018).

References
----------
E. J. Humphrey, S. Durand and B. McFee, "OpenMIC-2018: An Open Dataset for Multiple Instrument
Recognition", ISMIR 2018.
P. S. Efraimidis and P. G. Spirakis, "Weighted random sampling with a reservoir", *Information
Processing Letters* 97 (5), 181-185, 2006.
"""

from dataclasses import dataclass

import numpy as np

from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError

#: Clips of OpenMIC-2018's test partition (``split01``), and how many of them are observed to
#: hold, and not to hold, each of `CLASSES`. Source: Zenodo record 1432913. Measured with
#: ``protocol_audit.read_labels("labels.npz").test``: ``y_positive.sum(axis=0)`` and
#: ``(y_mask & ~y_positive).sum(axis=0)``.
OPENMIC_CLIPS = 5085
OPENMIC_PRESENT = (
    115, 140, 134, 226, 137, 297, 278, 175, 286, 211,
    193, 121, 285, 305, 268, 228, 318, 182, 394, 224,
)  # fmt: skip
OPENMIC_ABSENT = (
    423, 338, 329, 259, 503, 139, 146, 387, 150, 267,
    434, 310, 130, 324, 112, 492, 467, 408, 237, 150,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rates:
    """Observed positives and observed negatives of each class per clip, each (n_classes,)."""

    present: np.ndarray
    absent: np.ndarray


#: OpenMIC-2018's rates on its test partition.
OPENMIC_RATES = Rates(
    np.array(OPENMIC_PRESENT) / OPENMIC_CLIPS, np.array(OPENMIC_ABSENT) / OPENMIC_CLIPS
)


def observation_chances(
    y_positive: np.ndarray, rates: Rates, share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return with which probability a positive, and a negative, of each class is observed.

    Arguments as of :func:`openmic_like_mask`. Each array has shape (n_classes,). Capped at 1:
    a class with fewer positives than the rate asks for has all observed.

    Raises
    ------
    ProtocolError
        If the rates are of another number of classes, or `share` is not positive.
    """
    n_classes = y_positive.shape[1]
    if len(rates.present) != n_classes:
        raise ProtocolError(
            f"the rates are of {len(rates.present)} classes, the labels of {n_classes}; "
            "an OpenMIC-like mask needs OpenMIC's classes in its order"
        )
    if not share > 0:
        raise ProtocolError(f"the share of OpenMIC's rates must be above 0, got {share}")
    prevalence = y_positive.mean(axis=0)
    chances = []
    for rate, available in ((rates.present, prevalence), (rates.absent, 1 - prevalence)):
        wanted = np.divide(share * rate, available, out=np.zeros(n_classes), where=available > 0)
        chances.append(np.minimum(wanted, 1))
    return chances[0], chances[1]


def openmic_like_mask(
    y_positive: np.ndarray, rates: Rates = OPENMIC_RATES, seed: int = 0, share: float = 1.0
) -> np.ndarray:
    """Draw which labels are observed, as many positives and negatives a class as in OpenMIC.

    Parameters
    ----------
    y_positive : ndarray of bool, shape (n_clips, n_classes)
        Complete labels.
    rates : Rates
    seed : int
        Masks of one seed are nested: a larger share only adds labels.
    share : float
        Scales both rates.

    Returns
    -------
    ndarray of bool, shape (n_clips, n_classes)
        True where the label is observed.
    """
    present, absent = observation_chances(y_positive, rates, share)
    rng = np.random.default_rng(derive_seed(seed, "openmic-like mask"))
    return rng.random(y_positive.shape) < np.where(y_positive, present, absent)


def preselected_mask(
    y_positive: np.ndarray, y_score: np.ndarray, rates: Rates = OPENMIC_RATES, seed: int = 0
) -> np.ndarray:
    """Draw which labels are observed where a model chose the clips that people were asked about.

    A clip whose score lies one standard deviation higher, once a class's scores are brought to a
    normal distribution by their ranks, is observed e times as often. Positives and negatives of
    each class are drawn apart, without replacement, as many as `rates` ask for and never more:
    a class has no more observed positives than OpenMIC's.

    Parameters
    ----------
    y_positive : ndarray of bool, shape (n_clips, n_classes)
        Complete labels.
    y_score : ndarray, shape (n_clips, n_classes)
        Of the model that chooses.
    rates : Rates
    seed : int

    Returns
    -------
    ndarray of bool, shape (n_clips, n_classes)
        True where the label is observed.
    """
    from scipy.stats import norm, rankdata

    n_clips = len(y_positive)
    rng = np.random.default_rng(derive_seed(seed, "preselected mask"))
    weight = norm.ppf(rankdata(y_score, axis=0) / (n_clips + 1))
    # the highest sums of log weight and Gumbel noise are a weighted draw without replacement
    key = weight + rng.gumbel(size=y_positive.shape)
    mask = np.zeros(y_positive.shape, bool)
    for kind, rate in ((y_positive, rates.present), (~y_positive, rates.absent)):
        order = np.argsort(np.where(kind, -key, np.inf), axis=0, kind="stable")
        wanted = np.minimum(np.round(rate * n_clips), kind.sum(axis=0))
        mask[order, np.arange(mask.shape[1])] |= np.arange(n_clips)[:, None] < wanted
    return mask
