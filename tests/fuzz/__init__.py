"""Fuzzing of everything that reads bytes from a line: ``python -m tests.fuzz --seconds N [--seed N] [TARGET...]``."""
