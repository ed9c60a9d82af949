"""Meter families: one YAML file each, with the source of every claim."""
