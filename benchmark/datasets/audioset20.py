"""AudioSet's VGGish release, narrowed to music and the 20 classes of OpenMIC-2018.

What the data root has to hold is said in :mod:`benchmark.datasets.reading.audioset`.
"""

from benchmark.datasets.reading.audioset import AudioSetPlugin

#: Each class by the AudioSet display names it stands for.
CLASS_LABELS: dict[str, tuple[str, ...]] = {
    "accordion": ("Accordion",),
    "banjo": ("Banjo",),
    "bass": ("Bass guitar", "Double bass"),
    "cello": ("Cello",),
    "clarinet": ("Clarinet",),
    "cymbals": ("Cymbal", "Hi-hat"),
    "drums": (
        "Drum", "Drum kit", "Snare drum", "Bass drum", "Rimshot", "Drum roll", "Timpani", "Tabla",
        "Drum machine",
    ),
    "flute": ("Flute",),
    "guitar": (
        "Guitar", "Electric guitar", "Acoustic guitar", "Steel guitar, slide guitar",
        "Tapping (guitar technique)", "Strum",
    ),
    "mallet_percussion": (
        "Mallet percussion", "Marimba, xylophone", "Glockenspiel", "Vibraphone",
    ),
    "mandolin": ("Mandolin",),
    "organ": ("Organ", "Electronic organ", "Hammond organ"),
    "piano": ("Piano", "Electric piano"),
    "saxophone": ("Saxophone",),
    "synthesizer": ("Synthesizer", "Sampler"),
    "trombone": ("Trombone",),
    "trumpet": ("Trumpet",),
    "ukulele": ("Ukulele",),
    "violin": ("Violin, fiddle",),
    "voice": (
        "Singing", "Choir", "Male singing", "Female singing", "Child singing",
        "Synthetic singing", "Yodeling", "Chant", "A capella", "Rapping", "Opera", "Vocal music",
    ),
}  # fmt: skip


class AudioSet20(AudioSetPlugin):
    """AudioSet narrowed to the 20 classes; every label observed."""

    name = "audioset20"
    description = "AudioSet, 14,030 music clips, 20 classes (point --data-root at Google's files)"
    class_labels = CLASS_LABELS
