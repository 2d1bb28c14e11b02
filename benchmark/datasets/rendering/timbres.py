"""Which sampled instruments play a class: those that training hears, and those held out.

A timbre is a preset of a SoundFont, an instrument whose single notes were recorded, a set of
drum hits, or a model of a plucked string. The clips of training and half of the test clips
use the heard ones; the other half of the test clips uses banks that share no recording with
them (see :mod:`benchmark.datasets.rendering.sources`).
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from benchmark.datasets.rendering import recordings, sources
from benchmark.datasets.rendering.orchestra import BYSTANDERS, PROGRAMS
from benchmark.datasets.rendering.soundfonts import DRUMS, SAMPLE_RATE, play

#: The drum kits of both General MIDI banks: standard, room, power, electronic, TR-808, jazz,
#: brush, orchestra.
KITS = (0, 8, 16, 24, 25, 32, 40, 48)
#: Bank and program of what General MIDI lacks and Roland's extension has.
EXTENSION = {"mandolin": (16, 25), "ukulele": (8, 24)}
#: What the modelled instruments have: strings in a course.
COURSES = {"mandolin": 2, "ukulele": 1}
#: Programs of a class beside those of :data:`~benchmark.datasets.rendering.orchestra.PROGRAMS`:
#: the fiddle.
MORE_PROGRAMS = {"violin": (110,)}
#: Instruments whose single notes were recorded.
RECORDED: dict[str | None, tuple[str, ...]] = {
    "bass": ("bass-electric", "contrabass"), "cello": ("cello",), "clarinet": ("clarinet",),
    "flute": ("flute",), "guitar": ("guitar-acoustic", "guitar-electric", "guitar-nylon"),
    "mallet_percussion": ("xylophone",), "organ": ("organ",), "piano": ("piano",),
    "saxophone": ("saxophone",), "trombone": ("trombone",), "trumpet": ("trumpet",),
    "violin": ("violin",), None: ("bassoon", "french-horn", "harp", "tuba"),
}  # fmt: skip


class Timbre(NamedTuple):
    """A sampled instrument.

    Attributes
    ----------
    engine : str
        ``"preset"``, ``"recorded"``, ``"hits"`` or ``"plucked"``.
    source : str
        Name in :data:`benchmark.datasets.rendering.sources.SOURCES`; empty for the model.
    preset : tuple of int
        Bank and program of a preset; the number of strings of a plucked course.
    """

    engine: str
    source: str
    preset: tuple[int, ...] = ()


@cache
def timbres(label: str | None, *, heard: bool) -> tuple[tuple[Timbre, ...], ...]:
    """Return what plays a class, one group a source; None for instruments of no class.

    Examples
    --------
    >>> [len(group) for group in timbres("flute", heard=True)]
    [2, 1]
    >>> timbres("ukulele", heard=False)
    ((Timbre(engine='preset', source='gmbank', preset=(8, 24)),),)
    """
    font = "fluid" if heard else "gmbank" if label in EXTENSION else "timgm"
    groups = [tuple(Timbre("preset", font, preset) for preset in _presets(label))]
    if not heard:
        return tuple(groups)
    if label in RECORDED:
        groups.append(tuple(Timbre("recorded", name) for name in RECORDED[label]))
    if label in ("drums", "cymbals"):
        groups.append((Timbre("hits", "sonic-pi"),))
    if label in COURSES:
        groups.append((Timbre("plucked", "", (COURSES[label],)),))
    return tuple(groups)


def _presets(label: str | None) -> list[tuple[int, int]]:
    if label in ("drums", "cymbals"):
        return [(DRUMS, kit) for kit in KITS]
    if label in EXTENSION:
        return [EXTENSION[label]]
    programs = PROGRAMS[label] + MORE_PROGRAMS.get(label, ()) if label else BYSTANDERS
    return [(0, program) for program in programs]


def draw(label: str | None, *, heard: bool, rng: np.random.Generator) -> Timbre:
    """Draw a source that has a class, then one of its timbres."""
    groups = timbres(label, heard=heard)
    group = groups[int(rng.integers(len(groups)))]
    return group[int(rng.integers(len(group)))]


def render_notes(timbre: Timbre, notes: np.ndarray, seconds: float, rng) -> np.ndarray:
    """Play notes on a timbre.

    Parameters
    ----------
    timbre : Timbre
    notes : ndarray, shape (n_notes, 4), float64
        Start and end in seconds, MIDI pitch, velocity.
    seconds : float
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_samples,), float64
        Mono at 24 kHz; its level says nothing.

    Raises
    ------
    DataError
        Where the source is missing or another version.
    """
    n_samples = round(seconds * SAMPLE_RATE)
    if timbre.engine == "recorded":
        return recordings.play_recorded(timbre.source, notes, n_samples, rng)
    if timbre.engine == "hits":
        return recordings.play_hits(notes, n_samples, rng)
    if timbre.engine == "plucked":
        return recordings.play_plucked(timbre.preset[0], notes, n_samples, rng)
    font = _alone(timbre.source, *timbre.preset)
    return play(font, notes, seconds, drums=timbre.preset[0] == DRUMS)


@cache
def _alone(source: str, bank: int, program: int) -> bytes:
    return sources.bank(source).alone(bank, program)
