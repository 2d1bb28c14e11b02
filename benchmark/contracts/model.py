"""What a model is, and the history that fitting one returns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmark.contracts import parameters
from benchmark.contracts.dataset import Part
from benchmark.errors import PluginError, UnknownNameError
from benchmark.scoring.metrics import log_loss, mean_average_precision


class Stage(NamedTuple):
    """Masked loss and mAP after one epoch, boosting round or forest size."""

    number: int
    fit_loss: float
    stop_loss: float
    fit_mAP: float
    stop_mAP: float


#: Called after each stage with the stage; a true answer asks the model to stop.
Report = Callable[[Stage], bool | None]


def check_array(whose: str, scores: Any, shape: tuple[int, ...]) -> None:
    """Refuse scores that are no array of this shape.

    Parameters
    ----------
    whose : str
        The sentence's beginning, up to "an array".

    Raises
    ------
    PluginError
        With what was expected, and what came.
    """
    # exactly: a subclass computes otherwise, as a masked array or a matrix does
    if type(scores) is not np.ndarray:
        raise PluginError(f"{whose} a plain NumPy array, got {type(scores).__name__}")
    if scores.shape != shape:
        raise PluginError(
            f"{whose} an array of shape (n_clips, n_classes) = {shape}, got {scores.shape}"
        )
    if scores.dtype.kind != "f":
        raise PluginError(f"{whose} an array of float32, got {scores.dtype}")


@dataclass
class History:
    """Training history of one fit.

    Attributes
    ----------
    unit : str
        What a stage counts: ``"epoch"``, ``"round"``, ``"tree"`` or ``"fit"``.
    stages : list of Stage
    best : int
        Number of the stage the fitted model stands at (early stopping may go back).
    """

    unit: str
    stages: list[Stage] = field(default_factory=list)
    best: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.unit, str) or not self.unit:
            raise PluginError(
                f'what a History counts must be a text such as "epoch", got {self.unit!r}'
            )

    def record(
        self,
        number: int,
        train: Part,
        stop: Part,
        fit_scores: np.ndarray,
        stop_scores: np.ndarray,
        report: Report | None = None,
    ) -> bool:
        """Score both parts, append the stage and report it.

        Parameters
        ----------
        number : int
            Epochs, rounds or trees so far: more at each stage.
        fit_scores, stop_scores : ndarray, shape (n_clips, n_classes)
            Probabilities on `train` and on `stop`.

        Returns
        -------
        bool
            True where `report` asks to stop.

        Raises
        ------
        PluginError
            If the number is not whole or does not rise, or scores are no array of a part's shape.
        """
        # a NumPy integer is one too, and is kept as Python's, which a record can hold
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        last = self.stages[-1].number if self.stages else -1
        if not whole or number <= last:
            after = f" after {last}" if self.stages else ""
            raise PluginError(
                "history.record must get the stages' numbers as whole numbers that rise, got "
                f"{number!r}{after}"
            )
        number = int(number)
        for name, part, scores in (("train", train, fit_scores), ("stop", stop, stop_scores)):
            check_array(f"history.record must get, as scores of {name},", scores, part.y_mask.shape)
        stage = Stage(
            number,
            log_loss(train.y_true, fit_scores, train.y_mask),
            log_loss(stop.y_true, stop_scores, stop.y_mask),
            mean_average_precision(train.y_positive, fit_scores, train.y_mask),
            mean_average_precision(stop.y_positive, stop_scores, stop.y_mask),
        )
        self.stages.append(stage)
        self.best = number
        return bool(report and report(stage))

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists for the record's JSON."""
        columns = {name: [row[i] for row in self.stages] for i, name in enumerate(Stage._fields)}
        return {**asdict(self), "stages": columns}


class Model(ABC):
    """A classifier: scikit-learn's habits, labels that are only partly observed.

    Parameters go into ``__init__`` and are stored under their own names; their annotations say
    what they may be (see :mod:`benchmark.contracts.parameters`). What `fit` learns gets a name
    that ends in an underscore. Heavy libraries are imported inside methods.

    A plugin is one file in ``models/`` (or an entry point of the group
    ``polytimbre.models``) that defines one subclass with a ``name``.
    """

    name: ClassVar[str]
    #: What kind of classifier it is, for drawings and filters: "network", "trees", "linear",
    #: "baseline" or "other".
    family: ClassVar[str] = "other"
    #: Distributions whose versions the result rests on, for example ``("scikit-learn",)``.
    libraries: ClassVar[tuple[str, ...]] = ()
    #: Named parameter settings, asked for as ``model:preset``.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: The values with which `search_space` gives the default parameters, for each suggested name
    #: that is not itself a parameter. Tuning needs them to enter the default as its first trial.
    default_point: ClassVar[Mapping[str, Any]] = {}
    #: False for a model that ignores its seed: it runs once.
    seeded: ClassVar[bool] = True
    #: True for a model that learns from ``train.auxiliary`` too, where a data set has such clips.
    uses_auxiliary: ClassVar[bool] = False

    @abstractmethod
    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Fit on `train`; `stop` is for early stopping alone.

        Parameters
        ----------
        train, stop : Part
            Only entries with ``y_mask`` True may be used. Where the class says
            ``uses_auxiliary = True``, ``train.auxiliary`` holds further clips with classes of
            their own, or None if the data set has none.
        seed : int
            In [0, 2**32). The same seed gives the same bits.
        report : callable, optional
            Pass it on to :meth:`History.record`, and stop where that returns True.
        """

    @abstractmethod
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return scores in [0, 1], float32, shape (n_clips, n_classes)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted model into the existing `folder`, without pickle."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote; the files' SHA-256 were checked before the call."""

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest parameters for an Optuna trial; the default searches nothing."""
        return {}

    def n_parameters(self, n_frames: int, n_features: int, n_classes: int) -> int | None:
        """Return how many weights a fit on such clips would learn, None if that isn't fixed.

        Tuning asks before it fits, and leaves out what is too large.
        """
        return None

    def at_best(self, best: int) -> dict[str, Any]:
        """Return the parameters of a fit that stands at stage `best` without early stopping.

        A refit on all training clips has none left to stop on. The default is for models
        that never stop early.

        Parameters
        ----------
        best : int
            :attr:`History.best` of a fit with early stopping.
        """
        return {}

    @classmethod
    def param_names(cls) -> list[str]:
        """Return the names of the parameters of ``__init__``."""
        return list(parameters.declared(cls))

    def get_params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in self.param_names()}

    @classmethod
    def from_params(cls, preset: str | None = None, **params: Any) -> "Model":
        """Make an unfitted model from a preset and parameters that override it.

        Raises
        ------
        UnknownNameError
            For a preset or a parameter that does not exist.
        ParameterError
            For a value that a parameter may not have, with what is allowed.
        PluginError
            If the model does not keep its parameters under their names.
        """
        allowed = parameters.declared(cls)
        chosen: dict[str, Any] = {}
        if preset is not None:
            if preset not in cls.presets:
                raise UnknownNameError("preset", preset, cls.presets, where=f"of model {cls.name}")
            chosen.update(cls.presets[preset])
        for name, value in (chosen | params).items():
            if name not in allowed:
                raise UnknownNameError("parameter", name, allowed, where=f"of model {cls.name}")
            parameters.check(cls, name, allowed[name], value)
            chosen[name] = allowed[name].as_declared(value)
        model = cls(**chosen)
        for name, what in allowed.items():
            if not hasattr(model, name):
                raise PluginError(
                    f"model {cls.name!r}: __init__ must keep the parameter {name!r} as "
                    f"self.{name}, unchanged"
                )
            parameters.check(cls, name, what, getattr(model, name))
        return model
