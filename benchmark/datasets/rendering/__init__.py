"""Rendering of the embedded data set: scores, random orchestras, sound, the file."""

from benchmark.datasets.rendering.clips import build, render_clip
from benchmark.datasets.rendering.held_out import build as build_held_out

__all__ = ["build", "build_held_out", "render_clip"]
