"""A stored run that hears recordings, and recordings for it, made in a second."""

from pathlib import Path

import numpy as np
import soundfile

from benchmark.contracts.dataset import CLASSES, Dataset
from benchmark.plugins.checks import make_part
from benchmark.runs.request import RunRequest
from benchmark.runs.run import execute


def made_data(n_clips: int = 160) -> Dataset:
    """Made clips of log-mel's shape that are called "rendered", as their run has to hear."""
    part = make_part(n_clips, 5, n_features=128)
    numbers = np.arange(n_clips)
    y_mask = part.y_mask.copy()
    y_mask[:, CLASSES.index("voice")] = True
    return Dataset(
        name="rendered",
        X=part.X,
        y_true=part.y_true,
        y_mask=y_mask,
        keys=numbers.astype(str),
        groups=numbers.astype(str),
        partition=np.where(numbers % 4 < 3, "train", "test"),
        citation="none",
        licence="CC0",
        features="logmel",
    )


def store_of(folder: Path, *models: str) -> Path:
    """Run models on the made clips and return the store."""
    for model in models:
        record = execute(RunRequest(made_data(), model), folder)
        assert record.finished, record.error
    return folder


def song(path: Path, seconds: float = 25, rate: int = 44_100, channels: int = 2) -> Path:
    """Write changing noise into a file."""
    rng = np.random.default_rng(0)
    loud = rng.random(int(seconds) + 1).repeat(rate)[: round(seconds * rate)]
    signal = rng.normal(0, 0.1, (len(loud), channels)) * loud[:, None]
    soundfile.write(path, signal, rate)
    return path
