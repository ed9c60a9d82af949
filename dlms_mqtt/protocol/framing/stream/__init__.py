"""Finding messages in a stream of unknown kind, for `listen` and `decode`."""
