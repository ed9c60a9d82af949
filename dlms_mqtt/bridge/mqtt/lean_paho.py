"""paho-mqtt with less work for each message: a thousand meters have it confirm some seven hundred a second.

Only the way is shorter, never what happens: whatever is not the common case is left to paho. Should a later paho call
its parts by other names, what stands here is not called, and everything goes the long way.
"""

from __future__ import annotations

import socket
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt.client import MQTT_LOG_ERR, MQTT_LOG_WARNING, Client
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.properties import VariableByteIntegers

_PUBLISH = 0x30
_AT_ONCE = 4096  # octets


class LeanPaho(Client):
    """Confirmations without objects of their own; what has come, and what waits, in one piece; nothing put in words."""

    _come = b""  # octets that the system has handed over and paho has not asked for yet
    _asked = False  # has the system been asked in this round?

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """All that the system hands over at once, and no more: whoever floods the broker must not hold the loop."""
        self._asked = False
        found = super().loop_read(max_packets)
        while self._come and not found:
            found = super().loop_read(max_packets)
        return found

    def _sock_recv(self, bufsize: int) -> bytes:
        """Paho asks for an octet, another one, and the rest."""
        # TLS and WebSockets keep what they have unpacked, and no event of the system tells of that: it is taken whole.
        if not self._come and self._asked and type(self._sock) is socket.socket:
            raise BlockingIOError
        self._asked = True
        come = self._come or super()._sock_recv(max(bufsize, _AT_ONCE))
        self._come = come[bufsize:]
        return come[:bufsize]

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        """Paho makes up to five objects with tables of their own of each; here a reason is its number.

        One that is not in paho's table would end the line: Mosquitto answers 149 to what is too large.
        """
        packet = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) < 2 or (len(packet) > 2 and self._protocol != 5):
            return super()._handle_pubackcomp(cmd)
        code = packet[2] if len(packet) > 2 else 0
        with self._out_message_mutex:
            number = packet[0] << 8 | packet[1]
            known = number in self._out_messages
            return self._do_on_publish(number, code, None) if known else MQTTErrorCode.MQTT_ERR_SUCCESS  # type: ignore[arg-type]

    def _handle_publish(self) -> MQTTErrorCode:
        """Paho would end the line over U+FEFF in a property, which is allowed (MQTT 5, 1.5.4): such a message has none.

        A retained one would end every line, so nobody could be served any more.
        """
        try:
            return super()._handle_publish()
        except MQTTException:
            self._in_packet["packet"] = _bare(self._in_packet["packet"], self._in_packet["command"])
            return super()._handle_publish()

    def _packet_write(self) -> MQTTErrorCode:
        """All publishes that wait, in one piece: each would be a call of the system.

        Not over websockets, where paho takes what follows a frame that was sent in part for sent.
        """
        waiting = self._out_packet
        mergeable = len(waiting) > 1 and self.transport != "websockets"
        if mergeable and all(packet["command"] & 0xF0 == _PUBLISH and packet["qos"] for packet in waiting):
            octets = b"".join([bytes(packet["packet"][packet["pos"] :]) for packet in waiting])
            last = waiting[-1]
            waiting.clear()
            waiting.append({**last, "packet": octets, "pos": 0, "to_process": len(octets)})
        return super()._packet_write()

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        if level in (MQTT_LOG_ERR, MQTT_LOG_WARNING):
            super()._easy_log(level, fmt, *args)


def _bare(packet: bytearray, command: int) -> bytearray:
    """A PUBLISH of MQTT 5 (3.3.2) without its properties."""
    has_number = command & 0x06  # a QoS
    at = 2 + int.from_bytes(packet[:2]) + (2 if has_number else 0)
    length, octets = VariableByteIntegers.decode(packet[at:])  # type: ignore[no-untyped-call]
    return packet[:at] + b"\0" + packet[at + octets + length :]
