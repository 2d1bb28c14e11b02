"""Write the beginning of a plugin from a template: a file in the clone, or a package."""

import ast
import keyword
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import PluginError
from benchmark.plugins import registry

TEMPLATES = Path(__file__).with_name("templates")

#: The folder that holds ``benchmark`` and ``models``.
ROOT = Path(__file__).resolve().parents[2]


class _Kind(NamedTuple):
    """How plugins of one kind are called and where they are found."""

    template: str
    cls: str
    folder: Path
    group: str


_KINDS = {
    "model": _Kind("my_model", "MyModel", ROOT / "models", "polytimbre.models"),
    "data set": _Kind(
        "my_dataset", "MyDataset", ROOT / "benchmark" / "datasets", "polytimbre.datasets"
    ),
}


def write(kind: str, name: str, package: Path | None = None) -> list[Path]:
    """Write the files of a new plugin, which passes ``polytimbre check`` as it is.

    Parameters
    ----------
    kind : {"model", "data set"}
    name : str
        What commands and tables will call it.
    package : Path, optional
        Folder to make, with a package that can be installed. Without it one file is put where
        this clone of polytimbre finds it.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    PluginError
        For a name that can't be used, a file that is there already, or no clone to write to.
    """
    what = _KINDS[kind]
    _check_name(kind, name)
    if package is not None:
        return _write_all(_package(kind, name, package))
    if not (ROOT / "pyproject.toml").is_file():
        raise PluginError(
            f"polytimbre is installed in {ROOT}, and no clone to write a {kind} into: make a "
            "package of its own with --package FOLDER"
        )
    if (what.folder / name).exists():
        raise PluginError(f"{what.folder / name} is there already: take another name")
    return _write_all({what.folder / f"{name}.py": _filled(what, f"{what.template}.py", name)})


def _check_name(kind: str, name: str) -> None:
    if (
        not (name.isascii() and name.isidentifier())
        or keyword.iskeyword(name)
        or name.strip("_") != name  # a distribution's can't end so
    ):
        raise PluginError(
            f"{name!r} can't be the name of a {kind}: take letters, digits and underscores, a "
            "letter first, no underscore last, and no word of Python's"
        )
    for known, registered in (
        ("model", registry.models()),
        ("data set", registry.datasets()),
        ("front end", registry.frontends()),
    ):
        broken = {where.rpartition(".")[2] for where in registered.failures}
        if name in {*registered.names(), *broken}:
            raise PluginError(f"a {known} is named {name!r} already: take another name")
    if name in sys.stdlib_module_names:
        raise PluginError(f"{name!r} is a module of Python's own: take another name")
    cls = _class_name(name)
    if keyword.iskeyword(cls) or cls in _imported(_template(f"{_KINDS[kind].template}.py")):
        raise PluginError(
            f"the class of {name!r} would be {cls}, which is taken: take another name"
        )


def _imported(source: str) -> set[str]:
    """Return the names that a module imports."""
    nodes = ast.walk(ast.parse(source))
    found = (node.names for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return {one.asname or one.name for names in found for one in names}


def _package(kind: str, name: str, package: Path) -> dict[Path, str]:
    what = _KINDS[kind]
    words = {
        "PLUGIN": name,
        "CLASS": _class_name(name),
        "GROUP": what.group,
        "DESCRIPTION": f"The {kind} {name} for polytimbre",
    }
    return {
        package / "pyproject.toml": _replaced(_template("package.toml"), words),
        package / f"polytimbre_{name}.py": _filled(what, f"{what.template}.py", name),
        package / "tests" / f"test_{name}.py": _filled(what, f"test_{what.template}.py", name),
    }


def _filled(what: _Kind, template: str, name: str) -> str:
    spoken = name.replace("_", " ").capitalize()
    words = {'"""My model:': f'"""{spoken}:', '"""My data set.': f'"""{spoken}.'}
    words |= {what.template: name, what.cls: _class_name(name)}
    return _replaced(_template(template), words)


def _template(file: str) -> str:
    return (TEMPLATES / file).read_text(encoding="utf-8")


def _replaced(text: str, words: dict[str, str]) -> str:
    """Replace words all at once: what stands for one may hold another."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)


def _class_name(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _write_all(files: dict[Path, str]) -> list[Path]:
    made: list[Path] = []  # what is to go again if one of them can't be written
    try:
        for file in files:
            if file.exists():
                raise PluginError(f"{file} is there already, and nothing is replaced")
        for file, text in files.items():
            for folder in reversed([one for one in file.parents if not one.exists()]):
                folder.mkdir()
                made.append(folder)
            made.append(file)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        reason = error.strerror or error
        raise PluginError(f"{error.filename or made[-1]} can't be written ({reason})") from error
    return list(files)
