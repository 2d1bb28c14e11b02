"""Hear which instruments sound in a recording, and look at what was heard."""

import warnings
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.api.arguments import PLACE, check_arguments
from benchmark.api.running import Run
from benchmark.contracts import facts
from benchmark.predict import choosing
from benchmark.predict.recogniser import Heard

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Prediction:
    """What a stored run heard in one recording.

    Made by :func:`predict`.

    Attributes
    ----------
    heard : Heard
        Scores over time: ``starts``, ``ends``, ``scores``, ``clip``.
    """

    def __init__(self, run: choosing.HearingRun, heard: Heard) -> None:
        self._run = run
        self.heard = heard

    @property
    def present(self) -> list[str]:
        """Return the instruments that reach the run's threshold, highest score first."""
        frame = self.summary
        return frame.index[frame["present"]].tolist()

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Return one row a class, highest first: score, present, and how well it is known.

        ``AP`` is the run's average precision on its own test part, ``chance`` that of guessing;
        ``known`` says whether the run can tell the class from chance.
        """
        rows = {"score": self.heard.clip, "present": self.heard.clip >= self._run.thresholds}
        frame = pd.DataFrame(rows, index=pd.Index(self._run.classes, name="class"))
        known = pd.DataFrame(self._run.known(), index=frame.index)
        return frame.join(known).sort_values("score", ascending=False, kind="stable")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return one row a window, its start and end in seconds, and one column a class."""
        times = [self.heard.starts, self.heard.ends]
        index = pd.MultiIndex.from_arrays(times, names=["start", "end"])
        return pd.DataFrame(self.heard.scores, index=index, columns=list(self._run.classes))

    def plot(self) -> "Figure":
        """Draw scores over time as a heat map."""
        from reports.hearing.figure import draw

        return draw(self._run, self.heard)

    def __repr__(self) -> str:
        return f"<Prediction {self.heard.name}: {', '.join(self.present) or 'nothing found'}>"

    def _repr_html_(self) -> str:
        from reports.hearing.figure import html

        told = {"present": ", ".join(self.present) or "nothing found", "run": self._run.title}
        said = [*self.heard.warnings, *self._run.cautions]
        told |= {"note": "; ".join(said)} if said else {}
        return facts.html(self.heard.name, told) + html(self._run, self.heard)


def predict(
    file: str | Path,
    run: str | Run | None = None,
    *,
    hop: float | None = None,
    window: float | None = None,
    store: str | Path | None = None,
) -> Prediction:
    """Tell which instruments sound in a recording, and when.

    Parameters
    ----------
    file : str or Path
        Wav, flac, ogg, opus, mp3; with the extra ``ffmpeg`` MPEG-4 and more.
    run : str or Run, optional
        A run, or the id of a stored or published one. By default the best published run whose
        model is shipped.
    hop : float, optional
        Seconds from window to window; a window's length unless told.
    window : float, optional
        Seconds that are scored at once; those of the clips that the model learnt from unless
        told. Shorter ones are repeated to that.
    store : str or Path, optional
        Folder in which a run is looked for, in place of the default store.

    Returns
    -------
    Prediction

    Raises
    ------
    DataError
        Where the file can't be read, or a front end's weights are missing.
    StoreError, UnknownNameError
        Where there is no such run, or its model is not kept.

    Examples
    --------
    >>> import polytimbre as pt
    >>> heard = pt.predict("song.ogg")  # doctest: +SKIP
    >>> heard.present  # doctest: +SKIP
    ['guitar', 'voice']
    >>> heard.frame["guitar"].plot()  # doctest: +SKIP
    """
    check_arguments(
        file=(file, *PLACE),
        hop=(hop, Real, None),
        window=(window, Real, None),
        store=(store, *PLACE, None),
    )
    if isinstance(run, Run):
        loaded = choosing.load_run(run._source, run.record)
    else:
        check_arguments(run=(run, str, None))
        places = choosing.sources(store and Path(store), asked=run is not None)
        loaded = choosing.load_run(*choosing.choose_run(places, run))
    recogniser = loaded.recogniser if window is None else loaded.recogniser.with_window(window)
    for caution in loaded.cautions:
        warnings.warn(caution, stacklevel=2)
    return Prediction(loaded, recogniser.hear(Path(file), hop))
