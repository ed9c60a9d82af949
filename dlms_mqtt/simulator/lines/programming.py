"""The programming mode of a simulated meter (IEC 62056-21, mode C): a password, registers and the load profile.

The password is the one of the first client with one (low-level security); a meter without such a client wants none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dlms_mqtt.cosem.data_lines import data_code
from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.framing.programming import NAK, Command, find_command
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.framing.sign_on import ACK, ETX, STX, block_check
from dlms_mqtt.protocol.security import check_password
from dlms_mqtt.simulator.lines.load_profile import profile_lines
from dlms_mqtt.simulator.lines.readout import line_of
from dlms_mqtt.simulator.server.associations import READER, Association
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context

_EOT = b"\x04"
_REGISTERS = (3, 4, 5)
_LINES = 8  # of a load profile in one block
_SET = re.compile(r"([^()]*)\(([^()]*)\)")
_TABLE = re.compile(r"P\.(\d\d)")
_UNKNOWN, _WRONG, _LOCKED = "(ERROR01)", "(ERROR02)", "(ERROR03)"


class ProgrammingMode:
    """One conversation: octets in, octets out. ``over``: the reader has left."""

    def __init__(self, meter: Meter) -> None:
        rows = sorted(meter.associations.values(), key=lambda row: row.client)
        self._guard = next((row for row in rows if row.mechanism is Mechanism.LLS), None)
        self._context = Context(meter, self._guard or Association(client=0, name="programming", level=READER))
        self._meter, self._open = meter, self._guard is None
        self._blocks: list[bytes] = []
        self._received = self._last = b""
        self.over = False

    def begin(self) -> bytes:
        """The meter asks for the password, with its number."""
        return self._say(Command("P0", f"({self._meter.name[-8:]})".encode("ascii")).encode())

    def receive(self, data: bytes) -> bytes:
        """The answer to what came; nothing while it is not whole."""
        self._received += strip_parity(data)
        if self._received in (ACK, NAK):
            single, self._received = self._received, b""
            return self._last if single == NAK else self._next()
        try:
            found = find_command(self._received)
        except FramingError:
            self._received = b""
            return NAK
        if found is None:
            return b""
        self._received = self._received[found[1] :]
        handler = _HANDLERS.get(found[0].name)
        return _block(_UNKNOWN) if handler is None else handler(self, (found[0].content or b"").decode("latin-1"))

    def _say(self, data: bytes) -> bytes:
        self._last = data
        return data

    def _next(self) -> bytes:
        return self._say(self._blocks.pop(0)) if self._blocks else b""

    def _text(self, text: str) -> bytes:
        return self._say(_block(text))

    def _password(self, content: str) -> bytes:
        row = self._guard
        if row is None:
            return self._say(ACK)
        if self._meter.locked(row):
            return self._text(_LOCKED)
        if not check_password(row.secret, content.strip("()").encode("latin-1")):
            self._meter.count_failure(row.client)
            return self._text(_WRONG)
        self._open = True
        return self._say(ACK)

    def _leave(self, _content: str) -> bytes:
        self.over = True
        return b""

    def _read(self, content: str) -> bytes:
        return self._text("".join(self._lines(content)))

    def _in_blocks(self, content: str) -> bytes:
        lines = list(self._lines(content))
        parts = ["".join(lines[at : at + _LINES]) for at in range(0, len(lines), _LINES)]
        self._blocks = [_block(part, _EOT) for part in parts[:-1]] + [_block(parts[-1])]
        return self._next()

    def _lines(self, content: str) -> list[str]:
        """What a data set holds, line by line, or the one that refuses it."""
        found = _SET.fullmatch(content)
        if found is None or not self._open:
            return [_UNKNOWN if self._open else _LOCKED]
        table = _TABLE.fullmatch(found[1])
        lines = (
            self._register(found[1])
            if table is None
            else profile_lines(self._context, self._meter.zone, int(table[1]), found[2])
        )
        return list(lines) or [_UNKNOWN]

    def _register(self, address: str) -> Iterator[str]:
        code = data_code(address)
        for class_id in _REGISTERS:
            item = self._meter.objects.get((class_id, code)) if code is not None else None
            if item is not None and (class_id, item.obis) in self._context.view:
                yield line_of(self._context, item)


def _block(text: str, end: bytes = ETX) -> bytes:
    body = text.encode("latin-1") + end
    return STX + body + block_check(body)


_HANDLERS: dict[str, Callable[[ProgrammingMode, str], bytes]] = {
    "P1": ProgrammingMode._password,
    "R1": ProgrammingMode._read,
    "R5": ProgrammingMode._read,
    "R6": ProgrammingMode._in_blocks,
    "B0": ProgrammingMode._leave,
}
