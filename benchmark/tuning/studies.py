"""Studies: an exact plan of trials that any number of processes work through together.

A study is Optuna's, in a journal file beside the store or in any database that Optuna can
use. Its trials are planned before the first one runs. A process claims a waiting trial, runs
it and tells its result; what a dead process had claimed goes back to waiting with the
parameters it had. So a study ends with the planned number of trials, whatever was killed.
"""

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.store import Store
from benchmark.tuning.storage import address_of, names, open_storage, reachable, read, shown

__all__ = [
    "Study",
    "StudySpec",
    "address_of",
    "names",
    "open_storage",
    "reachable",
    "read",
    "shown",
]

#: Seconds between two signs of life of a trial's owner.
BEAT = 15.0
#: Seconds without a sign of life after which an owner on another machine is taken for dead.
SILENCE = 90.0
#: Trials that are drawn at random before the sampler learns from their results.
STARTUP = 6


@dataclass(frozen=True)
class StudySpec:
    """What a study's trials have in common; a study of another spec is another study.

    Attributes
    ----------
    dataset, split, fingerprint, features, features_sha256, division_id, protocol_id
        As in :class:`benchmark.runs.record.RunSpec`.
    model, preset, source
        As in :class:`benchmark.runs.record.RunSpec`.
    params : dict
        Parameters that are not searched.
    search_space : dict of str to str
        Each suggested parameter's distribution, as Optuna writes it.
    first : dict
        What the first trial suggests, the model's default; empty where it can't.
    seed : int
        Of the sampler and of every trial's fit.
    seconds : float
        After which a trial's fit is asked to stop.
    max_parameters : int
        A network with more weights is not tried.
    """

    dataset: str
    split: str
    fingerprint: str
    features: str
    features_sha256: str
    division_id: str
    protocol_id: str
    model: str
    preset: str | None
    source: str
    params: dict[str, Any]
    search_space: dict[str, str]
    first: dict[str, Any]
    seed: int
    seconds: float
    max_parameters: int

    def check(self, name: str, stored: dict[str, Any]) -> None:
        """Refuse to go on with a study that was made for something else.

        Raises
        ------
        ProtocolError
            Naming what differs.
        """
        own = asdict(self)
        # the code last: it differs along with a search space, which says more
        for field in sorted(own, key="source".__eq__):
            value, other = own[field], stored.get(field)
            if other == value:
                continue
            shown = f"it has {other}, this command asks for {value}"
            if field == "search_space":
                both = {**(other or {}), **value}
                changed = sorted(k for k in both if (other or {}).get(k) != value.get(k))
                shown = f"changed: {', '.join(changed)}"
            raise ProtocolError(
                f"the stored study {name!r} can't be continued, its {_SPOKEN.get(field, field)} "
                f"differs ({shown}). Name a new study with --study"
            )


_SPOKEN = {
    "features_sha256": "features' content",
    "fingerprint": "data",
    "division_id": "division into parts",
    "protocol_id": "protocol",
    "source": "model's code",
    "params": "fixed parameters",
    "search_space": "search space",
    "first": "model's default",
    "seconds": "--trial-seconds",
    "max_parameters": "--max-parameters",
}


def _alive(path: Path) -> bool:
    """Whether a process holds this lock; the system lets it go when the process dies."""
    import filelock

    try:
        with filelock.FileLock(path).acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True


class Study:
    """One study, as one process sees it; use it as a context manager.

    Parameters
    ----------
    name : str
    spec : StudySpec
    address : str
        Of the storage; see :func:`open_storage`.
    store : Store
        Whose locks serve the processes of this machine.

    Raises
    ------
    StoreError, ProtocolError
    """

    def __init__(self, name: str, spec: StudySpec, address: str, store: Store) -> None:
        import filelock
        import optuna

        try:
            name.encode()
        except UnicodeEncodeError:
            raise ProtocolError(
                f"the study {name!r} can't be stored: its name is no UTF-8. Name another with"
                " --study"
            ) from None
        self.name, self.spec, self.address = name, spec, address
        self.storage = open_storage(address)
        self.locks = store.path / "locks"
        slug = f"{derive_seed(0, name, address):08x}"
        self._lock = filelock.FileLock(self.locks / f"study-{slug}.lock")
        self._comparing = filelock.FileLock(self.locks / f"study-{slug}-again.lock")
        self.token = uuid.uuid4().hex
        self._own = filelock.FileLock(self._owner_lock(self.token))
        self._mine: dict[int, Any] = {}
        self._seen: dict[int, tuple[Any, float]] = {}
        store_id = f"{derive_seed(0, self.locks.resolve()):08x}"
        self._here = {"host": socket.gethostname(), "store": store_id}
        with self._lock, reachable(address):
            self.optuna = optuna.create_study(
                study_name=name,
                storage=self.storage,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
            )
            stored = self.optuna.user_attrs.get("spec")
            if stored is None:
                self.optuna.set_user_attr("spec", asdict(spec))
            else:
                spec.check(name, stored)

    def __enter__(self) -> "Study":
        self._own.acquire()
        self._stop_beating = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop_beating.set()
        # where the storage is lost the lock's file stays, and says that its holder is gone
        with suppress(Exception):
            for trial in list(self._mine.values()):
                if self._holds(trial):
                    self._release(trial._trial_id)
            self._owner_lock(self.token).unlink(missing_ok=True)
        self._mine.clear()
        self._own.release()

    def _beat(self) -> None:
        while not self._stop_beating.wait(BEAT):
            for trial in list(self._mine.values()):
                with suppress(Exception):  # a storage that is away may come back
                    trial.set_user_attr("beat", time.time())

    @property
    def planned(self) -> int:
        """Number of trials that are planned."""
        return int(self.optuna.user_attrs.get("planned", 0))

    def trials(self) -> list[Any]:
        """Return the study's trials in order: Optuna's, without what a race made too many."""
        everything = self.optuna.get_trials(deepcopy=False)
        return [t for t in everything if "surplus" not in t.user_attrs][: self.planned or None]

    def plan(self, n_trials: int) -> None:
        """Plan trials up to `n_trials`; a study that has more keeps them.

        Raises
        ------
        StoreError
            If the storage is lost, or can't be written.
        """
        with self._lock, reachable(self.address):
            if n_trials > self.planned:
                self.optuna.set_user_attr("planned", n_trials)
            for number in range(len(self.trials()), self.planned):
                self.optuna.enqueue_trial({} if number else self.spec.first)

    def unfinished(self) -> int:
        """Count the trials that are waiting or under way, here or elsewhere."""
        return sum(not trial.state.is_finished() for trial in self.trials())

    def best_value(self) -> float:
        """Return the highest value of a complete trial, 0 before the first."""
        return max((t.value for t in self.trials() if t.state.name == "COMPLETE"), default=0.0)

    def comparing(self) -> AbstractContextManager:
        """Return a lock: one process of this machine at a time compares the best trials again."""
        return self._comparing

    def claim(self) -> Any | None:
        """Return a waiting trial to run (an Optuna trial), or None if there is none."""
        import optuna

        with self._lock:
            waiting = self._take_back()
            if not waiting:
                return None
            trial = self.optuna.ask()
            self._mine[trial.number] = trial
            # seeded by the trial: two processes, or a study taken up again, don't draw alike
            seed = derive_seed(self.spec.seed, "sampler", trial.number)
            self.optuna.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
            trial.set_user_attr("owner", {**self._here, "token": self.token})
            if trial.number not in waiting and not self._is_planned(trial.number):
                # another machine took the last one between the look and the claim
                trial.set_user_attr("surplus", True)
                self.finish(trial.number, "FAIL", None, reason="one more than planned")
                return None
        return trial

    def _is_planned(self, number: int) -> bool:
        return number in {trial.number for trial in self.trials()}

    def report(self, number: int, stage: int, value: float) -> bool:
        """Report a claimed trial's value at a stage; say whether to prune it.

        Stages that it had reported before it was taken up again are left as they are.
        """
        trial = self._mine[number]
        with _already_told():
            if stage not in self.storage.get_trial(trial._trial_id).intermediate_values:
                trial.report(value, stage)
        return trial.should_prune()

    def _take_back(self) -> set[int]:
        """Return to waiting what dead processes had claimed; return the numbers that wait."""
        waiting = set()
        for trial in self.trials():
            elsewhere = trial.number not in self._mine
            if trial.state.name == "RUNNING" and elsewhere and self._is_dead(trial):
                self._release(trial._trial_id)
                waiting.add(trial.number)
            if trial.state.name == "WAITING":
                waiting.add(trial.number)
        return waiting

    def _owner_lock(self, token: str) -> Path:
        return self.locks / f"owner-{token}.lock"

    def _is_dead(self, trial: Any) -> bool:
        owner = trial.user_attrs.get("owner")
        if owner and owner.items() >= self._here.items():
            path = self._owner_lock(owner["token"])
            if path.exists() and _alive(path):
                return False
            path.unlink(missing_ok=True)
            return True
        sign = (owner, trial.user_attrs.get("beat"))
        known, since = self._seen.get(trial.number, (None, 0.0))
        if known != sign:
            self._seen[trial.number] = sign, time.monotonic()
            return False
        return time.monotonic() - since > SILENCE

    def _holds(self, trial: Any) -> bool:
        """Whether a claimed trial is still this process's: another may have taken it for dead."""
        stored = self.storage.get_trial(trial._trial_id)
        owner = stored.user_attrs.get("owner") or {}
        return stored.state.name == "RUNNING" and owner.get("token") == self.token

    def _release(self, trial_id: int) -> None:
        import optuna

        with _already_told():
            self.storage.set_trial_user_attr(trial_id, "owner", None)
            self.storage.set_trial_state_values(trial_id, optuna.trial.TrialState.WAITING)

    def finish(self, number: int, state: str, value: float | None, **attrs: Any) -> Any:
        """Tell a claimed trial's end, unless another process has taken it over meanwhile.

        Parameters
        ----------
        number : int
        state : {"COMPLETE", "PRUNED", "FAIL"}
        value : float or None
            Objective of a complete trial.
        **attrs
            What is to be known of it: ``seconds``, ``reason``, ...

        Returns
        -------
        optuna.trial.FrozenTrial
            As it is stored now.
        """
        import optuna

        trial = self._mine.pop(number)
        with self._lock, _already_told():
            if self._holds(trial):
                for name, content in attrs.items():
                    trial.set_user_attr(name, content)
                self.optuna.tell(trial, value, state=optuna.trial.TrialState[state])
        return self.storage.get_trial(trial._trial_id)


@contextmanager
def _already_told() -> Iterator[None]:
    """Let pass what another process has finished, having taken this one for dead."""
    import optuna

    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        yield
