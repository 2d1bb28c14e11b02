"""Compute a data set's features from its audio: each clip once, whatever is killed meanwhile.

Clips are computed in jobs of a few dozen. A job writes what it has computed as a file of its own
into a folder beside the target; when all clips are there they are put together.
"""

import hashlib
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.audio.files import open_recording
from benchmark.audio.windows import CLIP_FRAMES, cut
from benchmark.contracts.dataset import Dataset, DatasetPlugin
from benchmark.contracts.frontend import FrontEnd
from benchmark.contracts.model import Report
from benchmark.errors import DataError, PolytimbreError
from benchmark.features.pretrained import files
from benchmark.plugins import registry
from benchmark.reading.folders import working_folder
from benchmark.reading.npz import NpzReader
from benchmark.runs import extracted
from benchmark.workers.jobs import Executor, Job

#: Clips of a job: what is computed again where it is killed.
TOGETHER = 48


@dataclass(frozen=True)
class Clips:
    """Clips whose features one job computes.

    Attributes
    ----------
    dataset, front_end : str
        Names of the plugins.
    keys : tuple of str
    paths : tuple of Path, or None
        Their audio files; None where the data set renders its audio.
    """

    dataset: str
    front_end: str
    keys: tuple[str, ...]
    paths: tuple[Path, ...] | None


def extract(
    plugin: DatasetPlugin, dataset: Dataset, front_end: type[FrontEnd], executor: Executor
) -> Iterator[int]:
    """Compute the features that are not there yet.

    Parameters
    ----------
    plugin : DatasetPlugin
        Renders audio of which there are no files.
    dataset : Dataset
        On its own features.
    front_end : subclass of FrontEnd
    executor : Executor
        Its workers must see the cache folder and the audio at the same paths.

    Yields
    ------
    int
        How many clips have their features; the file of all is there when the iterator ends.

    Raises
    ------
    DataError
        Before anything is computed, where weights are missing or there is no audio; at the
        end, where clips can't be read. What was computed is kept.
    """
    import filelock

    target = extracted.path_of(dataset, front_end)
    files.installed(front_end.name, front_end.weights)
    parts = target.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_suffix(".lock")):
        if not extracted.checksum_of(target).exists():
            known = set(_keys_in(parts))
            yield len(known)
            jobs = list(_jobs(plugin, dataset, front_end, known, parts))
            yield from (len(known) + n for n in _compute(jobs, executor))
            _put_together(parts, dataset, front_end, target)
        shutil.rmtree(parts, ignore_errors=True)
    yield len(dataset)


def _jobs(
    plugin: DatasetPlugin,
    dataset: Dataset,
    front_end: type[FrontEnd],
    known: set[str],
    folder: Path,
) -> Iterator[Job]:
    # Clips of one work together: what renders them reads each score once.
    order = np.lexsort((dataset.keys, dataset.groups))
    keys = [key for key in dataset.keys[order].tolist() if key not in known]
    if keys and dataset.audio_path is None and type(plugin).render is DatasetPlugin.render:
        plugin.render(keys[0])  # which says that there is no audio
    for start in range(0, len(keys), TOGETHER):
        some = tuple(keys[start : start + TOGETHER])
        paths = None if dataset.audio_path is None else tuple(map(dataset.audio_path, some))
        clips = Clips(plugin.name, front_end.name, some, paths)
        yield Job(some[0], compute, (clips, folder))


def _compute(jobs: Sequence[Job], executor: Executor) -> Iterator[int]:
    """Yield how many clips are done, of all jobs."""
    done: dict[str, int] = {}
    failed: list[str] = []
    with closing(executor.run(jobs)) as events:
        for event in events:
            if event.kind == "stage":
                done[event.key] = event.value
                yield sum(done.values())
            elif event.kind == "done":
                failed += event.value
            elif event.kind in ("refused", "crashed"):
                raise PolytimbreError(f"{event.value}; the same command goes on from here")
    if failed:
        raise DataError(
            f"{len(failed)} clip(s) have no features, the first because {failed[0]}. The others"
            " are kept: mend these, and give the same command again"
        )


def compute(clips: Clips, folder: Path, report: Report) -> list[str]:
    """Compute some clips' features into a file of their own; a worker runs it.

    Returns
    -------
    list of str
        Why clips can't be used, a sentence for each.
    """
    front_end = registry.frontends().get(clips.front_end)()
    plugin = registry.datasets().get(clips.dataset)()
    keys, rows, failed = [], [], []
    for i, key in enumerate(clips.keys):
        try:
            rows.append(features_of(plugin, front_end, key, clips.paths and clips.paths[i]))
            keys.append(key)
        except DataError as error:
            failed.append(str(error))
        report(i + 1)
    if keys:
        temporary = folder / f"{uuid.uuid4().hex}.tmp"
        with temporary.open("wb") as file:
            np.savez(file, key=np.array(keys), X=np.stack(rows))
        temporary.replace(temporary.with_suffix(".npz"))
    return failed


def features_of(
    plugin: DatasetPlugin, front_end: FrontEnd, key: str, path: Path | None
) -> np.ndarray:
    """Hear a clip as a recording is heard: its first window, repeated where it is shorter."""
    if path is None:
        signal, sample_rate = plugin.render(key)
        blocks = iter([signal.astype(np.float32)])
    else:
        recording = open_recording(path)
        blocks, sample_rate = recording.blocks(), recording.sample_rate
    window = next(cut(blocks, sample_rate, (front_end,), CLIP_FRAMES, CLIP_FRAMES))
    return front_end.extract(window.signals[0])


def _shards(folder: Path) -> Iterator[Path]:
    for temporary in folder.glob("*.tmp"):
        temporary.unlink(missing_ok=True)
    yield from sorted(folder.glob("*.npz"))


def _keys_in(folder: Path) -> Iterator[str]:
    """Yield the clips that are done; what a full disk cut off is removed."""
    for shard in _shards(folder):
        try:
            with NpzReader(shard) as npz:
                yield from npz.read("key", "U", npz.shape("key")).tolist()
                npz.shape("X")
        except DataError:
            shard.unlink()


def _put_together(parts: Path, dataset: Dataset, front_end: type[FrontEnd], target: Path) -> None:
    """Write the file of all clips, holding one job's features at a time."""
    row_of = {key: row for row, key in enumerate(dataset.keys.tolist())}
    shape = len(dataset), CLIP_FRAMES, front_end.n_features
    dtype = np.dtype(front_end.dtype)
    missing = np.ones(len(dataset), dtype=bool)
    with working_folder(target.parent) as folder:
        whole, archive = folder / "X.npy", folder / "all.npz"
        X = np.lib.format.open_memmap(whole, "w+", dtype, shape)
        for shard in _shards(parts):
            with NpzReader(shard) as npz:
                n_clips = npz.shape("key")[0]
                rows = [row_of[key] for key in npz.read("key", "U", (n_clips,)).tolist()]
                X[rows] = npz.read("X", dtype.str[1:], (n_clips, *shape[1:]))
            missing[rows] = False
        if missing.any():
            raise DataError(
                f"the features of {missing.sum()} clip(s) are not in {parts}, where all workers"
                " must write: name a folder that they share in POLYTIMBRE_CACHE, on each"
            )
        X.flush()
        del X
        with zipfile.ZipFile(archive, "w") as file, (folder / "key.npy").open("wb") as keys:
            np.save(keys, dataset.keys, allow_pickle=False)
            keys.flush()
            for member in ("key.npy", "X.npy"):
                file.write(folder / member, member)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        archive.replace(target)
    noted = extracted.checksum_of(target).with_suffix(".tmp")
    noted.write_text(f"{digest}  {target.name}\n", encoding="ascii")
    noted.replace(extracted.checksum_of(target))
