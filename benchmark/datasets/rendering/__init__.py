"""Rendering of the embedded data set: scores, arrangements, sampled instruments, the files."""

from benchmark.datasets.rendering.clips import build, render

__all__ = ["build", "render"]
