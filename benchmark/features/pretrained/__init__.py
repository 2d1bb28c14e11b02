"""Weights of pretrained front ends: fetching them once, and reading TensorFlow's files."""
