"""The record of one run: what was asked, what came out, on what."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from benchmark.errors import StoreError

FORMAT = 3


def digest(content: Any) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunSpec:
    """What was asked for. Equal specs ask for the same run.

    Attributes
    ----------
    dataset, split : str
    official : bool
        Whether `split` is the publisher's own.
    fingerprint : str
        SHA-256 of the data set's content.
    division_id, protocol_id : str
        Hashes of the division into parts and of the protocol.
    model, preset : str
    params : dict
        Every parameter, defaults included.
    seed : int
    source : str
        Hash of the plugin's source and of the code it rests on.
    fraction : float
        Share of the fit part's groups that is trained on, in (0, 1].
    study, trial : str and int, or None
        The study and the trial that the parameters were chosen in.
    refit : bool
        Fitted once more, on all training clips, for as many epochs or rounds as the run
        without it stands at.
    """

    dataset: str
    split: str
    official: bool
    fingerprint: str
    division_id: str
    protocol_id: str
    model: str
    preset: str | None
    params: dict[str, Any]
    seed: int
    source: str
    fraction: float = 1.0
    study: str | None = None
    trial: int | None = None
    refit: bool = False

    def _asked(self) -> dict[str, Any]:
        asked = asdict(self)
        # a preset is a name for parameters, and these are all in `params`
        for name in ("preset", "official"):
            del asked[name]
        return asked

    @property
    def spec_id(self) -> str:
        """Hash of what was asked."""
        return digest(self._asked())

    @property
    def config_id(self) -> str:
        """Hash of what was asked but for the seed."""
        return digest({**self._asked(), "seed": None})

    @property
    def setting(self) -> str:
        """Model and preset, as in ``cnn:published``."""
        return f"{self.model}:{self.preset}" if self.preset else self.model

    @property
    def label(self) -> str:
        """The setting and how it was trained, as in ``cnn tuned`` or ``cnn:published 10 %``."""
        words = [self.setting]
        words += ["tuned"] if self.study else []
        words += ["refit"] if self.refit else []
        words += [f"{100 * self.fraction:g} %"] if self.fraction != 1 else []
        return " ".join(words)


def run_id(spec: RunSpec, versions: dict[str, str], threads: int) -> str:
    """Hash of the spec, the libraries it rests on and the thread count."""
    return digest({"spec": spec.spec_id, "versions": versions, "threads": threads})


@dataclass
class Record:
    """One run, finished or failed.

    Attributes
    ----------
    run_id : str
    spec : RunSpec
    versions : dict
        Python and the libraries the result rests on.
    threads : int
    status : {"finished", "failed"}
    created : str
        UTC, ISO 8601.
    error, traceback : str or None
        Why it failed.
    history : dict
        See :meth:`benchmark.contracts.model.History.as_dict`.
    clips : dict
        Clips of each part, and those ``trained`` on: all of fit unless the spec's `fraction`
        is below 1. Scores are of whole parts in any case.
    seconds : dict
        Processor time, the same on a busy machine: ``fit`` (compiling included), ``predict``
        (test part), ``warm_up`` (what the first prediction costs on top of a later one).
    model_bytes : int or None
        Size of what the model saved.
    peak_memory_mib : float or None
    packages : dict
        Versions of all distributions that the model's libraries bring with them.
    machine, git, backend
        See :mod:`benchmark.runs.environment`.
    tuning : dict or None
        What choosing the parameters cost: ``tried`` (configurations before this one was
        chosen), ``finished``, ``seconds`` (of all trials), and where the study is stored.
    base : str or None
        Of a refit: the run it starts from. Its scores on *fit*, *stop* and *select* are this
        record's too, since the refitted model has seen these clips.
    files : dict
        SHA-256 of each file beside the record.
    """

    run_id: str
    spec: RunSpec
    versions: dict[str, str]
    threads: int
    status: str
    created: str
    error: str | None = None
    traceback: str | None = None
    history: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    model_bytes: int | None = None
    peak_memory_mib: float | None = None
    packages: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    git: dict[str, Any] = field(default_factory=dict)
    backend: str | None = None
    tuning: dict[str, Any] | None = None
    base: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.status == "finished"

    @property
    def config_id(self) -> str:
        """Hash of spec, versions and threads but for the seed: runs to be averaged."""
        content = {"spec": self.spec.config_id, "versions": self.versions, "threads": self.threads}
        return digest(content)

    def to_json(self) -> str:
        """Return the record as JSON with a digest over all of it."""
        content = asdict(self)
        return json.dumps({**content, "digest": digest(content)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a record and check its digest.

        Raises
        ------
        StoreError
            If it is truncated, changed or of another format.
        """
        try:
            content = json.loads(text)
            expected = content.pop("digest")
            names = {item.name for item in fields(cls)}
            if content.get("format") != FORMAT or set(content) != names:
                raise StoreError(f"it is not a record of format {FORMAT}")
            if digest(content) != expected:
                raise StoreError("its content does not match its digest")
            # a field with a default must be there like any other
            if set(content["spec"]) != {item.name for item in fields(RunSpec)}:
                raise StoreError(f"its spec is not one of format {FORMAT}")
            spec = RunSpec(**content.pop("spec"))
            return cls(spec=spec, **content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"it can't be read ({error})") from error
