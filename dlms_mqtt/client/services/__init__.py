"""GET, SET, ACTION and ACCESS with logical and with short names."""
