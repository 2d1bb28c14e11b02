"""Keras networks on partly observed labels: masked loss, early stopping, history.

A network plugin subclasses :class:`NeuralNetwork` and says what its layers are. Keras 3 runs
on the backend named by ``KERAS_BACKEND``, JAX if none is.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import History, Model, Part, Report, derive_seed
from benchmark.errors import PolytimbreError

#: Clips scored at once. Every call is padded to it, so that one shape is compiled.
SCORED_AT_ONCE = 256


def masked_binary_crossentropy(y_packed: Any, y_pred: Any) -> Any:
    """Mean binary cross-entropy over observed labels.

    Parameters
    ----------
    y_packed : tensor, shape (n_clips, n_classes)
        Relevance where observed, -1 where not (see `pack`).
    y_pred : tensor, shape (n_clips, n_classes)
        Probabilities.

    Returns
    -------
    scalar tensor, in nats a label
    """
    from keras import ops

    observed = ops.cast(y_packed >= 0, y_pred.dtype)
    relevance = ops.maximum(y_packed, 0.0)
    score = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    loss = -(relevance * ops.log(score) + (1 - relevance) * ops.log(1 - score))
    return ops.sum(loss * observed) / ops.maximum(ops.sum(observed), 1.0)


def pack(part: Part) -> np.ndarray:
    """Put labels and mask into one array: relevance where observed, -1 elsewhere."""
    return np.where(part.y_mask, part.y_true, np.float32(-1))


class NeuralNetwork(Model):
    """Base of the Keras plugins.

    A subclass names its layers in `layers` and has the parameters ``learning_rate``,
    ``batch_size``, ``epochs`` (the most it may train), ``patience`` (epochs without a better
    masked stopping loss before it stops; the best epoch's weights are kept) and, where it
    wants one, ``weight_decay`` (decoupled from the gradient, as in AdamW).

    Attributes
    ----------
    network_ : keras.Model
    centre_, scale_ : ndarray, shape (n_features,)
        Mean and standard deviation of the features over the clips it was fitted on.
    """

    libraries = ("keras",)
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    weight_decay: float = 0.0

    @abstractmethod
    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Return the output tensor, shape (batch, n_classes), in [0, 1].

        `inputs` is the standardised input tensor, shape (batch, n_frames, n_features).
        """

    def optimizer(self) -> Any:
        """Return the optimiser, Adam."""
        from keras import optimizers

        return optimizers.Adam(self.learning_rate, weight_decay=self.weight_decay or None)

    def _build(self, n_frames: int, n_features: int, n_classes: int) -> None:
        import keras

        inputs = keras.Input((n_frames, n_features), name="frames")
        self.network_ = keras.Model(inputs, self.layers(inputs, n_classes), name=self.name)

    def _standardise(self, X: np.ndarray) -> np.ndarray:
        return ((X.astype(np.float32) - self.centre_) / self.scale_).astype(np.float32)

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Fit with early stopping on the masked stopping loss; see :class:`Model`."""
        import keras

        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        frames = train.X.reshape(-1, train.X.shape[-1]).astype(np.float64)
        self.centre_ = frames.mean(axis=0).astype(np.float32)
        self.scale_ = (frames.std(axis=0) + 1e-6).astype(np.float32)
        self._build(*train.X.shape[1:], len(train.classes))
        self.network_.compile(optimizer=self.optimizer(), loss=masked_binary_crossentropy)
        X, X_stop, y = self._standardise(train.X), self._standardise(stop.X), pack(train)
        rng = np.random.default_rng(derive_seed(seed, "clip order"))
        history = History("epoch")
        best_loss = np.inf
        for epoch in range(1, self.epochs + 1):
            self._train_epoch(X, y, rng)
            scores, stop_scores = self._scores(X), self._scores(X_stop)
            if not (np.isfinite(scores).all() and np.isfinite(stop_scores).all()):
                raise PolytimbreError(
                    f"model {self.name!r}: training diverged in epoch {epoch} (scores are not "
                    f"finite). Lower learning_rate, now {self.learning_rate}"
                )
            asked = history.record(epoch, train, stop, scores, stop_scores, report)
            if history.stages[-1].stop_loss < best_loss:
                best_loss, best_epoch = history.stages[-1].stop_loss, epoch
                best_weights = self.network_.get_weights()
            if asked or epoch - best_epoch >= self.patience:
                break
        self.network_.set_weights(best_weights)
        history.best = best_epoch
        return history

    def _train_epoch(self, X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
        # Whole batches only: a shorter last one would be compiled anew. Each epoch leaves
        # out other clips.
        size = min(self.batch_size, len(X))
        chosen = rng.permutation(len(X))[: len(X) // size * size]
        self.network_.fit(X[chosen], y[chosen], batch_size=size, shuffle=False, verbose=0)

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
            self._build(*stored["shape"].tolist())
            names = sorted(n for n in stored if n.startswith("weight_"))
            self.network_.set_weights([stored[n] for n in names])
