"""Tables: one file each, or for a few that belong together; see ``declaration.py``."""
