"""Statistics over stored scores: intervals, comparisons and ranks."""
