"""Rows: data sets, embeddings and recordings that others wrote."""

import io
import os
import shutil
import struct

import numpy as np
from openmic_replica import KEYS, object_member, pickled_keys, rewrite, write_small
from row import FAULT, Place, Row
from stores import flip, folder, half, huge, link, pipe
from test_audioset20 import label_names, made_segment, write_labels, write_npz, write_shards
from test_reading import VARIANTS, claiming, npy_header, write_clip, write_zeros

VERIFY = "data verify {} --data-root {{place}}/data"
OPENMIC, AUDIOSET = VERIFY.format("openmic2018"), VERIFY.format("audioset20")
GIB = 1 << 28


def openmic(place: Place):
    if not (place.path / "data").exists():
        write_small(place.path / "data")
    return place.path / "data" / "openmic-2018.npz"


def of_openmic(name: str, change):
    def arrange(place: Place) -> None:
        change(openmic(place).with_name(name) if "/" not in name else openmic(place).parent / name)

    return arrange


def audioset(place: Place):
    root = place.path / "data"
    root.mkdir()
    mids = write_labels(root, label_names())
    for seed, segment in enumerate(("bal_train", "eval")):
        write_npz(root / f"{segment}_vggish.npz", made_segment(seed), mids)
    return root / "bal_train_vggish.npz"


def shards(place: Place):
    root = place.path / "data"
    root.mkdir()
    write_labels(root, label_names())
    for seed, segment in enumerate(("bal_train", "eval")):
        write_shards(root / segment, made_segment(seed))
    return root / "bal_train" / "0.tfrecord"


def array(values) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def member(**arrays):
    """Put other arrays in the place of OpenMIC's."""
    if isinstance(keys := arrays.get("sample_key"), np.ndarray):
        arrays["sample_key"] = array(keys)
    return lambda place: rewrite(openmic(place).parent, **arrays)


def bad(done: str, command: str, arrange, *says: str, cause: int = 32, **more) -> Row:
    return Row(cause, done, command, says, arrange, **more)


def many(name: str, header, n_bytes: int, of=openmic, **others):
    return lambda place: write_zeros(of(place), name, header, n_bytes, **others)


META, MAP, TRAIN = "openmic-2018-metadata.csv", "class-map.json", "partitions/split01_train.csv"
ROWS_1280 = GIB // 1280
BOUNDED = [
    bad("features of 1 MB that hold 256 MiB", OPENMIC,
        many("X", npy_header((ROWS_1280, 10, 128), "|u1"), ROWS_1280 * 1280), "openmic-2018.npz",
        cause=10, slow=True),
    bad("features for 10^12 clips", OPENMIC,
        many("X", npy_header((10**12, 10, 128), "|u1"), 0, sample_key=pickled_keys(KEYS),
             Y_true=b"", Y_mask=b""), "openmic-2018.npz", cause=10),
    bad("a shard that claims 3 GiB", AUDIOSET, lambda p: shards(p).write_bytes(claiming(3 << 30)),
        "0.tfrecord is damaged at record 0", cause=10),
    bad("a shard that claims 2^63 bytes", AUDIOSET,
        lambda p: shards(p).write_bytes(claiming(1 << 63)), "0.tfrecord is damaged", cause=10),
    bad("labels for 10^12 clips", "audit --labels {place}/labels.npz",
        lambda p: write_zeros(p.path / "labels.npz", "label", npy_header((10**12, 20), "|i1"), 0),
        "labels.npz", cause=10),
    bad("labels of 1 TB, without runs", "audit --labels {place}/labels.npz",
        lambda p: huge(p.write("labels.npz", "x")), "that such a file can have", cause=10),
    bad("features of 1 TB", OPENMIC, lambda p: huge(openmic(p)), "that such a file can have",
        cause=10),
    bad("a shard of 1 TB", AUDIOSET, lambda p: huge(shards(p)), "that such a file can have",
        cause=10),
    bad("metadata of 1 TB", OPENMIC, of_openmic(META, huge), "that such a file can have",
        cause=10),
]  # fmt: skip

SPECIAL = [
    bad(f"{what} in the place of {name}", OPENMIC, of_openmic(name, change), *says, cause=16,
        kind=FAULT)
    for name in (META, MAP, TRAIN)
    for what, change, says in (
        ("a FIFO", pipe, (name.split("/")[-1], "FIFO")),
        ("a device", lambda path: link(path, "/dev/zero"), (name.split("/")[-1], "device")),
        ("a folder", folder, (name.split("/")[-1],)),
    )
] + [
    bad("a FIFO in the place of features", OPENMIC, lambda p: pipe(openmic(p)),
        "holds neither openmic-2018.npz nor", cause=16, kind=FAULT),
    bad("a FIFO in the place of a shard", AUDIOSET, lambda p: pipe(shards(p)), "0.tfrecord",
        cause=16, kind=FAULT),
    bad("a FIFO in the place of labels", "audit --labels {place}/labels.npz",
        lambda p: os.mkfifo(p.path / "labels.npz"), "it is a FIFO", cause=16, kind=FAULT),
]  # fmt: skip

FILES = [
    bad("no file of features", OPENMIC, lambda p: openmic(p).unlink(), "holds neither"),
    bad("features cut in half", OPENMIC, lambda p: half(openmic(p)), "openmic-2018.npz"),
    bad("features with a bit changed", OPENMIC, lambda p: flip(openmic(p), 3000),
        "openmic-2018.npz"),
    bad("a pickle in the place of keys", OPENMIC, member(sample_key=object_member(
        12, b"cposix\nsystem\n(S'touch mark'\ntR.")), "is a pickle that holds",
        "nothing of it was run", then=">>>import os\nassert not os.path.exists('mark')", cause=25),
    bad("keys that are numbers", OPENMIC, member(sample_key=np.arange(12)), "'sample_key'"),
    bad("labels of another shape", OPENMIC, member(Y_true=np.zeros((12, 19))), "'Y_true'"),
    bad("labels that are NaN", OPENMIC, member(Y_true=np.full((12, 20), np.nan)), "y_true"),
    bad("a class map of another order", OPENMIC, of_openmic(
        MAP, lambda path: path.write_text('{"voice": 0}')), "class-map.json"),
    bad("a class map cut in half", OPENMIC, of_openmic(MAP, half), "class-map.json is no JSON"),
    bad("a class map nested 100,000 deep", OPENMIC, of_openmic(
        MAP, lambda path: path.write_text("[" * 100_000)), "nested too deeply", cause=11),
    bad("metadata that are no UTF-8", OPENMIC, of_openmic(
        META, lambda path: path.write_bytes(b"\xff\xfe\x00")), META),
    bad("metadata without a clip", OPENMIC, of_openmic(
        META, lambda path: path.write_text("sample_key,artist_id\n")), META),
    bad("a partition that is empty", OPENMIC, of_openmic(
        TRAIN, lambda path: path.write_text("")), "'split01'", "must list each clip once"),
    bad("a partition with an unknown clip", OPENMIC, of_openmic(
        TRAIN, lambda path: path.write_text("nobody\n")), "'split01'", "must list each clip"),
    bad("metadata with a byte order mark", OPENMIC, of_openmic(
        META, lambda path: path.write_text(path.read_text(), encoding="utf-8-sig")),
        "holds to its contract", code=0),
    bad("a table of labels without columns", AUDIOSET, lambda p: shards(p).parents[1].joinpath(
        "class_labels_indices.csv").write_text("a,b\n1,2\n"), "class_labels_indices.csv"),
    bad("no table of labels", AUDIOSET, lambda p: shards(p).parents[1].joinpath(
        "class_labels_indices.csv").unlink(), "class_labels_indices.csv is missing"),
    bad("half a data set", AUDIOSET, lambda p: shutil.rmtree(shards(p).parents[1] / "eval"),
        "eval"),
    bad("a folder without shards", AUDIOSET, lambda p: [
        path.unlink() for path in shards(p).parent.iterdir()], "holds no .tfrecord shard"),
    bad("a file that macOS leaves beside a shard", AUDIOSET, lambda p: shards(p).with_name(
        "._0.tfrecord").write_bytes(b"\0\5\x16\7" * 100), "holds to its contract", code=0),
    bad("an .npz of features cut in half", AUDIOSET, lambda p: half(audioset(p)),
        "bal_train_vggish.npz"),
    bad("labels in an archive without rows", "audit --labels {place}/labels.npz",
        lambda p: np.savez(p.path / "labels.npz", sample_key=np.zeros(0, str),
                           label=np.zeros((0, 20), np.int8)), "labels.npz", cause=17),
    bad("labels of other values", "audit --labels {place}/labels.npz",
        lambda p: np.savez(p.path / "labels.npz", sample_key=np.array(["a"]),
                           label=np.full((1, 20), 7, np.int8)), "labels of 1, -1 and 0"),
    bad("labels without the list of test clips", "audit --labels {place}/labels.npz",
        lambda p: np.savez(p.path / "labels.npz", sample_key=np.array(["a"]),
                           label=np.zeros((1, 20), np.int8)), "split01_test.csv is missing"),
    bad("an archive with a path outside", "audit --labels {place}/data.tgz",
        lambda p: hostile_archive(p.path / "data.tgz"), "data.tgz", cause=3),
    bad("an archive cut in half", "audit --labels {place}/data.tgz",
        lambda p: p.write("data.tgz", b"\x1f\x8b" + bytes(50)), "data.tgz"),
]  # fmt: skip

SHARDS = [
    bad(f"a changed byte of a shard at {place}", AUDIOSET, lambda p, at=place: flip(shards(p), at),
        "0.tfrecord is damaged at record", "checksum", cause=24)
    for place in (20, -3, -60)
] + [
    bad("a shard cut in half", AUDIOSET, lambda p: half(shards(p)), "0.tfrecord is damaged",
        cause=24),
    bad("a shard that is empty", AUDIOSET, lambda p: [
        path.write_bytes(b"") for path in shards(p).parent.iterdir()], "hold no clip", cause=24),
    *(
        bad(f"a shard with {name}", AUDIOSET, lambda p, v=variant: write_clip(shards(p), *v[:2]),
            "0.tfrecord: record 0 is no clip", cause=24 if "index" in name else 32)
        for name, variant in VARIANTS.items()
    ),
]  # fmt: skip


def hostile_archive(path) -> None:
    import tarfile

    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("../../escaped")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))


X, NAMES = np.zeros((3, 4), np.float32), np.array(["a", "b", "c"])
READ = ">>>from pathlib import Path\nfrom benchmark.features.embeddings import read\n"
READ += "read(Path('{place}/some.npz'))"


def embeddings(done: str, arrange, *says: str, cause: int = 10, name="some.npz", **more) -> Row:
    read = READ.replace("some.npz", name)
    return Row(cause, f"embeddings: {done}", read, (name, *says), arrange, **more)


def save(**arrays):
    return lambda place: np.savez(place.path / "some.npz", **{"key": NAMES, "X": X, **arrays})


def in_folder(done: str, change, *says: str, **more) -> Row:
    """A folder of an array a clip, the second of which was changed."""

    def arrange(place: Place) -> None:
        for name in "ab":
            place.write(f"some/{name}.npy", array(X[0]))
        change(place.path / "some" / "b.npy")

    told = "some/b.npy", *says
    return Row(10, f"embeddings in a folder: {done}", READ.replace("some.npz", "some"), told,
               arrange, **more)  # fmt: skip


EMBEDDINGS = [
    in_folder("a file of 1 TB", huge, "that such a file can have"),
    in_folder("10^12 values in a header", lambda path: path.write_bytes(
        npy_header((10**12,), "<f4")), "holds 0 bytes, its header says another number"),
    in_folder("a header that is cut", lambda path: path.write_bytes(path.read_bytes()[:40]),
              "can't be read"),
    in_folder("another shape", lambda path: np.save(path, X), "all clips' must be alike"),
    in_folder("a pickle", lambda path: np.save(path, np.array([None])), "never loaded"),
    in_folder("a FIFO", pipe, "it is a FIFO", kind=FAULT),
    in_folder("a device", lambda path: link(path, "/dev/zero"), "it is a device", kind=FAULT),
    in_folder("a folder", folder, "it is a folder", kind=FAULT),
    embeddings("a FIFO", lambda p: os.mkfifo(p.path / "some.npz"), "it is a FIFO", cause=16,
               kind=FAULT),
    embeddings("a device", lambda p: link(p.write("some.npz", "x"), "/dev/zero"),
               "it is a device", cause=16, kind=FAULT),
    embeddings("1 TB", lambda p: huge(p.write("some.npz", "x")), "that such a file can have"),
    embeddings("256 MiB of zeros", lambda p: write_zeros(
        p.path / "some.npz", "X", npy_header((1 << 20, 64), "<f4"), GIB, key=array(NAMES)),
        "claims to hold", slow=True),
    embeddings("10^12 rows in a header", lambda p: write_zeros(
        p.path / "some.npz", "X", npy_header((10**12, 4), "<f4"), 0, key=array(NAMES)),
        "holds 0 bytes, its header says"),
    embeddings("a pickle", save(key=np.array(["a", None], object)), "never loaded", cause=25),
    embeddings("text", lambda p: p.write("some.npz", "a,b\n"), "is not a readable .npz file",
               cause=32),
    embeddings("no rows", save(key=NAMES[:0], X=X[:0]), "0 keys", cause=32),
    embeddings("a key twice", save(key=np.array(["a", "b", "a"])), "'a' is there twice", cause=32),
    embeddings("other numbers of keys", save(key=NAMES[:2]), "2 keys", cause=32),
    embeddings("complex numbers", save(X=X.astype(complex)), "complex128", cause=32),
    embeddings("four axes", save(X=np.zeros((3, 1, 2, 2))), "must have shape", cause=32),
    embeddings("no features", lambda p: np.savez(p.path / "some.npz", key=NAMES), "'X' is missing",
               cause=32),
    embeddings("a parquet file of text", lambda p: p.write("some.parquet", "text"),
               "can't be read", cause=32, name="some.parquet"),
    embeddings("a parquet file that is a FIFO", lambda p: os.mkfifo(p.path / "some.parquet"),
               "it is a FIFO", cause=16, name="some.parquet", kind=FAULT),
    embeddings("another kind of file", lambda p: p.write("some.csv", "text"), "is no embeddings",
               cause=32, name="some.csv"),
]  # fmt: skip

HEAR = ">>>from pathlib import Path\nfrom benchmark.audio.files import read\n"
HEAR += "read(Path('{place}/NAME'), 16000)"


def audio(done: str, arrange, *says: str, name: str = "a.wav", cause: int = 32, **more) -> Row:
    return Row(cause, f"a recording: {done}", HEAR.replace("NAME", name), (name, *says), arrange,
               **more)  # fmt: skip


def tone(name: str, share: float = 1.0, **options):
    def arrange(place: Place) -> None:
        import soundfile

        signal = np.sin(np.arange(60_000) / 20).astype(np.float32)
        soundfile.write(place.path / name, signal, 20_000, **options)
        content = (place.path / name).read_bytes()
        (place.path / name).write_bytes(content[: round(share * len(content))])

    return arrange


def wave(place: Place, frames: int, channels: int = 1, rate: int = 8000, data: int = 0) -> None:
    """A header that claims so many frames, and so many bytes behind it."""
    size = min(frames * channels * 2, 2**32 - 40)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1,
                       channels, rate, rate * 2 * channels % 2**32, 2 * channels % 2**16, 16,
                       b"data", size)  # fmt: skip
    place.write("a.wav", head + bytes(data))


AUDIO = [
    audio("a FIFO", lambda p: os.mkfifo(p.path / "a.wav"), "it is a FIFO", cause=16, kind=FAULT),
    audio("a device", lambda p: link(p.write("a.wav", "x"), "/dev/zero"), "it is a device",
          cause=16, kind=FAULT),
    audio("missing", None, "is missing"),
    audio("empty", lambda p: p.write("a.wav", b""), "is empty (0 bytes)"),
    audio("text", lambda p: p.write("a.wav", "no audio"), "is not audio that can be read"),
    audio("a header of 2 GB", lambda p: wave(p, 10**9), "a.wav", cause=10),
    audio("1,000 channels", lambda p: wave(p, 1000, 1000), "a.wav", cause=10),
    audio("no sample", lambda p: wave(p, 0), "0 sample(s)"),
    audio("a rate of 0", lambda p: wave(p, 100, rate=0, data=200), "a.wav"),
    audio("a rate of 4 GHz", lambda p: wave(p, 100, rate=2**32 - 1, data=200), "a.wav", cause=10),
    audio("a third of a wav", tone("a.wav", 0.3), "truncated"),
    audio("a third of a flac", tone("a.flac", 0.3), "truncated", name="a.flac"),
    audio("a third of an ogg", tone("a.ogg", 0.3), "truncated", name="a.ogg"),
    audio("text as mp4", lambda p: p.write("a.mp4", "no audio"), "is not audio", name="a.mp4"),
]  # fmt: skip

OVER = "{place}/a.wav would be written over, and is what is read"
STILL_SOUND = ">>>import soundfile\nassert soundfile.info('a.wav').frames == 60_000"
PREDICT = "predict {place}/a.wav --run {guess0}"
HEARD = [
    Row(32, "a run on features that no audio has", PREDICT, ("can't be computed from audio",),
        tone("a.wav")),
    Row(32, "a folder without recordings", HEAR.replace("import read", "import find_recordings")
        .replace("read(Path('{place}/NAME'), 16000)", "find_recordings(Path('{place}/none'))"),
        ("none holds no audio file",), lambda p: (p.path / "none").mkdir()),
    *(
        Row(6, f"what was heard, {option} into {what}", f"predict {{place}}/a.wav {option} {name}",
            says, tone("a.wav"), then=STILL_SOUND, kind=FAULT)
        for option in ("--out", "--timeline", "--figure")
        for what, name, says in (
            ("the recording", "{place}/a.wav", (OVER,)),
            ("a folder", "{place}/store", ("it is a folder",)),
            ("a folder that isn't there", "{place}/no/b", ("there is no folder {place}/no",)),
        )
    ),
    Row(6, "label tracks of two files that are called alike",
        "predict {place}/a.wav {place}/b/a.wav --format audacity --out {place}/tracks",
        ("a.wav and", "would both be written to {place}/tracks/a.txt"),
        lambda p: (tone("a.wav")(p), (p.path / "b").mkdir(), tone("b/a.wav")(p))),
    Row(31, "an unknown run to hear with", "predict {place}/x.wav --run zzz", ("unknown run",),
        Place.sound),
    Row(1, "a failed run to hear with", "predict {place}/x.wav --run {raises0}", ("failed",),
        Place.sound),
]  # fmt: skip

ROWS = [*BOUNDED, *SPECIAL, *FILES, *SHARDS, *EMBEDDINGS, *AUDIO, *HEARD]
