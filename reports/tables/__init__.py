"""Tables: what is derived from stored runs, by name, and as text."""
