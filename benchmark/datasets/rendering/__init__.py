"""Rendering of the embedded data set: scores, random orchestras, sound, the file."""

from benchmark.datasets.rendering.clips import build, render_clip

__all__ = ["build", "render_clip"]
