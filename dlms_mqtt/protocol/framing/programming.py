"""Commands of the programming mode of IEC 62056-21 (mode C): SOH, two characters, a data set, a check character.

Source: IEC 62056-21:2002, clauses 6.3.7 (command), 6.3.9 (data message), 6.3.11 (error message), 6.4.3 (mode C).
"""

from __future__ import annotations

from dataclasses import field

from dlms_mqtt.errors import FramingError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.data_block import Check
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.framing.sign_on import ETX, SOH, STX, block_check

NAK = b"\x15"
_NAME = 2  # octets of a command


@dataclass(frozen=True, slots=True)
class Command:
    """``name``: P0 asks for a password, P1 gives it, R1 reads a register, R5 one by its code, R6 in blocks, B0 ends.

    ``content``: the data set; None where there is none. A password stands in it, so it is never shown.
    """

    name: str
    content: bytes | None = field(default=None, repr=False)

    def encode(self, check: Check = block_check) -> bytes:
        """The message, seven bits. ``check``: how the check character is made."""
        body = self.name.encode("ascii") + (b"" if self.content is None else STX + self.content) + ETX
        return SOH + body + check(body)


def find_command(data: bytes) -> tuple[Command, int] | None:
    """The first command in ``data`` and the offset after it; None while it is not whole. FramingError when damaged."""
    text = strip_parity(data)
    start = text.find(SOH)
    end = text.find(ETX, start)
    if start < 0 or end < 0 or end + 1 >= len(text):
        return None
    body = text[start + 1 : end + 1]
    if block_check(body) != text[end + 1 : end + 2]:
        raise FramingError("the check character of a command is wrong")
    name, mark, content = body[:-1].partition(STX)
    if len(name) != _NAME or not name.isalnum():
        raise FramingError("a command has a letter and a digit")
    return Command(name.decode("ascii"), content if mark else None), end + 2
