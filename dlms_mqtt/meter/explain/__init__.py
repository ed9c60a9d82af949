"""Captured octets in words and JSON."""
