"""Talking and listening to a meter that is not in force yet, on behalf of a request."""
