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
from numpy.lib import format as npy

from benchmark.audio.files import open_recording
from benchmark.audio.windows import CLIP_FRAMES, cut
from benchmark.contracts.dataset import Dataset, DatasetPlugin
from benchmark.contracts.frontend import FrontEnd
from benchmark.contracts.model import Report
from benchmark.errors import DataError, PolytimbreError
from benchmark.features.pretrained import files
from benchmark.plugins import registry
from benchmark.reading.npz import NpzReader
from benchmark.runs import extracted
from benchmark.workers.jobs import Executor, Job

#: Clips of a job: what is computed again where it is killed.
TOGETHER = 48
_SHARED = "where all workers must write: name a folder that they share in POLYTIMBRE_CACHE, on each"


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
    with files.writing():
        parts.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_suffix(".lock")).acquire()
    with lock:
        if extracted.damage(target):
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

    Raises
    ------
    DataError
        Where what was computed can't be kept.
    """
    if not folder.is_dir():
        raise DataError(f"a worker has no folder {folder}, {_SHARED}")
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
        with files.keeping(folder / f"{uuid.uuid4().hex}.npz") as beside:
            np.savez(beside, key=np.array(keys), X=np.stack(rows))
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


def _keys_in(folder: Path) -> Iterator[str]:
    """Yield the clips that are done; what is damaged is removed."""
    for shard in sorted(folder.glob("*.npz")):
        try:
            with NpzReader(shard) as npz:
                npz.shape("X")
                yield from npz.read("key", "U", npz.shape("key")).tolist()
        except DataError:
            shard.unlink()


def _put_together(parts: Path, dataset: Dataset, front_end: type[FrontEnd], target: Path) -> None:
    """Write the file of all clips, holding one job's features at a time."""
    row_of = {key: row for row, key in enumerate(dataset.keys.tolist())}
    shape = len(dataset), CLIP_FRAMES, front_end.n_features
    dtype = np.dtype(front_end.dtype)
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    missing = np.ones(len(dataset), dtype=bool)
    with files.keeping(target) as archive:
        folder = archive.parent
        with (folder / "X.npy").open("wb") as file:  # mapped, a full disk would kill the process
            npy.write_array_header_1_0(file, header)
            start = file.tell()
            for shard in sorted(parts.glob("*.npz")):
                with NpzReader(shard) as npz:
                    n_clips = npz.shape("key")[0]
                    rows = [row_of[key] for key in npz.read("key", "U", (n_clips,)).tolist()]
                    X = npz.read("X", dtype.str[1:], (n_clips, *shape[1:]))
                for row, clip in zip(rows, X, strict=True):
                    file.seek(start + row * clip.nbytes)
                    file.write(clip.tobytes())
                missing[rows] = False
        if missing.any():
            raise DataError(
                f"the features of {missing.sum()} clip(s) are not in {parts}, {_SHARED}"
            )
        with zipfile.ZipFile(archive, "w") as file, (folder / "key.npy").open("wb") as keys:
            np.save(keys, dataset.keys, allow_pickle=False)
            keys.flush()
            for member in ("key.npy", "X.npy"):
                file.write(folder / member, member)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    with files.keeping(extracted.checksum_of(target)) as noted:
        noted.write_text(f"{digest}  {target.name}\n", encoding="ascii")
