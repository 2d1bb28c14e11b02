"""Data-set plugins, one file a data set."""
