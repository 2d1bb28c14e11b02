"""The record of one run: what was asked, what came out, on what."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_type_hints

from benchmark.contracts.model import Stage
from benchmark.errors import StoreError
from benchmark.reading.kinds import in_words, is_kind
from benchmark.runs.files import is_inside

FORMAT = 6
#: Fields by the first format that holds them, those of the spec with its name before theirs;
#: what is not named was there in format 3, the oldest that is read.
ADDED = {
    "labels": 4, "spec.features": 5, "spec.features_sha256": 5, "spec.order": 5, "spec.positives": 6
}  # fmt: skip
OLDEST = 3

#: What some mappings of a record hold, where they hold it.
HELD = {
    "history": {"unit": str, "best": int, "stages": dict[str, list[float]]},
    "git": {"commit": str | None, "dirty": bool | None},
    "machine": {"processor": str, "platform": str, "python": str, "memory_gib": float},
    "tuning": {
        "tried": int,
        "seconds": float,
        "select_mAP": float | None,
        "storage": str,
        "cross_validated_mAP": float | None,
        "cross_validation_seconds": float,
    },
}
#: What some mappings of a finished run's record hold, where they hold anything.
NEEDED = {"seconds": ("fit",), "git": ("commit", "dirty")}


class FormatError(StoreError):
    """A record of a format that this version of polytimbre does not read."""


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
    order : int
        Which random order the groups of the fit part were taken in, where it is not :attr:`whole`.
    features : str or None
        What tables call the features: the front end that they come from, the file that they were
        read from with the beginning of its hash, or several of these joined by ``+``. None in
        records of format 4 and before: those that the data set is loaded with.
    features_sha256 : str or None
        Of their content; None where `features` is.
    positives : int or None
        Groups of the fit part in which each class is known to be heard: its other positives count
        as not observed. None: all.
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
    order: int = 0
    features: str | None = None
    features_sha256: str | None = None
    positives: int | None = None

    def _asked(self) -> dict[str, Any]:
        asked = asdict(self)
        # a preset is a name for parameters, and these are all in `params`
        for name in ("preset", "official"):
            del asked[name]
        if self.features is None:  # an id from before there was a choice
            del asked["features"], asked["features_sha256"]
            if not self.order:
                del asked["order"]
        if self.positives is None:  # an id from before there was such a limit
            del asked["positives"]
        return asked

    @property
    def whole(self) -> bool:
        """Whether it learns from all clips of the fit part, with all their labels."""
        return self.fraction == 1 and self.positives is None

    @property
    def spec_id(self) -> str:
        """Hash of what was asked."""
        return digest(self._asked())

    @property
    def config_id(self) -> str:
        """Hash of what was asked but for the seed and the order of the groups."""
        return digest({**replace(self, order=0)._asked(), "seed": None})

    @property
    def setting(self) -> str:
        """Model and preset, as in ``cnn:published``."""
        return f"{self.model}:{self.preset}" if self.preset else self.model

    @property
    def label(self) -> str:
        """The setting and how it was trained: ``cnn tuned``, ``cnn 10 %``, ``cnn 5 positives``."""
        words = [self.setting]
        words += ["tuned"] if self.study else []
        words += ["refit"] if self.refit else []
        words += [f"{100 * self.fraction:g} %"] if self.fraction != 1 else []
        words += [f"{self.positives} positives"] if self.positives is not None else []
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
    labels : str or None
        SHA-256 of the labels of all parts; None in records of format 3.
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
    labels: str | None = None
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

    @property
    def name(self) -> str:
        """What messages call it: its id, and the commit that it was made at."""
        commit = self.git.get("commit")
        return f"run {self.run_id}" + (f" (of commit {commit[:10]})" if commit else "")

    def stage_at_best(self) -> dict[str, float] | None:
        """Return loss and mAP of the stage that the model stands at; None without stages."""
        stages, best = self.history.get("stages", {}), self.history.get("best")
        numbers = stages.get("number", [])
        if best not in numbers:
            return None
        row = numbers.index(best)
        return {name: column[row] for name, column in stages.items()}

    def to_json(self) -> str:
        """Return the record as JSON with a digest over all of it."""
        content = asdict(self)
        for name in _absent(self.format):
            outer, _, inner = name.rpartition(".")
            del (content[outer] if outer else content)[inner]
        return json.dumps({**content, "digest": digest(content)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a record and check its digest and what its fields hold.

        Raises
        ------
        FormatError
            If it is of another format than `OLDEST` to `FORMAT`.
        StoreError
            If it is truncated or changed.
        """
        try:
            content = json.loads(text)
            expected = content.pop("digest")
            number = content.get("format")
            if type(number) is not int or not OLDEST <= number <= FORMAT:
                raise FormatError(_other_format(number))
            if digest(content) != expected:
                raise StoreError("its content does not match its digest")
            _check(content, number)
            spec = RunSpec(**content.pop("spec"))
            return cls(spec=spec, **content)
        except json.JSONDecodeError as error:
            raise StoreError(f"its record is not valid JSON ({error})") from error
        except KeyError as error:
            raise StoreError(f"its record lacks {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"its record is not one of a run ({error})") from error
        except RecursionError as error:
            raise StoreError("its record is nested too deeply") from error


def _absent(number: int) -> list[str]:
    """Return the fields that a record of an older format does not have; see `ADDED`."""
    return [name for name, first in ADDED.items() if first > number]


def _other_format(number: Any) -> str:
    if type(number) is int and number > FORMAT:
        return (
            f"its record is of format {number}, written by a newer polytimbre than this one, "
            f"which reads up to {FORMAT}. Install the newer one"
        )
    return f"its record is of format {number!r}, this polytimbre reads {OLDEST} to {FORMAT}"


def _check(content: dict[str, Any], number: int) -> None:
    """Refuse a record whose fields are not those of its format, or do not hold what they should.

    Raises
    ------
    StoreError
        Naming the field.
    """
    if not isinstance(content.get("spec"), dict):
        raise StoreError("the field 'spec' of its record must be a mapping")
    kinds = get_type_hints(Record)
    kinds |= {f"spec.{name}": kind for name, kind in get_type_hints(RunSpec).items()}
    for name in _absent(number):
        del kinds[name]
    values = {**content, **{f"spec.{name}": value for name, value in content["spec"].items()}}
    # a field with a default must be there like any other
    there, wanted = set(values), set(kinds)
    if missing := sorted(wanted - there):
        raise StoreError(f"its record lacks the field {missing[0]!r}")
    if unknown := sorted(there - wanted):
        raise StoreError(f"its record has a field {unknown[0]!r}, which format {number} has not")
    held = [(name, values[name], kind) for name, kind in kinds.items() if name != "spec"]
    for name, inner in HELD.items():
        some = content[name] or {}
        held += [(f"{name}.{key}", some[key], kind) for key, kind in inner.items() if key in some]
    for name, value, kind in held:
        if not is_kind(value, kind):
            raise StoreError(f"the field {name!r} of its record must be {in_words(kind)}")
    if content["status"] not in ("finished", "failed"):
        raise StoreError(f"the status in its record is {content['status']!r}")
    for name, keys in NEEDED.items() if content["status"] == "finished" else ():
        if content[name] and (absent := [key for key in keys if key not in content[name]]):
            raise StoreError(f"the field {name!r} of its record lacks {absent[0]!r}")
    _check_history(content["history"])
    for name in content["files"]:
        if not is_inside(name):
            raise StoreError(f"its record names a file outside its folder, {name!r}")


def _check_history(history: dict[str, Any]) -> None:
    """Refuse a history of stages without a unit, or whose columns are not those of a stage."""
    stages = history.get("stages", {})
    if len({len(column) for column in stages.values()}) > 1:
        raise StoreError("the columns of its record's history are of different lengths")
    if stages and "unit" not in history:
        raise StoreError("its record's history lacks the field 'unit'")
    if stages and (different := sorted(stages.keys() ^ set(Stage._fields))):
        raise StoreError(f"its record's history lacks {different[0]!r}, or should not hold it")
