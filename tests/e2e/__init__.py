"""guard as its users run it: the real command, the real kernel, nothing replaced."""
