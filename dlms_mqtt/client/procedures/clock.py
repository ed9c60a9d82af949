"""The meter's clock: what it shows, how far it is off, and setting it in the meter's own sense of deviation.

The Blue Book counts the deviation from local time to UTC (-60 for Paris); meters of some countries count it the other
way round. Nobody can tell from one time alone, so it is compared with our own clock, then with the meter's zone.

Source: Blue Book ed. 12, clause 4.5.1 (Clock).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import CLOCK, Obis

_CLASS = 8
STANDARD_SENSE = -1
_PLAUSIBLE = timedelta(minutes=20)  # smaller than half of the least deviation, which moves the clock twice


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the clock showed. ``drift``: seconds ahead of us (None: not set); ``sense``: of the deviation, see above."""

    obis: Obis
    octets: bytes
    moment: datetime | None
    drift: float | None
    sense: int
    type: DataType

    @property
    def deviation(self) -> int | None:
        """Minutes as sent."""
        return DateTime(self.octets).deviation

    @property
    def status(self) -> tuple[str, ...]:
        """The bits of the clock status that are set."""
        return tuple(DateTime(self.octets).status_names)


def interpret(octets: bytes, now: datetime, tz: tzinfo | None, sense: int | None = None) -> tuple[datetime | None, int]:
    """The time those octets mean, and the sense of the deviation: as given, else as compared with our clock and zone.

    A deviation that is our zone's, but for the sign, tells by it. Otherwise the sense that makes the clock right is
    taken; where neither does, the clock is far off, and the sign of the zone's offset decides all the same.
    """
    value = DateTime(octets)
    found = sense or (_sense(value, now, tz) if value.deviation else STANDARD_SENSE)
    return value.to_datetime(tz, found), found


def _sense(value: DateTime, now: datetime, tz: tzinfo | None) -> int:
    offset = now.astimezone(tz).utcoffset() if tz is not None else None
    eastwards = (offset or timedelta(0)) / timedelta(minutes=1) * (value.deviation or 0)  # the Blue Book's is below 0
    by_zone = -STANDARD_SENSE if eastwards > 0 else STANDARD_SENSE
    if offset is not None and abs(offset) == timedelta(minutes=abs(value.deviation or 0)):
        return by_zone
    return next(
        (sense for sense in (STANDARD_SENSE, -STANDARD_SENSE) if _near(value.to_datetime(tz, sense), now)), by_zone
    )


def _near(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment.tzinfo is not None and abs(moment - now) < _PLAUSIBLE


async def read_clock(
    client: DlmsClient,
    obis: Obis = CLOCK,
    *,
    tz: tzinfo | None,
    now: Callable[[], datetime],
    sense: int | None = None,
) -> ClockReading:
    """Read the clock; the answer is taken to be as old as half of the question took. AccessRefused, DecodeError."""
    before = now()
    data = await client.get(AttributeDescriptor(_CLASS, obis, 2))
    middle = before + (now() - before) / 2
    octets = data.value.raw if isinstance(data.value, DateTime) else data.value
    if not isinstance(octets, bytes) or len(octets) != 12:
        raise DecodeError(f"the clock {obis} does not hold a date and time but {data.type.text}")
    moment, found = interpret(octets, middle, tz, sense)
    drift = (moment - middle).total_seconds() if moment and moment.tzinfo else None
    return ClockReading(obis, octets, moment, drift, found, data.type)


async def set_clock(client: DlmsClient, reading: ClockReading, *, tz: tzinfo, now: Callable[[], datetime]) -> datetime:
    """Set the clock to our time, written as the meter writes its own; the time that was sent. AccessRefused."""
    moment = now().astimezone(tz)
    stated = DateTime(reading.octets).deviation is not None
    value = DateTime.from_datetime(moment, deviation=stated, sense=reading.sense)
    data = Data(reading.type, value if reading.type is DataType.DATE_TIME else value.encode())
    await client.set(AttributeDescriptor(_CLASS, reading.obis, 2), data)
    return moment
