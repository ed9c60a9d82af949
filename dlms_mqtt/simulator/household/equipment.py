"""What a household meter has besides its registers: identification, status, supply switch, security, ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dlms_mqtt.cosem.structures import SapAssignment, array
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, Security, unwrap_key
from dlms_mqtt.simulator.household.consumption import Consumption
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.meter import Code, Event, Meter
from dlms_mqtt.simulator.server.objects import PUBLIC, Context, CosemObject, Outcome, make, named

OK = Outcome()
REFUSED = Outcome(ActionResult.OTHER_REASON)
DISCONNECT = (70, Obis((0, 0, 96, 3, 10, 255)))
_SWITCH_SCRIPTS = bytes((0, 0, 10, 0, 106, 255))
_POWER_DRAWN = bytes((1, 0, 1, 7, 0, 255))
_HOURS_BEFORE = 20_000  # of operation
_LONGEST_MESSAGE = 128
# What sets which bit of the alarm register.
_ALARMS = {Code.WRONG_PASSWORD: 0x2000, Code.POWER_DOWN: 0x0100, Code.RESET: 0x4000, Code.CLOCK_ADJUSTED: 0x0001}


def text(value: str) -> Data:
    """An octet-string of text, as identification objects have it."""
    return named("octet-string", value.encode())


def _is_short(value: object) -> bool:
    """A message for the display; a date may be written where an octet-string is."""
    return isinstance(value, bytes | str) and len(value) <= _LONGEST_MESSAGE


def structure(*items: Data) -> Data:
    """A structure."""
    return Data(DataType.STRUCTURE, items)


def array_of(*items: Data) -> Data:
    """An array."""
    return Data(DataType.ARRAY, items)


def typed(*rows: tuple[str, Any]) -> list[Data]:
    """Values by the names of their types."""
    return [named(kind, value) for kind, value in rows]


def identification(meter: Meter, _use: Consumption) -> list[CosemObject]:
    """Names, numbers, firmware, and the counters that clients may go on from."""

    def counter(context: Context) -> Data:
        return named("double-long-unsigned", context.meter.client_counter())

    return [
        make(1, "0.0.42.0.0.255", text(meter.name), see=PUBLIC),
        make(1, "0.0.96.1.0.255", text(meter.name[-8:]), see=PUBLIC),
        make(1, "0.0.96.1.1.255", text("Kitchen table 1"), writable=(2,), checks={2: lambda v: len(v) <= 48}),
        make(1, "0.0.96.1.10.255", text("AT0010000000000000001000" + meter.name[-8:])),
        make(1, "1.0.0.2.0.255", text("DMQ-SIM 1.4.2"), see=PUBLIC),
        make(1, "1.0.0.2.8.255", named("octet-string", bytes(range(0xA0, 0xA8)))),
        make(1, "0.0.43.1.0.255", counter, see=PUBLIC),
        make(1, "0.0.43.1.1.255", counter, see=PUBLIC),
        make(17, "0.0.41.0.0.255", array([SapAssignment(meter.server, meter.name)]), see=PUBLIC),
    ]


def status(meter: Meter, use: Consumption) -> list[CosemObject]:
    """Status, error and alarm words, counts of events, and parameters that may be written."""
    return [
        make(1, "0.0.96.10.1.255", named("unsigned", 0)),
        make(1, "0.0.96.5.0.255", lambda _context: named("unsigned", 0x10 if use.connected else 0)),
        make(1, "0.0.97.97.0.255", named("double-long-unsigned", 0)),
        *_alarm_words(meter),
        *_counts(meter),
        *_parameters(),
    ]


def _alarm_words(meter: Meter) -> list[CosemObject]:
    """The alarm register and its filter."""
    alarms = [0]

    def alarm(event: Event) -> None:
        alarms[0] |= _ALARMS.get(event.code, 0)  # type: ignore[call-overload]

    def clear(_context: Context, value: Data) -> int:
        """Writing a bit clears it."""
        alarms[0] &= ~value.value
        return DataAccessResult.SUCCESS

    def word(_context: Context) -> Data:
        return named("double-long-unsigned", alarms[0])

    meter.on_event.append(alarm)
    return [
        make(1, "0.0.97.98.0.255", word, writable=(2,), writers={2: clear}),
        make(1, "0.0.97.98.10.255", named("double-long-unsigned", 0xFFFF), writable=(2,)),
    ]


def _counts(meter: Meter) -> list[CosemObject]:
    """Power failures, events, the last event, hours of operation, temperature."""
    events, begun = meter.events, meter.clock.time()

    def failures(_context: Context) -> Data:
        return named("long-unsigned", sum(event.code == Code.POWER_DOWN for event in events))

    def operating(_context: Context) -> Data:
        return named("double-long-unsigned", _HOURS_BEFORE * 3600 + int(meter.clock.time() - begun))

    return [
        make(1, "0.0.96.7.0.255", failures),
        make(1, "0.0.96.15.0.255", lambda _context: named("long-unsigned", len(events))),
        make(1, "0.0.96.11.0.255", lambda _context: named("unsigned", events[-1].code if events else 0)),
        make(3, "0.0.96.8.0.255", operating, structure(named("integer", 0), named("enum", 7))),
        make(3, "0.0.96.9.0.255", named("integer", 23), structure(named("integer", 0), named("enum", 9))),
    ]


def _parameters() -> list[CosemObject]:
    """A message for the display, and the ratios of the transformers."""
    ratio = named("long-unsigned", 1)
    return [
        make(1, "0.0.96.13.0.255", text(""), writable=(2,), checks={2: _is_short}),
        make(1, "1.0.0.4.2.255", ratio, writable=(2,), checks={2: lambda value: 1 <= value <= 1000}),
        make(1, "1.0.0.4.3.255", ratio, writable=(2,), checks={2: lambda value: 1 <= value <= 1000}),
    ]


# -- the supply -------------------------------------------------------------------------------------------------------


def supply(meter: Meter, use: Consumption) -> list[CosemObject]:
    """The switch of the supply and the limiter."""
    item = make(
        70,
        str(DISCONNECT[1]),
        lambda _context: named("boolean", use.connected),
        lambda _context: named("enum", 1 if use.connected else 0),
        named("enum", 2),
        writable=(4,),
        checks={4: lambda value: value <= 6},
    )

    def switch(connected: bool, context: Context, _argument: Data | None) -> Outcome:
        if item.data(context, 4).value == 0:
            return REFUSED
        meter.connect(connected)
        return OK

    item.methods |= {1: partial(switch, False), 2: partial(switch, True)}
    return [item, _limiter()]


def _limiter() -> CosemObject:
    """18 kW of power drawn for a minute: no emergency profile, and the switch as its action."""
    monitored = structure(*typed(("long-unsigned", 3), ("octet-string", _POWER_DRAWN), ("integer", 2)))
    watts, seconds = named("double-long-unsigned", 18_000), named("double-long-unsigned", 60)
    emergency = structure(*typed(("long-unsigned", 0), ("octet-string", b""), ("double-long-unsigned", 0)))
    action = structure(*typed(("octet-string", _SWITCH_SCRIPTS), ("long-unsigned", 1)))
    values = (watts, watts, watts, seconds, seconds, emergency, array_of(), named("boolean", False))
    return make(
        71,
        "0.0.17.0.0.255",
        monitored,
        *values,
        structure(action, action),
        writable=(4, 5, 6, 7),
        checks={number: lambda value: 1000 <= value <= 100_000 for number in (4, 5)},
    )


# -- security ---------------------------------------------------------------------------------------------------------

_KEY_FIELDS = {0: "encryption", 1: "broadcast", 2: "authentication"}
_KEY_ENCRYPTING = 3


def security(meter: Meter, _use: Consumption) -> list[CosemObject]:
    """Class 64: policy and suite of the association that asks, key transfer under the master key."""
    return [
        make(
            64,
            "0.0.43.0.0.255",
            lambda context: named("enum", _POLICIES[context.association.policy]),
            lambda context: named("enum", context.association.suite),
            lambda context: named("octet-string", context.client_title),
            lambda context: named("octet-string", context.meter.title),
            array_of(),
            version=1,
            methods={1: _activate, 2: partial(_transfer, meter)},
        )
    ]


def _activate(_context: Context, argument: Data | None) -> Outcome:
    return OK if argument is not None and argument.value in range(16) else REFUSED


def _transfer(meter: Meter, context: Context, argument: Data | None) -> Outcome:
    old = context.association.keys
    if old is None or argument is None:
        return REFUSED
    try:
        keys = _new_keys(meter, old, context.association.suite, argument)
    except (DlmsMqttError, ValueError, TypeError, KeyError):
        return REFUSED
    meter.associate(*[replace(row, keys=keys) for row in meter.associations.values() if row.keys == old])
    return OK


_POLICIES = {
    Security.NONE: 0,
    Security.AUTHENTICATION: 0x04 | 0x20,
    Security.ENCRYPTION: 0x08 | 0x40,
    Security.BOTH: 0x6C,
}


def _new_keys(meter: Meter, keys: Keys, suite: int, argument: Data) -> Keys:
    for item in argument.value:
        number, wrapped = (part.value for part in item.value)
        key = Secret(unwrap_key(meter.master_key, wrapped))
        if number == _KEY_ENCRYPTING:
            meter.master_key = key
        else:
            keys = replace(keys, **{_KEY_FIELDS[number]: key})
    keys.check(suite)
    return keys


# -- ports ------------------------------------------------------------------------------------------------------------


_HDLC = (
    ("enum", 5),
    ("unsigned", 1),
    ("unsigned", 1),
    ("long-unsigned", 128),
    ("long-unsigned", 128),
    ("long-unsigned", 30),
    ("long-unsigned", 120),
    ("long-unsigned", 16),
)
_HDLC_CHECKS = {5: lambda v: 32 <= v <= 2030, 6: lambda v: 32 <= v <= 2030, 8: lambda v: v <= 3600}
_LOCAL_PORT = (("enum", 1), ("enum", 0), ("enum", 5), ("enum", 1), *[("octet-string", b"")] * 4)
_TCP = (
    ("long-unsigned", 4059),
    ("octet-string", bytes((0, 0, 25, 1, 0, 255))),
    ("long-unsigned", 1460),
    ("unsigned", 8),
    ("long-unsigned", 180),
)


def ports(_meter: Meter, _use: Consumption) -> list[CosemObject]:
    """Set-up objects of the lines."""
    return [
        make(23, "0.0.22.0.0.255", *typed(*_HDLC), version=1, writable=range(2, 9), checks=dict(_HDLC_CHECKS)),
        make(19, "0.0.20.0.0.255", *typed(*_LOCAL_PORT), version=1),
        make(41, "0.0.25.0.0.255", *typed(*_TCP)),
    ]


Builder = Callable[[Meter, Consumption], list[CosemObject]]
__all__ = ["Association", "Builder", "array_of", "structure", "text"]
