"""A household meter with all that such a meter has; values follow the load curve and are computed when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import tzinfo
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.data import Data, DataType
from dlms_mqtt.simulator.associations import Association, Context
from dlms_mqtt.simulator.clients import household_associations
from dlms_mqtt.simulator.consumption import TARIFFS, Consumption
from dlms_mqtt.simulator.curve import Curve
from dlms_mqtt.simulator.faults import Faults
from dlms_mqtt.simulator.meter import Meter, association_objects
from dlms_mqtt.simulator.objects import PUBLIC, CosemObject, Outcome, Value, make, named
from dlms_mqtt.transport.clock import Clock

ZONE = "Europe/Vienna"
_WH, _VARH, _W, _VAR, _V, _A, _HZ, _VA, _NONE = 30, 32, 27, 29, 35, 33, 44, 28, 255
# Group C of OBIS: kind of energy, and the unit of its energy and of its power.
_ENERGIES = {
    1: ("import", _WH, _W),
    2: ("export", _WH, _W),
    3: ("reactive_import", _VARH, _VAR),
    4: ("reactive_export", _VARH, _VAR),
}


def household(
    seed: int = 1,
    *,
    clock: Clock | None = None,
    zone: tzinfo | None = None,
    faults: Faults | None = None,
    associations: tuple[Association, ...] | None = None,
    **options: Any,
) -> Meter:
    """A household meter; ``faults`` go to every association; ``options`` as ``Meter`` takes them."""
    clock, zone = clock or Clock(), zone or ZoneInfo(ZONE)
    number = Random(f"meter {seed}").randrange(10**8)  # noqa: S311
    options.setdefault("title", b"DMQ" + number.to_bytes(5, "big"))
    options.setdefault("name", f"DMQ{number:013d}")
    meter = Meter(clock=clock, zone=zone, random=options.pop("random", None) or Random(seed).randbytes, **options)  # noqa: S311
    use = Consumption(Curve(seed, zone), zone, meter.timeline, clock.time)
    meter.consumption = use
    meter.resets.append(use.reset)
    meter.associate(*(household_associations(faults) if associations is None else associations))
    for objects in _PARTS:
        meter.add(*objects(meter, use))
    return meter


def scaled(scaler: int, unit: int) -> Data:
    """A scaler_unit."""
    return ScalerUnit(scaler, unit).to_data()


def _register(obis: str, kind: str, value: Callable[[], int], scaler: int, unit: int, **options: Any) -> CosemObject:
    number = DataType.from_text(kind)
    assert number is not None  # noqa: S101

    def read(_context: Context) -> Data:
        return Data(number, value())

    return make(3, obis, read, scaled(scaler, unit), **options)


def _energy(meter: Meter, use: Consumption) -> list[CosemObject]:
    found = []
    for group, (kind, unit, _) in _ENERGIES.items():
        for tariff in TARIFFS:
            item = _register(
                f"1.0.{group}.8.{tariff}.255",
                "double-long-unsigned",
                lambda kind=kind, tariff=tariff: use.register(kind, tariff),  # type: ignore[misc]
                0,
                unit,
            )
            found.append(item)
    return found


def _power(meter: Meter, use: Consumption) -> list[CosemObject]:
    watts = {
        "1.0.1.7.0.255": lambda: max(0, use.now().active),
        "1.0.2.7.0.255": lambda: max(0, -use.now().active),
        "1.0.3.7.0.255": lambda: use.now().reactive_import,
        "1.0.4.7.0.255": lambda: use.now().reactive_export,
    }
    units = (_W, _W, _VAR, _VAR)
    found = [
        _register(obis, "double-long-unsigned", value, 0, unit)
        for (obis, value), unit in zip(watts.items(), units, strict=True)
    ]
    found.append(_register("1.0.16.7.0.255", "double-long", lambda: use.now().active, 0, _W))
    for phase in range(3):
        found += _phase(meter, use, phase)
    found.append(_register("1.0.13.7.0.255", "long", lambda: _factor(use, None), -3, _NONE))
    found.append(_register("1.0.14.7.0.255", "long-unsigned", lambda: _frequency(meter), -2, _HZ))
    return found


def _phase(meter: Meter, use: Consumption, phase: int) -> list[CosemObject]:
    group = 20 * (phase + 1)
    watts = lambda: use.now().phases[phase]  # noqa: E731
    return [
        _register(f"1.0.{group + 1}.7.0.255", "double-long-unsigned", lambda: max(0, watts()), 0, _W),
        _register(f"1.0.{group + 2}.7.0.255", "double-long-unsigned", lambda: max(0, -watts()), 0, _W),
        _register(f"1.0.{group + 11}.7.0.255", "long-unsigned", lambda: _current(meter, use, phase), -2, _A),
        _register(f"1.0.{group + 12}.7.0.255", "long-unsigned", lambda: _voltage(meter, use, phase), -1, _V),
        _register(f"1.0.{group + 13}.7.0.255", "long", lambda: _factor(use, phase), -3, _NONE),
    ]


def _flicker(meter: Meter, what: str, spread: int) -> int:
    """Something that changes every ten seconds and is the same again with the same seed."""
    return Random(f"{meter.name}{what}{int(meter.clock.time() // 10)}").randint(-spread, spread)  # noqa: S311


def _voltage(meter: Meter, use: Consumption, phase: int) -> int:
    """Tenths of a volt: load pulls it down, solar lifts it."""
    return 2315 + _flicker(meter, f"u{phase}", 14) - use.now().phases[phase] // 350 if use.connected else 0


def _apparent(use: Consumption, phase: int | None) -> float:
    now = use.now()
    active = now.active if phase is None else now.phases[phase]
    reactive = (now.reactive_import - now.reactive_export) / (1 if phase is None else 3)
    return float((active**2 + reactive**2) ** 0.5)


def _current(meter: Meter, use: Consumption, phase: int) -> int:
    volts = _voltage(meter, use, phase) / 10
    return int(100 * _apparent(use, phase) / volts) if volts else 0


def _factor(use: Consumption, phase: int | None) -> int:
    now = use.now()
    active = now.active if phase is None else now.phases[phase]
    apparent = _apparent(use, phase)
    return int(1000 * active / apparent) if apparent else 1000


def _frequency(meter: Meter) -> int:
    return 5000 + _flicker(meter, "f", 3)


def text(value: str) -> Data:
    """An octet-string of text, as identification objects have it."""
    return named("octet-string", value.encode())


def _identification(meter: Meter, use: Consumption) -> list[CosemObject]:
    counters: list[Value] = [lambda context: named("double-long-unsigned", context.meter.client_counter())]
    return [
        make(1, "0.0.42.0.0.255", text(meter.name), see=PUBLIC),
        make(1, "0.0.96.1.0.255", text(meter.name[-8:]), see=PUBLIC),
        make(1, "1.0.0.2.0.255", text("DMQ-SIM 1.4.2"), see=PUBLIC),
        make(1, "1.0.0.2.8.255", named("octet-string", bytes(range(0xA0, 0xA8)))),
        make(1, "0.0.43.1.0.255", *counters, see=PUBLIC),
    ]


def _clock_objects(meter: Meter, use: Consumption) -> list[CosemObject]:
    from dlms_mqtt.simulator.behaviour import clock_object

    return [clock_object(meter)]


def _basics(meter: Meter, use: Consumption) -> list[CosemObject]:
    return list(association_objects())


_PARTS = (_basics, _identification, _clock_objects, _energy, _power)
OK = Outcome()
RANDOM = os.urandom
