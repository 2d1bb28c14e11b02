"""Front ends: one file for each way from audio to features, and sets that were stored."""
