"""The tariffs of a household meter: the one in force, the calendar that says which, and the scripts that it runs."""

from __future__ import annotations

from functools import partial

from dlms_mqtt.cosem.structures import Script, ScriptAction, array
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.household.consumption import DAY_BEGINS, DAY_ENDS, Consumption
from dlms_mqtt.simulator.household.equipment import OK, REFUSED, array_of, structure, text
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Outcome, make, named

TARIFF_SCRIPTS = Obis((0, 0, 10, 0, 100, 255))


def tariffs(meter: Meter, use: Consumption) -> list[CosemObject]:
    """The tariff in force, the calendar that says which, and the scripts that it runs."""
    return [
        make(1, "0.0.96.14.0.255", lambda _context: text(f"T{use.tariff()}")),
        make(
            1,
            "0.0.94.34.11.255",
            lambda _context: named("unsigned", use.tariff()),
            writable=(2,),
            writers={2: partial(_force_tariff, meter)},
            checks={2: lambda value: value in (0, 1, 2)},
        ),
        make(9, str(TARIFF_SCRIPTS), array([_script(1), _script(2)]), methods={1: partial(_run_script, meter)}),
        calendar(),
        make(11, "0.0.11.0.0.255", array_of(), writable=(2,)),
    ]


def _force_tariff(meter: Meter, _context: Context, value: Data) -> int:
    meter.force_tariff(value.value)
    return DataAccessResult.SUCCESS


def _run_script(meter: Meter, _context: Context, argument: Data | None) -> Outcome:
    if argument is None or argument.value not in (1, 2):
        return REFUSED
    meter.force_tariff(argument.value)
    return OK


def _script(number: int) -> Script:
    return Script(number, (ScriptAction(1, 6, Obis((0, 0, 14, 0, 0, 255)), 4, text(f"T{number}")),))


def calendar() -> CosemObject:
    """The activity calendar: Monday to Saturday with a day tariff, Sunday without."""
    season = structure(text("1"), named("octet-string", bytes.fromhex("ffff0101ff000000008000ff")), text("W"))
    week = structure(text("W"), *[named("unsigned", 2 if day == 7 else 1) for day in range(1, 8)])
    working = _day(1, (0, 2), (DAY_BEGINS, 1), (DAY_ENDS, 2))
    active = (text("2TARIFF"), array_of(season), array_of(week), array_of(working, _day(2, (0, 2))))
    passive = (text(""), array_of(), array_of(), array_of())
    item = make(
        20,
        "0.0.13.0.0.255",
        *active,
        *passive,
        named("octet-string", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x00\xff"),
        writable=(6, 7, 8, 9, 10),
    )

    def activate(_context: Context, _argument: Data | None) -> Outcome:
        """The passive calendar becomes the active one."""
        for number in range(2, 6):
            item.values[number] = item.values[number + 4]
        return OK

    item.methods[1] = activate
    return item


def _day(identifier: int, *switches: tuple[int, int]) -> Data:
    actions = [
        structure(
            named("octet-string", bytes((hour, 0, 0, 0))),
            named("octet-string", bytes(TARIFF_SCRIPTS)),
            named("long-unsigned", tariff),
        )
        for hour, tariff in switches
    ]
    return structure(named("unsigned", identifier), array_of(*actions))
