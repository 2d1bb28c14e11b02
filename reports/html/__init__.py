"""The HTML report: one folder that opens from disk, without a network."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.bases.network import NeuralNetwork
from benchmark.errors import StoreError
from benchmark.plugins import registry
from benchmark.reading.folders import working_folder
from benchmark.runs.published import PublishedSet
from reports import figures, verify
from reports.figures import architectures
from reports.figures.style import Figure
from reports.html import notebooks, pages, reference
from reports.tables import results


@dataclass(frozen=True)
class BuildStep:
    """One step of building the report, with the name that is shown while it runs."""

    name: str
    run: Callable[[], Any]


def build(
    sets: dict[str, PublishedSet],
    target: Path,
    *,
    follow: Callable[[list[BuildStep]], Iterable[BuildStep]] = iter,
) -> Path:
    """Check the published sets, draw, execute the notebooks, and write the report.

    Parameters
    ----------
    sets : dict of str to PublishedSet
    target : Path
        The report's folder, or a link to it. It is replaced when all is done: a build that fails
        leaves it alone.
    follow : callable
        Gets the steps and gives them back one by one, to show how far it is.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    StoreError
        If a set is damaged, or its scores do not give the metrics that are stored.
    NotebookError
        If a notebook fails.
    """
    target = Path(os.path.realpath(target))
    with _staging(target) as made:
        pool = ThreadPoolExecutor(1)  # one kernel works while this process draws
        try:
            for step in follow(_plan(sets, made, pool)):
                step.run()
            _swap(made, target)
        finally:
            pool.shutdown(cancel_futures=True)
    return target / "index.html"


def _plan(sets: dict[str, PublishedSet], made: Path, pool: Executor) -> list[BuildStep]:
    """Return all steps; what one of them leaves to a later one is kept between them."""
    path = next(iter(sets.values())).path.parent
    drawn: dict[str, list[Figure]] = {}
    running: dict[str, Future] = {}
    executed: list[notebooks.Executed] = []

    def start() -> None:
        for name in notebooks.NOTEBOOKS:
            running[name] = pool.submit(notebooks.execute, notebooks.FOLDER / f"{name}.py", path)

    def draw(one: PublishedSet) -> None:
        drawn[one.name] = figures.draw({one.name: results.read(one)}, made / "figures")

    def draw_networks() -> None:
        drawn[""] = architectures.draw(drawn_networks(sets), made / "figures")

    return [
        *(BuildStep(f"check {one.name}", partial(verify.check, one)) for one in sets.values()),
        BuildStep("start notebooks", start),
        *(BuildStep(f"figures of {one.name}", partial(draw, one)) for one in sets.values()),
        BuildStep("networks", draw_networks),
        *(
            BuildStep(f"notebook {name}", lambda name=name: executed.append(running[name].result()))
            for name in notebooks.NOTEBOOKS
        ),
        BuildStep("pages", lambda: pages.write(sets, made, drawn, executed)),
        BuildStep("API reference", lambda: reference.write(made / "api")),
    ]


def drawn_networks(sets: dict[str, PublishedSet]) -> list[architectures.Architecture]:
    """Return the published networks: the defaults, and those tuned on each data set."""
    networks: dict[str, architectures.Architecture] = {}
    for one in sets.values():
        for spec in (one.get(run).spec for run in one.runs):
            if _can_be_drawn(spec.model) and spec.whole and not spec.refit:
                label = f"{spec.label} on {spec.dataset}" if spec.study else spec.label
                drawn = architectures.Architecture(label, spec.model, spec.preset, spec.params)
                networks.setdefault(label, drawn)
    return [networks[label] for label in sorted(networks)]


def _can_be_drawn(model: str) -> bool:
    """Whether a model is known here and is a network of Keras layers."""
    plugin = registry.models().plugins.get(model)
    return plugin is not None and issubclass(plugin, NeuralNetwork)


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Give a folder to build in, where the report can be written and replaces nothing else."""
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            ours = all((target / name).is_file() for name in ("index.html", *pages.FILES))
            if target.exists() and any(target.iterdir()) and not ours:
                raise StoreError(
                    f"{target} holds something that is no report. Name an empty or new folder with "
                    "--out"
                )
            made = stack.enter_context(working_folder(target.parent))
        except OSError as error:
            raise StoreError(
                f"the report can't be written to {target} ({error.strerror}). Name another folder "
                "with --out"
            ) from error
        yield made


def _swap(made: Path, target: Path) -> None:
    """Put the finished folder where the old one is, which goes where the finished one was."""
    old = made.with_name("old")
    if target.exists():
        target.rename(old)
    made.rename(target)
