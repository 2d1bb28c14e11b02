"""Audio in: files of any kind, read in blocks, resampled, and cut into windows."""
