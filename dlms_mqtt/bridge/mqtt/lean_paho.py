"""paho-mqtt with less work for each message: a thousand meters have it confirm some seven hundred a second.

Only the way is shorter, never what happens: whatever is not the common case is left to paho. Should a later paho call
its parts by other names, what stands here is not called, and everything goes the long way.
"""

from __future__ import annotations

import socket
from typing import Any

from paho.mqtt.client import MQTT_LOG_ERR, MQTT_LOG_WARNING, Client
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.properties import VariableByteIntegers

_PUBLISH, _QOS = 0x30, 0x06
_V5 = 5
_AT_ONCE = 4096  # octets
_LONGEST = 200_000  # octets of the properties of a message: correlation data has 65,535 at most
_RESPONSE, _CORRELATION = 0x08, 0x09
#: Of the properties of a PUBLISH (MQTT 5, 3.3.2.3): octets of numbers, and how many texts or octet strings follow.
_LENGTHS = {0x01: 1, 0x02: 4, 0x23: 2, 0x03: 0, _RESPONSE: 0, _CORRELATION: 0, 0x26: 0}
_TEXTS = {0x03: 1, _RESPONSE: 1, _CORRELATION: 1, 0x26: 2}


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
        if cmd != "PUBACK" or len(packet) < 2 or (len(packet) > 2 and self._protocol != _V5):
            return super()._handle_pubackcomp(cmd)
        code = packet[2] if len(packet) > 2 else 0
        with self._out_message_mutex:
            number = packet[0] << 8 | packet[1]
            known = number in self._out_messages
            return self._do_on_publish(number, code, None) if known else MQTTErrorCode.MQTT_ERR_SUCCESS  # type: ignore[arg-type]

    def _handle_publish(self) -> MQTTErrorCode:
        """Of its properties paho gets what somebody reads: it takes seconds for thousands, and ends the line over some.

        U+FEFF in a text is allowed (MQTT 5, 1.5.4), and a retained message with it would end every line.
        """
        if self._protocol == _V5:
            number = 2 if self._in_packet["command"] & _QOS else 0
            self._in_packet["packet"] = _lean(self._in_packet["packet"], number)
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


def _lean(packet: bytearray, number: int) -> bytearray:
    """A PUBLISH (MQTT 5, 3.3.2) without the properties that nobody reads; ``number``: octets of its identifier."""
    at = 2 + int.from_bytes(packet[:2]) + number
    if not any(packet[at : at + 1]):
        return packet
    length, octets = VariableByteIntegers.decode(packet[at : at + 4])  # type: ignore[no-untyped-call]
    end = at + octets + length
    kept = b"".join(_read(packet[at + octets : end]).values()) if length <= _LONGEST else b""
    size: bytes = VariableByteIntegers.encode(len(kept))  # type: ignore[no-untyped-call]
    return packet[:at] + size + kept + packet[end:]


def _read(properties: bytearray) -> dict[int, bytearray]:
    """Response topic and correlation data as they came, by their identifiers."""
    found, at = dict[int, bytearray](), 0
    while at < len(properties):
        kind = properties[at]
        if kind not in _LENGTHS:
            return {}
        size = 1 + _LENGTHS[kind]
        for _ in range(_TEXTS.get(kind, 0)):
            size += 2 + int.from_bytes(properties[at + size : at + size + 2])
        whole = properties[at : at + size]
        if kind == _CORRELATION or (kind == _RESPONSE and _is_text(whole[3:])):
            found[kind] = whole
        at += size
    return found if at == len(properties) else {}


def _is_text(octets: bytearray) -> bool:
    """Such as paho takes."""
    try:
        return not set(octets.decode()) & {"\0", "\ufeff"}
    except UnicodeDecodeError:
        return False
