"""The MQTT API (docs/mqtt.md) as code: topics, payloads, replies and their codes."""
