"""Which instruments a clip holds and what they play: General MIDI in place of players.

Nothing here knows about sound: a clip is planned as :class:`Stem` records, one for each
instrument, whose notes are seconds, MIDI pitches and velocities.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from benchmark.datasets.rendering.scores import line

#: Length of a clip in seconds: 10 frames of 0.96 s.
CLIP_SECONDS = 9.6

#: General MIDI programs (counted from 0) of each class. Mandolin and ukulele have none.
PROGRAMS: dict[str, tuple[int, ...]] = {
    "accordion": (21, 23),
    "banjo": (105,),
    "bass": (32, 33, 34, 35, 36, 37, 38, 43),
    "cello": (42,),
    "clarinet": (71,),
    "cymbals": (),
    "drums": (),
    "flute": (72, 73),
    "guitar": (24, 25, 26, 27, 28, 29, 30),
    "mallet_percussion": (9, 11, 12, 13),
    "organ": (16, 17, 18, 19, 20),
    "piano": (0, 1, 2, 3, 4, 5),
    "saxophone": (64, 65, 66, 67),
    "synthesizer": (50, 51, 62, 63, 80, 81, 82, 84, 87, 88, 89, 90, 93, 95, 98),
    "trombone": (57,),
    "trumpet": (56, 59),
    "violin": (40,),
    "voice": (52, 53, 54),
}

#: Playable MIDI pitches; classes without an entry are not pitched.
RANGES: dict[str, tuple[int, int]] = {
    "accordion": (53, 89), "banjo": (48, 79), "bass": (28, 52), "cello": (36, 72),
    "clarinet": (50, 86), "flute": (60, 93), "guitar": (40, 79),
    "mallet_percussion": (57, 93), "organ": (36, 89), "piano": (33, 96),
    "saxophone": (46, 82), "synthesizer": (36, 89), "trombone": (40, 70),
    "trumpet": (54, 82), "violin": (55, 93), "voice": (45, 81),
}  # fmt: skip

#: Classes that may play chords, and how often they do.
CHORDAL = {
    "accordion": 0.5, "guitar": 0.6, "mallet_percussion": 0.3, "organ": 0.7, "piano": 0.7,
    "synthesizer": 0.5, "voice": 0.5,
}  # fmt: skip

#: Instruments of no class, heard but never labelled: English horn, oboe, bassoon, horn,
#: tuba, harp, harpsichord, clavinet, celesta, music box, dulcimer, harmonica, sitar, koto,
#: kalimba, shanai, bagpipe.
BYSTANDERS = (69, 68, 70, 60, 58, 46, 6, 7, 8, 10, 15, 22, 104, 107, 108, 111, 109)
BYSTANDER_RANGE = (45, 81)

#: Notes of the percussion channel.
KICKS, SNARES = (35, 36), (37, 38, 40)
OTHER_DRUMS = (41, 43, 45, 47, 48, 50, 60, 61, 62, 63, 64)
HIHATS, CYMBALS = (42, 44, 46), (49, 51, 52, 53, 55, 57, 59)

#: How many labelled instruments a clip holds, 1 to 7, and how often.
SIZES = (0.18, 0.23, 0.22, 0.16, 0.11, 0.06, 0.04)
BYSTANDER_RATE = 0.15
#: How often an instrument plays in a part of the clip only.
PARTIAL_RATE = 0.35
#: Fewer notes, or less sound in seconds, do not count as present.
LEAST_NOTES, LEAST_SECONDS = 2, 0.6


@dataclass(frozen=True)
class Stem:
    """What one instrument plays.

    Attributes
    ----------
    label : str or None
        OpenMIC class; None for an instrument of no class.
    program : int or None
        General MIDI program counted from 0; None for the percussion channel.
    notes : ndarray, shape (n_notes, 4), float64
        Start and end in seconds, MIDI pitch, velocity.
    """

    label: str | None
    program: int | None
    notes: np.ndarray


def plan_clip(voices: tuple[np.ndarray, ...], rng: np.random.Generator) -> list[Stem]:
    """Orchestrate an excerpt at random.

    Parameters
    ----------
    voices : tuple of ndarray, each of shape (n_notes, 3)
        From :func:`~benchmark.datasets.rendering.scores.read_voices`.
    rng : numpy.random.Generator

    Returns
    -------
    list of Stem
        Those that really sound: at least two notes and 0.6 s. At least one has a label.
    """
    while True:
        excerpt, beat = cut_excerpt(voices, rng)
        stems = [_stem(label, excerpt, beat, rng) for label in choose_classes(PROGRAMS, rng)]
        if rng.random() < BYSTANDER_RATE:
            stems.append(_pitched(None, excerpt, rng))
        stems = [stem for stem in stems if sounds(stem.notes)]
        if any(stem.label for stem in stems):
            return stems


def choose_classes(classes: Collection[str], rng: np.random.Generator) -> list[str]:
    """Draw 1 to 7 classes, with drums and cymbals together more often than by chance."""
    size = 1 + int(rng.choice(len(SIZES), p=SIZES))
    chosen = [str(name) for name in rng.permutation(list(classes))[:size]]
    if "drums" in chosen and "cymbals" not in chosen and size > 2 and rng.random() < 0.4:
        chosen[chosen[0] == "drums"] = "cymbals"
    return chosen


def cut_excerpt(
    voices: tuple[np.ndarray, ...], rng: np.random.Generator
) -> tuple[list[np.ndarray], float]:
    """Cut a window out of the voices; return them in seconds, and the beat in seconds.

    The tempo follows from the note rate, so that whole notes of a motet do not last longer
    than the clip.
    """
    end = max(float((voice[:, 0] + voice[:, 1]).max()) for voice in voices)
    busiest = max(len(np.unique(voice[:, 0])) for voice in voices) / end
    per_second = float(np.clip(rng.uniform(1.2, 5.5) / busiest, 0.5, 5.0))
    length, shift = CLIP_SECONDS * per_second, int(rng.integers(-6, 7))
    excerpt: list[np.ndarray] = []
    while sum(map(len, excerpt)) < LEAST_NOTES:
        start = rng.uniform(0, max(end - length, 0.0))
        inside = [v[(v[:, 0] >= start - 0.01) & (v[:, 0] < start + length)] for v in voices]
        # From quarter notes to seconds.
        scale, origin = [1 / per_second, 1 / per_second, 1], [start, 0, -shift]
        excerpt = [(voice - origin) * scale for voice in inside if len(voice)]
    beat = 1 / per_second
    while beat < 0.35:
        beat *= 2
    while beat > 0.9:
        beat /= 2
    return excerpt, beat


def _stem(label: str, excerpt: list[np.ndarray], beat: float, rng: np.random.Generator) -> Stem:
    if label == "drums":
        return Stem(label, None, perform(drum_hits(beat, rng), rng))
    if label == "cymbals":
        return Stem(label, None, perform(cymbal_hits(beat, rng), rng))
    return _pitched(label, excerpt, rng)


def _pitched(label: str | None, excerpt: list[np.ndarray], rng: np.random.Generator) -> Stem:
    """Let a pitched instrument double a voice of the excerpt, or play a chord reduction."""
    program = int(rng.choice(PROGRAMS[label] if label else BYSTANDERS))
    low, high = RANGES[label] if label else BYSTANDER_RANGE
    if label and rng.random() < CHORDAL.get(label, 0.0):
        part = np.concatenate(excerpt[: int(rng.integers(1, 4))])
    else:
        index = len(excerpt) - 1 if label == "bass" else int(rng.integers(len(excerpt)))
        part = line(excerpt[index], highest=label != "bass")
    part[:, 2] = into_range(part[:, 2], low, high, rng)
    return Stem(label, program, perform(part, rng))


def into_range(pitches: np.ndarray, low: int, high: int, rng: np.random.Generator) -> np.ndarray:
    """Move a part by octaves into a range, and fold back the notes that still leave it."""
    middle = np.median(pitches)
    octaves = [k for k in range(-6, 7) if low <= middle + 12 * k <= high]
    pitches = pitches + 12 * int(rng.choice(octaves))
    pitches = pitches + 12 * np.ceil(np.maximum(low - pitches, 0) / 12)
    return pitches - 12 * np.ceil(np.maximum(pitches - high, 0) / 12)


def perform(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn (onset, duration, pitch) into played notes, in the whole clip or a part of it."""
    entry, leave = 0.0, CLIP_SECONDS
    if rng.random() < PARTIAL_RATE:
        span = rng.uniform(2.5, 8.0)
        entry = rng.uniform(0, CLIP_SECONDS - span)
        leave = entry + span
    legato, loudness = rng.uniform(0.5, 1.0), rng.uniform(50, 115)
    start = part[:, 0] + rng.normal(0, 0.012, len(part))
    end = start + np.maximum(part[:, 1] * legato, 0.06)
    swell = rng.uniform(-30, 30) * (start / CLIP_SECONDS - 0.5)
    velocity = np.rint(loudness + swell + rng.normal(0, 8, len(part))).clip(20, 127)
    notes = np.stack([start.clip(0), end.clip(0, leave), part[:, 2], velocity], axis=1)
    return notes[(start >= entry) & (notes[:, 1] - notes[:, 0] > 0.03) & (start < leave)]


def sounds(notes: np.ndarray) -> bool:
    """Tell whether notes count as present: two of them at least, and 0.6 s of sound."""
    covered, until = 0.0, 0.0
    for start, end in sorted(notes[:, :2].tolist()):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return len(notes) >= LEAST_NOTES and covered >= LEAST_SECONDS


def drum_hits(beat: float, rng: np.random.Generator) -> np.ndarray:
    """Return hits of a drum kit or of hand drums, shape (n_hits, 3), without cymbals."""
    grid = 16
    hits = []
    if rng.random() < 0.75:
        kick, snare = int(rng.choice(KICKS)), int(rng.choice(SNARES))
        kicks = (rng.random(grid) < 0.12) | (np.arange(grid) % 8 == 0)
        snares = (rng.random(grid) < 0.06) | (np.arange(grid) % 8 == 4)
        hits += [(step, kick) for step in np.flatnonzero(kicks)]
        hits += [(step, snare) for step in np.flatnonzero(snares)]
    if not hits or rng.random() < 0.3:
        pair = rng.choice(OTHER_DRUMS, 2, replace=False)
        hits += [(step, int(rng.choice(pair))) for step in np.flatnonzero(rng.random(grid) < 0.4)]
    return _repeat(hits, beat, rng)


def cymbal_hits(beat: float, rng: np.random.Generator) -> np.ndarray:
    """Return hits of a hi-hat or ride pattern or of single crashes, shape (n_hits, 3)."""
    kind = rng.random()
    if kind < 0.75:
        note = int(rng.choice(HIHATS if kind < 0.5 else CYMBALS))
        every = int(rng.choice((2, 4)))
        steps = (np.arange(16) % every == 0) | (rng.random(16) < 0.1)
        hits = [(step, note) for step in np.flatnonzero(steps)]
    else:
        hits = [(int(rng.integers(16)), int(rng.choice(CYMBALS))) for _ in range(2)]
    return _repeat(hits, beat, rng)


def _repeat(hits: list[tuple[int, int]], beat: float, rng: np.random.Generator) -> np.ndarray:
    """Repeat a bar of 16 steps over the clip, leaving out a hit now and then."""
    step = beat / 4
    bars = int(np.ceil(CLIP_SECONDS / (16 * step)))
    part = [
        (16 * step * bar + step * position, 0.3, float(note))
        for bar in range(bars)
        for position, note in hits
        if rng.random() < 0.92
    ]
    return np.array([hit for hit in part if hit[0] < CLIP_SECONDS]).reshape(-1, 3)
