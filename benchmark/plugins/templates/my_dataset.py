"""My data set. It makes its clips up; replace what `load` does with reading your files.

``polytimbre check my_dataset`` holds this file against the contract, rule by rule;
``polytimbre run --dataset my_dataset`` and ``polytimbre compare`` run every model on it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import polytimbre as pt


class MyDataset(pt.DatasetPlugin):
    """Clips that are made up: each class raises features of its own."""

    #: The name that commands and tables use.
    name = "my_dataset"
    #: What `polytimbre list datasets` says of it, and how it is to be cited.
    description = "240 made-up clips of 4 classes, three quarters of the labels observed"
    citation = "none: the clips are made up"
    licence = "CC0-1.0"
    #: Names of its partitions into training and test clips. The first is the publisher's own
    #: and the default; any other is marked in every table.
    splits = ("official", "swapped")
    #: True where the data lies in a file or folder that `--data-root` names. It comes as `root`
    #: then; raise pt.DataError with one sentence where something is missing or damaged there.
    needs_root = False

    classes = ("cello", "flute", "piano", "voice")

    def load(self, root: Path | None, split: str) -> pt.Dataset:
        """Return the data set under one of its splits."""
        if split not in self.splits:
            raise pt.UnknownNameError("split", split, self.splits, where=f"of {self.name}")
        arrays = self._read(root)
        # 80 works of 3 clips each: 60 for training, 20 for the test, or the other way round.
        first = arrays["keys"] < "clip180"
        train = {"official": first, "swapped": ~first}[split]
        # The data set checks itself: shapes, types, NaN, relevance, keys, and that no group is
        # in both partitions.
        return pt.Dataset(
            name=self.name,
            partition=np.where(train, "train", "test"),
            classes=self.classes,
            citation=self.citation,
            licence=self.licence,
            split=split,
            official=split == self.splits[0],
            **arrays,
        )

    def _read(self, root: Path | None) -> Mapping[str, Any]:
        """Return features, labels, keys, groups and attributes; the same bits each time."""
        rng = np.random.default_rng(pt.derive_seed(0, self.name))
        n_clips, n_frames, n_features = 240, 10, 16
        y_true = (rng.random((n_clips, len(self.classes))) < 0.4).astype(np.float32)
        pattern = rng.normal(size=(len(self.classes), n_features))
        X = (y_true @ pattern)[:, None] + rng.normal(size=(n_clips, n_frames, n_features))
        return {
            # Frame-wise features, (n_clips, n_frames, n_features): uint8 or float32. A vector a
            # clip, such as an embedding, has one frame: X[:, None].
            "X": X.astype(np.float32),
            # Relevance in [0, 1], float32; a clip is positive from 0.5.
            "y_true": y_true,
            # True where somebody listened. What nobody listened for is not "absent".
            "y_mask": rng.random(y_true.shape) < 0.75,
            # A name for each clip, none twice.
            "keys": np.array([f"clip{i:03d}" for i in range(n_clips)]),
            # Artist, work or video: clips of one group never stand on both sides of a split.
            "groups": np.array([f"work{i // 3:02d}" for i in range(n_clips)]),
            # What else is known of a clip, for `polytimbre slices --by genre`; no model sees it.
            "attributes": {"genre": np.where(np.arange(n_clips) // 3 % 2, "folk", "jazz")},
            # benchmark/datasets/README.md names the other fields, such as where the audio is.
        }

    # A data set that can be downloaded brings
    #     def download(self, root: Path) -> Path:
    # for `polytimbre data download my_dataset`; it returns the path to pass as --data-root.
