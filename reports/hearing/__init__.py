"""What was heard in recordings: as text for programs, as a figure, and as a page to listen to."""
