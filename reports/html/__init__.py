"""The HTML report: one folder that opens from disk, without a network."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmark.errors import StoreError
from benchmark.runs.published import PublishedSet
from reports import figures
from reports.figures import architectures
from reports.figures.style import NETWORKS
from reports.html import notebooks, pages, reference
from reports.tables import results


class Drawn(Protocol):
    """What is shown of a figure: ``NAME.svg``, ``NAME.pdf`` and ``NAME.png`` are its files."""

    name: str
    title: str
    caption: str
    alt: str


#: Draws the figures of data sets' tables into a folder.
Draw = Callable[[dict[str, results.Results], Path], Sequence[Drawn]]
#: Draws networks into a folder.
DrawNetworks = Callable[[Sequence[architectures.Architecture], Path], Sequence[Drawn]]


@dataclass(frozen=True)
class Step:
    """One step of the build, and what it is called while it runs."""

    label: str
    run: Callable[[], Any]


def build(
    sets: dict[str, PublishedSet],
    target: Path,
    *,
    figures: Draw = figures.draw,
    networks: DrawNetworks = architectures.draw,
    folder: Path = notebooks.FOLDER,
    follow: Callable[[list[Step]], Iterable[Step]] = iter,
) -> Path:
    """Check the published sets, draw, execute the notebooks, and write the report.

    Parameters
    ----------
    sets : dict of str to PublishedSet
    target : Path
        The report's folder. It is replaced when all is done: a build that fails leaves it alone.
    figures : callable
        Draws the figures of a data set; see :func:`reports.figures.draw`.
    networks : callable
        Draws networks; see :func:`reports.figures.architectures.draw`.
    folder : Path
        Of the notebooks.
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
    target = Path(target).absolute()
    made = _staging(target)
    pool = ThreadPoolExecutor(1)  # one kernel works while this process draws
    try:
        for step in follow(_plan(sets, made, figures, networks, folder, pool)):
            step.run()
        _swap(made, target)
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(made, ignore_errors=True)
    return target / "index.html"


def _plan(
    sets: dict[str, PublishedSet],
    made: Path,
    figures: Draw,
    networks: DrawNetworks,
    folder: Path,
    pool: Executor,
) -> list[Step]:
    """Return all steps; what one of them leaves to a later one is kept between them."""
    path = next(iter(sets.values())).path.parent
    drawn: dict[str, Sequence[Drawn]] = {}
    running: dict[str, Future] = {}
    executed: list[notebooks.Executed] = []

    def start() -> None:
        for name in notebooks.NOTEBOOKS:
            running[name] = pool.submit(notebooks.execute, folder / f"{name}.py", path)

    def draw(one: PublishedSet) -> None:
        drawn[one.name] = figures({one.name: results.read(one.results())}, made / "figures")

    def draw_networks() -> None:
        drawn[""] = networks(drawn_networks(sets), made / "figures")

    return [
        *(Step(f"check {one.name}", partial(check, one)) for one in sets.values()),
        Step("start notebooks", start),
        *(Step(f"figures of {one.name}", partial(draw, one)) for one in sets.values()),
        Step("networks", draw_networks),
        *(
            Step(f"notebook {name}", lambda name=name: executed.append(running[name].result()))
            for name in notebooks.NOTEBOOKS
        ),
        Step("pages", lambda: pages.write(sets, made, drawn, executed)),
        Step("API reference", lambda: reference.write(made / "api")),
    ]


def drawn_networks(sets: dict[str, PublishedSet]) -> list[architectures.Architecture]:
    """Return the published networks: the defaults, and those tuned on each data set."""
    found: dict[str, architectures.Architecture] = {}
    for one in sets.values():
        for spec in (one.get(run).spec for run in one.runs):
            if spec.model in NETWORKS and spec.fraction == 1 and not spec.refit:
                label = f"{spec.label} on {spec.dataset}" if spec.study else spec.label
                known = architectures.Architecture(label, spec.model, spec.preset, spec.params)
                found.setdefault(label, known)
    return [found[label] for label in sorted(found)]


def check(one: PublishedSet) -> None:
    """Check a set's files, and its metrics against its scores where these are published.

    Raises
    ------
    StoreError
        Naming the file, or the number that differs.
    """
    one.verify()
    stored = results.read(one.results())
    if one.complete and one.runs and "runs" in stored:
        wrong = results.different(results.runs(one, one.name), stored)
        if wrong:
            raise StoreError(
                f"the published set {one.name!r} does not follow from its scores: {wrong[0]}. "
                "Publish the runs again"
            )


def _staging(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and any(target.iterdir()) and not (target / "index.html").is_file():
            raise StoreError(
                f"{target} holds something that is no report. Name an empty or new folder with "
                "--out"
            )
        return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise StoreError(
            f"the report can't be written to {target} ({error.strerror}). Name another folder "
            "with --out"
        ) from error


def _swap(made: Path, target: Path) -> None:
    """Put the finished folder where the old one is."""
    umask = os.umask(0)
    os.umask(umask)
    made.chmod(0o777 & ~umask)  # temporary folders are their owner's alone
    old = made.with_name(made.name + "-old")
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)
