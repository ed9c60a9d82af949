"""Where a meter may be: speeds, openings, addresses and clients, each with how likely it is, as tables.

The weights come from the settings that users report (see ``source``); they only order the search. A probe's worth is
its weight divided by the line time it costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.hdlc.address import split_number


class Speed(NamedTuple):
    """Speed and parity of direct HDLC (eight bits)."""

    baud: int
    parity: str
    weight: float


SPEEDS: tuple[Speed, ...] = (
    Speed(9600, "none", 0.45),
    Speed(19200, "none", 0.07),
    Speed(115200, "none", 0.06),
    Speed(2400, "none", 0.05),
    Speed(4800, "none", 0.05),
    Speed(38400, "none", 0.04),
    Speed(57600, "none", 0.04),
    Speed(9600, "even", 0.04),
    Speed(1200, "none", 0.02),
    Speed(300, "none", 0.02),
    Speed(2400, "even", 0.02),
    Speed(19200, "even", 0.015),
    Speed(600, "none", 0.01),
    Speed(4800, "even", 0.01),
    Speed(115200, "even", 0.01),
    Speed(9600, "odd", 0.005),
)


class Station(NamedTuple):
    """A server address: logical and physical device, octets of the address (0: as needed); ``source``: who says so."""

    server: int
    physical: int | None
    size: int
    weight: float
    source: str


STATIONS: tuple[Station, ...] = (
    Station(1, None, 1, 0.30, "the standard's management logical device"),
    Station(1, 17, 2, 0.09, "Gurux address 145"),
    Station(1, 16, 2, 0.07, "default physical address of many meters"),
    Station(1, 17, 4, 0.06, "Gurux address 16401"),
    Station(1, 1, 2, 0.05, "physical device 1"),
    Station(1, 16, 4, 0.04, "default physical address in four octets"),
    Station(1, 1, 4, 0.03, "physical device 1 in four octets"),
    Station(1, 127, 2, 0.03, "every physical device"),
    Station(1, 0x3FFF, 4, 0.03, "every physical device, four octets"),
    Station(16, None, 1, 0.02, "logical device 16 (u9n/dlms-cosem#62, Kamstrup)"),
    Station(16, 1, 2, 0.02, "u9n/dlms-cosem#62 (Kamstrup)"),
    Station(1, 80, 2, 0.02, "gurux.fi node 18142 (Elster AS3500)"),
    Station(127, None, 1, 0.015, "every station (Gurux list)"),
    Station(17, None, 1, 0.015, "logical device 17"),
    Station(0, 1, 2, 0.01, "physical device without logical part (Microstar)"),
    Station(1, 20, 2, 0.01, "wirenboard/wb-mqtt-serial (SPODES)"),
    Station(1, 2, 2, 0.01, "physical device 2"),
    Station(1, 100, 2, 0.005, "physical device 100"),
    Station(2, None, 1, 0.005, "logical device 2"),
    Station(*split_number(28672), 4, 0.005, "Gurux list (28672)"),
)

#: Client addresses by how often they answer without a password first.
CLIENTS: dict[int, float] = {16: 0.6, 1: 0.12, 32: 0.08, 2: 0.03, 100: 0.03, 3: 0.02, 48: 0.02, 102: 0.02, 19: 0.01}

_HINTED = 0.2
_SCAN = range(1, 127)
_SCAN_WEIGHT = 0.001


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the user said: None leaves it open. ``numbers``: meter numbers that may hide an address.

    ``lines``: which of dtr and rts the user has set.
    """

    baud: int | None = None
    parity: str | None = None
    opening: str | None = None
    client: int | None = None
    server: int | None = None
    physical: int | None = None
    address_size: int | None = None
    numbers: tuple[str, ...] = ()
    lines: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hints:
    """What presets of the meter's family say: addresses and clients that go first. ``source``: their names."""

    servers: tuple[tuple[int, int | None], ...] = ()
    clients: tuple[int, ...] = ()
    source: str = ""


NO_HINTS = Hints()


def hints_of(presets: Iterable[tuple[str, Mapping[str, Any]]]) -> Hints:
    """The hints of presets, given by name and ``connection:``."""
    found = list(presets)
    servers = [(int(c.get("server", 1)), c.get("physical")) for _, c in found if {"server", "physical"} & set(c)]
    clients = [int(c["client"]) for _, c in found if "client" in c]
    return Hints(tuple(dict.fromkeys(servers)), tuple(dict.fromkeys(clients)), ", ".join(name for name, _ in found))


#: (what to do with the digits of a meter's number, octets of the address, how likely, who says so)
FORMULAS: tuple[tuple[str, int, float, str], ...] = (
    ("last 4 + 1000", 4, 0.05, "Gurux default: serial % 10000 + 1000"),
    ("last 4", 4, 0.04, "last four digits"),
    ("last 4 + 16", 4, 0.03, "last four digits + 16 (Milur 107S: latonita/esphome-dlms-cosem README)"),
    ("last 2 + 16", 2, 0.02, "last two digits + 16"),
    ("last 2", 2, 0.03, "last two digits"),
    ("last 3", 4, 0.01, "last three digits"),
    ("last 3", 2, 0.01, "last three digits"),
)


def from_serial(number: str) -> Iterator[Station]:
    """Addresses that formulas make of a meter's number."""
    digits = re.sub(r"\D", "", number)
    for formula, size, weight, source in FORMULAS:
        count, _, plus = formula.removeprefix("last ").partition(" + ")
        if not digits:
            return
        physical = int(digits[-int(count) :]) + int(plus or 0)
        if 0 < physical <= (127 if size == 2 else 0x3FFF):
            yield Station(1, physical, size, weight, f"{source} of {number}")


def scan(size: int) -> Iterator[Station]:
    """Every physical address of two octets, or the same numbers in four."""
    return (Station(1, number, size, _SCAN_WEIGHT, "scan") for number in _SCAN)


def stations(fixed: Fixed, numbers: Iterable[str] = (), hints: Hints = NO_HINTS) -> list[Station]:
    """The stations worth asking, likeliest first, without the long scan; what the user fixed stays fixed."""
    if fixed.server is not None or fixed.physical is not None:
        return [_given(fixed)]
    derived = [station for number in (*fixed.numbers, *numbers) for station in from_serial(number)]
    found: dict[tuple[int, int | None, int], Station] = {}
    known = [Station(*where, 0, _HINTED, f"preset {hints.source}") for where in hints.servers]
    for station in (*known, *derived, *STATIONS):
        if fixed.address_size in (None, 0, station.size) or not station.size:
            found.setdefault(station[:3], station)
    return sorted(found.values(), key=lambda station: -station.weight)


def _given(fixed: Fixed) -> Station:
    return Station(fixed.server or 1, fixed.physical, fixed.address_size or 0, 1.0, "given")


def clients(fixed: Fixed, hints: Hints = NO_HINTS) -> dict[int, float]:
    """The clients worth asking; one that the user named goes alone."""
    if fixed.client is not None:
        return {fixed.client: 1.0}
    return CLIENTS | dict.fromkeys((client for client in hints.clients if client not in CLIENTS), _HINTED)
