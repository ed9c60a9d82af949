"""Faults on command: what may go wrong on the line, in an association and in the meter, one row each.

``name[:value][,p=0.1][,after=5][,times=1]``: how often it strikes is counted in occasions (an answer, a request, a
block), and chance comes from a seeded source, so the same questions meet the same faults again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.times import parse_duration

Piece = tuple[float, bytes]
"""Seconds to wait, and the octets that follow."""

FOREVER = 1 << 30


class FaultRow(NamedTuple):
    """One fault: where it strikes, its default value, how often (None: always), and the sentence for ``--help``."""

    place: str
    value: str
    times: int | None
    text: str


FAULTS: dict[str, FaultRow] = {
    "silence": FaultRow("line", "", None, "the meter says nothing"),
    "delay": FaultRow("line", "3", None, "every answer is VALUE seconds late"),
    "lost": FaultRow("line", "", 1, "an answer is lost"),
    "doubled": FaultRow("line", "", 1, "an answer comes twice"),
    "cut": FaultRow("line", "0.5", 1, "only this share of an answer comes"),
    "garbled": FaultRow("line", "1", 1, "VALUE octets of an answer are changed"),
    "merged": FaultRow("line", "", 1, "an answer is held back and comes together with the next one"),
    "trickle": FaultRow("line", "0.01", None, "answers come octet by octet, VALUE seconds apart"),
    "wrong-check": FaultRow("line", "", 1, "the check sequence of an answer's last frame is wrong"),
    "noise": FaultRow("line", "8", None, "VALUE octets of rubbish before every answer"),
    "echo": FaultRow("line", "", None, "the line gives back what the client sends (VALUE: share of it)"),
    "noise-before-identification": FaultRow("sign-on", "2", None, "VALUE octets of rubbish before the identification"),
    "deaf": FaultRow("line", "", 1, "a request is not heard"),
    "drop": FaultRow("line", "", 1, "the connection ends instead of an answer"),
    "odd-ua": FaultRow("link", "empty", None, "UA with odd parameters: empty, short, long, window-only or reversed"),
    "refuse-lists": FaultRow("service", "exception", None, "lists are refused: exception, error or silence"),
    "refuse-selection": FaultRow("service", "error", None, "selective access: error, whole (ignored) or exception"),
    "refuse-release": FaultRow("service", "silence", None, "a release is met with silence or an exception"),
    "small-pdu": FaultRow("service", "64", None, "the meter takes only VALUE octets in one APDU"),
    "stuck": FaultRow("service", "60", None, "an association that was not released blocks the next for VALUE seconds"),
    "lock-out": FaultRow("service", "3", None, "after VALUE wrong passwords nobody gets in for 15 minutes"),
    "counter-refused": FaultRow("service", "told", 1, "an invocation counter is refused: told, untold or silence"),
    "wrong-rights": FaultRow("service", "", None, "the object list allows what is refused (VALUE: one OBIS code)"),
    "exception": FaultRow("service", "", 1, "a request is answered with an exception-response"),
    "drop-in-blocks": FaultRow("block", "2", 1, "the connection ends instead of block VALUE"),
    "late-answer": FaultRow("line", "8", 1, "one answer is VALUE seconds late: the next question meets it"),
    "stray-octets": FaultRow("service", "4", None, "VALUE octets behind every GET answer"),
    "tariff-switch": FaultRow("meter", "2", 1, "the meter changes to tariff VALUE, whatever the calendar says"),
    "clock-drift": FaultRow("meter", "60", 1, "the clock gains VALUE seconds a day from now on"),
    "clock-jump": FaultRow("meter", "3600", 1, "the clock is suddenly VALUE seconds wrong"),
    "restart": FaultRow("meter", "", 1, "the meter restarts: the link is gone, events are logged"),
    "register-reset": FaultRow("meter", "", 1, "the energy registers begin at zero again"),
}


@dataclass(slots=True)
class Fault:
    """One fault and how often it has had the chance. ``p``: probability; ``after``: occasions to let pass."""

    name: str
    value: str = ""
    p: float = 1.0
    after: int = 0
    times: int = FOREVER
    seen: int = 0
    struck: int = 0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """``lost,p=0.1`` or ``delay:2``; ConfigError."""
        head, *options = text.split(",")
        name, _, value = head.partition(":")
        row = FAULTS.get(name)
        if row is None:
            raise ConfigError(f"there is no fault '{name}'", hint=f"There is {', '.join(FAULTS)}.")
        fault = cls(name, value or row.value)
        numbers = dict(option.partition("=")[::2] for option in options)
        try:
            fault.p = float(numbers.pop("p", 1.0))
            fault.after = int(numbers.pop("after", 0))
            # A fault that is given a probability strikes as often as that says.
            fault.times = int(numbers.pop("times", FOREVER if row.times is None or fault.p < 1 else row.times))
        except ValueError:
            raise ConfigError(f"the fault '{text}' is not understood", hint="Write name:value,p=0.1,after=5.") from None
        if numbers:
            raise ConfigError(f"the fault '{text}' has no option '{next(iter(numbers))}'", hint="p, after and times.")
        return fault

    def strikes(self, random: Random) -> bool:
        """Is this occasion one of those?"""
        self.seen += 1
        if self.seen <= self.after or self.struck >= self.times or (self.p < 1 and random.random() >= self.p):
            return False
        self.struck += 1
        return True

    @property
    def number(self) -> float:
        """The value as a number; ConfigError."""
        try:
            return float(self.value)
        except ValueError:
            raise ConfigError(f"the fault '{self.name}' needs a number, not '{self.value}'") from None

    @property
    def seconds(self) -> float:
        """The value as a time, with a unit or in seconds, also back (``-1h``); ConfigError."""
        sign = -1 if self.value.startswith("-") else 1
        try:
            return sign * parse_duration(self.value.removeprefix("-"), bare=True)
        except ConfigError as error:
            raise ConfigError(f"the fault '{self.name}': {error.message}") from None


class Faults:
    """The faults of one meter, link or association. ``strike`` decides about one occasion."""

    def __init__(self, faults: Iterable[Fault | str] = (), seed: int = 1) -> None:
        found = [Fault.parse(item) if isinstance(item, str) else item for item in faults]
        self._faults = {item.name: item for item in found}
        self.random = Random(seed)  # noqa: S311  repeatable on purpose
        self._held = b""

    def __bool__(self) -> bool:
        return bool(self._faults)

    def get(self, name: str) -> Fault | None:
        """The fault of that name, whether it strikes or not."""
        return self._faults.get(name)

    def strike(self, name: str) -> Fault | None:
        """The fault, if it strikes on this occasion."""
        fault = self._faults.get(name)
        return fault if fault is not None and fault.strikes(self.random) else None

    def add(self, fault: Fault | str) -> None:
        """One more fault, from now on."""
        item = Fault.parse(fault) if isinstance(fault, str) else fault
        self._faults[item.name] = item

    def remove(self, name: str) -> None:
        """No longer this fault."""
        self._faults.pop(name, None)

    def copy(self, seed: int) -> Faults:
        """The same faults, not yet struck, for another link."""
        fresh = [Fault(f.name, f.value, f.p, f.after, f.times) for f in self._faults.values()]
        return Faults(fresh, seed)

    def denies(self, target: AttributeDescriptor) -> bool:
        """wrong-rights: is this attribute refused though the list allows it?"""
        fault = self._faults.get("wrong-rights")
        if fault is None or target.class_id in (12, 15):
            return False
        return not fault.value or Obis.parse(fault.value) == target.obis

    def echo(self, data: bytes) -> bytes:
        """What of the client's octets the line gives back."""
        fault = self.strike("echo")
        share = 0.0 if fault is None else fault.number if fault.value else 1.0
        return data[: math.ceil(len(data) * share)]

    def shape(self, data: bytes) -> list[Piece] | None:
        """What becomes of an answer on the line; None: the connection ends instead."""
        if not self._faults or not data:
            return [(0.0, data)]
        if self.strike("drop"):
            return None
        pieces: list[Piece] = [(0.0, data)]
        for name, change in _LINE.items():
            fault = self.strike(name)
            if fault is not None:
                pieces = [done for piece in pieces for done in change(self, fault, piece)]
        return self._with_held(pieces)

    def _with_held(self, pieces: list[Piece]) -> list[Piece]:
        if "merged" not in self._faults:
            return pieces
        data = b"".join(piece for _, piece in pieces)
        if self.strike("merged"):
            self._held += data
            return []
        held, self._held = self._held, b""
        return [(0.0, held + data)] if held else pieces


Change = Callable[[Faults, Fault, Piece], list[Piece]]


def _silent(_faults: Faults, _fault: Fault, _piece: Piece) -> list[Piece]:
    return []


def _late(_faults: Faults, fault: Fault, piece: Piece) -> list[Piece]:
    return [(piece[0] + fault.seconds, piece[1])]


def _twice(_faults: Faults, _fault: Fault, piece: Piece) -> list[Piece]:
    return [piece, (0.0, piece[1])]


def _cut(_faults: Faults, fault: Fault, piece: Piece) -> list[Piece]:
    return [(piece[0], piece[1][: max(1, int(len(piece[1]) * fault.number))])]


def _garble(faults: Faults, fault: Fault, piece: Piece) -> list[Piece]:
    octets = bytearray(piece[1])
    for _ in range(int(fault.number)):
        octets[faults.random.randrange(len(octets))] ^= 1 << faults.random.randrange(8)
    return [(piece[0], bytes(octets))]


def _wrong_check(_faults: Faults, _fault: Fault, piece: Piece) -> list[Piece]:
    """The octet before the closing flag belongs to the frame check sequence."""
    octets = bytearray(piece[1])
    octets[-2 if octets[-1] == 0x7E else -1] ^= 0x01
    return [(piece[0], bytes(octets))]


def _noise(faults: Faults, fault: Fault, piece: Piece) -> list[Piece]:
    return [(piece[0], rubbish(faults.random, int(fault.number)) + piece[1])]


def _trickle(_faults: Faults, fault: Fault, piece: Piece) -> list[Piece]:
    return [(piece[0] if not at else fault.seconds, piece[1][at : at + 1]) for at in range(len(piece[1]))]


def rubbish(random: Random, count: int) -> bytes:
    """Noise as a light-struck photo diode makes it: no flag, no slash."""
    return bytes(random.choice(b"\x00\xff\xfe\x80\x3f\x55") for _ in range(count))


_LINE: dict[str, Change] = {
    "silence": _silent,
    "lost": _silent,
    "garbled": _garble,
    "wrong-check": _wrong_check,
    "doubled": _twice,
    "cut": _cut,
    "noise": _noise,
    "delay": _late,
    "late-answer": _late,
    "trickle": _trickle,
}
