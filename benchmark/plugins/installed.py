"""Import the packages `models` and `reports` that belong to this installation."""

import sys
import warnings
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

#: The folder that polytimbre is installed in, or its checkout.
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("models", "reports")


def claim() -> None:
    """Import this installation's `models` and `reports` under their names.

    A folder or a file of one of these names in the working folder, or anywhere else that
    Python looks first, is passed over from then on.

    A package that is passed over so is named in a warning: the program may mean that one.

    Raises
    ------
    ImportError
        If a program imported another package of such a name before polytimbre.
    """
    for name in PACKAGES:
        file = ROOT / name / "__init__.py"
        known = sys.modules.get(name)
        if known is None:
            _warn_of_hidden(name, file)
            spec = spec_from_file_location(
                name, file, submodule_search_locations=[str(file.parent)]
            )
            module = sys.modules[name] = module_from_spec(spec)
            spec.loader.exec_module(module)
        elif not (known.__file__ and file.samefile(known.__file__)):
            raise ImportError(
                f"polytimbre has a package {name!r}, and the program has imported another one "
                f"before, {known.__file__ or known!r}: rename that, or import polytimbre first"
            )


def _warn_of_hidden(name: str, file: Path) -> None:
    """Warn of another package of this name that the program would have got."""
    if "--multiprocessing-fork" in sys.orig_argv:  # a worker: who started it has said so
        return
    try:
        found = PathFinder.find_spec(name)
    except (ImportError, ValueError, OSError):
        return
    origin = Path(found.origin) if found and found.origin else None
    if origin and not (file.exists() and origin.exists() and origin.samefile(file)):
        warnings.warn(
            f"polytimbre has a package {name!r}: {origin} is hidden by it from here on. Rename "
            "that, if your program imports it",
            stacklevel=2,
        )
