"""OBIS codes in words: key, names, unit, device class."""
