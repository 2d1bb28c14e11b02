"""polytimbre: a benchmark for recognising instruments in polyphonic music."""

import os

from benchmark.plugins.installed import claim

#: Keras takes its backend when it is first imported, by whichever plugin; JAX unless told.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "jax"

__version__ = "0.1.0"

claim()
