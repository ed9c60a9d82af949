"""The clock object: readable by everybody, set by writing or by its methods."""

from __future__ import annotations

from datetime import datetime, timedelta

from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.axdr.timestamps import DateTime, is_summer
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import PUBLIC, Context, CosemObject, Method, Outcome, make, named

OK = Outcome()
_MOST_SHIFT = 900


def moment_of(meter: Meter, value: object) -> datetime | None:
    """The moment that an octet-string of 12 means, by the meter's zone where it does not say; None: not one."""
    octets = value.raw if isinstance(value, DateTime) else value
    if not isinstance(octets, bytes) or len(octets) != 12:
        return None
    return DateTime.decode(octets).to_datetime(meter.zone)


class ClockSetter:
    """What writes and methods do to the meter's clock."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._preset: datetime | None = None

    def write(self, _context: Context, value: Data) -> int:
        """Attribute 2."""
        moment = moment_of(self.meter, value.value)
        if moment is None:
            return DataAccessResult.OTHER_REASON
        self.meter.set_clock(moment)
        return DataAccessResult.SUCCESS

    def adjust(self, seconds: int) -> Method:
        """Methods 1 to 3: round to the nearest multiple."""

        def run(_context: Context, _argument: Data | None) -> Outcome:
            nearest = round(self.meter.seconds() / seconds) * seconds
            self.meter.set_clock(datetime.fromtimestamp(nearest, self.meter.zone))
            return OK

        return run

    def use_preset(self, _context: Context, _argument: Data | None) -> Outcome:
        """Method 4."""
        moment, self._preset = self._preset, None
        if moment is None:
            return Outcome(ActionResult.OTHER_REASON)
        self.meter.set_clock(moment)
        return OK

    def preset(self, _context: Context, argument: Data | None) -> Outcome:
        """Method 5: the time to set, and between which times it may be used."""
        moments = [moment_of(self.meter, part.value) for part in argument.value] if argument else []
        if len(moments) != 3 or None in moments:
            return Outcome(ActionResult.TYPE_UNMATCHED)
        self._preset = moments[0]
        return OK

    def shift(self, _context: Context, argument: Data | None) -> Outcome:
        """Method 6: by at most a quarter of an hour."""
        seconds = argument.value if argument else 0
        if abs(seconds) > _MOST_SHIFT:
            return Outcome(ActionResult.OTHER_REASON)
        self.meter.set_clock(self.meter.now() + timedelta(seconds=seconds))
        return OK

    def methods(self) -> dict[int, Method]:
        """All methods by their numbers."""
        rounders = (self.adjust(900), self.adjust(900), self.adjust(60))
        return dict(enumerate((*rounders, self.use_preset, self.preset, self.shift), start=1))


def clock_object(meter: Meter) -> CosemObject:
    """Class 8: writable, with all its methods."""
    standard, summer = _offsets(meter)
    saving = int((summer - standard).total_seconds() // 60)
    setter = ClockSetter(meter)
    return make(
        8,
        "0.0.1.0.0.255",
        lambda _context: meter.time_data(),
        named("long", -int(standard.total_seconds() // 60)),
        lambda _context: named("unsigned", 0x80 if is_summer(meter.now()) else 0),
        named("octet-string", _switch(3, 2)),
        named("octet-string", _switch(10, 3)),
        named("integer", saving),
        named("boolean", bool(saving)),
        named("enum", 1),
        see=PUBLIC,
        writable=(2, 3, 5, 6, 7, 8),
        writers={2: setter.write},
        methods=setter.methods(),
    )


def _offsets(meter: Meter) -> tuple[timedelta, timedelta]:
    zero = timedelta(0)
    found = [datetime(2026, month, 1, tzinfo=meter.zone).utcoffset() or zero for month in (1, 7)]
    return min(found), max(found)


def _switch(month: int, hour: int) -> bytes:
    """The last Sunday of a month, any year."""
    return bytes((0xFF, 0xFF, month, 0xFE, 7, hour, 0, 0, 0, 0x80, 0, 0))
