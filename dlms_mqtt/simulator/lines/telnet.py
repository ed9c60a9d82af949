"""The server's side of RFC 2217 (a serial port over Telnet), without I/O: commands are answered, data is unwrapped."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.transport.base import SerialFormat

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
_BINARY, _SGA, _COM_PORT = 0, 3, 44
_OPTIONS = (_BINARY, _SGA, _COM_PORT)
_AGREE = {DO: WILL, WILL: DO}
_REFUSE = {DO: WONT, WILL: DONT}
_BAUD, _DATA_BITS, _PARITY, _STOP_BITS = 1, 2, 3, 4
_FIELDS = {_BAUD: ("baud", 4), _DATA_BITS: ("data_bits", 1), _PARITY: ("parity", 1), _STOP_BITS: ("stop_bits", 1)}
_PARITIES = {1: "none", 2: "odd", 3: "even"}
_NOTIFY_MODEM = 107
_CARRIER = 0xB0  # CD, DSR and CTS are on
_SERVER = 100  # added to a command's number in its answer


class ComPort:
    """One client's view of the port: the format that it has set."""

    def __init__(self) -> None:
        self.format = SerialFormat()
        self._agreed: set[tuple[int, int]] = set()
        self._buffer = b""

    @property
    def greeting(self) -> bytes:
        """What the server says first: it speaks RFC 2217."""
        self._agreed |= {(DO, _COM_PORT), (WILL, _COM_PORT)}
        return bytes((IAC, WILL, _COM_PORT, IAC, DO, _COM_PORT))

    @staticmethod
    def escape(data: bytes) -> bytes:
        """Data for the client."""
        return data.replace(b"\xff", b"\xff\xff")

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Data of the line, and what must be answered."""
        self._buffer += data
        plain, answer = bytearray(), bytearray()
        while self._buffer:
            at = self._buffer.find(IAC)
            if at != 0:
                end = len(self._buffer) if at < 0 else at
                plain += self._buffer[:end]
                self._buffer = self._buffer[end:]
                continue
            size = self._command_size()
            if not size:
                break
            command, self._buffer = self._buffer[:size], self._buffer[size:]
            if command[1] == IAC:
                plain.append(IAC)
            else:
                answer += self._answer(command)
        return bytes(plain), bytes(answer)

    def _command_size(self) -> int:
        """Octets of the command at the beginning; 0: its end is missing."""
        buffer = self._buffer
        if len(buffer) < 2:
            return 0
        if buffer[1] == SB:
            return buffer.find(bytes((IAC, SE)), 2) + 2 if bytes((IAC, SE)) in buffer[2:] else 0
        needed = 3 if buffer[1] in (DO, DONT, WILL, WONT) else 2
        return needed if len(buffer) >= needed else 0

    def _answer(self, command: bytes) -> bytes:
        if command[1] == SB:
            return self._set(command[2:-2].replace(b"\xff\xff", b"\xff"))
        if command[1] not in _AGREE or (command[1], command[2]) in self._agreed:
            return b""
        self._agreed.add((command[1], command[2]))
        verb = (_AGREE if command[2] in _OPTIONS else _REFUSE)[command[1]]
        return bytes((IAC, verb, command[2]))

    def _set(self, body: bytes) -> bytes:
        """A command of the port: carried out, and said back with what is in force now."""
        if len(body) < 2 or body[0] != _COM_PORT:
            return b""
        number, value = body[1], body[2:]
        if number in _FIELDS:
            value = self._field(number, int.from_bytes(value, "big"))
        return self._command(number + _SERVER, value) + (
            self._command(_NOTIFY_MODEM, bytes((_CARRIER,))) if number == 5 else b""
        )

    def _field(self, number: int, wanted: int) -> bytes:
        name, size = _FIELDS[number]
        if wanted:  # 0 asks what is in force
            found: Any = _PARITIES.get(wanted, "none") if number == _PARITY else wanted
            self.format = self.format._replace(**{name: found})
        now = getattr(self.format, name)
        code = next(code for code, text in _PARITIES.items() if text == now) if number == _PARITY else int(now)
        return code.to_bytes(size, "big")

    @staticmethod
    def _command(number: int, value: bytes) -> bytes:
        return bytes((IAC, SB, _COM_PORT, number)) + value.replace(b"\xff", b"\xff\xff") + bytes((IAC, SE))
