"""Associations: proposal, proof of the secret, ciphering at work."""
