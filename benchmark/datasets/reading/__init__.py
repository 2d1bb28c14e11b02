"""Reading published archives and arrays, in bounded memory."""
