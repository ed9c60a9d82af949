"""Entities as rows, and the device messages of MQTT discovery: pure."""
