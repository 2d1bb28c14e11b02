"""Look at the runs of a store, and at what is published."""

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.api.arguments import PLACE, check_arguments
from benchmark.api.running import Run
from benchmark.api.tables import Tables, plot
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.runs import published as published_runs
from benchmark.runs.features import features_of
from benchmark.runs.published import PublishedSet
from benchmark.runs.reading import Runs
from benchmark.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.tables.declaration import Results


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row a run: what was asked, and what became of it."""
    rows = []
    for record in records:
        spec, stage = record.spec, record.stage_at_best() or {}
        rows.append(
            {
                "run": record.run_id,
                "model": spec.label,
                "seed": spec.seed,
                "data set": spec.dataset,
                "mAP on stop": stage.get("stop_mAP", float("nan")),
                "status": record.status,
                "fit (s)": record.seconds.get("fit", float("nan")),
                "features": features_of(spec),
                "created": record.created[:19].replace("T", " "),
                "error": record.error,
            }
        )
    return pd.DataFrame(rows)


class StoredRuns:
    """The runs of a store, to look at: iterate over them, or take one by its id.

    Examples
    --------
    >>> import polytimbre as pt
    >>> runs = pt.published("rendered")
    >>> sorted(run.record.spec.seed for run in runs if run.label == "xgboost tuned")
    [0, 1, 2, 3, 4]
    """

    def __init__(self, source: Runs, dataset: str | None = None) -> None:
        self._source, self._dataset = source, dataset

    @property
    def path(self) -> Path:
        """Return the folder they are read from."""
        return self._source.path

    @cached_property
    def _records(self) -> list[Record]:
        records = self._source.records()
        on = {record.spec.dataset for record in records}
        if self._dataset is not None and self._dataset not in on:
            raise UnknownNameError("data set", self._dataset, on, where="of the stored runs")
        return [record for record in records if self._dataset in (None, record.spec.dataset)]

    def __iter__(self) -> Iterator[Run]:
        return (Run(self._source, record) for record in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, run_id: str) -> Run:
        """Return the run of an id, or of the beginning of one.

        Raises
        ------
        ProtocolError, UnknownNameError, AmbiguousError
            For what is no text, and a beginning of no id, or of several.
        """
        if not isinstance(run_id, str):
            raise ProtocolError(
                f"a run is named by its id, a text, got {run_id!r}; `list(runs)[0]` is the first"
            )
        return Run(self._source, self._source.get(run_id))

    @property
    def frame(self) -> pd.DataFrame:
        """Return one row a run: what was asked, and what became of it."""
        return frame_of(self._records)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} in {self.path}>"

    def _repr_html_(self) -> str:
        from reports.html import shown

        return shown.table(self.frame, f"{len(self)} runs in {self.path}")


class PublishedRuns(StoredRuns):
    """The published runs of one data set, and the tables that were derived from them."""

    @property
    def name(self) -> str:
        """Return the data set's name."""
        return self._source.name

    @cached_property
    def _results(self) -> "Results":
        from reports.tables import results

        return results.read(self._source)

    @cached_property
    def tables(self) -> Tables:
        """Return the tables by name; they are there where scores may not be shipped, too.

        Examples
        --------
        >>> import polytimbre as pt
        >>> table = pt.published("audioset20").tables["comparison"]
        >>> table.frame["model"][0]
        'attention refit on vggish+tags'
        """
        return Tables.of(self._results)

    def plot(self, name: str) -> "Figure":
        """Draw one of the report's figures from the tables; see :meth:`Result.plot`."""
        return plot(self._results, name)


def store(folder: str | Path, dataset: str | None = None) -> StoredRuns:
    """Open a store of runs to look at, and nothing is written there.

    Parameters
    ----------
    folder : str or Path
        As ``--store`` of the command names it; a published set's folder will do.
    dataset : str, optional
        The runs on this data set alone.

    Raises
    ------
    StoreError
        If there is no store.
    UnknownNameError
        If it holds no run on `dataset`; when the runs are first looked at.

    Examples
    --------
    >>> import polytimbre as pt
    >>> pt.store("polytimbre-store").frame  # doctest: +SKIP
    """
    check_arguments(folder=(folder, *PLACE), dataset=(dataset, str, None))
    runs = published_runs.open_runs(Path(folder), warn=warnings.warn)
    kind = PublishedRuns if isinstance(runs, PublishedSet) else StoredRuns
    return kind(runs, dataset)


def published_sets(results: str | Path | None = None) -> list[str]:
    """Return the names of the data sets with published runs or results.

    Parameters
    ----------
    results : str or Path, optional
        Folder of the published sets; ``$POLYTIMBRE_RESULTS``, or else the checkout's.

    Examples
    --------
    >>> import polytimbre as pt
    >>> pt.published_sets()
    ['audioset-world', 'audioset20', 'openmic2018', 'rendered', 'rendered-full']
    """
    return list(published_runs.sets(_results_folder(results)))


def published(name: str, results: str | Path | None = None) -> PublishedRuns:
    """Open the published runs on one data set, and the tables that were derived from them.

    Parameters
    ----------
    name : str
        One of :func:`published_sets`.
    results : str or Path, optional
        Folder of the published sets; ``$POLYTIMBRE_RESULTS``, or else the checkout's.

    Raises
    ------
    UnknownNameError, StoreError

    Examples
    --------
    >>> import polytimbre as pt
    >>> runs = pt.published("rendered")
    >>> {run.record.spec.dataset for run in runs}
    {'rendered'}
    """
    check_arguments(name=(name, str))
    sets = published_runs.sets(_results_folder(results))
    if name not in sets:
        raise UnknownNameError("published set", name, sets)
    return PublishedRuns(sets[name])


def _results_folder(results: str | Path | None) -> Path:
    check_arguments(results=(results, *PLACE, None))
    return Path(results or os.environ.get("POLYTIMBRE_RESULTS") or published_runs.DEFAULT)
