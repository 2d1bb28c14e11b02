"""Convolutional network over time, and the published project's 2-D network as a preset."""

from collections.abc import Sequence
from typing import Any, Literal

from benchmark.bases.network import NeuralNetwork
from benchmark.contracts.parameters import Count, NotNegative, Share


class CNN(NeuralNetwork):
    """Convolutional neural network on (frame, feature) arrays.

    ``"1d"`` convolves over time with all features as channels; ``"2d"`` convolves over time
    and feature alike and halves both after each block.

    Parameters
    ----------
    kind : {"1d", "2d"}
    filters : sequence of int
        Filters of each block.
    kernel : int
        Kernel length in frames (1-D) or side (2-D).
    norm : {"batch", "layer", "none"}
        How each convolution and the dense layer are normalised.
    activation : {"relu", "elu", "gelu", "silu"}
        As in Keras.
    dense : int
        Units of the dense layer.
    conv_dropout, dropout : float
        Shares of convolutional and of dense units dropped in training.
    pooling : {"attention", "mean", "max", "flatten"}
        What frames' scores become a clip's by; ``"flatten"`` scores the clip as a whole.

    See Also
    --------
    NeuralNetwork : The parameters of training.
    """

    name = "cnn"
    presets = {
        "published": {
            "kind": "2d", "filters": (64, 128, 256), "kernel": 5, "dense": 256, "dropout": 0.5,
            "norm": "none", "conv_dropout": 0.0, "pooling": "flatten", "feature_masking": 0.0,
            "noise": 0.0, "mixup": 0.0, "epochs": 40, "stop_on": "loss", "patience": 5,
            "averaging": 0.0,
        }
    }  # fmt: skip

    default_point = {"width_1d": 256, "blocks": 1}

    kind: Literal["1d", "2d"] = "1d"
    filters: Sequence[Count] = (256,)
    kernel: Count = 3
    norm: Literal["batch", "layer", "none"] = "batch"
    activation: Literal["relu", "elu", "gelu", "silu"] = "relu"
    dense: Count = 256
    conv_dropout: Share = 0.2
    dropout: Share = 0.5
    pooling: Literal["attention", "mean", "max", "flatten"] = "attention"
    epochs: Count = 30
    mixup: NotNegative = 0.5
    feature_masking: Share = 0.2
    noise: NotNegative = 0.3

    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Stack the blocks; see :class:`NeuralNetwork`."""
        from keras import layers, ops

        two_d = self.kind == "2d"
        x = layers.Reshape((*inputs.shape[1:], 1))(inputs) if two_d else inputs
        convolution = layers.Conv2D if two_d else layers.Conv1D
        for n in self.filters:
            x = self._activate(convolution(n, self.kernel, padding="same")(x))
            x = layers.MaxPooling2D(2)(x) if two_d else x
            x = layers.Dropout(self.conv_dropout)(x)
        if self.pooling == "flatten":
            x = layers.Flatten()(x)
        elif two_d:
            x = layers.Reshape((x.shape[1], -1))(x)
        x = self._activate(layers.Dense(self.dense)(x))
        x = layers.Dropout(self.dropout)(x)
        scores = layers.Dense(n_classes)(x)
        if self.pooling == "attention" and x.shape[1] > 1:  # 2-D blocks may leave one frame
            attention = layers.Softmax(axis=1)(layers.Dense(n_classes)(x))
            scores = ops.sum(attention * scores, axis=1)
        elif self.pooling != "flatten":
            scores = (ops.max if self.pooling == "max" else ops.mean)(scores, axis=1)
        return layers.Activation("sigmoid")(scores)

    def _activate(self, x: Any) -> Any:
        from keras import layers

        if self.norm == "batch":
            x = layers.BatchNormalization()(x)
        elif self.norm == "layer":
            x = layers.LayerNormalization()(x)
        return layers.Activation(self.activation)(x)

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest architecture and training."""
        pick, number = trial.suggest_categorical, trial.suggest_float
        kind = pick("kind", ["1d", "2d"])
        # a 2-D block as wide as the 1-D ones would take minutes an epoch on one core
        widths = [128, 256, 512] if kind == "1d" else [8, 16, 32]
        width = pick(f"width_{kind}", widths)
        return {
            "kind": kind,
            "filters": [width] * trial.suggest_int("blocks", 1, 2 if kind == "1d" else 3),
            "kernel": pick("kernel", [1, 3, 5]),
            "norm": pick("norm", ["batch", "layer", "none"]),
            "activation": pick("activation", ["relu", "gelu", "silu"]),
            "dense": pick("dense", [128, 256, 512]),
            "conv_dropout": number("conv_dropout", 0.0, 0.4),
            "dropout": number("dropout", 0.2, 0.6),
            "pooling": pick("pooling", ["attention", "mean", "max"]),
            **NeuralNetwork.search_training(trial),
        }
