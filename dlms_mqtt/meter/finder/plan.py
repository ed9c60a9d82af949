"""The search as a table: every probe with what it is worth and what line time it costs, the best ratio first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.finder.candidates import NO_HINTS, SPEEDS, Fixed, Hints, Speed, Station, clients, scan, stations
from dlms_mqtt.protocol.framing.registry import FRAMINGS, link_class

FAST, SLOW = 0.3, 1.2  # s to wait for UA: what nearly every meter needs, and what the slow ones do
_FRAME = 11  # octets of SNRM with its flags, and of UA without parameters
_LEAST = 8e-6  # worth per second below which nothing is tried
BURST, SCAN_BURST = 5, 14  # stations asked at once: only one of them is there
_AT_ONCE, _LATE, _ALONE = 0.86, 0.12, 0.02  # how meters answer: in a burst, late, only when asked alone
_SCANNED = 0.12  # of the meters, say, have an address that is not among the common ones
_AGAIN = 0.1  # of the frames, on a bad line, are lost: what was asked once is asked once more
WAKE_UP = b"\0" * 66
"""Zero octets for 2.2 s at 300 baud: the wake-up of battery meters in IEC 62056-21."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try. ``options``: the connection options it stands for; ``wait``: seconds for the answer.

    ``stations``: server addresses that are asked, ``burst`` of them at once (0: all).
    """

    kind: str
    options: Mapping[str, Any]
    weight: float
    cost: float
    stations: tuple[Station, ...] = ()
    wait: float = FAST
    burst: int = 0

    @property
    def ratio(self) -> float:
        """Worth per second."""
        return self.weight / self.cost

    def burst_of(self, client: int) -> bool:
        """Are these quick questions of that client?"""
        return self.wait == FAST and self.options.get("client") == client


#: (options, weight where the port has a speed of its own, weight behind a converter that keeps its speed, seconds)
_SIGN_ONS: tuple[tuple[dict[str, Any], float, float, float], ...] = (
    ({}, 0.45, 0.12, 2.1),
    ({}, 0.03, 0.01, 2.1),  # once more: the first request may be lost while the head gets its power
    ({"parity": "none"}, 0.03, 0.05, 2.1),
    ({"wake_up": WAKE_UP}, 0.03, 0.01, 5.8),
    ({"wake_up_break": 0.3}, 0.005, 0.0, 4.0),
    ({"baud": 9600}, 0.02, 0.0, 2.0),
    ({"rts": False}, 0.02, 0.0, 2.6),
    ({"dtr": False}, 0.004, 0.0, 2.6),
    ({"baud": 2400}, 0.01, 0.0, 2.0),
    ({"baud": 4800}, 0.006, 0.0, 2.0),
    ({"baud": 1200}, 0.004, 0.0, 2.0),
    ({"baud": 19200}, 0.004, 0.0, 2.0),
    ({"baud": 600}, 0.003, 0.0, 2.0),
)

#: Heads that take their power from one modem line, or from the two with opposite signs: asked directly, at
#: the likeliest speed: (options, weight).
_POWERED: tuple[tuple[dict[str, Any], float], ...] = (({"rts": False}, 0.01), ({"dtr": False}, 0.002))
_SIGNED_ON = frozenset({"sign-on", "readout"})  # openings with which nothing is asked directly
WARM_UP = 0.5  # s after a change of the modem lines

#: Customer interfaces push: (speed, weight, seconds to wait for one).
LISTENING: tuple[tuple[Speed, float, float], ...] = (
    (Speed(2400, "even", 0), 0.03, 11.0),
    (Speed(2400, "none", 0), 0.02, 11.0),
    (Speed(115200, "none", 0), 0.02, 11.0),
    (Speed(9600, "none", 0), 0.01, 11.0),
)
_WRAPPED_SERVERS = {1: 0.85, 0: 0.05, 16: 0.05, 17: 0.03}
_WRAPPER_WAIT = 2.5
PATIENT = 15.0  # s: for meters behind a modem, at the likeliest server
_SLOW_ONES = 0.1  # of them there are few


def serial_plan(fixed: Fixed, numbers: Iterable[str] = ()) -> list[Probe]:
    """For a port whose speed we set."""
    speeds = [Speed(fixed.baud, fixed.parity or "none", 1.0)] if fixed.baud else _speeds(fixed)
    asks = fixed.opening not in _SIGNED_ON
    found = list(direct(speeds, fixed, numbers)) if asks else []
    if fixed.opening != "direct":
        found += [
            Probe("sign-on", {"opening": "sign-on", **options}, weight, cost)
            for options, weight, _, cost in _SIGN_ONS
            if (fixed.baud in (None, options.get("baud")) or "baud" not in options) and not set(options) & fixed.lines
        ]
    if asks:
        found += _powered(speeds[0], fixed, numbers)
    found += [
        Probe("listen", {"baud": speed.baud, "parity": speed.parity}, weight, seconds, wait=seconds)
        for speed, weight, seconds in LISTENING
    ]
    return ordered(found)


def _powered(speed: Speed, fixed: Fixed, numbers: Iterable[str]) -> Iterator[Probe]:
    client = next(iter(clients(fixed)))
    wanted = tuple(stations(fixed, numbers)[:BURST])
    for lines, weight in _POWERED:
        if not set(lines) & fixed.lines:
            cost = _frame_time(speed) * (len(wanted) + 1) + FAST + WARM_UP
            yield Probe("direct", _options(speed, client) | lines, weight, cost, wanted)


def _speeds(fixed: Fixed) -> list[Speed]:
    return [speed for speed in SPEEDS if fixed.parity in (None, speed.parity)]


def stream_plan(fixed: Fixed, framing: str | None, numbers: Iterable[str] = ()) -> list[Probe]:
    """For TCP: the meter itself, or a converter that keeps its own speed."""
    wanted = (framing,) if framing else tuple(FRAMINGS)
    found: list[Probe] = []
    for name in sorted(wanted, key=lambda name: link_class(name).has_connection):
        found += _linked(name, fixed, numbers) if link_class(name).has_connection else unlinked(name, fixed, 0.5)
    return ordered(found)


def _linked(framing: str, fixed: Fixed, numbers: Iterable[str]) -> Iterator[Probe]:
    """Behind a converter: the link is asked for, at once or after a sign-on; or the meter speaks by itself."""
    if fixed.opening not in _SIGNED_ON:
        yield from direct([Speed(0, "none", 0.3)], fixed, numbers)
    for options, _, weight, cost in _SIGN_ONS:
        if weight:
            yield Probe("sign-on", {"opening": "sign-on", "framing": framing, **options}, weight, cost)
    yield Probe("listen", {"framing": framing}, 0.02, 11.0, wait=11.0)


def unlinked(framing: str, fixed: Fixed, weight: float) -> list[Probe]:
    """A framing without a link to set up, as the wrapper of TCP and UDP: an association is asked for at once.

    Clients and servers, the likeliest server a second time with patience.
    """
    servers = {fixed.server: 1.0} if fixed.server is not None else _WRAPPED_SERVERS
    first = next(iter(servers))
    found = []
    for client, likely in clients(fixed).items():
        for server, share in servers.items():
            options = {"framing": framing, "client": client, "server": server}
            worth = weight * likely * share
            found.append(Probe("wrapper", options, worth, _WRAPPER_WAIT, wait=_WRAPPER_WAIT))
            if server == first:
                options = options | {"timeout": PATIENT}
                found.append(Probe("wrapper", options, worth * _SLOW_ONES, PATIENT, wait=PATIENT))
    return ordered(found)


def direct(speeds: Iterable[Speed], fixed: Fixed, numbers: Iterable[str] = (), hints: Hints = NO_HINTS) -> list[Probe]:
    """SNRM to every station of every client at these speeds."""
    wanted = stations(fixed, numbers, hints)
    found: list[Probe] = []
    for speed in speeds:
        for client, likely in clients(fixed, hints).items():
            found += _bursts(speed, client, wanted, speed.weight * likely)
            found += _scanned(speed, client, fixed, speed.weight * likely)
    return ordered(probe for probe in found if probe.ratio >= _LEAST)


def _bursts(speed: Speed, client: int, wanted: Sequence[Station], weight: float) -> Iterator[Probe]:
    """Bursts with one wait each; a sweep that also waits for late answers; and, for the likeliest, one at a time."""
    options = _options(speed, client)
    frame = _frame_time(speed)
    for start in range(0, len(wanted), BURST):
        group = tuple(wanted[start : start + BURST])
        share = weight * sum(station.weight for station in group)
        yield Probe("direct", options, share * _AT_ONCE, frame * (len(group) + 1) + FAST, group)
    everything = weight * sum(station.weight for station in wanted)
    yield _sweep(options, wanted, everything * _LATE, frame, BURST)
    for station in wanted[:BURST]:
        yield Probe("direct", options, weight * station.weight * _ALONE, 2 * frame + SLOW, (station,), SLOW)


def _scanned(speed: Speed, client: int, fixed: Fixed, weight: float) -> Iterator[Probe]:
    """Every address of a bounded range, twice, where the user did not say which."""
    if fixed.server is not None or fixed.physical is not None:
        return
    for size in (2, 4):
        if fixed.address_size in (None, 0, size):
            once = _sweep(
                _options(speed, client),
                list(scan(size)),
                weight * _SCANNED / (size - 1),
                _frame_time(speed),
                SCAN_BURST,
            )
            yield from (once, replace(once, weight=once.weight * _AGAIN))


def _sweep(options: Mapping[str, Any], wanted: Sequence[Station], weight: float, frame: float, burst: int) -> Probe:
    cost = len(wanted) * frame + (len(wanted) + burst - 1) // burst * (FAST + frame) + SLOW
    return Probe("sweep", options, weight, cost, tuple(wanted), FAST, burst)


def _options(speed: Speed, client: int) -> dict[str, Any]:
    return {"client": client} | ({"baud": speed.baud, "parity": speed.parity} if speed.baud else {})


def _frame_time(speed: Speed) -> float:
    return _FRAME * 11 / speed.baud if speed.baud else 0.0


def ordered(probes: Iterable[Probe]) -> list[Probe]:
    """The best worth per second first."""
    return sorted(probes, key=lambda probe: -probe.ratio)
