"""Attention over frames, after the network that led on OpenMIC-2018."""

from typing import Any

from benchmark.bases.network import NeuralNetwork
from benchmark.contracts.parameters import Count, NotNegative, Positive, Share


class Attention(NeuralNetwork):
    """Frame-wise embedding, and for each class attention over the frames.

    After Gururani, Sharma and Lerch, "An attention mechanism for musical instrument
    recognition" (ISMIR 2019): dense layers embed every frame, with a residual to the input;
    a clip's score is the mean of its frames' scores, weighted by the class's own attention.
    Where a clip is one frame there is nothing to attend to: its score is that frame's.

    Parameters
    ----------
    embedding : int
        Layers of the embedding.
    units : int
        Units of each; with as many as there are features, the input is added to the last.
    dropout : float
        Share of units dropped in training.
    heads : int
        Attentions and scores a class, averaged; 1 as published.
    weight_decay : float
        Far more than networks usually get; chosen, like `heads`, on folds of training clips.

    See Also
    --------
    NeuralNetwork : The parameters of training.
    """

    name = "attention"
    presets = {
        "published": {
            "units": 128, "dropout": 0.6, "heads": 1, "learning_rate": 5e-4, "epochs": 200,
            "stop_on": "loss", "patience": 20, "mixup": 0.0, "averaging": 0.0,
            "feature_masking": 0.0, "noise": 0.0, "weight_decay": 0.0,
        }
    }  # fmt: skip
    default_point = {"weight_decay": 0.05}

    embedding: Count = 3
    units: Count = 256
    dropout: Share = 0.3
    heads: Count = 1
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 0.25
    batch_size: Count = 128
    epochs: Count = 60
    mixup: NotNegative = 0.5
    feature_masking: Share = 0.2
    noise: NotNegative = 0.3

    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Embed, attend and score; see :class:`NeuralNetwork`."""
        from keras import layers, ops

        x = inputs
        for _ in range(self.embedding):
            x = layers.BatchNormalization()(layers.Dense(self.units)(x))
            x = layers.Dropout(self.dropout)(layers.Activation("relu")(x))
        if self.units == inputs.shape[-1]:
            x = layers.Add()([x, inputs])
        scores = layers.Dense(n_classes * self.heads, activation="sigmoid")(x)
        if inputs.shape[1] > 1:
            attention = layers.Softmax(axis=1)(layers.Dense(n_classes * self.heads)(x))
            scores = attention * scores
        clip = ops.sum(scores, axis=1)
        return ops.mean(ops.reshape(clip, (-1, self.heads, n_classes)), axis=1)

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest architecture and training."""
        pick = trial.suggest_categorical
        training = NeuralNetwork.search_training(trial)
        return {
            "embedding": trial.suggest_int("embedding", 1, 3),
            "units": pick("units", [128, 256, 384]),
            "dropout": trial.suggest_float("dropout", 0.2, 0.7),
            "heads": pick("heads", [1, 2, 4, 8]),
            **training,
            "weight_decay": 5 * training["weight_decay"],
        }
