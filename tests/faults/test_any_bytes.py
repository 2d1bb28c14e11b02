"""Every reader is given random bytes, random JSON, and real files that were cut or changed."""

import hashlib
import io
import json
import resource
import shutil
import signal
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_audioset20 import label_names, write_labels
from test_reading import write_clip
from test_store import make_record

from benchmark.audio import files as audio
from benchmark.datasets.reading import archive, audioset
from benchmark.datasets.reading.tfrecord import read_records
from benchmark.errors import PolytimbreError
from benchmark.features import embeddings
from benchmark.reading.files import read_json, read_text
from benchmark.reading.npz import load_npz
from benchmark.reading.pickled import parse_pickled_strings
from benchmark.runs import published as published_runs
from benchmark.runs.files import read_arrays, sha256
from benchmark.runs.published import PublishedSet
from benchmark.runs.record import Record, digest
from benchmark.tuning import storage
from reports.tables import results

EXPECTED = {"key": ("U", ("clips",)), "X": ("f4", ("clips", 4))}
#: Processor seconds that reading a small file may take, and MiB that all of them may.
SECONDS, MEMORY = 5, 200


def of_results(path: Path) -> None:
    """Read a published set's tables, for which its list vouches."""
    listed = {"format": 1, "complete": False, "runs": [], "audit": []}
    listed["files"] = {path.name: sha256(path)}
    sealed = {**listed, "digest": digest(listed)}
    (path.parent / "set.json").write_text(json.dumps(sealed))
    results.read(PublishedSet(path.parent))


def of_archive(path: Path) -> None:
    """Take a member out of an archive whose checksum is right."""
    checksum = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    with archive.unpacked(path, checksum, ["a.csv"], "top"):
        pass


def of_table(path: Path) -> None:
    """Read a shard as AudioSet's clips."""
    audioset.read_tfrecords(path.parent, TABLE)


TABLE = audioset.LabelTable(("/m/0000", "/m/0001"), {"Music": "/m/0000", "Speech": "/m/0001"})

#: Each reader, by the file that it is given: a name, and a real one's.
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "npz": ("a.npz", partial(load_npz, expected=EXPECTED, clips=100)),
    "stored arrays": ("a.npz", lambda path: read_arrays(path.read_bytes())),
    "embeddings": ("a.npz", embeddings.read),
    "embeddings in a table": ("a.parquet", embeddings.read),
    "embeddings in a folder": ("a.npy", lambda path: embeddings.read(path.parent)),
    "keys": ("a.pickle", lambda path: parse_pickled_strings(path.read_bytes())),
    "shard": ("a.tfrecord", lambda path: list(read_records(path))),
    "shards of clips": ("a.tfrecord", of_table),
    "table of labels": ("a.csv", audioset.read_label_table),
    "archive": ("a.tgz", of_archive),
    "JSON": ("a.json", partial(read_json, limit=10_000, advice="look")),
    "text": ("a.json", partial(read_text, limit=10_000, advice="look")),
    "record": ("record.json", lambda path: Record.from_json(path.read_text("utf-8", "replace"))),
    "a set's list": ("set.json", lambda path: PublishedSet(path.parent)),
    "results": ("results.json", of_results),
    "journal": ("a.journal", lambda path: storage.names(str(path))),
    "wav": ("a.wav", partial(audio.read, sample_rate=8000)),
    "flac": ("a.flac", partial(audio.read, sample_rate=8000)),
    "ogg": ("a.ogg", partial(audio.read, sample_rate=8000)),
    "mp4": ("a.mp4", partial(audio.read, sample_rate=8000)),
}


def real_files(folder: Path) -> None:
    """Write a real file for each reader."""
    names, X = np.array(["a", "b", "c"]), np.zeros((3, 4), np.float32)
    np.savez_compressed(folder / "a.npz", key=names, X=X)
    np.save(folder / "a.npy", X)
    keys = io.BytesIO()
    np.lib.format.write_array(keys, names.astype(object), allow_pickle=True)
    (folder / "a.pickle").write_bytes(keys.getvalue()[128:])
    write_clip(folder / "a.tfrecord", {}, {})
    write_labels(folder, label_names())
    (folder / audioset.LABELS).rename(folder / "a.csv")
    with tarfile.open(folder / "a.tgz", "w:gz") as made:
        made.add(folder / "a.csv", "top/a.csv")
    (folder / "a.json").write_text(json.dumps({"a": [1, {"b": None}]}))
    (folder / "record.json").write_text(make_record().to_json())
    for name in ("set.json", "results.json"):
        shutil.copy(published_runs.DEFAULT / "openmic2018" / name, folder / name)
    tone = np.sin(np.arange(4000) / 9).astype(np.float32)
    for name in ("a.wav", "a.flac", "a.ogg"):
        soundfile.write(folder / name, tone, 8000)
    (folder / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    (folder / "a.journal").write_text('{"op_code": 0, "worker_id": "a", "study_name": "b"}\n')
    with suppress(ImportError):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"key": names, "X": [*X]}), folder / "a.parquet")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The real files' contents, by name."""
    folder = tmp_path_factory.mktemp("real")
    real_files(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def quickly() -> Iterator[None]:
    """Fail what takes more processor time than a small file can need."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"reading took more than {SECONDS} s")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """A real file that was cut, and some bytes of which were changed."""
    some = bytearray(content[: draw(st.integers(0, len(content)))])
    for _ in range(draw(st.integers(0, 4)) if some else 0):
        some[draw(st.integers(0, len(some) - 1))] = draw(st.integers(0, 255))
    return bytes(some)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[*HealthCheck], database=None)
@given(st.data())
def test_any_file_is_read_or_refused(reader, real, data) -> None:
    name, read = READERS[reader]
    if name not in real:
        pytest.skip("needs the extra `parquet`")
    kinds = [st.binary(max_size=300), JSON.map(lambda value: json.dumps(value).encode())]
    content = data.draw(st.one_of(*kinds, changed(real[name]), changed(real[name])))
    # what checked arrays and keys raise, their callers name
    expected = ValueError if reader in ("stored arrays", "keys") else PolytimbreError
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder, quickly(), suppress(expected):
        path = Path(folder) / name
        path.write_bytes(content)
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MEMORY * 1024
