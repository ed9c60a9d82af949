"""The configuration of one meter."""
# ruff: noqa: RUF009 - row() makes fields

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlms_mqtt.bridge.config.kinds import (
    DURATION,
    FLAG,
    ID,
    INTERVAL,
    KEY,
    LABEL,
    POSITIVE,
    SYSTEM_TITLE,
    TEXT,
    ZONE,
    choice,
    integer,
    parsed,
)
from dlms_mqtt.bridge.config.rows import Problems, list_of, mapping_of, row, section, shared, twice
from dlms_mqtt.bridge.config.sections.item import (
    RESERVED_KEYS,
    Action,
    Derive,
    Item,
    Profile,
    derive_of_short,
    item_of_text,
)
from dlms_mqtt.client.settings import LINES, ConnectionSettings, key_apart


def key_of_line(value: Any) -> Any:
    """The key in the address of an ESPHome device is a secret as every other."""
    return key_apart(value) if isinstance(value, dict) else value


def _other_id(value: Any) -> str:
    return str(ID.convert(value)) if value != "" else ""


def _listen(value: Any) -> str:
    from dlms_mqtt.transport.listen import listen_address

    text: str = TEXT.convert(value)
    if text not in ("", "connection"):
        listen_address(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """``meters.<id>.supply:``"""

    phases: int = row(3, integer(1, 3), "Phases of the supply.")
    amperes: float = row(100, POSITIVE, "Amperes that the supply can carry per phase.", 63)
    volts: float = row(230, POSITIVE, "Volts between phase and neutral.")

    @property
    def watts(self) -> float:
        """The most that can flow, with a margin of a quarter for over-current and over-voltage."""
        return self.phases * self.amperes * self.volts * 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """``meters.<id>.read:``"""

    set: str = row(
        "core", choice("core", "all", "none"), "core, all (everything with a known meaning) or none, of what it offers."
    )
    except_: tuple[str, ...] = row(
        (),
        list_of(LABEL),
        "Keys or OBIS codes of the set that are not read, and of pushes that are not published.",
        ["current_l1"],
    )
    also: tuple[Item, ...] = row(
        (), list_of(shared(section(Item, prepare=item_of_text))), "More items, or other settings for items of the set."
    )


def read_of_short(value: Any) -> Any:
    """``read: all`` and ``read: [items]`` are short for the section."""
    if isinstance(value, str):
        return {"set": value}
    return {"set": "none", "also": value} if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """``meters.<id>.push.match:``"""

    system_title: str = row("", SYSTEM_TITLE, "System title of the meter, in hexadecimal.", "4B414D4500000001")
    device: str = row("", LABEL, "Logical device name or serial number in the pushed values.")
    host: str = row("", LABEL, "Address from which the meter speaks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """``meters.<id>.push:``"""

    listen: str = row(
        "",
        parsed(_listen),
        "Where pushes arrive: tcp://ADDRESS:PORT or udp://ADDRESS:PORT; connection: on the meter's own line.",
        "tcp://0.0.0.0:4059",
    )
    match: Match = row(
        Match, section(Match), "How this meter's pushes are known; without it all of that address are its."
    )
    ask: bool = row(
        False,
        FLAG,
        "Ask the meter too: on its own line (connection), or on the connection that it makes (tcp).",
    )
    every: float = row("1h", INTERVAL, "Longest time between two pushes; values expire after three of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCare:
    """``meters.<id>.clock:``"""

    sync: bool = row(False, FLAG, "Set the meter's clock when it is wrong; by half hours only with a timezone stated.")
    tolerance: float = row("30s", DURATION, "How wrong the clock may be.")
    per_day: int = row(1, integer(1, 24), "How often a day it may be set.")
    sense: str = row(
        "auto",
        choice("auto", "standard", "inverted"),
        "Sign of the deviation, which differs by country; auto compares.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """``meters.<id>:``"""

    name: str = row("", TEXT, "Name of the device; without it the id.", "House meter")
    replaces: str = row(
        "",
        parsed(_other_id),
        "The id that this meter had before: Home Assistant keeps its entities and history.",
        "old-id",
    )
    enabled: bool = row(True, FLAG, "Switch a meter off without removing it.")
    preset: str = row("generic", TEXT, "Meter family (dlms-mqtt presets lists them) or a preset file of your own.")
    connection: Mapping[str, Any] = row(
        dict,
        section(ConnectionSettings, prepare=key_of_line, build=dict),
        "How the meter is reached; keys here go before the preset's.",
    )
    session: str = row(
        "auto",
        choice("auto", "keep", "close"),
        "keep the association between cycles, close it after each, or auto: keep it when the next cycle is near.",
    )
    timezone: str = row("", ZONE, "Time zone of this meter's clock; without it the bridge's.")
    supply: Supply = row(Supply, section(Supply), "What the supply can carry: the energy guard's bound.")
    guard: bool = row(
        True, FLAG, "Hold back energy values that fall, turn zero or jump beyond what the supply can carry."
    )
    attempts: int = row(
        2, integer(1, 5), "How often a refused password or key is tried before a pause, which grows up to a day."
    )
    every: float = row("30s", INTERVAL, "Interval of items that have none of their own.")
    read: Read = row(Read, section(Read, prepare=read_of_short), "What is read.")
    derive: Mapping[str, Derive] = row(
        dict,
        mapping_of(KEY, section(Derive, prepare=derive_of_short), "<key>"),
        "Values computed of several items: signed currents, sums, what a submeter leaves. Alone it makes a meter "
        "without a line, which is computed of others.",
    )
    actions: Mapping[str, Action] = row(
        dict, mapping_of(KEY, section(Action), "<key>"), "Methods that publishers may run."
    )
    allow: tuple[str, ...] = row(
        (), list_of(choice("write", "invoke")), "Requests with free addresses that publishers may send."
    )
    profiles: tuple[Profile, ...] = row((), list_of(section(Profile)), "Profiles whose rows are published.")
    push: Push | None = row(None, section(Push), "For a meter that speaks by itself.")
    clock: ClockCare = row(ClockCare, section(ClockCare), "Care for the meter's clock.")

    @property
    def is_computed(self) -> bool:
        """Is it no meter of its own, but derived of others alone?"""
        return bool(self.derive) and all(getattr(self, name) == default for name, default in _NO_METER.items())

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        has_line = any(self.connection.get(line) for line in LINES)
        if not has_line and not (self.push and self.push.listen) and not self.is_computed:
            yield "connection", _NO_LINE
        if self.is_computed:
            yield from self._parts_without_a_meter()
        if self.push and self.push.ask and not self.push.listen.startswith(("tcp:", "connection")):
            yield "push", "ask: true needs listen: connection or listen: tcp://ADDRESS:PORT"
        if doubled := twice(item.key or f"of {item.obis}:{item.attribute}" for item in self.read.also):
            yield "read", f"two items have the key {', '.join(doubled)}"
        keys = {item.key for item in self.read.also} | RESERVED_KEYS
        for key, formula in self.derive.items():
            if key in keys:
                yield "derive", f"'{key}' is the key of something else; choose another"
            if formula.value and key in formula.value.names:
                yield "derive", f"'{key}' is computed of itself"
        if doubled := twice(item.key or f"of {item.obis}" for item in self.profiles):
            yield "profiles", f"two profiles have the key {', '.join(doubled)}"

    def _parts_without_a_meter(self) -> Problems:
        names = (name for formula in self.derive.values() if formula.value for name in sorted(formula.value.names))
        for name in names:
            if "." not in name and name not in self.derive:
                yield "derive", f"'{name}' is of no other meter: write its id before it, as in main_house.{name}"


METER = section(Meter)
_NO_LINE = (
    "expected serial, tcp or udp (or push.listen for a meter that only pushes, or derive alone for one that is "
    "computed of others)"
)
_NO_METER = {
    name: getattr(Meter(), name)
    for name in ("preset", "connection", "read", "actions", "allow", "profiles", "push", "clock")
}
