"""What a process that computes is started with, so that it gives the same bits everywhere.

Variables such as ``JAX_ENABLE_X64`` and a user's ``~/.keras/keras.json`` change what networks
compute, and a ``signal.py`` in the working folder is imported by whatever process has that
folder on its path. A worker gets neither: settings as they are here, and a path of installed
packages.
"""

import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from benchmark.errors import PolytimbreError
from benchmark.workers.instructions import AVX2
from benchmark.workers.threads import SINGLE_THREAD

#: Variables whose names begin so change what Keras, JAX, XLA, TensorFlow and NumPy compute.
FOREIGN = ("JAX_", "XLA_", "KERAS_", "TF_", "ONEDNN_", "DNNL_", "OPENBLAS_", "NPY_")
#: Those that NumPy and its linear algebra read when they are imported.
OF_ARRAYS = ("OPENBLAS_", "NPY_")
#: Where ``benchmark`` lies, beside ``models`` and ``reports``.
_ENGINE = Path(__file__).resolve().parents[2]
#: Keras reads its settings from a file in this folder, whatever the user's own file says.
_KERAS_HOME = Path(__file__).resolve().with_name("keras")
#: What :mod:`jax` and :mod:`keras` must be set to where they were imported before.
_EXPECTED = {
    "jax": {
        "jax_enable_x64": False,
        "jax_default_prng_impl": "threefry2x32",
        "jax_default_matmul_precision": None,
    },
    "keras": {"floatx": "float32", "image_data_format": "channels_last"},
}

#: Variables and path are set while a process starts; two starts at once would undo each other's.
_starting = threading.Lock()


def settings() -> dict[str, str | None]:
    """Return the variables of a process that computes; None: it must not have this one.

    Raises
    ------
    PolytimbreError
        Where a variable asks for what can't be had: another device than the processor, or a
        Keras backend that isn't installed.
    """
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        if os.environ.get(name, "") not in ("", "cpu"):
            raise PolytimbreError(
                f"the variable {name} asks for {os.environ[name]!r}, but runs are computed on the "
                "processor, with one thread, so that they can be repeated: unset it"
            )
    backend = os.environ.get("KERAS_BACKEND") or "jax"
    if importlib.util.find_spec(backend.partition(".")[0]) is None:
        raise PolytimbreError(
            f"the variable KERAS_BACKEND asks for {backend!r}, which isn't installed: install it, "
            "or unset the variable for JAX"
        )
    return {
        **{name: None for name in os.environ if name.startswith(FOREIGN)},
        **SINGLE_THREAD,
        **AVX2,
        "KERAS_BACKEND": backend,
        "KERAS_HOME": str(_KERAS_HOME),
        "JAX_PLATFORMS": "cpu",
        "PYTHONSAFEPATH": "1",
    }


def pin() -> None:
    """Give this process the settings of a worker, but for its path.

    Raises
    ------
    PolytimbreError
        As in :func:`settings`, or where JAX or Keras was imported before with other settings.
    """
    wanted = settings()
    changed = _changed()
    if "jax" in sys.modules:
        names = ["PJRT_NPROC", *(name for name in os.environ if name.startswith(("JAX_", "XLA_")))]
        changed += [
            f"{name}={os.environ.get(name, '')}"
            for name in names
            if os.environ.get(name) not in (wanted[name], wanted[name] or "")
        ]
    if changed:
        raise PolytimbreError(
            f"JAX or Keras was imported with {', '.join(changed)}, which changes results: start a "
            "fresh Python and import them within the model's methods alone, or use a worker process"
        )
    # NumPy is here: programs that this one starts are to compute as it does, and find their modules
    kept = [name for name in wanted if name.startswith(OF_ARRAYS) and name not in SINGLE_THREAD]
    for name in ("PYTHONSAFEPATH", *kept):
        del wanted[name]
    _set(wanted)


def _changed() -> list[str]:
    """Return the settings of JAX and Keras in this process that aren't a worker's."""
    changed = []
    for library, expected in _EXPECTED.items():
        config = getattr(sys.modules.get(library), "config", None)
        for name, value in expected.items():
            setting = getattr(config, name, value)
            setting = setting() if callable(setting) else setting
            if setting != value:
                changed.append(f"{name}={setting}")
    return changed


@contextmanager
def starting() -> Iterator[None]:
    """Give processes that are started meanwhile a worker's settings and path.

    Nor does it import the program that starts it: what a worker runs is imported by name.

    Raises
    ------
    PolytimbreError
        See :func:`settings`.
    """
    with _starting:
        wanted = settings()
        variables = {name: os.environ.get(name) for name in wanted}
        path, main = sys.path[:], sys.modules["__main__"]
        _set(wanted)
        sys.path[:] = safe_path()
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            sys.path[:] = path
            # what another thread has set meanwhile stays
            same = (name for name, value in wanted.items() if os.environ.get(name) == value)
            _set({name: variables[name] for name in same})


def safe_path() -> list[str]:
    """Return :data:`sys.path` without the working folder and the folder of the running program.

    Either stays where ``PYTHONPATH`` names it.
    """
    program = getattr(sys.modules["__main__"], "__file__", None)
    unsafe = {Path.cwd(), Path(program or "").resolve().parent if program else Path.cwd()}
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [
        entry
        for entry in sys.path
        if entry and (entry in named or Path(entry).resolve() not in unsafe)
    ]
    return kept if str(_ENGINE) in kept else [*kept, str(_ENGINE)]


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
