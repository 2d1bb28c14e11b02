"""What a row of the table of faults is, and the folder that it happens in."""

import json
import shlex
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import server

from benchmark.runs.files import sha256
from benchmark.runs.record import digest

FAULT, BAD = "fault", "bad input"


@dataclass(frozen=True)
class Row:
    """One thing that goes wrong, and what must hold then.

    Attributes
    ----------
    cause : int
        The number of the kind of cause; see :data:`table.CAUSES`.
    done : str
        What was done.
    command : str
        The command, as it is typed; ``{...}`` stands for what :attr:`Place.words` holds.
        One that begins with ``>>>`` is Python, after ``import polytimbre as pt``.
    says : tuple of str
        What the sentence must hold: what, where, what to do.
    arrange : callable, optional
        Prepares the folder.
    code : int
        The exit code.
    kind : {FAULT, BAD}
    then : str, optional
        The command that the sentence advises, or that goes on: it must succeed.
    never : tuple of str
        What must not be said.
    limits : dict
        Of the process; see :func:`forked._child`.
    kept : bool
        Whether everything that was stored before must be there byte for byte.
    slow : bool
        Whether it takes seconds.
    """

    cause: int
    done: str
    command: str
    says: tuple[str, ...] = ()
    arrange: Callable[["Place"], Any] | None = None
    code: int = 2
    kind: str = BAD
    then: str | None = None
    never: tuple[str, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    kept: bool = True
    slow: bool = False


class Place:
    """A folder with a store of some runs, a study, and a published set.

    Attributes
    ----------
    path, store, sets, site : Path
        The folder itself, the runs in it, what is published of them, and more plugins.
    ids : dict of str to str
        Ids of the runs, by what they are.
    """

    def __init__(self, path: Path, plugins: Path) -> None:
        self.path = path
        self.store, self.sets, self.site = path / "store", path / "sets", path / "site"
        self._plugins = str(plugins)
        known = path / "ids.json"
        self.ids: dict[str, str] = json.loads(known.read_text()) if known.exists() else {}
        self.words = {"place": path, "store": self.store, "sets": self.sets, **self.ids}
        self.cpu = 0.0

    def run(self, command: str, **limits: Any):
        """Run a command here; see :class:`Row` for what it may be."""
        own = {"POLYTIMBRE_STORE": str(self.store), "PYTHONPATH": self._plugins}
        variables = {**own, **limits.pop("variables", {})}
        variables = {name: self._filled(value) for name, value in variables.items()}
        request: dict[str, Any] = {"folder": str(self.path), **limits}
        request["sites"] = [str(self.site), self._plugins]
        command = self._filled(command)
        if command.startswith(">>>"):
            request["python"] = "import polytimbre as pt\n" + command[3:].lstrip()
        else:
            request["argv"] = shlex.split(command)
        outcome = server()(variables=variables, **request)
        self.cpu += outcome.seconds
        return outcome

    def _filled(self, text: str) -> str:
        for word, value in self.words.items():
            text = text.replace(f"{{{word}}}", str(value))
        return text

    def folder(self, which: str) -> Path:
        """Return the folder of one run."""
        return self.store / "runs" / self.ids[which]

    @property
    def labels(self) -> Path:
        (path,) = (self.store / "labels").iterdir()
        return path

    def kept(self) -> dict[str, str]:
        """Return the SHA-256 of all that is stored and published, by file."""
        found = {}
        for folder in (self.store / "runs", self.store / "labels", self.sets):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and path.name != "asked":
                    large = path.stat().st_size > 1 << 30  # without a content
                    found[str(path.relative_to(self.path))] = "" if large else sha256(path)
        return found

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def sound(self, name: str = "x.wav") -> None:
        """Write a second of silence."""
        with wave.open(str(self.path / name), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16_000))

    def plugin(self, name: str, source: str, cls: str = "Own", group: str = "models") -> None:
        """Install one more plugin."""
        self.write(f"site/{name}.py", source)
        info = f"site/{name}-0.1.dist-info"
        self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        self.write(f"{info}/entry_points.txt", f"[polytimbre.{group}]\n{name} = {name}:{cls}\n")

    def reseal(self, which: str, change: Callable[[dict], Any]) -> None:
        """Change a run's record and give it the digest of what it then holds."""
        path = self.folder(which) / "record.json"
        content = json.loads(path.read_text())
        del content["digest"]
        change(content)
        path.write_text(json.dumps({**content, "digest": digest(content)}))

    def reseal_set(self, change: Callable[[dict], Any] = lambda listed: None) -> None:
        """Change a published set's list, let it hold the files as they are, and seal it."""
        path = self.sets / "tiny" / "set.json"
        content = json.loads(path.read_text())
        del content["digest"]
        for name in content["files"]:
            if (path.parent / name).is_file():
                content["files"][name] = sha256(path.parent / name)
        change(content)
        path.write_text(json.dumps({**content, "digest": digest(content)}))
