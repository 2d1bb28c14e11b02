"""Rows: stores whose files were changed, cut, swapped, or are of another kind."""

import os
import shutil
import zipfile

import numpy as np
from row import FAULT, Place, Row

RUN = "run --dataset tiny --model guess --seeds 2 --workers 0"
LIST = "list runs"
NEXT = "compare --model guess --model dial --resamples 100"
AGAIN = "run --dataset tiny --model guess --seeds 2 --workers 0"
AFTER = "`polytimbre run` computes it again"
LEFT = "It is left out here"


def record(place: Place):
    return place.folder("guess0") / "record.json"


def scores(place: Place):
    return place.folder("guess0") / "scores.npz"


def half(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, at: int = 200) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def link(path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)


def pipe(path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path) -> None:
    path.unlink()
    path.mkdir()


def huge(path) -> None:
    """A file of 1 TB that takes no place on the disk."""
    with path.open("r+b") as file:
        file.truncate(1 << 40)


def zeros(path, mib: int = 1024) -> None:
    """An archive of about 1 MB that holds 1 GiB of zeros."""
    header = np.lib.format
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("test.npy", "w", force_zip64=True) as stream,
    ):
        about = {"descr": "<f4", "fortran_order": False, "shape": (mib << 10, 256)}
        header.write_array_header_1_0(stream, about)
        for _ in range(mib):
            stream.write(bytes(1 << 20))


def damaged(done: str, arrange, *says: str, kind: str = FAULT, cause: int = 1, **more) -> Row:
    """A run that is damaged: the others are listed, it is named, and run again."""
    return Row(
        cause, f"{done}, then listed", LIST, ("run {guess0} is damaged", *says, LEFT, AFTER),
        arrange, code=0, kind=kind, then=AGAIN, **more,
    )  # fmt: skip


def left(done: str, arrange, *says: str, cause: int = 1, **more) -> Row:
    """A run that can't be opened, but may be sound: it is named and left."""
    return Row(
        cause, f"{done}, then listed", LIST, ("run {guess0} can't be read", *says, "it stays"),
        arrange, code=0, kind=FAULT, never=("damaged", "computes it again"), **more,
    )  # fmt: skip


def unsound(done: str, says: str, **change) -> Row:
    """A record that was changed and sealed again."""
    return damaged(
        f"a record resealed with {done}", lambda p: p.reseal("guess0", lambda r: r.update(change)),
        says, kind="bad input", cause=15,
    )  # fmt: skip


def rewrite_scores(change) -> None:
    """Change scores and let the record vouch for them."""

    def arrange(place: Place) -> None:
        from benchmark.runs.files import sha256

        with np.load(scores(place)) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(scores(place), **arrays)
        own = {"scores.npz": sha256(scores(place))}
        place.reseal("guess0", lambda r: r["files"].update(own))

    return arrange


def rewrite_labels(change):
    def arrange(place: Place) -> None:
        with np.load(place.labels) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez_compressed(place.labels, **arrays)

    return arrange


def more_labels(arrays) -> None:
    """Turn forty labels of the test part around, as a silent change of a mAP would."""
    y_true = arrays["test_y_true"]
    y_true[:2] = 1 - y_true[:2]


def labels(done: str, arrange, *says: str, kind: str = "bad input", cause: int = 2) -> Row:
    return Row(
        cause, f"labels {done}", NEXT,
        ("the labels {store}/labels/", *says, "Run `polytimbre run`"), arrange, kind=kind,
        then="run --dataset tiny --model guess --model dial --seed 0 --seed 1 --workers 0",
    )  # fmt: skip


def bad_scores(done: str, change, *says: str) -> Row:
    return Row(
        2, f"scores that {done}", "compare --model guess --resamples 100",
        ("run {guess0} is damaged: its scores.npz", *says), rewrite_scores(change),
    )  # fmt: skip


DAMAGED = [
    damaged("a record cut in half", lambda p: half(record(p)), "not valid JSON"),
    damaged("an empty record", lambda p: record(p).write_bytes(b""), "not valid JSON"),
    damaged("a record of something else", lambda p: record(p).write_text('{"a": 1}'),
            "its record lacks 'digest'"),
    damaged("a record that is missing", lambda p: record(p).unlink(), "record.json is missing"),
    damaged("a digit of a record changed", lambda p: record(p).write_text(
        record(p).read_text().replace('"seed": 0', '"seed": 1')), "does not match its digest"),
    damaged("a record of bytes that are no text", lambda p: record(p).write_bytes(b"\xff\xfe\0"),
            "not UTF-8 text"),
    damaged("a record of another run", lambda p: shutil.copy(
        p.folder("guess1") / "record.json", record(p)), "its folder holds the record of run"),
    damaged("scores cut in half", lambda p: half(scores(p)), "scores.npz does not match"),
    damaged("a bit of scores changed", lambda p: flip(scores(p)), "scores.npz does not match"),
    damaged("scores that are missing", lambda p: scores(p).unlink(), "scores.npz is missing"),
    damaged("a model's file changed", lambda p: flip(p.folder("guess0") / "model/weight.json", 5),
            "model/weight.json does not match"),
    damaged("scores in the place of another run's", lambda p: shutil.copy(
        p.folder("guess1") / "scores.npz", scores(p)), "scores.npz does not match"),
    damaged("a record nested 100,000 deep", lambda p: record(p).write_text(
        "[" * 100_000 + "]" * 100_000), "nested too deeply", cause=11),
    damaged("a record of a hundred thousand open objects", lambda p: record(p).write_text(
        '{"a":' * 100_000), "nested too deeply", cause=11),
    damaged("a record of a number with a million digits", lambda p: record(p).write_text(
        "1" * 1_000_000), "record", cause=11, kind="bad input"),
    Row(1, "a damaged run, then compared", NEXT, ("run {guess0} is damaged",),
        lambda p: half(record(p)), code=0, kind=FAULT),
    Row(1, "a damaged run, then shown", "show {guess0}", ("run {guess0} is damaged",),
        lambda p: half(record(p)), kind=FAULT),
    Row(1, "a damaged run, then predicted with", "predict {place}/x.wav --run {guess0}",
        ("run {guess0} is damaged",), lambda p: (p.sound(), half(scores(p))), kind=FAULT),
    Row(1, "a damaged run, then reproduced", "reproduce {guess0} --store {store}",
        ("run {guess0} is damaged",), lambda p: half(record(p)), kind=FAULT),
    Row(1, "a damaged run, then published", "publish {guess0} --results {place}/new",
        ("run {guess0} is damaged",), lambda p: half(scores(p)), kind=FAULT),
    Row(1, "a damaged run, then run again", AGAIN,
        ("run {guess0} is damaged", "computed again", "{store}/aside"),
        lambda p: half(scores(p)), code=0, kind=FAULT, kept=False, then=NEXT),
    left("a record of a newer format", lambda p: p.reseal("guess0", lambda r: r.update(format=99)),
         "format 99, written by a newer polytimbre", "Install the newer one"),
    left("a record that is a device", lambda p: link(record(p), "/dev/zero"),
         "not a file", cause=16),
    left("a record that is a FIFO", lambda p: pipe(record(p)), "not a file", cause=16),
    left("scores that are a FIFO", lambda p: pipe(scores(p)), "not a file", cause=16),
    left("scores that are a device", lambda p: link(scores(p), "/dev/zero"),
         "not a file", cause=16),
    left("scores that are a folder", lambda p: folder(scores(p)), "not a file", cause=16),
    left("a record that is a link to itself", lambda p: link(record(p), "record.json"),
         "can't be opened", cause=16),
    left("a record of 1 TB", lambda p: huge(record(p)), "that such a file can have", cause=10),
    left("scores of 1 TB", lambda p: huge(scores(p)), "that such a file can have", cause=10),
    left("a model's file of 1 TB", lambda p: huge(p.folder("guess0") / "model/weight.json"),
         "that such a file can have", cause=10),
    Row(1, "a newer record, then run again", AGAIN,
        ("run {guess0} can't be read", "--force"),
        lambda p: p.reseal("guess0", lambda r: r.update(format=99)), kind=FAULT,
        then=AGAIN + " --force"),
    Row(16, "a store that is a file", "compare --store {place}/file", ("{place}/file",),
        lambda p: p.write("file", "no folder")),
    Row(16, "the time of a last request that is a FIFO", NEXT, (),
        lambda p: os.mkfifo(p.folder("guess0") / "asked"), code=0, kind=FAULT),
    Row(16, "the time of a last request of 1 TB", NEXT, (), lambda p: huge(
        p.write(f"store/runs/{p.ids['guess0']}/asked", "x")), code=0, kind=FAULT),
]  # fmt: skip

UNSOUND = [
    unsound("a field more", "'extra'", extra=1),
    unsound("a null history", "'history'", history=None),
    unsound("a list for a mapping", "'history'", history=[]),
    unsound("text for a column", "'history.stages'", history={"stages": {"number": "12"}}),
    unsound("columns of different lengths", "different lengths",
            history={"unit": "a", "best": 1, "stages": {"number": [1.0], "stop_mAP": []}}),
    unsound("a number for a time", "'created'", created=20260101),
    unsound("true for a number", "'threads'", threads=True),
    unsound("a spec that is a list", "'spec'", spec=[]),
    unsound("numbers for hashes", "'files'", files={"scores.npz": 3}),
    unsound("a file outside its folder", "outside its folder", files={"/etc/passwd": "0"}),
    unsound("a file above its folder", "outside its folder", files={"../../x": "0"}),
    unsound("a number for a commit", "'git.commit'", git={"commit": 3}),
    unsound("another status", "status", status="done"),
    unsound("versions that are a list", "'versions'", versions=[]),
    unsound("clips that are text", "'clips'", clips={"test": "many"}),
    unsound("seconds that are null", "'seconds'", seconds={"fit": None}),
    unsound("an error that is a list", "'error'", error=["a"]),
    Row(15, "a record of an older format that isn't read", LIST, ("format 2",),
        lambda p: p.reseal("guess0", lambda r: r.update(format=2)), code=0),
    Row(15, "a history without a best stage", "gap --model guess --resamples 100",
        ("guess",), lambda p: p.reseal("guess0", lambda r: r["history"].pop("best")), code=0),
    Row(15, "a history without a measured column", "gap --model guess --curves --resamples 100",
        ("run {guess0} is damaged", "history lacks 'stop_mAP'", LEFT, AFTER),
        lambda p: p.reseal("guess0", lambda r: r["history"]["stages"].pop("stop_mAP")), code=0),
    Row(15, "a history without a unit", "gap --model guess --curves --resamples 100",
        ("run {guess0} is damaged", "history lacks the field 'unit'", LEFT, AFTER),
        lambda p: p.reseal("guess0", lambda r: r["history"].pop("unit")), code=0),
    Row(15, "10^12 clips in a record", "compare --model guess --resamples 100",
        ("one row of float32 for each of 1000000000000 clips",),
        lambda p: p.reseal("guess0", lambda r: r["clips"].update(test=10**12))),
]  # fmt: skip


def swap_part(arrays) -> None:
    arrays["test"] = arrays["test"][:3]


def out_of_range(arrays) -> None:
    arrays["test"][0, 0] = 1.5


def not_a_number(arrays) -> None:
    arrays["stop"][0, 0] = np.nan


def wide(arrays) -> None:
    arrays["test"] = arrays["test"].astype(float)


def no_part(arrays) -> None:
    del arrays["fit"]


def another_part(arrays) -> None:
    arrays["train"] = arrays["fit"]


def fewer_classes(arrays) -> None:
    arrays["fit"] = arrays["fit"][:, :2]


def fewer_classes_everywhere(arrays) -> None:
    for part, scores in arrays.items():
        arrays[part] = scores[:, :3]


def objects(arrays) -> None:
    arrays["fit"] = np.array([{"a": 1}], object)


def compressed_zeros(place: Place) -> None:
    from benchmark.runs.files import sha256

    zeros(scores(place))
    own = {"scores.npz": sha256(scores(place))}
    place.reseal("guess0", lambda r: r["files"].update(own))


SCORES = [
    bad_scores("lack rows", swap_part, "float32 of shape (3, 5) on test"),
    bad_scores("lie above 1", out_of_range, "scores outside [0, 1] on test"),
    bad_scores("are NaN", not_a_number, "scores outside [0, 1] on stop"),
    bad_scores("are float64", wide, "float64"),
    bad_scores("lack a part", no_part, "no scores of fit"),
    bad_scores("hold a part that is none", another_part, "'train', which is no part"),
    bad_scores("have fewer classes on a part", fewer_classes, "different numbers of classes"),
    bad_scores("have fewer classes than the labels", fewer_classes_everywhere,
               "holds 3 classes, its labels have 5"),
    Row(2, "scores that have fewer classes than the labels, for the gap",
        "gap --model guess --resamples 100", ("run {guess0} is damaged", "its labels have 5"),
        rewrite_scores(fewer_classes_everywhere)),
    bad_scores("are pickled objects", objects, "can't be read"),
    Row(10, "scores of 1 MB that hold 1 GiB of zeros", "compare --model guess --resamples 100",
        ("run {guess0} is damaged", "claims to hold 1024 MiB"), compressed_zeros, slow=True),
]  # fmt: skip

LABELS = [
    labels("with forty values changed", rewrite_labels(more_labels),
           "not those that run", kind=FAULT),
    labels("that are missing", lambda p: p.labels.unlink(), "the file is missing", kind=FAULT,
           cause=5),
    labels("that were cut", lambda p: half(p.labels), "can't be used", kind=FAULT),
    labels("that are empty", lambda p: p.labels.write_bytes(b""), "can't be used", kind=FAULT),
    labels("without an array", rewrite_labels(lambda a: a.pop("test_keys")), "'test_keys'"),
    labels("with an array more", rewrite_labels(lambda a: a.update(x=np.zeros(3))), "'x'"),
    labels("with relevance of 7", rewrite_labels(
        lambda a: a.update(test_y_true=a["test_y_true"] + np.float32(6))),
        "relevance outside [0, 1]"),
    labels("with a mask of numbers", rewrite_labels(
        lambda a: a.update(test_y_mask=a["test_y_mask"].astype(float))), "test_y_mask is float64"),
    labels("with keys that are numbers", rewrite_labels(
        lambda a: a.update(test_keys=np.arange(len(a["test_keys"])))), "test_keys is int64"),
    labels("with pickled objects", rewrite_labels(
        lambda a: a.update(test_keys=np.array([None] * 3))), "can't be used"),
    labels("of 1 MB that hold 1 GiB", lambda p: zeros(p.labels), "claims to hold", cause=10),
    Row(16, "labels that are a FIFO", NEXT, ("the labels", "can't be opened"),
        lambda p: pipe(p.labels), kind=FAULT),
    Row(10, "labels of 1 TB", NEXT, ("the labels", "that such a file can have"),
        lambda p: huge(p.labels), kind=FAULT),
    Row(5, "labels that are missing, then run again", "run --dataset tiny --model guess --seed 0 "
        "--workers 0", ("labels",), lambda p: p.labels.unlink(), code=0, kind=FAULT,
        never=("done",), then=NEXT),
]  # fmt: skip

ROWS = [*DAMAGED, *UNSOUND, *SCORES, *LABELS]
