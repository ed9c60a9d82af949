"""Lines to meters: bytes in and out over TCP, UDP, serial ports and memory, without any meaning."""

from dlms_mqtt.transport.base import SerialFormat, Transport
from dlms_mqtt.transport.clock import Clock
from dlms_mqtt.transport.registry import make_transport, open_transport, transport_for

__all__ = ["Clock", "SerialFormat", "Transport", "make_transport", "open_transport", "transport_for"]
