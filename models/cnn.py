"""Convolutional network over time, and the published project's 2-D network as a preset."""

from typing import Any

from benchmark.training import NeuralNetwork, import_keras


class CNN(NeuralNetwork):
    """Convolutional neural network on (frame, feature) arrays.

    Parameters
    ----------
    kind : {"1d", "2d"}
        Convolve over time with all features as channels, or over time and feature alike.
    filters : sequence of int
        Filters of each block.
    kernel : int
        Kernel length (1-D) or side (2-D).
    dense : int
        Units of the dense layer.
    dropout : float
        Share of dense units dropped in training.
    """

    name = "cnn"
    presets = {
        "published": {
            "kind": "2d",
            "filters": (64, 128, 256),
            "kernel": 5,
            "dense": 256,
            "dropout": 0.5,
            "learning_rate": 1e-3,
        }
    }

    def __init__(
        self,
        kind: str = "1d",
        filters: tuple[int, ...] = (128, 128),
        kernel: int = 3,
        dense: int = 256,
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
        epochs: int = 40,
        patience: int = 5,
    ) -> None:
        self.kind = kind
        self.filters = filters
        self.kernel = kernel
        self.dense = dense
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience

    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Stack the blocks; see :class:`NeuralNetwork`."""
        layers = import_keras().layers
        x = inputs
        if self.kind == "2d":
            x = layers.Reshape((*inputs.shape[1:], 1))(x)
            for n in self.filters:
                x = layers.Conv2D(n, self.kernel, padding="same", activation="relu")(x)
                x = layers.MaxPooling2D(2, padding="same")(x)
            x = layers.Flatten()(x)
        else:
            for n in self.filters:
                x = layers.Conv1D(n, self.kernel, padding="same", activation="relu")(x)
            x = layers.Concatenate()(
                [layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
            )
        x = layers.Dense(self.dense, activation="relu")(x)
        x = layers.Dropout(self.dropout)(x)
        return layers.Dense(n_classes, activation="sigmoid")(x)
