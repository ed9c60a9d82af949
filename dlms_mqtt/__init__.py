"""Home electricity meters over DLMS/COSEM, into MQTT and Home Assistant."""

__version__ = "0.2.0"
