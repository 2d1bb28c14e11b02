"""Runs: what is asked for, computed, recorded, stored and published."""
