"""A private PostgreSQL server for the tests: a free port, a temporary folder, no settings kept."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

#: Of the superuser; in every address, so that tests can look for it where it must not be.
PASSWORD = "kept-to-itself"
USER = "polytimbre"


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs: Debian keeps them off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name)


def unprivileged() -> dict[str, object]:
    """Return what makes a child another user where this is root: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = known.get("postgres") or known["nobody"]
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


class Server:
    """A server of its own; :meth:`database` gives each test one."""

    def __init__(self) -> None:
        initdb = program("initdb")
        if initdb is None or program("postgres") is None:
            pytest.skip("no PostgreSQL server is installed: its programs were not found")
        self.folder = Path(tempfile.mkdtemp(prefix="polytimbre-postgres-"))
        self.databases = 0
        self.process: subprocess.Popen | None = None
        self.identity = unprivileged()
        try:
            if self.identity:
                os.chown(self.folder, self.identity["user"], self.identity["group"])
            secret = self.folder / "password"
            secret.write_text(PASSWORD)
            secret.chmod(0o644)
            options = ["--no-sync", "--no-locale", "-E", "UTF8", "-U", USER, "-A", "scram-sha-256"]
            options += [f"--pwfile={secret}", "-D", str(self.folder / "data")]
            made = subprocess.run(
                [initdb, *options], capture_output=True, text=True, cwd="/", **self.identity
            )
            if made.returncode:
                raise RuntimeError(made.stderr)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.start()
        except Exception as error:
            self.close()
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no PostgreSQL server could be started: {error}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port)]
        options += ["-k", "", "-F", "-c", "max_connections=200"]  # no sockets; no fsync
        log = self.folder / "log"
        with log.open("a") as file:
            self.process = subprocess.Popen(
                [program("postgres"), *options], stdout=file, stderr=file, cwd="/", **self.identity
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self.process.poll() is not None:
                raise RuntimeError(log.read_text()[-1000:])
            if time.monotonic() > deadline:
                raise RuntimeError("it does not answer")
            time.sleep(0.1)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.address("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Cut every connection and stop it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)
            self.process = None

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str) -> str:
        """Return a database's URL."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make one more database and return its URL."""
        import psycopg

        self.databases += 1
        name = f"study{self.databases}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)
