"""Where studies are kept: a journal file, or any database that Optuna can use."""

import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.errors import StoreError, UnknownNameError
from benchmark.runs.reading import Runs

#: Seconds within which a storage has to answer.
PATIENCE = 8.0


def address_of(address: str | None, store: Runs) -> str:
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


def open_storage(address: str, **engine: Any) -> Any:
    """Open an Optuna storage: a database's URL, or else a journal file's path.

    Further arguments are those of SQLAlchemy's engine.

    Raises
    ------
    StoreError
        If it can't be opened, or does not answer within `PATIENCE` seconds.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        return _database(address, engine) if "://" in address else _journal(Path(address))
    except Exception as error:  # drivers and databases raise their own
        reason = _reason(error)
        if isinstance(error, ImportError) and "psycopg" in reason:
            reason += ". For PostgreSQL: pip install 'polytimbre[postgres]'"
        raise StoreError(
            f"the storage {shown(address)} can't be used ({reason}). Check --storage"
        ) from error


def _to_look_at(address: str) -> Any | None:
    """Open a storage; None for a file that isn't there: looking makes none.

    A look holds no connection: whoever looks often would use up the server's.
    """
    from sqlalchemy.pool import NullPool

    known = "://" in address or Path(address).exists()
    return open_storage(address, poolclass=NullPool) if known else None


def _names(storage: Any | None) -> list[str]:
    return sorted(s.study_name for s in storage.get_all_studies()) if storage else []


def names(address: str) -> list[str]:
    """Return the names of the studies in a storage, sorted."""
    return _names(_to_look_at(address))


def read(name: str, address: str) -> Any:
    """Return a stored study (Optuna's) to look at.

    Raises
    ------
    StoreError
    UnknownNameError
        With the nearest stored study.
    """
    storage = _to_look_at(address)
    if name not in _names(storage):
        raise UnknownNameError("study", name, _names(storage))
    import optuna

    return optuna.load_study(study_name=name, storage=storage)


@contextmanager
def reachable(address: str) -> Iterator[None]:
    """Turn what is raised when a storage gets lost in the middle into one sentence.

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
            "kept, the same command goes on from here"
        ) from error


def _reason(error: BaseException) -> str:
    """Return what is behind an error: its kind and, in one line, what it says."""
    error = error.__cause__ or error
    text, _, _ = str(error).partition("\n[SQL")
    return f"{type(error).__name__}: {' '.join(text.split())}"


def _database(url: str, engine: dict[str, Any]) -> Any:
    from optuna.storages import RDBStorage
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import DBAPIError, OperationalError

    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
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


def _journal(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with path.open("rb") as file:  # what is no journal must not be written to
            if not _BEGINNING.startswith(file.read(len(_BEGINNING))):
                raise ValueError("it is no journal of studies")
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))


#: Of every line of Optuna's journals.
_BEGINNING = b'{"op_code"'


class _JournalLock:
    """Lock of a journal file; the system lets it go when its holder dies, unlike Optuna's own.

    Whoever takes it, to write, first cuts off a last line that a kill or a full disk left
    incomplete: it would spoil the line written after it, and with it the journal.
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
            file.seek(max(0, size - 1))
            if file.read(1) not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
