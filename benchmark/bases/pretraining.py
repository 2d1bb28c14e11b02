"""Networks whose body is trained on auxiliary clips first."""

from typing import Annotated

import numpy as np

from benchmark.bases.network import NeuralNetwork, masked_binary_crossentropy
from benchmark.contracts.dataset import Part
from benchmark.contracts.parameters import Count, Positive, Within
from benchmark.contracts.seeds import derive_seed


class PretrainedNetwork(NeuralNetwork):
    """Base of networks that learn the classes of auxiliary clips before those that count.

    Two networks are built that differ in their classes alone. The first is trained on the
    auxiliary clips, for a fixed number of epochs; the second begins with its weights, but for
    those whose shape depends on the classes. Where a data set has no auxiliary clips, it begins
    at random, like any other network.

    Parameters
    ----------
    pretraining_epochs : int
        Epochs on the auxiliary clips; with 0 the network begins at random.
    pretraining_batch : int
        Clips.
    pretraining_rate : float
        Learning rate on the auxiliary clips; augmentation, smoothing, optimizer and schedule are
        those of training.

    See Also
    --------
    NeuralNetwork : The parameters of training.
    """

    uses_auxiliary = True

    pretraining_epochs: Annotated[int, Within("[0, inf)")] = 14
    pretraining_batch: Count = 256
    pretraining_rate: Positive = 2e-3

    def prepare(self, train: Part, seed: int) -> None:
        """Train the body on the auxiliary clips; see :class:`NeuralNetwork`."""
        auxiliary = train.auxiliary
        if auxiliary is None or not len(auxiliary) or not self.pretraining_epochs:
            return
        body = self._network(*auxiliary.X.shape[1:], len(auxiliary.classes))
        batch = min(self.pretraining_batch, len(auxiliary))
        optimizer = self._optimizer(
            self.pretraining_rate, self.pretraining_epochs * (len(auxiliary) // batch)
        )
        body.compile(optimizer, masked_binary_crossentropy)
        X, (target, weight) = self._standardise(auxiliary.X), self._targets(auxiliary)
        rng = np.random.default_rng(derive_seed(seed, "order of auxiliary clips"))
        for _ in range(self.pretraining_epochs):
            self._train_epoch(body, X, target, weight, batch, rng)
        pairs = zip(body.get_weights(), self.network_.get_weights(), strict=True)
        self.network_.set_weights([a if a.shape == b.shape else b for a, b in pairs])
