"""The contract tests of front ends, with a message for every rule.

An author runs ``polytimbre check NAME``, or :func:`check_frontend` in a test of their own.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmark.contracts.frontend import FrontEnd, Weights
from benchmark.errors import DataError
from benchmark.plugins.rules import Rules

#: Frames of the signals that a front end is tried on.
FRAMES = 4


def make_signal(n_samples: int, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Make a signal of a few decaying tones and some noise, float32, read-only."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(n_samples) / sample_rate
    signal = 0.01 * rng.normal(size=n_samples)
    for start in np.arange(0, seconds[-1], 0.4):
        since = np.maximum(seconds - start, 0)
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * since)
        signal += (seconds >= start) * 0.2 * np.exp(-4 * since) * tone
    signal = signal.clip(-1, 1).astype(np.float32)
    signal.flags.writeable = False
    return signal


def check_frontend(cls: type[FrontEnd]) -> Iterator[str]:
    """Hold a front-end class against the contract.

    Parameters
    ----------
    cls : subclass of FrontEnd
        Its weights, if it needs any, have to be installed.

    Yields
    ------
    str
        Each rule that holds, as it is checked.

    Raises
    ------
    PluginError
        On the first rule that doesn't, named.
    DataError
        Where weights are missing.
    """
    rules = _Rules(cls)
    yield from rules.check(
        rules.declared,
        rules.frames,
        rules.too_short,
        rules.hears,
        rules.apart,
        rules.extremes,
        rules.published,
        rules.elsewhere,
    )


def _extract(cls: type[FrontEnd], signal: np.ndarray) -> np.ndarray:
    """Run in the other process."""
    return cls().extract(signal)


class _Rules(Rules):
    """The rules for one front-end class; the sentence of each is its docstring."""

    kind = "front end"
    not_its_fault = (DataError, OSError)

    def _signal(self, n_frames: int = FRAMES, seed: int = 0) -> np.ndarray:
        return make_signal(self.made.n_samples(n_frames), self.cls.sample_rate, seed)

    def declared(self) -> None:
        """What a front end is and needs is declared: name, source, rate, frames, dtype, weights."""
        rule = self.declared
        for name in ("name", "description", "citation", "licence"):
            value = getattr(self.cls, name, None)
            self.require(isinstance(value, str) and bool(value), rule, f"it has no `{name}`")
        for name in ("sample_rate", "n_features"):
            value = getattr(self.cls, name, None)
            self.require(isinstance(value, int) and value > 0, rule, f"`{name}` is {value!r}")
        samples = self.cls.frame_seconds * self.cls.sample_rate
        whole = samples > 0 and abs(samples - round(samples)) < 1e-6
        self.require(whole, rule, f"a frame has {samples:g} samples, not a whole number")
        dtype = getattr(self.cls, "dtype", None)
        self.require(dtype in (np.uint8, np.float32), rule, f"`dtype` is {dtype!r}")
        for weights in self.cls.weights:
            known = isinstance(weights, Weights) and weights.source and weights.licence
            self.require(bool(known), rule, f"weights lack a source or a licence: {weights!r}")
            kind, _, digits = weights.checksum.partition(":")
            complete = len(digits) == {"sha256": 64, "md5": 32}.get(kind)
            self.require(complete, rule, f"the checksum of {weights.source} is {kind}:{digits}")
        self.made = self.cls()

    def frames(self) -> None:
        """Extract returns (n_frames, n_features) of the declared dtype, for any length."""
        first = self.made.n_samples(1)
        lengths = (first, first + 1, self.made.n_samples(2) - 1, self.made.n_samples(FRAMES) + 77)
        for length in lengths:
            features = self.made.extract(make_signal(length, self.cls.sample_rate))
            shape = (self.made.n_frames(length), self.cls.n_features)
            reason = f"{length} samples give {np.shape(features)}, declared is {shape}"
            self.require(np.shape(features) == shape, self.frames, reason)
            dtype = getattr(features, "dtype", type(features))
            self.require(dtype == self.cls.dtype, self.frames, f"the features are {dtype}")

    def too_short(self) -> None:
        """A signal that can't be used is refused with a DataError."""
        short = self._signal(1)[:-1]
        unclean = self._signal().copy()
        unclean[100] = np.nan
        for what, signal in (("less than a frame", short), ("a NaN", unclean)):
            try:
                self.made.extract(signal)
            except DataError:
                continue
            self.require(False, self.too_short, f"a signal with {what} is taken")

    def hears(self) -> None:
        """Other signals have other features."""
        same = np.array_equal(*(self.made.extract(self._signal(seed=seed)) for seed in (0, 1)))
        self.require(not same, self.hears, "two signals give the same")

    def apart(self) -> None:
        """The same signal gives the same bits, whatever came before, and is not changed.

        So a stream that is cut into windows gives what each window gives alone.
        """
        expected = self.made.extract(self._signal())
        self.made.extract(self._signal(2 * FRAMES, seed=1))
        same = np.array_equal(self.made.extract(self._signal()), expected)
        self.require(same, self.apart, "a signal in between changes the features")

    def extremes(self) -> None:
        """Silence and full scale give finite features."""
        square = np.where(np.arange(self.made.n_samples(FRAMES)) // 50 % 2, 1, -1)
        for what, signal in (("silence", np.zeros_like(square)), ("full scale", square)):
            finite = np.isfinite(self.made.extract(signal.astype(np.float32))).all()
            self.require(bool(finite), self.extremes, f"{what} gives NaN or infinite features")

    def elsewhere(self) -> None:
        """Another process computes the same bits."""
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            other = pool.submit(_extract, self.cls, self._signal()).result()
        same = np.array_equal(other, self.made.extract(self._signal()))
        self.require(same, self.elsewhere, "the features differ")

    def published(self) -> None:
        """What is published about its output holds."""
        self.made.verify()
