"""The bridge: meters into MQTT and Home Assistant, commands back. The only room that knows MQTT."""
