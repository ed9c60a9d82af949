"""A simulated meter: objects, associations, a clock of its own, events. What is said on the line is ``session``'s.

The wall clock and the random source are passed in; between two questions nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from enum import IntEnum
from typing import Protocol

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import PeerCounters
from dlms_mqtt.simulator.server.associations import CURRENT_SN, Association
from dlms_mqtt.simulator.server.objects import CosemObject, View
from dlms_mqtt.simulator.server.timeline import Timeline
from dlms_mqtt.transport.clock import Clock

Random = Callable[[int], bytes]
LOCKED_FOR = 900.0
"""Seconds of a lock-out."""


class Code(IntEnum):
    """Codes of the event log, as the IDIS companion specification numbers them."""

    POWER_DOWN = 1
    POWER_UP = 2
    CLOCK_OLD = 4
    CLOCK_ADJUSTED = 5
    TARIFF = 11
    RESET = 14
    ACTIVATED = 18
    DISCONNECTED = 60
    CONNECTED = 61
    WRONG_PASSWORD = 46
    LOG_CLEARED = 255


TITLE = b"DMQ\x00\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: meter time (seconds since 1970) and the code of the event log."""

    time: float
    code: int


class Session(Protocol):
    """An association that stands, as the meter knows it: a way to tell the client something."""

    def push(self, octets: bytes) -> None:
        """Send an APDU that was not asked for."""


class ShiftedClock(Clock):
    """A clock that goes right, from another moment on."""

    def __init__(self, clock: Clock, start: datetime) -> None:
        self._clock = clock
        self._offset = start.timestamp() - clock.time()

    def time(self) -> float:
        """Seconds since 1970, shifted."""
        return self._clock.time() + self._offset

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        return self._clock.monotonic()


class Meter:
    """One logical device. ``zone``: of its local time; ``server``, ``physical``: its addresses."""

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        zone: tzinfo = UTC,
        title: bytes = TITLE,
        name: str = "DMQ0000000000001",
        server: int = 1,
        physical: int | None = None,
        counter: int = 1,
    ) -> None:
        self.clock = clock
        self.random = random
        self.zone = zone
        self.title = title
        self.name = name
        self.server = server
        self.physical = physical
        self.objects: dict[tuple[int, Obis], CosemObject] = {}
        self.views: dict[tuple[int, str], View] = {}
        self.associations: dict[int, Association] = {}
        self.peer_counters = PeerCounters()
        self.timeline = Timeline()
        self.events: list[Event] = []
        self.on_event: list[Callable[[Event], None]] = []
        self.on_push: list[Callable[[Obis], None]] = []
        self.sessions: set[Session] = set()
        self.master_key = Secret(bytes(range(0x70, 0x80)))
        self.oddities: dict[str, str] = {}
        self.restarts = 0
        self.resets: list[Callable[[], None]] = []
        self.failures: dict[int, int] = {}
        self._locked_until: dict[int, float] = {}
        self._stuck_until: dict[int, float] = {}
        self._counter = counter
        self._next_short_name = 0x0100

    # -- what it has --------------------------------------------------------------------------------------------------

    def add(self, *items: CosemObject) -> None:
        """Add objects; an object of the same class and OBIS replaces the old one."""
        for item in items:
            self.objects[item.class_id, item.obis] = item
            self._name(item)
        self.views.clear()

    def remove(self, obis: Obis) -> None:
        """Take away every object with this OBIS code."""
        self.objects = {key: item for key, item in self.objects.items() if key[1] != obis}
        self.views.clear()

    def _name(self, item: CosemObject) -> None:
        """Give the object a base name, and every attribute and method its short name."""
        if (item.class_id, item.obis) == CURRENT_SN:
            item.short_name = 0xFA00
        elif not item.short_name:
            item.short_name = self._next_short_name
            self._next_short_name += _size(item)

    def named(self, short_name: int) -> tuple[CosemObject, str, int] | None:
        """The object, ``attribute`` or ``method`` and the number that a variable name means."""
        found = None
        for item in self.objects.values():
            if item.short_name <= short_name and (found is None or item.short_name > found.short_name):
                found = item
        return None if found is None else _member(found, short_name - found.short_name)

    def associate(self, *associations: Association) -> None:
        """Add clients; one with the same number replaces the old one."""
        for item in associations:
            self.associations[item.client] = item

    # -- time ---------------------------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """The meter's idea of seconds since 1970."""
        return self.timeline.meter_time(self.clock.time())

    def now(self) -> datetime:
        """The meter's local time."""
        return datetime.fromtimestamp(self.seconds(), self.zone)

    def time_data(self, seconds: float | None = None) -> Data:
        """A meter time (default: now) as the octet-string of a clock."""
        moment = self.now() if seconds is None else datetime.fromtimestamp(seconds, self.zone)
        return Data(DataType.OCTET_STRING, DateTime.from_datetime(moment).encode())

    def set_clock(self, moment: datetime) -> None:
        """Set the clock."""
        self.timeline.set(self.clock.time(), moment.timestamp())
        self.log(Code.CLOCK_ADJUSTED)

    # -- what happens -------------------------------------------------------------------------------------------------

    def log(self, code: int) -> None:
        """Write an event and tell who listens."""
        event = Event(self.seconds(), code)
        self.events.append(event)
        for listener in self.on_event:
            listener(event)

    def force_tariff(self, tariff: int) -> None:
        """Measure into this tariff from now on; 0: follow the calendar again."""
        self.timeline.change(self.clock.time(), tariff=tariff)
        self.log(Code.TARIFF)

    def connect(self, connected: bool) -> None:
        """Cut or restore the supply."""
        if self.timeline.mode.connected != connected:
            self.timeline.change(self.clock.time(), connected=connected)
            self.log(Code.CONNECTED if connected else Code.DISCONNECTED)

    def drift(self, seconds_per_day: float) -> None:
        """The clock gains so much from now on."""
        self.timeline.drift(self.clock.time(), seconds_per_day)

    def jump(self, seconds: float) -> None:
        """The clock is suddenly so much ahead, and nobody has noticed."""
        now = self.clock.time()
        self.timeline.set(now, self.timeline.meter_time(now) + seconds)

    def restart(self) -> None:
        """Power went and came: links and associations are forgotten, counters of clients are kept."""
        self.restarts += 1
        self._stuck_until.clear()
        self.log(Code.POWER_DOWN)
        self.log(Code.POWER_UP)

    def reset_registers(self) -> None:
        """The energy registers begin at zero."""
        for reset in self.resets:
            reset()
        self.log(Code.RESET)

    # -- clients that may not come in ---------------------------------------------------------------------------------

    def count_failure(self, client: int) -> None:
        """A wrong password or proof. Meters that lock do so after a number of them."""
        self.failures[client] = self.failures.get(client, 0) + 1
        self.log(Code.WRONG_PASSWORD)
        row = self.associations[client]
        fault = row.faults.get("lock-out") if row.faults else None
        if fault is not None and self.failures[client] >= fault.number:
            self._locked_until[client] = self.clock.time() + LOCKED_FOR

    def locked(self, row: Association) -> bool:
        """Nobody gets in as this client for now, right password or not."""
        return self._locked_until.get(row.client, 0.0) > self.clock.time()

    def left_open(self, row: Association) -> None:
        """The line went without a release: some meters keep the association for its inactivity time."""
        fault = row.faults.strike("stuck") if row.faults else None
        if fault is not None:
            self._stuck_until[row.client] = self.clock.time() + fault.seconds

    def stuck(self, client: int) -> bool:
        """Is an association of this client still open that nobody released?"""
        return self._stuck_until.get(client, 0.0) > self.clock.time()

    # -- counters -----------------------------------------------------------------------------------------------------

    def next_counter(self) -> int:
        """The next invocation counter of our own messages."""
        self._counter += 1
        return self._counter

    def client_counter(self) -> int:
        """The highest invocation counter that any client has used."""
        return max(self.peer_counters.keep().values(), default=0)


def _size(item: CosemObject) -> int:
    row = item.row
    offsets = [8 * (number - 1) for number in item.values if number > 0]
    if row is not None:
        offsets += [method.short_name_offset or 0 for method in row.methods]
        offsets += [attribute.short_name_offset for attribute in row.attributes]
    return (max(offsets) + 16) & ~7


def _member(item: CosemObject, offset: int) -> tuple[CosemObject, str, int] | None:
    for method in item.row.methods if item.row else ():
        if method.short_name_offset == offset and method.index in item.methods:
            return item, "method", method.index
    number, rest = divmod(offset, 8)
    return (item, "attribute", number + 1) if not rest and number + 1 in item.values else None
