"""AudioSet's VGGish release under the instruments that the 20 classes of OpenMIC-2018 leave out.

The files are those of ``audioset20``; see :mod:`benchmark.datasets.reading.audioset`. Each class is
one label of AudioSet, which rated every label by itself: a clip of a church bell need not be
labelled Bell too, and Maraca stands beside Rattle.

Auxiliary clips are the training clips of music in which none of these is labelled, under the 20
classes of ``audioset20``: what a model learns from them it knows without having heard any of these.
"""

from benchmark.datasets.audioset20 import CLASS_LABELS as TWENTY
from benchmark.datasets.reading.audioset import AudioSetPlugin

#: Each class by the AudioSet display name it stands for.
CLASS_LABELS: dict[str, tuple[str, ...]] = {
    "bagpipes": ("Bagpipes",),
    "bell": ("Bell",),
    "chime": ("Chime",),
    "cowbell": ("Cowbell",),
    "didgeridoo": ("Didgeridoo",),
    "french_horn": ("French horn",),
    "gong": ("Gong",),
    "harmonica": ("Harmonica",),
    "harp": ("Harp",),
    "harpsichord": ("Harpsichord",),
    "maraca": ("Maraca",),
    "rattle": ("Rattle (instrument)",),
    "shofar": ("Shofar",),
    "singing_bowl": ("Singing bowl",),
    "sitar": ("Sitar",),
    "steelpan": ("Steelpan",),
    "tabla": ("Tabla",),
    "tambourine": ("Tambourine",),
    "theremin": ("Theremin",),
    "tubular_bells": ("Tubular bells",),
    "wood_block": ("Wood block",),
    "zither": ("Zither",),
}


class AudioSetWorld(AudioSetPlugin):
    """AudioSet narrowed to music and 22 instruments of the whole world; every label observed."""

    name = "audioset-world"
    description = (
        "AudioSet, 13,704 music clips, 22 instruments that the 20 classes leave out, from sitar to"
        " theremin (the files of audioset20)"
    )
    class_labels = CLASS_LABELS
    auxiliary_labels = TWENTY
