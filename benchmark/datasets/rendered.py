"""The embedded data set: real scores on sampled instruments, orchestrated at random."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.contracts.dataset import CLASSES, Dataset, DatasetPlugin
from benchmark.datasets.reading.embedded import read_archive
from benchmark.errors import UnknownNameError

#: The committed features; ``benchmark/datasets/rendering`` rebuilds them bit for bit.
FILE = Path(__file__).with_name("rendered.npz")
#: Features of the same clips by musicnn.
MUSICNN = Path(__file__).with_name("rendered-musicnn.npz")
#: What is known of each clip beside its labels.
ATTRIBUTES = ("timbre", "codec", "room")


class Rendered(DatasetPlugin):
    """6,000 rendered clips, about a quarter of whose labels are observed."""

    name: ClassVar[str] = "rendered"
    description: ClassVar[str] = (
        "6,000 clips of 9.6 s rendered from real scores on sampled instruments, half of the test"
        " clips on timbres that training has not heard, about a quarter of the labels observed;"
        " embedded"
    )
    features: ClassVar[str] = "logmel"
    feature_files: ClassVar[dict[str, Path]] = {"musicnn": MUSICNN}
    citation: ClassVar[str] = (
        "Scores: M. S. Cuthbert and C. Ariza, music21: A Toolkit for Computer-Aided Musicology"
        " and Symbolic Music Data, ISMIR 2010. Rendered with pretty_midi (C. Raffel and D. P. W."
        " Ellis, ISMIR 2014 late-breaking) on FluidR3 (F. Wen, 2008), tonejs-instruments (N."
        " Brosowsky), Sonic Pi's samples, plucked strings (K. Karplus and A. Strong, 1983),"
        " TimGM6mb (T. Brechbill, 2004) and sf_GMbank."
    )
    licence: ClassVar[str] = (
        "Holds features, neither scores nor audio. Scores: music21's corpus, distributed with"
        " the encoders' permission; to its editors' best knowledge out of copyright in the"
        " United States or licensed for use, perhaps with limits on commercial use;"
        " the collections that state such limits were left out; one score, Corelli's op. 3"
        " no. 1, is marked CC BY. Samples: FluidR3,"
        " MIT; tonejs-instruments, CC BY 3.0; Sonic Pi's samples, CC0; TimGM6mb, GPL-2;"
        " sf_GMbank, public domain."
    )
    needs_root: ClassVar[bool] = False
    rendered: ClassVar[bool] = True
    complete: ClassVar[str | None] = "rendered-full"

    def load(self, root: Path | None = None, split: str = "official") -> Dataset:
        """Read the committed features and labels.

        Parameters
        ----------
        root : Path, optional
            Not used: the data set comes with the package.
        split : str
            ``"official"`` is the only one.

        Returns
        -------
        Dataset
            X uint8 (6000, 10, 128), from :func:`benchmark.features.logmel.logmel`; groups are
            musical works; the attribute ``instruments`` is how many of the classes sound.

        Raises
        ------
        DataError
            Where the file is missing or its SHA-256 is not the committed one.
        """
        if split not in self.splits:
            raise UnknownNameError("split", split, self.splits, where=f"of data set {self.name}")
        arrays = read_archive(FILE)
        labels = _unpack(arrays["labels"])
        return Dataset(
            name=self.name,
            # Stored as differences between features, modulo 256, which compress better.
            X=np.cumsum(arrays["band_differences"], axis=2, dtype=np.uint8),
            y_true=labels.astype(np.float32),
            y_mask=self._observed(arrays),
            keys=arrays["keys"],
            groups=arrays["groups"],
            partition=np.where(arrays["test"], "test", "train"),
            citation=self.citation,
            licence=self.licence,
            split=split,
            attributes={name: arrays[f"@{name}"] for name in ATTRIBUTES}
            | {"instruments": labels.sum(axis=1).astype(str)},
        )

    def render(self, key: str) -> tuple[np.ndarray, int]:
        """Render a clip again, which takes the extra ``render``."""
        from benchmark.datasets.rendering import render
        from benchmark.datasets.rendering.soundfonts import SAMPLE_RATE

        return render(int(key.rpartition("-")[2])).audio, SAMPLE_RATE

    @staticmethod
    def _observed(arrays: dict[str, np.ndarray]) -> np.ndarray:
        return _unpack(arrays["observed"])


class RenderedFull(Rendered):
    """The same clips and split with every label observed."""

    name: ClassVar[str] = "rendered-full"
    description: ClassVar[str] = (
        "the clips and the split of 'rendered' with every label observed; embedded"
    )
    complete: ClassVar[str | None] = None

    @staticmethod
    def _observed(arrays: dict[str, np.ndarray]) -> np.ndarray:
        return np.ones((len(arrays["keys"]), len(CLASSES)), dtype=bool)


def differing_clips(path: Path) -> list[str]:
    """Return the keys of the clips of another archive that differ from the embedded ones.

    Parameters
    ----------
    path : Path
        What :func:`benchmark.datasets.rendering.build` wrote, of all clips or the first ones.
    """
    embedded, other = read_archive(FILE), read_archive(path)
    differs = np.zeros(len(other["keys"]), dtype=bool)
    for name in ("keys", "labels", "observed", "band_differences", *(f"@{a}" for a in ATTRIBUTES)):
        unequal = other[name] != embedded[name][: len(differs)]
        differs |= unequal.reshape(len(differs), -1).any(axis=1)
    return other["keys"][differs].tolist()


def _unpack(bits: np.ndarray) -> np.ndarray:
    """Unpack labels stored as bits into bool, shape (n_clips, 20)."""
    return np.unpackbits(bits, axis=1, count=len(CLASSES)).astype(bool)
