"""Meters at work: polling, pushes, profiles, their clocks and health, one line in turn for those that share it."""
