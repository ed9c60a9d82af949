"""Serial ports of ESPHome devices: their address, and the port itself over the native API."""
