"""What each instrument of a clip plays, and on which timbre.

As in :mod:`benchmark.datasets.rendering.orchestra`, with mandolin and ukulele, wider ranges and
more ways to play a note.
"""

from typing import NamedTuple

import numpy as np

from benchmark.contracts.dataset import CLASSES
from benchmark.datasets.rendering import orchestra
from benchmark.datasets.rendering.orchestra import (
    BYSTANDER_RANGE,
    BYSTANDER_RATE,
    CHORDAL,
    CLIP_SECONDS,
    RANGES,
)
from benchmark.datasets.rendering.scores import line
from benchmark.datasets.rendering.timbres import Timbre, draw

#: Playable MIDI pitches where they are wider than before, or new.
WIDER = RANGES | {
    "banjo": (48, 84), "bass": (26, 57), "cello": (36, 76), "clarinet": (50, 91),
    "flute": (59, 96), "guitar": (40, 84), "mallet_percussion": (53, 96), "mandolin": (55, 88),
    "organ": (36, 96), "piano": (28, 100), "saxophone": (44, 84), "trombone": (38, 72),
    "trumpet": (52, 84), "ukulele": (55, 81), "violin": (55, 96), "voice": (43, 84),
}  # fmt: skip
#: Timbres that reach less far than their class: presets of FluidR3 that are silent above (the
#: baritone saxophone, the tuba), and what lies within two tones of an instrument's recorded notes.
REACH: dict[tuple[str, tuple[int, ...]], tuple[int, int]] = {
    ("fluid", (0, 67)): (44, 70), ("fluid", (0, 58)): (45, 72), ("guitar-acoustic", ()): (40, 78),
    ("xylophone", ()): (63, 96), ("organ", ()): (36, 88), ("saxophone", ()): (45, 84),
    ("trombone", ()): (38, 69), ("bassoon", ()): (45, 76), ("tuba", ()): (45, 66),
}  # fmt: skip
#: Classes that may play chords, and how often they do.
CHORDS = CHORDAL | {"mandolin": 0.3, "ukulele": 0.7, "banjo": 0.3}
#: How often a part is played short, and repeats each note quickly (as a mandolin holds one).
STACCATO_RATE = 0.15
TREMOLO_RATE = {
    "mandolin": 0.5, "violin": 0.06, "cello": 0.06, "mallet_percussion": 0.2, "banjo": 0.2,
    "guitar": 0.08,
}  # fmt: skip


class Part(NamedTuple):
    """What one instrument plays.

    Attributes
    ----------
    label : str or None
        Class; None for an instrument of no class.
    timbre : Timbre
    notes : ndarray, shape (n_notes, 4), float64
        Start and end in seconds, MIDI pitch, velocity.
    """

    label: str | None
    timbre: Timbre
    notes: np.ndarray


def arrange(voices: tuple[np.ndarray, ...], *, heard: bool, rng: np.random.Generator) -> list[Part]:
    """Orchestrate an excerpt at random.

    Parameters
    ----------
    voices : tuple of ndarray, each of shape (n_notes, 3)
        From :func:`~benchmark.datasets.rendering.scores.read_voices`.
    heard : bool
        Whether the timbres are those of training.
    rng : numpy.random.Generator

    Returns
    -------
    list of Part
        Those that really sound: at least two notes and 0.6 s. At least one has a label.
    """
    while True:
        excerpt, beat = orchestra.cut_excerpt(voices, rng)
        chosen: list[str | None] = [*orchestra.choose_classes(CLASSES, rng)]
        if rng.random() < BYSTANDER_RATE:
            chosen.append(None)
        parts = [_part(label, excerpt, beat, heard=heard, rng=rng) for label in chosen]
        parts = [part for part in parts if orchestra.sounds(part.notes)]
        if any(part.label for part in parts):
            return parts


def _part(label: str | None, excerpt: list[np.ndarray], beat: float, *, heard: bool, rng) -> Part:
    timbre = draw(label, heard=heard, rng=rng)
    if label == "drums":
        return Part(label, timbre, orchestra.perform(orchestra.drum_hits(beat, rng), rng))
    if label == "cymbals":
        return Part(label, timbre, orchestra.perform(orchestra.cymbal_hits(beat, rng), rng))
    ends = WIDER[label] if label else BYSTANDER_RANGE
    ends = REACH.get((timbre.source, timbre.preset), ends)
    return Part(label, timbre, _melody(label, excerpt, ends, rng))


def _melody(label: str | None, excerpt: list[np.ndarray], ends: tuple[int, int], rng) -> np.ndarray:
    """Let an instrument double a voice of the excerpt, or play a chord reduction."""
    if label and rng.random() < CHORDS.get(label, 0.0):
        part = np.concatenate(excerpt[: int(rng.integers(1, 4))])
    else:
        index = len(excerpt) - 1 if label == "bass" else int(rng.integers(len(excerpt)))
        part = line(excerpt[index], highest=label != "bass")
    part[:, 2] = orchestra.into_range(part[:, 2], *ends, rng)
    notes = orchestra.perform(part, rng)
    if rng.random() < STACCATO_RATE:
        shorter = np.maximum((notes[:, 1] - notes[:, 0]) * rng.uniform(0.2, 0.5), 0.06)
        notes[:, 1] = np.minimum(notes[:, 0] + shorter, CLIP_SECONDS)
    if rng.random() < TREMOLO_RATE.get(label, 0.0):
        return _tremolo(notes, rng)
    return notes


def _tremolo(notes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strike each note again and again until it ends."""
    stroke = rng.uniform(0.06, 0.13)
    struck = []
    for start, end, pitch, velocity in notes.tolist():
        onsets = np.arange(start, max(end - 0.03, start + 1e-6), stroke)
        loudness = np.rint(velocity + rng.normal(0, 6, len(onsets))).clip(20, 127)
        struck += [
            (onset, min(onset + stroke, CLIP_SECONDS), pitch, loud)
            for onset, loud in zip(onsets.tolist(), loudness.tolist(), strict=True)
        ]
    return np.array(struck).reshape(-1, 4)
