"""Execute the notebooks and turn them into pages."""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import PolytimbreError

FOLDER = Path(__file__).parent.parent / "notebooks"

#: File and name of each, in the order of reading.
NOTEBOOKS = {
    "comparison": "Comparison",
    "training_gap": "Training gap",
    "protocol_audit": "Protocol audit",
    "tuning": "Tuning",
}

#: Of one notebook; a kernel that hangs ends there.
TIMEOUT = 300


class NotebookError(PolytimbreError):
    """A notebook that can't be executed."""


@dataclass(frozen=True)
class Executed:
    """A notebook that was executed.

    Attributes
    ----------
    name, title : str
    body : str
        HTML.
    """

    name: str
    title: str
    body: str


def execute(path: Path, results: Path) -> Executed:
    """Execute one notebook in a kernel of its own and convert it; the same bytes each time.

    Parameters
    ----------
    path : Path
        A script in jupytext's percent format.
    results : Path
        Folder of the published sets.

    Raises
    ------
    NotebookError
    """
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{number}"  # ids are drawn at random otherwise
    # connection files and IPython's own folder live as long as the kernel
    with tempfile.TemporaryDirectory(prefix="polytimbre-notebook-") as folder:
        client = NotebookClient(
            notebook, km=_kernel_manager(Path(folder)), timeout=TIMEOUT, record_timing=False,
            store_widget_state=False,
        )  # fmt: skip
        client.owns_km = True  # it ends the kernel then, also after an error
        try:
            client.execute(cwd=str(path.parent), env=_environment(results, Path(folder)))
        except CellExecutionError as error:
            _check_errors(notebook, path)
            raise NotebookError(f"the notebook {path.name} failed: {error}") from error
        except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise NotebookError(
                f"the kernel of the notebook {path.name} failed: {reason}"
            ) from error
    _join_streams(notebook)
    _check_errors(notebook, path)
    return Executed(path.stem, _title(notebook, path.stem), _body(notebook))


def _join_streams(notebook) -> None:
    """Join what a cell printed: a kernel sends it in pieces, whose ends the clock decides."""
    for cell in notebook.cells:
        outputs: list[Any] = []
        for one in cell.get("outputs", ()):
            last = outputs[-1] if outputs else {}
            if one["output_type"] == "stream" and last.get("name") == one["name"]:
                last["text"] += one["text"]
            else:
                outputs.append(one)
        if outputs:
            cell["outputs"] = outputs


def _check_errors(notebook, path: Path) -> None:
    """Refuse an error of any cell; the kernel goes on after one in the display of a value."""
    for cell in notebook.cells:
        for one in cell.get("outputs", ()):
            if one["output_type"] == "error":
                raise NotebookError(
                    f"the notebook {path.name} failed with {one['ename']}: {one['evalue']}. Open "
                    f"{path} in Jupyter to see where"
                )


def _kernel_manager(folder: Path):
    """Return a manager that starts this interpreter, whatever kernels are installed."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv += ["--HistoryManager.enabled=False", "--ZMQInteractiveShell.colors=nocolor"]

    class ThisInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=ThisInterpreter(),
        connection_file=str(folder / "kernel.json"),
    )
    if os.name == "posix":  # sockets in the folder: no port that others could reach
        manager.transport, manager.ip = "ipc", str(folder / "k")
    return manager


def _environment(results: Path, folder: Path) -> dict[str, str]:
    """Return the kernel's environment: one thread, nothing of the user's own settings."""
    root = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(threads, "1"),
        "PYTHONPATH": os.pathsep.join([root, path] if path else [root]),
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "agg",
        "IPYTHONDIR": str(folder / "ipython"),
        "POLYTIMBRE_RESULTS": str(Path(results).resolve()),
    }


def _title(notebook, otherwise: str) -> str:
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.partition("\n")[0][2:].strip()
    return otherwise


def _body(notebook) -> str:
    """Return the notebook's cells as HTML, without a page or scripts around them."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(notebook)[0]
