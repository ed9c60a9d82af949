"""A household meter with all that such a meter has; values follow the load curve and are computed when asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.household.association_objects import association_objects
from dlms_mqtt.simulator.household.clients import household_associations
from dlms_mqtt.simulator.household.clock_object import clock_object
from dlms_mqtt.simulator.household.consumption import TARIFFS, Consumption
from dlms_mqtt.simulator.household.demand import Demand, demand_objects
from dlms_mqtt.simulator.household.equipment import Builder, identification, ports, security, status, supply
from dlms_mqtt.simulator.household.image import Image, image_object
from dlms_mqtt.simulator.household.load_curve import Curve
from dlms_mqtt.simulator.household.profiles import (
    CLOCK,
    Column,
    Profile,
    each,
    each_day,
    each_month,
    profile_object,
    register_cell,
    status_cell,
    time_cell,
)
from dlms_mqtt.simulator.household.tariffs import tariffs
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.meter import Code, Event, Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, make
from dlms_mqtt.simulator.server.push import push_objects
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


def bare_meter(
    seed: int = 1,
    *,
    clock: Clock | None = None,
    zone: tzinfo | None = None,
    faults: Faults | None = None,
    associations: tuple[Association, ...] | None = None,
    **options: Any,
) -> Meter:
    """A meter that has its associations and nothing to read; arguments as of ``household``."""
    clock, zone = clock or Clock(), zone or ZoneInfo(ZONE)
    number = Random(f"meter {seed}").randrange(10**8)  # noqa: S311
    options.setdefault("title", b"DMQ" + number.to_bytes(5, "big"))
    options.setdefault("name", f"DMQ{number:013d}")
    options.setdefault("random", Random(seed).randbytes)  # noqa: S311
    meter = Meter(clock=clock, zone=zone, **options)
    meter.associate(*(household_associations(faults) if associations is None else associations))
    meter.add(*association_objects())
    return meter


def household(seed: int = 1, **options: Any) -> Meter:
    """A household meter.

    ``clock`` and ``zone``: of the real clock and Vienna; ``faults`` go to every association; ``associations`` replace
    those of ``clients``; ``name``, ``title``, ``server``, ``physical``, ``random`` as ``Meter`` takes them.
    """
    meter = bare_meter(seed, **options)
    use = Consumption(Curve(seed, meter.zone), meter.zone, meter.timeline, lambda: meter.clock.time())
    meter.resets.append(use.reset)
    for objects in _PARTS:
        meter.add(*objects(meter, use))
    _past(meter)
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

    def watts() -> int:
        return use.now().phases[phase]

    return [
        _register(f"1.0.{group + 1}.7.0.255", "double-long-unsigned", lambda: max(0, watts()), 0, _W),
        _register(f"1.0.{group + 2}.7.0.255", "double-long-unsigned", lambda: max(0, -watts()), 0, _W),
        _register(f"1.0.{group + 11}.7.0.255", "long-unsigned", lambda: _current(meter, use, phase), -2, _A),
        _register(f"1.0.{group + 12}.7.0.255", "long-unsigned", lambda: _voltage(meter, use, phase), -1, _V),
        _register(f"1.0.{group + 13}.7.0.255", "long", lambda: _factor(use, phase), -3, _NONE),
        _register(f"1.0.{group + 14}.7.0.255", "long-unsigned", lambda: _frequency(meter), -2, _HZ),
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


def _demand(meter: Meter, use: Consumption) -> list[CosemObject]:
    kinds = {1: "import", 2: "export"}
    return [item for c, kind in kinds.items() for item in demand_objects(Demand(meter, use, kind), c, scaled(0, _W))]


def _captured(use: Consumption, meter: Meter, *registers: tuple[int, int]) -> list[Column]:
    """Columns of energy registers by group C and tariff."""
    found = []
    for group, tariff in registers:
        kind, source = _ENERGIES[group][0], CaptureObject(3, Obis((1, 0, group, 8, tariff, 255)), 2)
        value = partial(use.register, kind, tariff)
        found.append(Column(source, register_cell(meter, value)))
    return found


def _profiles(meter: Meter, use: Consumption) -> list[CosemObject]:
    word = CaptureObject(1, Obis((0, 0, 96, 10, 1, 255)), 2)
    clock = Column(CLOCK, time_cell(meter))

    def columns(period: int, *registers: tuple[int, int]) -> list[Column]:
        return [clock, Column(word, status_cell(meter, period)), *_captured(use, meter, *registers)]

    load = Profile(meter, columns(_QUARTER, (1, 0), (2, 0), (3, 0), (4, 0)), each(meter, _QUARTER), _float, 90 * 96)
    daily = Profile(meter, columns(_DAY, (1, 0), (1, 1), (1, 2), (2, 0)), each_day(meter), _float, 90)
    billing = Profile(
        meter, [clock, *_captured(use, meter, (1, 0), (1, 1), (1, 2), (2, 0))], each_month(meter), _float, 13
    )
    code = CaptureObject(1, Obis((0, 0, 96, 11, 0, 255)), 2)
    log = Profile(
        meter,
        [Column(CLOCK, lambda event: clock.cell(event.time)), Column(code, lambda event: bytes((0x11, event.code)))],
        lambda most: meter.events[-most:],
        lambda event: float(event.time),
        100,
    )
    return [
        profile_object("1.0.99.1.0.255", load, _QUARTER),
        profile_object("1.0.99.2.0.255", daily, _DAY),
        profile_object("0.0.98.1.0.255", billing, 0),
        profile_object("0.0.99.98.0.255", log, 0),
    ]


def _past(meter: Meter) -> None:
    """Some events of the last weeks, so that the log is not empty."""
    random, now = Random(f"events {meter.name}"), meter.seconds()  # noqa: S311
    for back in sorted((random.uniform(1, 60) for _ in range(6)), reverse=True):
        code = random.choice((Code.CLOCK_ADJUSTED, Code.WRONG_PASSWORD, Code.POWER_DOWN))
        when = now - back * _DAY
        meter.events.append(Event(when, code))
        if code is Code.POWER_DOWN:
            meter.events.append(Event(when + random.uniform(2, 90), Code.POWER_UP))


def _float(key: float) -> float:
    return key


_QUARTER, _DAY = 900, 86400
_PARTS: tuple[Builder, ...] = (
    identification,
    lambda meter, _use: [clock_object(meter)],
    _energy,
    _power,
    _demand,
    status,
    tariffs,
    supply,
    security,
    ports,
    _profiles,
    lambda meter, _use: push_objects(meter),
    lambda meter, _use: [image_object(Image(meter))],
)
