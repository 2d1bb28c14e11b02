"""A stored run on new audio: which run, its model and thresholds, and what it hears."""
