"""Audits: the published claim, and comparisons on partly observed labels."""
