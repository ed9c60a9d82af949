"""What Home Assistant shows of a meter, as rows: an ``Entity`` per value, and the built-in ones of every meter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from dlms_mqtt.bridge.config.sections.item import Action, Item
from dlms_mqtt.bridge.homeassistant.pace import Pace
from dlms_mqtt.bridge.reading.plan import moment_of
from dlms_mqtt.languages.texts import shorter, translated
from dlms_mqtt.meter.catalogue.electricity import TARIFF
from dlms_mqtt.meter.catalogue.quantity import TOTALS, Kind, Quantity
from dlms_mqtt.protocol.axdr.data import DataType

DIAGNOSTIC = "diagnostic"
CONFIG = "config"
STATUS = (
    "waiting",
    "ok",
    "no_answer",
    "link_down",
    "association_refused",
    "password_refused",
    "locked_out",
    "security_error",
    "meter_refused",
    "paused",
    "error",
)
LONGEST_STATE = 255  # characters; longer values get no entity
EVENTS = ("alarm", "alarm_cleared", "log_entry", "notification", "meter_changed")

# Which units a device class takes (Home Assistant 2025.4 to 2026.11); another unit goes without the class.
_UNITS: dict[str, frozenset[str]] = {
    name: frozenset(units.split())
    for name, units in {
        "energy": "Wh kWh MWh GWh J kJ MJ GJ",
        "reactive_energy": "varh kvarh",
        "power": "mW W kW MW GW",
        "apparent_power": "VA kVA",
        "reactive_power": "var kvar",
        "voltage": "mV V kV",
        "current": "mA A",
        "frequency": "Hz kHz MHz GHz",
        "gas": "m³ L ft³ CCF",
        "water": "m³ L gal ft³ CCF",
        "volume": "m³ L mL gal ft³ CCF",
        "volume_flow_rate": "m³/h L/min ft³/min gal/min mL/s",
        "pressure": "bar mbar hPa kPa Pa psi",
        "temperature": "°C °F K",
        "duration": "s min h d ms",
        "signal_strength": "dB dBm",
    }.items()
} | {"power_factor": frozenset(("", "%"))}
_MOMENTS = {DataType.DATE_TIME: "datetime", DataType.TIME: "time", DataType.DATE: "", None: ""}
_OF_A_TARIFF = re.compile(r"_t\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity. ``source``: its state is the value topic, a field of the bridge's health, or there is none.

    ``field`` is the field in health, ``attributes`` more of them; ``command`` is below the meter's root.
    """

    platform: str
    key: str
    name: str
    source: str = "value"
    device_class: str = ""
    state_class: str = ""
    unit: str = ""
    precision: int | None = None
    options: tuple[str, ...] = ()
    category: str = ""
    enabled: bool = True
    field: str = ""
    attributes: tuple[str, ...] = ()
    command: str = ""
    payload: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    max_length: int = 0
    offset: Decimal | None = None  # added to the value: where the counter of a meter before ended
    pace: Pace | None = None  # None: every reading is taken
    expires: int = 0  # s without a message after which it is unavailable; 0: never


class _BuiltIn(NamedTuple):
    """A row for every meter; ``needs`` is the feature a meter must have."""

    entity: Entity
    needs: str = ""


def _health(key: str, name: str, **more: object) -> Entity:
    return replace(Entity(platform="sensor", key=key, name=name, source="health", field=key), **more)  # type: ignore[arg-type]


BUILT_IN: tuple[_BuiltIn, ...] = (
    _BuiltIn(
        _health(
            "status",
            "Status",
            device_class="enum",
            options=STATUS,
            category=DIAGNOSTIC,
            attributes=("error", "hint", "next_try"),
        ),
    ),
    _BuiltIn(_health("last_success", "Last success", device_class="timestamp", category=DIAGNOSTIC)),
    _BuiltIn(
        _health("clock_drift", "Clock drift", device_class="duration", unit="s", precision=1, category=DIAGNOSTIC),
        "clock",
    ),
    _BuiltIn(
        Entity(
            platform="button",
            key="set_clock",
            name="Set clock",
            source="",
            command="request/clock",
            payload='{"set": true}',
            category=CONFIG,
        ),
        "clock",
    ),
    _BuiltIn(
        _health(
            "read_duration",
            "Read duration",
            device_class="duration",
            unit="s",
            precision=1,
            state_class="measurement",
            category=DIAGNOSTIC,
            enabled=False,
        ),
    ),
    _BuiltIn(
        _health("line_errors", "Line errors", state_class="total_increasing", category=DIAGNOSTIC, enabled=False),
    ),
    _BuiltIn(
        _health(
            "line_quality",
            "Line quality",
            unit="%",
            state_class="measurement",
            precision=1,
            category=DIAGNOSTIC,
            enabled=False,
        ),
    ),
    _BuiltIn(
        _health("retries", "Repeated frames", state_class="measurement", category=DIAGNOSTIC, enabled=False),
    ),
    _BuiltIn(
        _health("check_errors", "Damaged frames", state_class="measurement", category=DIAGNOSTIC, enabled=False),
    ),
    _BuiltIn(
        _health(
            "sign_on_success",
            "Sign-on success",
            unit="%",
            state_class="measurement",
            precision=0,
            category=DIAGNOSTIC,
            enabled=False,
        ),
        "sign-on",
    ),
    _BuiltIn(
        _health(
            "turn_round",
            "Turn-round time",
            device_class="duration",
            unit="s",
            precision=3,
            state_class="measurement",
            category=DIAGNOSTIC,
            enabled=False,
        ),
    ),
    _BuiltIn(
        _health("invocation_counter", "Invocation counter", category=DIAGNOSTIC, enabled=False),
        "ciphering",
    ),
    _BuiltIn(
        _health(
            "held_value",
            "Held energy value",
            unit="kWh",
            device_class="energy",
            category=DIAGNOSTIC,
            attributes=("held",),
        ),
        "held",
    ),
    _BuiltIn(
        Entity(
            platform="button",
            key="accept_energy",
            name="Accept held energy value",
            source="",
            command="do/accept_energy",
            payload="PRESS",
            category=CONFIG,
        ),
        "held",
    ),
    _BuiltIn(
        Entity(
            platform="button",
            key="read_now",
            name="Read now",
            source="",
            command="request/poll",
            payload="{}",
            category=DIAGNOSTIC,
        ),
        "poll",
    ),
    _BuiltIn(
        Entity(
            platform="switch",
            key="pause",
            name="Pause",
            source="health",
            field="paused",
            command="set/pause",
            category=CONFIG,
        ),
        "poll",
    ),
    _BuiltIn(Entity(platform="event", key="event", name="Event", source="event", options=EVENTS), "events"),
    _BuiltIn(
        Entity(
            platform="datetime",
            key="clock_setting",
            name="Clock setting",
            command="request/clock",
            payload='{"set": "{{ value }}"}',
            field="clock",
            category=CONFIG,
        ),
        "datetime",
    ),
)


def built_in(features: Iterable[str], language: str) -> list[Entity]:
    """The built-in entities of a meter with these features (clock, ciphering, held, poll, events, datetime)."""
    have = {"", *features}
    rows = [row for row in BUILT_IN if row.needs in have]
    return [replace(row.entity, name=translated(row.entity.name, language)) for row in rows]


def action_entities(actions: Mapping[str, Action]) -> list[Entity]:
    """A button for each configured action that needs no confirmation."""
    return [
        Entity(
            platform="button",
            key=f"do_{key}",
            name=action.name or key.replace("_", " ").capitalize(),
            source="",
            command=f"do/{key}",
            payload="PRESS",
        )
        for key, action in actions.items()
        if not action.confirm
    ]


def value_entities(
    quantity: Quantity, item: Item | None, language: str, *, reactive: bool = False, moments: bool = False
) -> Iterator[Entity]:
    """The entities of one value: one, and a binary sensor for each named bit. ``moments``: datetime and time too."""
    name = item.name if item and item.name else _short_name(quantity, language)
    words = (item.values if item else None) or quantity.words
    entity = Entity(
        platform="sensor",
        key=quantity.key,
        name=name,
        category=quantity.category,
        enabled=(item.enabled if item else True) and (quantity.catalogued or item is not None),
    )
    if quantity.kind is Kind.BITS or (item and item.bits):
        bits = (item.bits if item else None) or quantity.words
        yield replace(entity, category=DIAGNOSTIC)
        yield from (_bit_entity(entity, word) for word in bits.values())
    elif quantity.kind is Kind.ENUM or (item and item.values):
        yield _writable(replace(entity, device_class="enum", options=tuple(words.values())) if words else entity, item)
    elif quantity.kind is Kind.NUMBER:
        yield _writable(_classes(entity, quantity, item, reactive), item)
    else:
        classed = replace(entity, device_class=quantity.device_class)
        yield _writable(classed, item, _MOMENTS[moment_of(quantity, item)] if moments and item else "")


def _short_name(quantity: Quantity, language: str) -> str:
    """Home Assistant's pages show some twenty characters, and what tells tariffs apart stands at the end."""
    title = quantity.title
    if _OF_A_TARIFF.search(quantity.key):
        title = title.with_text(TARIFF, "T{e}")
    return shorter(title.in_language(language), language)


def _bit_entity(entity: Entity, word: str) -> Entity:
    name = f"{entity.name}: {word.replace('_', ' ')}"
    return replace(entity, platform="binary_sensor", key=f"{entity.key}_{word}", name=name, category=DIAGNOSTIC)


def _classes(entity: Entity, quantity: Quantity, item: Item | None, reactive: bool) -> Entity:
    unit = (item.unit if item else None) if item and item.unit is not None else quantity.unit or ""
    chosen = item.device_class if item and item.device_class is not None else quantity.device_class
    device_class = _allowed_class(chosen or "", unit or "", reactive)
    unknown = bool(quantity.device_class) and not unit and not device_class  # statistics would mix scales
    default = "" if unknown else quantity.state_class
    state_class = item.state_class if item and item.state_class is not None else default
    state_class = "" if state_class == "none" else state_class
    if device_class in TOTALS and state_class == "measurement":
        state_class = ""  # Home Assistant refuses the pair
    precision = item.precision if item and item.precision is not None else quantity.precision
    return replace(
        entity, unit=unit or "", device_class=device_class, state_class=state_class or "", precision=precision
    )


def _allowed_class(device_class: str, unit: str, reactive: bool) -> str:
    if device_class == "none" or (device_class == "reactive_energy" and not reactive):
        return ""
    return device_class if unit in _UNITS.get(device_class, {unit}) else ""


def _writable(entity: Entity, item: Item | None, moment: str = "") -> Entity:
    """What it can be set by; ``moment`` is the platform of a date-time or time."""
    if item is None or not item.writable or item.confirm:
        return entity
    platform = "select" if entity.options else "number" if item.min is not None else "text" if item.max_length else ""
    platform = moment or platform
    if not platform:
        return entity
    keep_class = entity.device_class if platform == "number" else ""
    return replace(
        entity,
        platform=platform,
        command=f"set/{entity.key}",
        min=item.min,
        max=item.max,
        step=item.step,
        max_length=item.max_length,
        device_class=keep_class,
        category=CONFIG,
        state_class="",
    )
