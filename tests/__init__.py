"""Tests, one folder for each room of the package; run them all with ``sh tests/run``."""
