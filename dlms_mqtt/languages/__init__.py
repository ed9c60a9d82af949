"""Names for people, in the languages that have a file here; the English text is the id."""
