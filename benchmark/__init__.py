"""polytimbre: a benchmark for recognising instruments in polyphonic music."""

__version__ = "0.1.0"
