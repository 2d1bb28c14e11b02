"""Features: reading stored ones in bounded memory, making log-mel ones from audio."""
