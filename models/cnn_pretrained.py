"""The convolutional network, begun with what auxiliary clips have taught it."""

from collections.abc import Sequence
from typing import Any

from benchmark.bases.pretraining import PretrainedNetwork
from benchmark.contracts.parameters import Count, NotNegative, Positive, Share
from models.cnn import CNN

#: For few positives a class, each seen once an epoch: small batches and a high rate, and a fixed
#: number of epochs, as a stop part would hold more positives than there are to learn from.
FEW = {"filters": (128,), "dense": 128, "epochs": 20, "batch_size": 16, "learning_rate": 3e-3}


class PretrainedCNN(PretrainedNetwork, CNN):
    """A convolutional network that learns a data set's auxiliary classes before its own.

    Where a data set has no auxiliary clips, it is a `cnn` with parameters of its own.

    See Also
    --------
    PretrainedNetwork : The parameters of what comes first.
    CNN : The parameters of the network.
    NeuralNetwork : The parameters of training.
    """

    name = "cnn_pretrained"
    presets = {"few": FEW, "untaught": {**FEW, "pretraining_epochs": 0}}
    default_point = {"width": 384}

    filters: Sequence[Count] = (384,)
    conv_dropout: Share = 0.2
    dropout: Share = 0.4
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 1e-3
    batch_size: Count = 128
    epochs: Count = 25
    mixup: NotNegative = 0.5
    feature_masking: Share = 0.2
    noise: NotNegative = 0.2

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest the body, how long it is pretrained, and how it is trained."""
        pick, number = trial.suggest_categorical, trial.suggest_float
        return {
            "filters": [pick("width", [256, 384, 512])],
            "kernel": pick("kernel", [1, 3, 5]),
            "conv_dropout": number("conv_dropout", 0.0, 0.4),
            "dropout": number("dropout", 0.2, 0.6),
            "pretraining_epochs": trial.suggest_int("pretraining_epochs", 4, 20),
            "pretraining_rate": number("pretraining_rate", 5e-4, 5e-3, log=True),
            **PretrainedNetwork.search_training(trial),
        }
