"""What the objects of a meter do when they are written to or run: clock first."""

from __future__ import annotations

from datetime import datetime, timedelta

from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
from dlms_mqtt.protocol.data import Data
from dlms_mqtt.protocol.timestamps import DateTime
from dlms_mqtt.simulator.associations import Context
from dlms_mqtt.simulator.meter import Meter
from dlms_mqtt.simulator.objects import PUBLIC, CosemObject, Method, Outcome, make, named

OK = Outcome()


def moment_of(meter: Meter, value: object) -> datetime | None:
    """The moment that an octet-string of 12 means, by the meter's zone where it does not say; None: not one."""
    octets = value.raw if isinstance(value, DateTime) else value
    if not isinstance(octets, bytes) or len(octets) != 12:
        return None
    return DateTime.decode(octets).to_datetime(meter.zone)


def clock_object(meter: Meter) -> CosemObject:
    """Class 8: writable, with all its methods."""
    standard, summer = _offsets(meter)
    shift = int((summer - standard).total_seconds() // 60)
    preset: list[datetime] = []

    def write(_context: Context, value: Data) -> int:
        moment = moment_of(meter, value.value)
        if moment is None:
            return DataAccessResult.OTHER_REASON
        meter.set_clock(moment)
        return DataAccessResult.SUCCESS

    def adjust(seconds: int) -> Method:
        """Round to the nearest multiple."""

        def run(_context: Context, _argument: Data | None) -> Outcome:
            now = meter.seconds()
            meter.set_clock(datetime.fromtimestamp(round(now / seconds) * seconds, meter.zone))
            return OK

        return run

    def use_preset(_context: Context, _argument: Data | None) -> Outcome:
        if not preset:
            return Outcome(ActionResult.OTHER_REASON)
        meter.set_clock(preset.pop())
        return OK

    def set_preset(_context: Context, argument: Data | None) -> Outcome:
        parts = argument.value if argument else ()
        moments = [moment_of(meter, part.value) for part in parts]
        if len(moments) != 3 or None in moments:
            return Outcome(ActionResult.TYPE_UNMATCHED)
        preset[:] = [moment for moment in moments[:1] if moment]
        return OK

    def shift_time(_context: Context, argument: Data | None) -> Outcome:
        seconds = argument.value if argument else 0
        if abs(seconds) > 900:
            return Outcome(ActionResult.OTHER_REASON)
        meter.set_clock(meter.now() + timedelta(seconds=seconds))
        return OK

    return make(
        8,
        "0.0.1.0.0.255",
        lambda _context: meter.time_data(),
        named("long", -int(standard.total_seconds() // 60)),
        lambda _context: named("unsigned", 0x80 if meter.now().dst() else 0),
        named("octet-string", _switch(3, 2)),
        named("octet-string", _switch(10, 3)),
        named("integer", shift),
        named("boolean", bool(shift)),
        named("enum", 1),
        see=PUBLIC,
        writable=(2, 3, 5, 6, 7, 8),
        writers={2: write},
        methods={1: adjust(900), 2: adjust(900), 3: adjust(60), 4: use_preset, 5: set_preset, 6: shift_time},
    )


def _offsets(meter: Meter) -> tuple[timedelta, timedelta]:
    zero = timedelta(0)
    found = [datetime(2026, month, 1, tzinfo=meter.zone).utcoffset() or zero for month in (1, 7)]
    return min(found), max(found)


def _switch(month: int, hour: int) -> bytes:
    """The last Sunday of a month, any year."""
    return bytes((0xFF, 0xFF, month, 0xFE, 7, hour, 0, 0, 0, 0x80, 0, 0))
