"""Putting a simulated meter on a line: network, serial, pseudo-terminal, RFC 2217, pushes."""
