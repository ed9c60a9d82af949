"""The server's side of RFC 2217 (a serial port over Telnet): pyserial's, with a port that only keeps what is set."""

from __future__ import annotations

import struct
from typing import Any

from serial.rfc2217 import PortManager

from dlms_mqtt.errors import RemoteProtocolError
from dlms_mqtt.transport.base import SerialFormat

_PARITIES = {"O": "odd", "E": "even"}
_LONGEST_COMMAND = 64  # octets; the longest that RFC 2217 has are far shorter


class _Port:
    """A serial port as ``PortManager`` sees it: every line is on."""

    baudrate, bytesize, parity, stopbits = 9600, 8, "N", 1.0
    cts = dsr = cd = True
    ri = xonxoff = rtscts = False

    def reset_input_buffer(self) -> None:
        """Nothing is kept here."""

    reset_output_buffer = reset_input_buffer


class ComPort:
    """One client's view of the port: the format that it has set. Without I/O."""

    def __init__(self) -> None:
        self._port = _Port()
        self._answer = bytearray()
        port: Any = self._port
        peer: Any = self
        self._manager: Any = PortManager(port, peer)
        self.greeting = self._taken()

    @property
    def format(self) -> SerialFormat:
        """As the client has set it."""
        port = self._port
        return SerialFormat(port.baudrate, port.bytesize, _PARITIES.get(port.parity, "none"), int(port.stopbits))

    def write(self, data: bytes) -> None:
        """What ``PortManager`` answers."""
        self._answer += data

    def escape(self, data: bytes) -> bytes:
        """Data for the client."""
        return b"".join(self._manager.escape(data))

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Data of the line, and what must be answered. RemoteProtocolError: this is no client of a serial port."""
        try:
            plain = b"".join(self._manager.filter(data))
        except (KeyError, TypeError, ValueError, struct.error) as error:
            raise RemoteProtocolError(f"a Telnet command that RFC 2217 does not have: {error!r}") from error
        if len(self._manager.suboption or b"") > _LONGEST_COMMAND:
            raise RemoteProtocolError("a Telnet command has no end")
        return plain, self._taken()

    def _taken(self) -> bytes:
        taken, self._answer = bytes(self._answer), bytearray()
        return taken
