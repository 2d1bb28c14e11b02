"""Convolutional network over time, and the published project's 2-D network as a preset."""

from collections.abc import Sequence
from typing import Any

from benchmark.errors import UnknownNameError
from benchmark.training import NeuralNetwork


class CNN(NeuralNetwork):
    """Convolutional neural network on (frame, feature) arrays.

    ``"1d"`` convolves over time with all features as channels, scores every frame, and lets
    each class attend to the frames where its instrument sounds. ``"2d"`` convolves over time
    and feature alike, halves both after each block, and scores the clip as a whole.

    Parameters
    ----------
    kind : {"1d", "2d"}
    filters : sequence of int
        Filters of each block.
    kernel : int
        Kernel length in frames (1-D) or side (2-D).
    dense : int
        Units of the dense layer.
    batch_norm : bool
        Normalise each convolution and the dense layer over the batch.
    conv_dropout, dropout : float
        Shares of convolutional and of dense units dropped in training.
    feature_dropout : float
        Share of input features dropped from a whole clip in training.
    noise : float
        Standard deviation of the noise added to the standardised input in training.
    learning_rate, weight_decay, batch_size, epochs, patience
        See :class:`NeuralNetwork`.
    """

    name = "cnn"
    presets = {
        "published": {
            "kind": "2d", "filters": (64, 128, 256), "kernel": 5, "dense": 256, "dropout": 0.5,
            "batch_norm": False, "conv_dropout": 0.0, "feature_dropout": 0.0, "noise": 0.0,
            "learning_rate": 1e-3, "weight_decay": 0.0, "batch_size": 64, "epochs": 40,
            "patience": 5,
        }
    }  # fmt: skip

    def __init__(
        self,
        kind: str = "1d",
        filters: Sequence[int] = (256,),
        kernel: int = 3,
        dense: int = 256,
        batch_norm: bool = True,
        conv_dropout: float = 0.2,
        dropout: float = 0.5,
        feature_dropout: float = 0.2,
        noise: float = 0.3,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        batch_size: int = 64,
        epochs: int = 40,
        patience: int = 5,
    ) -> None:
        self.kind, self.filters, self.kernel = kind, filters, kernel
        self.dense, self.dropout = dense, dropout
        self.batch_norm, self.conv_dropout = batch_norm, conv_dropout
        self.feature_dropout, self.noise = feature_dropout, noise
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.batch_size, self.epochs, self.patience = batch_size, epochs, patience

    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Stack the blocks; see :class:`NeuralNetwork`."""
        if self.kind not in ("1d", "2d"):
            raise UnknownNameError(f"kind of model {self.name}", self.kind, ("1d", "2d"))
        from keras import layers, ops

        x = layers.GaussianNoise(self.noise)(inputs)
        x = layers.SpatialDropout1D(self.feature_dropout)(x)
        two_d = self.kind == "2d"
        if two_d:
            x = layers.Reshape((*inputs.shape[1:], 1))(x)
        convolution = layers.Conv2D if two_d else layers.Conv1D
        for n in self.filters:
            x = self._activate(convolution(n, self.kernel, padding="same")(x))
            x = layers.MaxPooling2D(2)(x) if two_d else x
            x = layers.Dropout(self.conv_dropout)(x)
        x = layers.Flatten()(x) if two_d else x
        x = self._activate(layers.Dense(self.dense)(x))
        x = layers.Dropout(self.dropout)(x)
        scores = layers.Dense(n_classes)(x)
        if not two_d:
            attention = layers.Softmax(axis=1)(layers.Dense(n_classes)(x))
            scores = ops.sum(attention * scores, axis=1)
        return layers.Activation("sigmoid")(scores)

    def _activate(self, x: Any) -> Any:
        from keras import layers

        return layers.ReLU()(layers.BatchNormalization()(x) if self.batch_norm else x)

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest parameters for an Optuna trial."""
        pick, number = trial.suggest_categorical, trial.suggest_float
        kind = pick("kind", ["1d", "2d"])
        n_blocks = trial.suggest_int("blocks", 1, 3)
        # a 2-D block as wide as the 1-D ones would take minutes an epoch on one core
        widths = [64, 128, 256] if kind == "1d" else [16, 32, 64]
        return {
            "kind": kind,
            "filters": [pick(f"filters_{kind}_{i}", widths) for i in range(n_blocks)],
            "kernel": pick("kernel", [1, 3, 5]),
            "dense": pick("dense", [64, 128, 256, 512]),
            "batch_norm": pick("batch_norm", [True, False]),
            "conv_dropout": number("conv_dropout", 0.0, 0.4),
            "dropout": number("dropout", 0.2, 0.7),
            "feature_dropout": number("feature_dropout", 0.0, 0.5),
            "noise": number("noise", 0.0, 0.6),
            "learning_rate": number("learning_rate", 2e-4, 5e-3, log=True),
            "weight_decay": number("weight_decay", 1e-6, 1e-1, log=True),
            "batch_size": pick("batch_size", [32, 64, 128]),
        }
