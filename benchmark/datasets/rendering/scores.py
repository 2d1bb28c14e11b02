"""The scores behind the rendered data set: works of music21's corpus as plain notes.

Only collections whose files state no restriction of their own are used: Palestrina's masses
("rights to all derivative electronic formats reserved"), the Essen folk songs (not for
commercial use) and Josquin (copyright of the encoder) are left out.
"""

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from benchmark.errors import DataError

MISSING = 'rendering clips needs {}; install the extra: pip install "polytimbre[render]"'

#: Files of each collection, below the corpus, and its share of the clips.
COLLECTIONS: dict[str, tuple[float, tuple[str, ...]]] = {
    "chorales": (0.32, ("bach/*.mxl",)),
    "quartets": (
        0.16,
        ("beethoven/**/*.mxl", "haydn/**/*.mxl", "mozart/**/*.mxl", "schumann_robert/o*/*.mxl"),
    ),
    "madrigals": (0.20, ("monteverdi/*.mxl",)),
    "trecento": (0.14, ("trecento/*.xml",)),
    "tunes": (0.12, ("ryansMammoth/*Reel.abc",)),
    "others": (
        0.06,
        (
            "joplin/*.mxl",
            "schumann_clara/*.mxl",
            "cpebach/*.mxl",
            "corelli/**/*.xml",
            "handel/**/*.mxl",
            "weber/*.mxl",
            "beach/*.musicxml",
            "lusitano/*.mxl",
        ),
    ),
}
#: A superseded and a backup copy, and two scans that carry a publisher's notice.
_LEFT_OUT = re.compile(r"_old|_bak|madrigal\.5\.[45]\.")
#: The number of a piece in its edition: parts "10a" and "10b" belong to one work.
_TRECENTO_PIECE = re.compile(r"PMFC_\d+[-_](?:Jacopo-|Giovanni-|Piero_)?\d+")


@lru_cache(maxsize=1)
def corpus_folder() -> Path:
    """Return the folder of music21's corpus.

    Raises
    ------
    DataError
        Where music21 is not installed.
    """
    try:
        import music21
    except ImportError as error:
        raise DataError(MISSING.format("music21")) from error
    return Path(music21.__file__).parent / "corpus"


@lru_cache(maxsize=1)
def collections() -> dict[str, tuple[str, ...]]:
    """Return the files of each collection as sorted paths relative to the corpus."""
    root = corpus_folder()
    files_of = {}
    for name, (_, patterns) in COLLECTIONS.items():
        paths = {p.relative_to(root).as_posix() for pattern in patterns for p in root.glob(pattern)}
        files_of[name] = tuple(sorted(path for path in paths if not _LEFT_OUT.search(path)))
    return files_of


def group_of(path: str) -> str:
    """Name the musical work a file belongs to: movements of one opus share it.

    Examples
    --------
    >>> group_of("beethoven/opus59no1/movement2.mxl")
    'beethoven/opus59no1'
    >>> group_of("bach/bwv112.5-sc.mxl")
    'bach/bwv112'
    """
    parts = PurePosixPath(path).parts
    work = parts[1] if len(parts) > 2 else PurePosixPath(path).stem
    if parts[0] == "bach":
        work = work.split(".")[0]
    elif piece := _TRECENTO_PIECE.match(work):
        work = piece[0]
    return f"{parts[0]}/{work}"


@lru_cache(maxsize=4)
def read_voices(path: str) -> tuple[np.ndarray, ...]:
    """Read a work's voices.

    Parameters
    ----------
    path : str
        Relative to the corpus.

    Returns
    -------
    tuple of ndarray, each of shape (n_notes, 3), float64
        Onset and duration in quarter notes and MIDI pitch, sorted, one array a voice from
        the top of the score down. Tied notes are joined; chord symbols are left out.
    """
    corpus_folder()
    from music21 import converter

    # parseFile would write the parsed score as a pickle and read it back, even when told to
    # parse the source; this method neither reads nor writes one.
    reader = converter.Converter()
    reader.parseFileNoPickle(corpus_folder() / path)
    voices = [_notes_of(part) for part in reader.stream.parts]
    return tuple(voice for voice in voices if len(voice))


def _notes_of(part) -> np.ndarray:
    """Return the notes of a music21 part, shape (n_notes, 3)."""
    notes: list[list[float]] = []
    last_of_pitch: dict[int, list[float]] = {}
    for element in part.flatten().notes:
        length = float(element.duration.quarterLength)
        if length <= 0 or "Harmony" in element.classes:
            continue
        onset = float(element.offset)
        tied = element.tie is not None and element.tie.type in ("stop", "continue")
        for pitch in sorted({round(p.ps) for p in element.pitches}):
            before = last_of_pitch.get(pitch)
            if tied and before is not None and abs(before[0] + before[1] - onset) < 1e-6:
                before[1] += length
                continue
            last_of_pitch[pitch] = [onset, length, float(pitch)]
            notes.append(last_of_pitch[pitch])
    return np.array(sorted(notes), dtype=np.float64).reshape(-1, 3)


def incipit(voices: tuple[np.ndarray, ...]) -> str:
    """Describe a work's opening whatever its key: the first 14 steps of its top voice.

    Works with the same incipit are settings or copies of one tune (many of Bach's chorales
    come in several) and must not be divided between training and test.
    """
    pitches = line(voices[0], highest=True)[:, 2]
    steps = np.diff(pitches[:200])
    return " ".join(f"{step:.0f}" for step in steps[steps != 0][:14])


def line(voice: np.ndarray, *, highest: bool) -> np.ndarray:
    """Reduce a voice with chords to one note at a time, cut where the next begins."""
    onsets, first = np.unique(voice[:, 0], return_index=True)
    # Notes are sorted by onset, duration, pitch: find the extreme pitch of each onset.
    extreme = np.maximum.reduceat if highest else np.minimum.reduceat
    pitches = extreme(voice[:, 2], first)
    lengths = np.maximum.reduceat(voice[:, 1], first)
    gaps = np.append(np.diff(onsets), np.inf)
    return np.stack([onsets, np.minimum(lengths, gaps), pitches], axis=1)
