"""What a number means: OBIS -> key, name, unit, device class; presets; the finder; explaining bytes in words."""
