"""The configuration of what is read of a meter, computed, run and fetched: one section for each kind of item."""
# ruff: noqa: RUF009 - row() makes fields

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlms_mqtt.bridge.config.expression import Expression, parse_expression
from dlms_mqtt.bridge.config.kinds import (
    AT,
    DURATION,
    FLAG,
    INTERVAL,
    KEY,
    LABEL,
    NUMBER,
    OBIS,
    POSITIVE,
    TEXT,
    UNIT,
    Kind,
    choice,
    integer,
    parsed,
)
from dlms_mqtt.bridge.config.rows import Problems, list_of, mapping_of, row
from dlms_mqtt.bridge.config.transform import Transform, parse_transform
from dlms_mqtt.cosem.catalogue import default_class
from dlms_mqtt.cosem.reference import split_reference
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.keys import of_key
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.protocol.obis import Obis


def _data_type(value: Any) -> str:
    from dlms_mqtt.protocol.axdr.data import DataType

    found = DataType.from_text(str(value))
    if found is None:
        raise ConfigError(f"expected a type such as long-unsigned, not {value!r}")
    return found.text


def _anything(value: Any) -> Any:
    return value


WHOLE = integer(-(2**63), 2**64)
CLASS = integer(0, 0xFFFF)
ATTRIBUTE = integer(1, 127)
TYPE = parsed(_data_type)
ANY = Kind(_anything, {})

# Of the entities that every meter has (`entities.BUILT_IN`): a value of that key would take their place.
RESERVED_KEYS = frozenset(
    [
        "status",
        "last_success",
        "clock_drift",
        "set_clock",
        "read_duration",
        "line_errors",
        "line_quality",
        "retries",
        "check_errors",
        "sign_on_success",
        "turn_round",
        "invocation_counter",
        "held_value",
        "accept_energy",
        "read_now",
        "pause",
        "event",
        "clock_setting",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """``meters.<id>.read.also[]:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the object.", "1.0.32.7.0.255")
    class_: int | None = row(None, CLASS, "Interface class; without it the catalogue's or the meter's object list.")
    attribute: int = row(2, ATTRIBUTE, "Attribute to read.")
    key: str = row("", KEY, "Key in topics; without it the catalogue's.")
    name: str = row("", TEXT, "Name in Home Assistant; without it the catalogue's.")
    every: float | None = row(None, INTERVAL, "Interval of this item.", "10s")
    at: tuple[tuple[int, int], ...] = row((), list_of(AT), "Times of day at which it is read, instead of an interval.")
    unit: str | None = row(None, UNIT, "Unit, where the meter gives none or a wrong one.")
    scaler: int | None = row(None, integer(-20, 20), "Power of ten, where the meter gives none or a wrong one.")
    transform: Transform | None = row(
        None, parsed(parse_transform), "Arithmetic of value, applied after the scaler.", "value / 1000"
    )
    device_class: str | None = row(None, TEXT, "Device class in Home Assistant; none switches it off.")
    state_class: str | None = row(
        None, choice("measurement", "total", "total_increasing", "none"), "State class in Home Assistant."
    )
    decimals: int | None = row(None, integer(0, 9), "Decimals that are published: rounded after the transform.", 1)
    precision: int | None = row(None, integer(0, 9), "Decimals that Home Assistant shows.")
    values: Mapping[int, str] = row(dict, mapping_of(WHOLE, LABEL, "<number>"), "Words for numbers.")
    bits: Mapping[int, str] = row(
        dict, mapping_of(integer(0, 63), KEY, "<bit>"), "Keys for single bits: each becomes a binary sensor."
    )
    writable: bool = row(False, FLAG, "Let publishers set it by its set/<key> topic.")
    confirm: bool = row(False, FLAG, "A write needs confirm: <meter id> in the request.")
    type: str = row(
        "", TYPE, "Type to write; without it the one that was read. date-time, date and time also tell what octets are."
    )
    min: float | None = row(None, NUMBER, "Lowest value that may be written.")
    max: float | None = row(None, NUMBER, "Highest value that may be written.")
    step: float | None = row(None, POSITIVE, "Step of the number entity.")
    max_length: int = row(0, integer(0, 255), "Longest text that may be written; makes it a text entity.")
    enabled: bool = row(True, FLAG, "Is its entity enabled when Home Assistant first sees it.")

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "an item needs an obis"
        if self.key in RESERVED_KEYS:
            yield "key", f"'{self.key}' is the bridge's own entity of every meter; choose another key"
        if self.every is not None and self.at:
            yield "at", "every and at exclude each other"
        if (self.values or self.bits) and self.transform:
            yield "transform", "a transform and words for numbers exclude each other"
        if (self.min is None) != (self.max is None):
            yield "min", "min and max belong together"
        if self.min is not None and self.max is not None and self.min > self.max:
            yield "min", "min is greater than max"


def item_of_text(value: Any) -> Any:
    """``[CLASS/]OBIS[:ATTRIBUTE]`` or a key of the catalogue stands for the item with these keys. ConfigError.

    It may be the ``obis`` of an item too, where the keys beside it go before what it says.
    """
    if isinstance(value, str):
        return _item_named(value)
    if isinstance(value, dict) and isinstance(value.get("obis"), str):
        with suppress(ConfigError):  # told where the code is read
            return _item_named(value["obis"]) | {key: value[key] for key in value if key != "obis"}
    return value


def _item_named(text: str) -> dict[str, Any]:
    class_id, code, attribute = split_reference(text)
    if attribute and not attribute.isdigit():  # by its name, which depends on the class
        reference = object_of(text)
        attribute = str(reference.attribute(reference.class_id or default_class(reference.obis) or 0))
    key = of_key(code)  # it also says which attribute it is, and sometimes of which class
    numbers = {
        "class": class_id or (key and key.class_id),
        "attribute": attribute or (key and key.number),
    }
    return {"obis": str(key.obis) if key else code} | {name: number for name, number in numbers.items() if number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Derive:
    """``meters.<id>.derive.<key>:``"""

    value: Expression | None = row(
        None,
        parsed(parse_expression),
        "Arithmetic of keys, of other meters too (main_house.power is main-house's), with abs, sign, min and max.",
        "current_l1 * sign(power_l1)",
    )
    name: str = row("", TEXT, "Name in Home Assistant; without it the key.")
    unit: str | None = row(None, UNIT, "Unit; without it that of the parts, where they have the same.", "A")
    decimals: int | None = row(None, integer(0, 9), "Decimals that are published.", 1)
    device_class: str | None = row(None, TEXT, "Device class in Home Assistant; without it that of the unit.")
    state_class: str | None = row(
        None, choice("measurement", "total", "total_increasing", "none"), "State class in Home Assistant."
    )
    precision: int | None = row(None, integer(0, 9), "Decimals that Home Assistant shows.")
    enabled: bool = row(True, FLAG, "Is its entity enabled when Home Assistant first sees it.")

    def problems(self) -> Problems:
        """Without parts it would be a constant."""
        if self.value is None or not self.value.names:
            yield "value", "expected arithmetic of at least one key"


def derive_of_short(value: Any) -> Any:
    """``derive: {key: arithmetic}`` is short for the section."""
    return {"value": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """``meters.<id>.actions.<key>:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the object.", "0.0.1.0.0.255")
    class_: int | None = row(None, CLASS, "Interface class; without it the catalogue's or the meter's object list.")
    method: int = row(1, integer(1, 127), "Method to run.", 3)
    name: str = row("", TEXT, "Name of the button in Home Assistant.", "Round the clock to the minute")
    value: Any = row(None, ANY, "Argument of the method; without it integer 0.")
    type: str = row("", TYPE, "Type of the argument.")
    confirm: bool = row(False, FLAG, "It needs confirm: <meter id> in the request, and gets no button.", True)

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "an action needs an obis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """``meters.<id>.profiles[]:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the profile.", "1.0.99.1.0.255")
    key: str = row("", KEY, "Key in topics; without it made of the OBIS code.", "load_profile")
    every: float | None = row(None, INTERVAL, "How often new rows are fetched; without it and without at 1h.", "1h")
    at: tuple[tuple[int, int], ...] = row((), list_of(AT), "Times of day at which new rows are fetched.")
    backfill: float = row("30d", DURATION, "How far back the first fetch goes.")
    event_log: bool = row(False, FLAG, "Its rows are events: each new one is published on the event topic.")

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "a profile needs an obis"
        if self.every is not None and self.at:
            yield "at", "every and at exclude each other"
