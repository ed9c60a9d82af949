"""ACSE: association and release in BER, with the standard's names and numbers."""
