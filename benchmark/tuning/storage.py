"""Where studies are kept: a journal file, or any database that Optuna can use."""

import json
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from benchmark.errors import PolytimbreError, StoreError, UnknownNameError
from benchmark.reading.files import open_binary
from benchmark.runs.reading import Runs

#: Seconds within which a storage has to answer.
PATIENCE = 8.0
#: Bytes of the largest journal that is read; a study of 100 trials has about 200 kB.
MAX_JOURNAL_BYTES = 1 << 30


def address_of(address: str | None, store: Runs | None) -> str:
    """Return a storage's address: the journal file beside the store if none was named."""
    if address is None:
        return str(store.path / "studies.journal")
    # a study's lock is named after its address: a file needs one name for all processes
    return address if "://" in address else str(Path(address).resolve())


def shown(address: str) -> str:
    """Return an address as it may be printed and recorded: without its password."""
    if "://" not in address:
        return Path(address).name
    from sqlalchemy import make_url

    try:
        # a query may hold a password too
        return make_url(address).set(query={}).render_as_string(hide_password=True)
    except Exception:
        return "named by --storage"


def _url(address: str) -> Any:
    """Return a database's address, taken apart.

    Raises
    ------
    StoreError
        Where it can't be taken apart, or is of no kind of database or no file.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    def refuse(reason: str, cause: Exception | None = None) -> NoReturn:
        forms = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or a file's path"
        raise StoreError(f"the storage {shown(address)} {reason}: name {forms}") from cause

    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:  # whose words may hold a part of the password
        refuse("is no address of a database", error)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    try:
        url.get_dialect()
    except Exception as error:  # a dialect is a module that may be broken
        refuse(f"is of an unknown kind, {url.drivername!r}", error)
    if url.get_backend_name() == "sqlite":
        if url.host is not None:
            refuse("names a host, and a file has none")
        if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
            refuse("is in memory, and gone with the command")
        if Path(url.database).is_dir():
            refuse("is a folder")
        folder = Path(url.database).absolute().parent
        if not (url.database.startswith("file:") or folder.is_dir()):
            refuse(f"can't be made, there is no folder {folder}")
    return url


def open_storage(address: str, looking: bool = False) -> Any:
    """Open an Optuna storage: a database's URL, or else a journal file's path.

    Parameters
    ----------
    address : str
    looking : bool
        Only read: no connection of a database is kept, as whoever looks often would use up the
        server's, and a damaged journal is not repaired.

    Raises
    ------
    StoreError
        If it can't be opened, is damaged, or does not answer within `PATIENCE` seconds.
    """
    import optuna
    from sqlalchemy.pool import NullPool

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        if "://" not in address:
            return _journal(Path(address), looking)
        return _database(address, {"poolclass": NullPool} if looking else {})
    except PolytimbreError:
        raise
    except Exception as error:  # drivers and databases raise their own
        reason = _reason(error)
        if isinstance(error, ImportError) and "psycopg" in reason:
            reason += (
                ". For PostgreSQL: pip install 'polytimbre[postgres]', and write postgresql://"
            )
        raise StoreError(
            f"the storage {shown(address)} can't be used ({reason}). Check --storage"
        ) from error


def _to_look_at(address: str) -> Any | None:
    """Open a storage to read from; None for a file that isn't there: reading does not make it."""
    file: str | None = address
    if "://" in address:
        url = _url(address)
        file = url.database if url.get_backend_name() == "sqlite" else None
    if file and not file.startswith("file:") and not Path(file).exists():
        return None
    return open_storage(address, looking=True)


def _names(storage: Any | None) -> list[str]:
    return sorted(s.study_name for s in storage.get_all_studies()) if storage else []


def names(address: str) -> list[str]:
    """Return the names of the studies in a storage, sorted."""
    with reachable(address):
        return _names(_to_look_at(address))


def read(name: str, address: str) -> Any:
    """Return a stored study, as Optuna gives it, to read from.

    Raises
    ------
    StoreError
    UnknownNameError
        With the nearest stored study.
    """
    import optuna

    with reachable(address):
        storage = _to_look_at(address)
        known = _names(storage)
        if name not in known:
            none = "There is none yet: `polytimbre tune` makes one."
            more = "`polytimbre tune` makes a new one."
            raise UnknownNameError("study", name, known, none, more=more)
        return optuna.load_study(study_name=name, storage=storage)


@contextmanager
def reachable(address: str) -> Iterator[None]:
    """Turn what is raised when a storage is lost, or can't be written, into one sentence.

    Raises
    ------
    StoreError
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"the storage {shown(address)} failed ({_reason(error)}). Trials that have ended are "
            "kept: once it answers and can be written, the same command goes on from here"
        ) from error


def _reason(error: BaseException) -> str:
    """Return an error's cause in one line: its type and its message."""
    error = error.__cause__ or error
    text, _, _ = str(error).partition("\n[SQL")
    return f"{type(error).__name__}: {' '.join(text.split())}"


def _database(url: str, engine: dict[str, Any]) -> Any:
    from optuna.storages import RDBStorage
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError, OperationalError

    parsed = _url(url)
    networked = parsed.get_backend_name() in ("postgresql", "mysql", "mariadb")
    connect = {"connect_timeout": int(PATIENCE / 2)} if networked else {}
    url = parsed.render_as_string(hide_password=False)
    options = {"connect_args": connect, "pool_pre_ping": True, **engine}
    _wait_for_answer(create_engine(url, **options))
    left = 5
    while True:
        try:
            return RDBStorage(url, engine_kwargs=options)
        except DBAPIError as error:
            # where several processes make the tables at once, some of them fail
            raced = not isinstance(error, OperationalError) or "already exists" in str(error)
            left -= 1
            if not raced or not left:
                raise
            time.sleep(0.5)


def _wait_for_answer(engine: Any) -> None:
    """Connect once; some drivers wait for minutes for a host that does not answer."""
    failed: list[Exception | None] = []

    def attempt() -> None:
        try:
            engine.connect().close()
            failed.append(None)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not failed:
        raise TimeoutError(f"it did not answer within {PATIENCE:g} s")
    if failed[0] is not None:
        raise failed[0]
    engine.dispose()


#: Of every line of Optuna's journals.
_BEGINNING = b'{"op_code"'
_NUMBER = int | float
#: What is noted of a study, and of a trial, beside what Optuna itself keeps.
_OF_STUDY = {
    "spec": {"dataset": str, "model": str, "preset": str | None, "search_space": dict},
    "planned": int,
    "fold": {"mAP": _NUMBER | None, "seconds": _NUMBER, "reason": str},
}
_OF_TRIAL = {
    "owner": dict | None,
    "params": dict,
    "seconds": _NUMBER,
    "best": int,
    "capped": bool,
    "reason": str,
}
#: What Optuna takes from a journal's line as it is, by the line's `op_code`.
_LINES = {
    0: {"study_name": str},
    2: {"user_attr": _OF_STUDY},
    4: {"value": _NUMBER | None, "values": [_NUMBER], "user_attrs": _OF_TRIAL},
    6: {"values": [_NUMBER]},
    7: {"step": int, "intermediate_value": _NUMBER},
    8: {"user_attr": _OF_TRIAL},
}


def _journal(path: Path, looking: bool) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path)
    if path.exists():
        _check_journal(path, looking)
        if not looking:  # what is cut off at its end would stop the reading
            lock.acquire()
            lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _check_journal(path: Path, looking: bool) -> None:
    """Refuse what is no journal, or a damaged one, of which a repaired copy is made.

    What a writer left incomplete at the end is no damage: see :class:`_JournalLock`.

    Raises
    ------
    ValueError, StoreError
    """
    with open_binary(path, MAX_JOURNAL_BYTES, "check --storage") as file:
        content = file.read()
    if not _BEGINNING.startswith(content[: len(_BEGINNING)]):
        raise ValueError("it is no journal of studies")  # which must not be written to
    *lines, incomplete = content.split(b"\n")
    ends = len(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    if looking and ends - len(lines) + bool(incomplete) > 1:  # Optuna reads over one alone
        raise StoreError(
            f"the journal of studies {path} ends in blank lines; the next `polytimbre tune` cuts "
            "them off"
        )
    damaged = _damaged(lines)
    if not damaged:
        return
    copy = path.with_name(f"{path.name}.repaired")
    if not looking:
        whole = [line[max(0, line.rfind(_BEGINNING)) :] for line in lines]
        left_out = _damaged(whole)
        kept = (line + b"\n" for n, line in enumerate(whole, 1) if n not in left_out)
        copy.write_bytes(b"".join(kept))
    named = ", ".join(map(str, damaged[:5])) + (" ..." if len(damaged) > 5 else "")
    made = "`polytimbre tune` writes a copy without it," if looking else "A copy without it is"
    raise StoreError(
        f"line {named} of the journal of studies {path} is damaged. {made} {copy}: look at it with "
        f"--storage {copy}, and put it in the journal's place"
    )


def _damaged(lines: list[bytes]) -> list[int]:
    """Return the numbers of lines, from 1, that are no entries of a journal."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    class Replay(BaseJournalBackend):
        """A journal in memory that knows which entry was read last."""

        logs: list[dict[str, Any]] = []
        at = 0

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            for at, log in enumerate(self.logs[log_number_from:], log_number_from):
                self.at = at
                yield log

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            raise NotImplementedError

    entries = {number: _entry(line) for number, line in enumerate(lines, 1)}
    damaged = [number for number, entry in entries.items() if entry is None]
    numbers = [number for number, entry in entries.items() if entry is not None]
    replay = Replay()
    storage = JournalStorage(replay)
    replay.logs = [entries[number] for number in numbers]
    while True:
        try:
            storage.get_all_studies()
            return sorted(damaged)
        except Exception:  # Optuna's own checks raise many kinds; it goes on behind the line
            damaged.append(numbers[replay.at])


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return what a line of a journal says, None where it is damaged."""
    if not line.startswith(_BEGINNING):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    op_code = entry["op_code"]
    kind = _LINES.get(op_code, {}) if isinstance(op_code, int) else {"op_code": int}
    if not _fits(entry, kind):
        return None
    complete = op_code == 6 and entry.get("state") == 1
    return None if complete and len(entry.get("values") or ()) != 1 else entry


def _fits(content: Any, kind: Any) -> bool:
    """Whether content is of a type; or a dict, or list, of such where something is in it."""
    if isinstance(kind, dict):
        return isinstance(content, dict) and all(
            _fits(one, kind[name.split()[0]])  # "fold" is the first word of "fold 1 of trial 0"
            for name, one in content.items()
            if name and name.split()[0] in kind
        )
    if isinstance(kind, list):
        return content is None or (
            isinstance(content, list) and all(_fits(one, kind[0]) for one in content)
        )
    return isinstance(content, kind)


class _JournalLock:
    """Lock of a journal file; the system lets it go when its holder dies, unlike Optuna's own.

    Whoever takes it, to write, first cuts off blank lines at the end, and a last line that a kill
    or a full disk left incomplete: they would spoil what is written after them, and with that
    the journal.
    """

    def __init__(self, path: Path) -> None:
        import filelock

        self._path = path
        self._lock = filelock.FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        try:
            self._mend()
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        self._lock.release()

    def _mend(self) -> None:
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2))
            if not size or file.read() == b"}\n":
                return
            file.seek(0)
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1].rstrip()
            file.truncate(content.index(b"\n", len(whole)) + 1 if whole else 0)
