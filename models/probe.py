"""The probe that embeddings are commonly judged by: a small network on their mean."""

from collections.abc import Sequence
from typing import Any

from benchmark.bases.network import NeuralNetwork
from benchmark.bases.stopping import StopOn
from benchmark.contracts.parameters import Count, Positive, Share


class Probe(NeuralNetwork):
    """A multilayer perceptron on the mean over frames, as HEAR and MARBLE evaluate embeddings.

    HEAR (Turian et al., PMLR 176, 2022) and MARBLE (Yuan et al., NeurIPS 2023) keep an embedding
    as it is, average it over time, and train dense layers on it; what is kept is the epoch of
    the best score on validation clips. The defaults are those of MARBLE's multi-label tasks: one
    layer of 512 units. The search goes over what HEAR's does: layers, units, dropout and rate.

    Parameters
    ----------
    hidden : sequence of int
        Units of each hidden layer.
    dropout : float
        Share of hidden units dropped in training.

    See Also
    --------
    NeuralNetwork : The parameters of training.
    """

    name = "probe"
    default_point = {"n_hidden": 1, "units": 512}

    hidden: Sequence[Count] = (512,)
    dropout: Share = 0.2
    learning_rate: Positive = 1e-3
    epochs: Count = 100
    stop_on: StopOn = "mAP"
    patience: Count = 10
    averaging: Share = 0.0

    def layers(self, inputs: Any, n_classes: int) -> Any:
        """Average over frames and stack dense layers; see :class:`NeuralNetwork`."""
        from keras import layers

        x = layers.GlobalAveragePooling1D()(inputs)
        for units in self.hidden:
            x = layers.Dropout(self.dropout)(layers.Dense(units, activation="relu")(x))
        return layers.Dense(n_classes, activation="sigmoid")(x)

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest layers, units, dropout and rate, as HEAR's grid has them."""
        units = trial.suggest_categorical("units", [512, 1024])
        return {
            "hidden": [units] * trial.suggest_int("n_hidden", 1, 3),
            "dropout": trial.suggest_float("dropout", 0.0, 0.8),
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        }
