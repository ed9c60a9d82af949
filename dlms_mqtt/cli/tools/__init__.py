"""Commands that need no meter: octets explained, pushes heard, meters simulated."""
