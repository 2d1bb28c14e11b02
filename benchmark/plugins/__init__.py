"""Plugins: found, checked against their contract, identified by their code."""
