"""The messages of the IEC 62056-21 sign-on: request, identification, option select, break and clear-text readout.

Source: IEC 62056-21:2002, clauses 6.3.1 (request), 6.3.2 (identification), 6.3.3 (option select), 6.3.4 (data), 6.3.12
(break) and 6.2 (block check character).
"""

from __future__ import annotations

import re

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.seven_bit import has_parity, strip_parity

ACK = b"\x06"
SOH, STX, ETX = b"\x01", b"\x02", b"\x03"
LINE_END = b"\r\n"
HDLC_PROTOCOL = "2"  # protocol control and mode control character of mode E
NORMAL_PROTOCOL, READOUT_MODE, PROGRAMMING_MODE = "0", "0", "1"

# 0 to 6 are the standard's; 7 to 9 are reserved there and used like this by meters.
BAUD_RATES = {
    "0": 300,
    "1": 600,
    "2": 1200,
    "3": 2400,
    "4": 4800,
    "5": 9600,
    "6": 19200,
    "7": 38400,
    "8": 57600,
    "9": 115200,
}
# Mode B has letters in the place of the digits of modes C and E, and changes the speed without being told to.
_MODE_B_RATES = {"A": 600, "B": 1200, "C": 2400, "D": 4800, "E": 9600, "F": 19200}
_MODE_E_ESCAPE = "2"
_SLOW, _FAST = 0.2, 0.02  # least reaction time in seconds; a lower-case third letter announces the short one
_MAX_ADDRESS = 32
_IDENTIFICATION = re.compile(rb"/([A-Za-z]{3})([ -~])((?:\\[ -~])*)([^/!\r\n]{0,64})\r?\n")
_REQUEST = re.compile(rb"/\?([^!\r\n]{0,32})!\r?\n")
_OPTION_SELECT = re.compile(rb"\x06([0-9A-Za-z])([0-9A-Za-z])([0-9A-Za-z])\r?\n")


@dataclass(frozen=True, slots=True)
class Identification:
    """What a meter says it is. ``escapes``: characters after a backslash; ``parity_seen``: 7E1 was read as 8N1."""

    manufacturer: str
    baud_character: str
    escapes: tuple[str, ...]
    text: str
    parity_seen: bool = False

    @property
    def offers_mode_e(self) -> bool:
        """Whether the meter announces binary mode E."""
        return _MODE_E_ESCAPE in self.escapes

    @property
    def baud_rate(self) -> int | None:
        """The speed it proposes; None: the character means none (other protocol modes)."""
        return BAUD_RATES.get(self.baud_character)

    @property
    def mode(self) -> str:
        """A, B or C: how the speed of a readout is agreed on (not at all, by the meter alone, by both)."""
        return "C" if self.baud_character in BAUD_RATES else "B" if self.baud_character in _MODE_B_RATES else "A"

    @property
    def readout_rate(self) -> int | None:
        """The speed to which a meter of mode B goes by itself; None in the other modes."""
        return _MODE_B_RATES.get(self.baud_character)

    @property
    def reaction_time(self) -> float:
        """Seconds to leave before answering."""
        return _FAST if self.manufacturer[2:].islower() else _SLOW

    def encode(self) -> bytes:
        """The line, seven bits."""
        escapes = "".join("\\" + escape for escape in self.escapes)
        return f"/{self.manufacturer}{self.baud_character}{escapes}{self.text}".encode("ascii") + LINE_END


@dataclass(frozen=True, slots=True)
class OptionSelect:
    """ACK V Z Y: protocol, speed and mode that the reader chooses."""

    protocol: str
    baud_character: str
    mode: str

    @property
    def mode_e(self) -> bool:
        """Whether HDLC follows."""
        return self.protocol == self.mode == HDLC_PROTOCOL

    def encode(self) -> bytes:
        """The line, seven bits."""
        return ACK + f"{self.protocol}{self.baud_character}{self.mode}".encode("ascii") + LINE_END


def encode_request(address: str = "") -> bytes:
    """``/?address!``; without address every meter answers. ConfigError for an unusable address."""
    if len(address) > _MAX_ADDRESS or not address.isascii() or not address.isprintable() or set(address) & set("/!?"):
        raise ConfigError(
            f"a meter address of the sign-on has up to {_MAX_ADDRESS} plain characters", key="iec_address"
        )
    return b"/?" + address.encode("ascii") + b"!" + LINE_END


def find_request(data: bytes) -> tuple[str, int] | None:
    """The address of the first request in ``data`` and the offset after it; None: there is none."""
    found = _REQUEST.search(strip_parity(data))
    return (found[1].decode("ascii"), found.end()) if found else None


def find_identification(data: bytes) -> tuple[Identification, int] | None:
    """The first identification in ``data`` and the offset after it; None: none. Rubbish before it is skipped."""
    found = _IDENTIFICATION.search(strip_parity(data))
    if not found:
        return None
    manufacturer, baud, escapes, text = (part.decode("ascii") for part in found.groups())
    seen = has_parity(data[found.start() : found.end()])
    return Identification(manufacturer, baud, tuple(escapes[1::2]), text, seen), found.end()


def find_option_select(data: bytes) -> tuple[OptionSelect, int] | None:
    """The first option select in ``data`` and the offset after it; None: there is none."""
    found = _OPTION_SELECT.search(strip_parity(data))
    return (OptionSelect(*(part.decode("ascii") for part in found.groups())), found.end()) if found else None


def baud_character(offered: str, max_baud: int = 0) -> str:
    """The character of the highest speed that meter and ``max_baud`` (0: any) allow; 0 when nothing fits."""
    limit = min(BAUD_RATES.get(offered, 300), max_baud or 1 << 30)
    return max((key for key, rate in BAUD_RATES.items() if rate <= limit), default="0")


def block_check(data: bytes) -> bytes:
    """The block check character: exclusive or of all octets."""
    check = 0
    for octet in data:
        check ^= octet
    return bytes((check & 0x7F,))


BREAK = SOH + b"B0" + ETX + block_check(b"B0" + ETX)


def encode_readout(lines: bytes) -> bytes:
    """A clear-text readout with its block check character."""
    body = lines + b"!" + LINE_END + ETX
    return STX + body + block_check(body)


def begins_readout(data: bytes) -> bool:
    """Whether a meter has begun to send clear text."""
    return STX in strip_parity(data)
