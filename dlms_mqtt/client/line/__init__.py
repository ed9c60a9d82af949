"""The line in use: opening it, signing on, one question and one answer."""
