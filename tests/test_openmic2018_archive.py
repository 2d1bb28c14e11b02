"""Tests of openmic2018 from its archive, and of the archive's download."""

import hashlib
import io
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from openmic_replica import KEYS, write_small, write_split

from benchmark.contracts.frontend import Weights
from benchmark.datasets import openmic2018
from benchmark.datasets.openmic2018 import ARCHIVE, OpenMIC2018
from benchmark.errors import DataError
from benchmark.features.pretrained import files


@pytest.fixture
def small_openmic(tmp_path) -> Path:
    return write_small(tmp_path / "data" / "openmic-2018")


def make_archive(folder: Path, path: Path) -> str:
    """Pack `folder` as published and return the MD5 checksum."""
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "openmic-2018")
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def archive(small_openmic, tmp_path, monkeypatch) -> Path:
    """Return a small archive whose checksum counts as the published one."""
    path = tmp_path / "packed" / ARCHIVE
    path.parent.mkdir()
    audio = small_openmic / "audio/000/000000_0.ogg"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(np.random.default_rng(1).bytes(300_000))
    monkeypatch.setattr(openmic2018, "MD5", make_archive(small_openmic, path))
    return path


def test_openmic_from_the_archive(archive, small_openmic, monkeypatch):
    folder = OpenMIC2018().load(small_openmic)
    for root in (archive, archive.parent):
        packed = OpenMIC2018().load(root)
        assert packed.fingerprint == folder.fingerprint
        assert packed.audio_path is None
    cache = archive.with_name(f"{archive.name}.features")
    files = {str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file()}
    assert files == {*openmic2018.MEMBERS, "stamp"}
    assert {p.name for p in archive.parent.iterdir()} == {ARCHIVE, cache.name}
    # What was unpacked once is used again, for as long as the archive stays the same.
    monkeypatch.setattr(
        "benchmark.datasets.reading.archive.verify", lambda *_: pytest.fail("verified")
    )
    OpenMIC2018().load(archive)


def test_openmic_split_beside_the_archive(archive):
    (archive.parent / "partitions").mkdir()
    write_split(archive.parent / "partitions", "mine", KEYS[4:], KEYS[:4])
    assert OpenMIC2018().load(archive.parent, "mine").split == "mine"


def test_openmic_archive_in_a_read_only_folder(archive, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    assert len(OpenMIC2018().load(archive)) == 12
    assert [p.name for p in archive.parent.iterdir()] == [ARCHIVE]


def test_openmic_refuses_an_archive_with_a_wrong_checksum(archive):
    archive.write_bytes(archive.read_bytes() + b"\0")
    for call in (OpenMIC2018().load, OpenMIC2018().download):
        with pytest.raises(DataError, match=r"has the MD5 checksum .* instead of"):
            call(archive.parent)
    assert not archive.with_name(f"{archive.name}.features").exists()


def test_openmic_refuses_an_archive_changed_after_unpacking(archive):
    OpenMIC2018().load(archive)
    archive.write_bytes(archive.read_bytes()[:-1] + b"\1")
    os.utime(archive, (1, 1))
    with pytest.raises(DataError, match="has the MD5 checksum"):
        OpenMIC2018().load(archive)


@pytest.mark.parametrize("damage", ["no text", "no file"])
def test_openmic_unpacks_again_where_the_stamp_cannot_be_read(archive, damage):
    before = OpenMIC2018().load(archive).fingerprint
    stamp = archive.parent / f"{ARCHIVE}.features" / "stamp"
    whole = stamp.read_bytes()
    stamp.unlink()
    stamp.mkdir() if damage == "no file" else stamp.write_bytes(b"\xff\xfe")
    assert OpenMIC2018().load(archive).fingerprint == before
    assert stamp.read_bytes() == whole


@pytest.mark.parametrize("damage", ["member", "cut", "no gzip"])
def test_openmic_refuses_an_incomplete_archive(archive, small_openmic, monkeypatch, damage):
    (small_openmic / "class-map.json").unlink()
    md5 = make_archive(small_openmic, archive)
    if damage != "member":
        content = archive.read_bytes()[:-5000] if damage == "cut" else b"no gzip" * 100
        archive.write_bytes(content)
        md5 = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(openmic2018, "MD5", md5)
    with pytest.raises(DataError, match="lacks class-map" if damage == "member" else "unpack"):
        OpenMIC2018().load(archive)
    assert [p.name for p in archive.parent.iterdir()] == [ARCHIVE]


def test_openmic_archive_writes_nowhere_else(archive, small_openmic, tmp_path, monkeypatch):
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("openmic-2018/../../evil", "../evil", "/openmic-2018/class-map.json"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        link = tarfile.TarInfo("openmic-2018/class-map.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
        tar.add(small_openmic, "openmic-2018")
    monkeypatch.setattr(openmic2018, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(OpenMIC2018().load(archive)) == 12
    assert not list(tmp_path.rglob("evil"))


NAMED = "bytes {start}-{last}/{total}"


class Server:
    """A local server of one file that can break off and can ignore ranges."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.stop_after: int | None = None
        self.ranges = True
        self.page: bytes | None = None
        self.named = NAMED
        self.asked: list[str | None] = []
        handler = type("Handler", (_Handler,), {"server_state": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/{ARCHIVE}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self) -> None:
        state, asked = self.server_state, self.headers.get("Range")
        state.asked.append(asked)
        if state.content == b"":
            return self.send_error(404)
        content = state.content if state.page is None else state.page
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
        named = state.named.format(start=start, last=len(content) - 1, total=len(content))
        if state.ranges and (start >= len(content) or "*" in named):
            self.send_response(416)
            self.send_header("Content-Range", named if "*" in named else f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", named)
        self.end_headers()
        self.wfile.write(body[: state.stop_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(archive, monkeypatch) -> Iterator[Server]:
    server = Server(archive.read_bytes())
    monkeypatch.setattr(openmic2018, "URL", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.close()


def test_download(server, archive, tmp_path):
    root = OpenMIC2018().download(tmp_path / "new" / "folder")
    assert [path.name for path in root.iterdir()] == [ARCHIVE]
    assert (root / ARCHIVE).read_bytes() == archive.read_bytes()
    assert len(OpenMIC2018().load(root)) == 12
    OpenMIC2018().download(root)
    assert server.asked == [None]  # what is there and right is not asked for again


@pytest.mark.parametrize("ranges", [True, False])
def test_download_resumes(server, archive, tmp_path, ranges):
    server.stop_after, server.ranges = 200_000, ranges
    with pytest.raises(
        DataError, match=r"\(the connection broke off\).*it goes on where it stopped"
    ):
        OpenMIC2018().download(tmp_path / "new")
    there = (tmp_path / "new" / f"{ARCHIVE}.part").stat().st_size
    assert 100_000 < there <= 200_000
    with pytest.raises(DataError, match="is not finished"):
        OpenMIC2018().load(tmp_path / "new")
    server.stop_after = None
    root = OpenMIC2018().download(tmp_path / "new")
    assert server.asked == [None, f"bytes={there}-"]
    assert [path.name for path in root.iterdir()] == [ARCHIVE]
    assert (root / ARCHIVE).read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"page": b"log in", "ranges": False}, r"something else .*: 6 bytes\. Look whether"),
        ({"named": "bytes 0-9/10"}, r"which 1,000 bytes are here: bytes 0-9/10\. Look whether"),
        ({"named": "bytes */9999999"}, "the server answers 416"),
    ],
)
def test_download_keeps_a_part_that_something_else_is_sent_for(
    server, archive, tmp_path, change, sentence
):
    part = tmp_path / "new" / f"{ARCHIVE}.part"
    part.parent.mkdir()
    part.write_bytes(archive.read_bytes()[:1000])
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(DataError, match=sentence):
        OpenMIC2018().download(part.parent)
    assert part.read_bytes() == archive.read_bytes()[:1000]
    server.page, server.ranges, server.named = None, True, NAMED
    OpenMIC2018().download(part.parent)
    assert server.asked == ["bytes=1000-"] * 2


def test_two_downloads_at_once_do_not_share_a_part(server, tmp_path):
    import filelock

    with (
        filelock.FileLock(tmp_path / f"{ARCHIVE}.part.lock"),
        pytest.raises(DataError, match="another process downloads to .*: wait until it has ended"),
    ):
        OpenMIC2018().download(tmp_path)
    assert server.asked == []


def test_weights_are_downloaded_once_and_go_on_where_they_stopped(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYTIMBRE_CACHE", str(tmp_path / "cache"))
    checksum = f"md5:{hashlib.md5(server.content).hexdigest()}"
    weights = (Weights(source=server.url, checksum=checksum, size=1, licence="none"),)
    server.stop_after = 200_000
    with pytest.raises(DataError, match=r"\(the connection broke off\).* name it with --file"):
        files.install("small", weights)
    server.stop_after = None
    files.install("small", weights)
    files.install("small", weights)
    assert len(server.asked) == 2 and server.asked[1] is not None
    (kept,) = files.installed("small", weights)
    assert kept.read_bytes() == server.content and [*kept.parent.iterdir()] == [kept]
    kept.write_bytes(b"damage")
    files.install("small", weights)
    assert kept.read_bytes() == server.content


def test_download_takes_a_part_that_is_whole(server, archive, tmp_path):
    shutil.copy(archive, tmp_path / f"{ARCHIVE}.part")
    assert (OpenMIC2018().download(tmp_path) / ARCHIVE).is_file()
    assert server.asked == [f"bytes={archive.stat().st_size}-"]


def test_download_refuses_a_wrong_checksum(server, tmp_path):
    server.content += b"more"
    with pytest.raises(DataError, match=r"does not have the MD5 checksum .* was removed"):
        OpenMIC2018().download(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "new" / f"{ARCHIVE}.part").write_bytes(bytes(10**6))
    with pytest.raises(DataError, match="does not have the MD5 checksum"):
        OpenMIC2018().download(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_download_without_a_network(server, tmp_path):
    server.close()
    with pytest.raises(DataError, match=r"\(no connection to the server\); check the network"):
        OpenMIC2018().download(tmp_path / "new")


def test_download_without_the_file(server, tmp_path):
    server.content = b""
    with pytest.raises(DataError, match=r"could not download .*404"):
        OpenMIC2018().download(tmp_path / "new")


def test_download_where_nothing_can_be_written(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"could not write .* \(.*file is a file, not a folder\)"):
        OpenMIC2018().download(tmp_path / "file")
    with pytest.raises(DataError, match=r"\(.*file is a file, not a folder\)"):
        OpenMIC2018().download(tmp_path / "file" / "folder")
