"""Reading files that others wrote, in bounded memory and without executing anything."""
