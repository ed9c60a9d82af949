"""A session recorded so that it can be played again, made anonymous."""
