"""Meters out of what was recorded: captures and saved object lists."""
