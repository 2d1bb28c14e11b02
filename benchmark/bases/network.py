"""Keras networks on partly observed labels: masked loss, early stopping, history.

A network plugin subclasses :class:`NeuralNetwork` and says what its layers are. Keras 3 runs
on the backend named by ``KERAS_BACKEND``, JAX if none is.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, dataclass_transform

import numpy as np

from benchmark.bases import augmentation
from benchmark.bases.stopping import StopOn, kept, worn_out
from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Model, Report
from benchmark.contracts.parameters import Count, NotNegative, Positive, Share
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import PolytimbreError

#: Clips scored at once. Every call is padded to it, so that one shape is compiled.
SCORED_AT_ONCE = 256

OPTIMIZERS = ("adam", "nadam", "rmsprop")
SCHEDULES = ("constant", "cosine")


def masked_binary_crossentropy(y_packed: Any, y_pred: Any) -> Any:
    """Mean binary cross-entropy over observed labels.

    Parameters
    ----------
    y_packed : tensor, shape (n_clips, 2 * n_classes)
        Relevance, and beside it each label's weight: 0 where it was not observed.
    y_pred : tensor, shape (n_clips, n_classes)
        Probabilities.

    Returns
    -------
    scalar tensor, in nats a label
    """
    from keras import ops

    relevance, weight = ops.split(y_packed, 2, axis=1)
    score = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    loss = -(relevance * ops.log(score) + (1 - relevance) * ops.log(1 - score))
    return ops.sum(loss * weight) / ops.maximum(ops.sum(weight), 1.0)


@dataclass_transform(kw_only_default=True, eq_default=False)
@dataclass(kw_only=True, eq=False)
class NeuralNetwork(Model):
    """Base of the Keras plugins: a subclass names its layers in `layers`.

    A subclass is a dataclass by itself: what it declares as in ``units: Count = 256`` becomes a
    parameter, beside those below.

    Parameters
    ----------
    optimizer : {"adam", "nadam", "rmsprop"}
    learning_rate : float
    schedule : {"constant", "cosine"}
        ``"cosine"`` lets the rate fall to 0 over all `epochs`.
    weight_decay : float
        Decoupled from the gradient, as in AdamW.
    batch_size : int
        Clips.
    epochs : int
        The most it may train.
    stop_on : {"loss", "mAP", "none"}
        What ends training early, and says which epoch's weights are kept: the masked loss on
        the stop part, macro mAP there, or nothing.
    patience : int
        Epochs without a better one before it stops.
    stop_at : int or None
        Epoch to stop at and to keep, whatever `stop_on` says; None: early stopping.
    label_smoothing : float
        How far targets are moved from 0 and 1 towards 1/2, in [0, 1).
    mixup : float
        Parameter of the Beta distribution, 0 for none; see :func:`augmentation.mix`.
    time_roll : bool
        See :func:`augmentation.roll`.
    frame_masking : float
        Share of frames; see :func:`augmentation.mask_frames`.
    feature_masking : float
        Share of input features that are dropped from a whole clip in training.
    noise : float
        Standard deviation of the noise added to the standardised input in training.
    averaging : float
        What scores are computed with: weights that are averaged over epochs, this share of them
        from the epochs before (an exponential moving average, as in Tarvainen and Valpola, NeurIPS
        2017); with 0 they are those of the last epoch.

    Attributes
    ----------
    network_ : keras.Model
    centre_, scale_ : ndarray, shape (n_features,)
        Mean and standard deviation of the features over the clips it was fitted on.
    """

    family = "network"
    libraries = ("keras",)

    optimizer: Literal[OPTIMIZERS] = "adam"
    learning_rate: Positive = 1e-3
    schedule: Literal[SCHEDULES] = "constant"
    weight_decay: NotNegative = 0.0
    batch_size: Count = 64
    epochs: Count = 40
    stop_on: StopOn = "none"
    patience: Count = 10
    stop_at: Count | None = None
    label_smoothing: Share = 0.0
    mixup: NotNegative = 0.0
    time_roll: bool = False
    frame_masking: Share = 0.0
    feature_masking: Share = 0.0
    noise: NotNegative = 0.0
    averaging: Share = 0.9

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(kw_only=True, eq=False)(cls)

    @abstractmethod
    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Return the output tensor, shape (batch, n_classes), in [0, 1].

        `inputs` is the standardised input tensor, shape (batch, n_frames, n_features).
        """

    @staticmethod
    def search_training(trial: Any) -> dict[str, Any]:
        """Suggest how a network is trained: the part of a search space that all share."""
        pick, number = trial.suggest_categorical, trial.suggest_float
        return {
            "optimizer": pick("optimizer", list(OPTIMIZERS)),
            "learning_rate": number("learning_rate", 3e-4, 5e-3, log=True),
            "schedule": pick("schedule", list(SCHEDULES)),
            "weight_decay": pick("weight_decay", [0.0, 1e-3, 1e-2, 5e-2]),
            "batch_size": pick("batch_size", [64, 128]),
            "label_smoothing": number("label_smoothing", 0.0, 0.1),
            "mixup": pick("mixup", [0.0, 0.2, 0.5]),
            "time_roll": pick("time_roll", [False, True]),
            "frame_masking": number("frame_masking", 0.0, 0.3),
            "feature_masking": number("feature_masking", 0.0, 0.4),
            "noise": number("noise", 0.0, 0.5),
            "averaging": pick("averaging", [0.0, 0.8, 0.9, 0.95]),
            "epochs": trial.suggest_int("epochs", 20, 100, step=10),
        }

    def n_parameters(self, n_frames: int, n_features: int, n_classes: int) -> int:
        """Count the network's weights; see :class:`Model`."""
        return int(self._network(n_frames, n_features, n_classes).count_params())

    def at_best(self, best: int) -> dict[str, Any]:
        """Return the parameters that stop at epoch `best`; see :class:`Model`."""
        return {"stop_at": best}

    def _optimizer(self, rate: Any, n_steps: int) -> Any:
        from keras import optimizers

        if self.schedule == "cosine":
            rate = optimizers.schedules.CosineDecay(rate, n_steps)
        kinds = {
            "adam": optimizers.Adam, "nadam": optimizers.Nadam, "rmsprop": optimizers.RMSprop
        }  # fmt: skip
        return kinds[self.optimizer](rate, weight_decay=self.weight_decay or None)

    def _network(self, n_frames: int, n_features: int, n_classes: int) -> Any:
        import keras
        from keras import layers

        inputs = keras.Input((n_frames, n_features), name="frames")
        x = layers.GaussianNoise(self.noise)(inputs)
        x = layers.SpatialDropout1D(self.feature_masking)(x)
        return keras.Model(inputs, self.layers(x, n_classes), name=self.name)

    def _standardise(self, X: np.ndarray) -> np.ndarray:
        return ((X.astype(np.float32) - self.centre_) / self.scale_).astype(np.float32)

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Fit with early stopping; see :class:`Model`."""
        import keras

        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        frames = train.X.reshape(-1, train.X.shape[-1]).astype(np.float64)
        self.centre_ = frames.mean(axis=0).astype(np.float32)
        self.scale_ = (frames.std(axis=0) + 1e-6).astype(np.float32)
        self.network_ = self._network(*train.X.shape[1:], len(train.classes))
        self.prepare(train, seed)
        batch = min(self.batch_size, len(train))
        optimizer = self._optimizer(self.learning_rate, self.epochs * (len(train) // batch))
        self.network_.compile(optimizer, masked_binary_crossentropy)
        X, X_stop = self._standardise(train.X), self._standardise(stop.X)
        target, weight = self._targets(train)
        rng = np.random.default_rng(derive_seed(seed, "clip order"))
        history = History("epoch")
        stop_on = "none" if self.stop_at else self.stop_on
        average = self.network_.get_weights()
        for epoch in range(1, (self.stop_at or self.epochs) + 1):
            self._train_epoch(self.network_, X, target, weight, batch, rng)
            trained = self.network_.get_weights()
            share = min(self.averaging, 1 - 1 / epoch)  # at first, the mean of all epochs
            average = [
                share * old + (1 - share) * new for old, new in zip(average, trained, strict=True)
            ]
            self.network_.set_weights(average)
            scores, stop_scores = self._scores(X), self._scores(X_stop)
            if not (np.isfinite(scores).all() and np.isfinite(stop_scores).all()):
                raise PolytimbreError(
                    f"model {self.name!r}: training diverged in epoch {epoch} (scores are not "
                    f"finite). Lower learning_rate, now {self.learning_rate:g}"
                )
            asked = history.record(epoch, train, stop, scores, stop_scores, report)
            history.best = kept(history, stop_on).number
            if history.best == epoch:
                best_weights = average
            if asked or worn_out(history, stop_on, self.patience):
                break
            self.network_.set_weights(trained)  # training goes on from where it was
        self.network_.set_weights(best_weights)
        return history

    def prepare(self, train: Part, seed: int) -> None:
        """Change `network_` before it is trained; by default it begins at random."""

    def _targets(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Return smoothed relevance and the labels' weights, float32."""
        weight = part.y_mask.astype(np.float32)
        smoothed = (1 - self.label_smoothing) * part.y_true + np.float32(self.label_smoothing / 2)
        return (weight * smoothed).astype(np.float32), weight

    def _train_epoch(
        self,
        network: Any,
        X: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        batch: int,
        rng: np.random.Generator,
    ) -> None:
        # Whole batches only: a shorter last one would be compiled anew. Each epoch leaves
        # out other clips.
        chosen = rng.permutation(len(X))[: len(X) // batch * batch]
        X, target, weight = X[chosen], target[chosen], weight[chosen]
        if self.time_roll:
            X = augmentation.roll(X, rng)
        if self.mixup:
            X, target, weight = augmentation.mix(X, target, weight, self.mixup, rng)
        if self.frame_masking:
            X = augmentation.mask_frames(X, self.frame_masking, rng)
        packed = np.concatenate([target, weight], axis=1)
        network.fit(X, packed, batch_size=batch, shuffle=False, verbose=0)

    def _scores(self, X: np.ndarray) -> np.ndarray:
        padded = np.zeros((-(-len(X) // SCORED_AT_ONCE) * SCORED_AT_ONCE, *X.shape[1:]), X.dtype)
        padded[: len(X)] = X
        scores = self.network_.predict(padded, batch_size=SCORED_AT_ONCE, verbose=0)
        return np.asarray(scores[: len(X)], dtype=np.float32)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return scores in [0, 1], float32, shape (n_clips, n_classes)."""
        return self._scores(self._standardise(X))

    def save(self, folder: Path) -> None:
        """Write weights and standardisation as one ``.npz`` without pickles."""
        weights = {f"weight_{i:03d}": w for i, w in enumerate(self.network_.get_weights())}
        shape = np.array([*self.network_.input_shape[1:], self.network_.output_shape[-1]])
        np.savez(
            folder / "network.npz", centre=self.centre_, scale=self.scale_, shape=shape, **weights
        )

    def load(self, folder: Path) -> None:
        """Rebuild the network from the parameters and read its weights."""
        with np.load(folder / "network.npz", allow_pickle=False) as stored:
            self.centre_, self.scale_ = stored["centre"], stored["scale"]
            self.network_ = self._network(*stored["shape"].tolist())
            names = sorted(n for n in stored if n.startswith("weight_"))
            self.network_.set_weights([stored[n] for n in names])
