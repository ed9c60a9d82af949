"""OBIS -> quantity: the one place that gives a meter's value its key, names, unit and classes.

Keys are frozen within version 1 of the MQTT API (`tests/meter/keys.txt`). Group B is a channel: 0 and 1 are the meter
itself (Nordic meters call their only channel 1), others get ``ch2_`` in front. Group F other than 255 is a stored
billing period: ``_billing_1`` behind.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from dlms_mqtt.cosem.classes import TIMES, VALUES, find
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.frozen import replace
from dlms_mqtt.languages.texts import titled
from dlms_mqtt.meter.catalogue.electricity import electricity
from dlms_mqtt.meter.catalogue.names import CHANNEL, OWN_CHANNELS, PERIOD, may_be_value, object_title
from dlms_mqtt.meter.catalogue.objects import FACETS, TABLE, WORDS, Facet, Row
from dlms_mqtt.meter.catalogue.quantity import DISPLAYS, Kind, Quantity
from dlms_mqtt.protocol.axdr.timestamps import CLOCK_STATUS
from dlms_mqtt.protocol.obis import Obis

ELECTRICITY = 1
CURRENT = 255  # group F
_PROFILE = 7
_BIT_WORDS = {"clock_status": {bit.bit_length() - 1: word for bit, word in CLOCK_STATUS.items()}}


def quantity(obis: bytes, class_id: int | None = None, attribute: int = 2) -> Quantity:
    """What this attribute means. Never fails: an unknown object gets the key ``obis_1_0_96_5_0_255_2``."""
    return _quantity(bytes(obis), class_id, attribute)


@lru_cache(maxsize=4096)
def _quantity(obis: bytes, class_id: int | None, attribute: int) -> Quantity:
    found = _value(obis, class_id, attribute)
    if found is not None:
        return _billing(found, obis)
    facet = FACETS.get((class_id, attribute))
    value = _value(obis, class_id, 2) if facet else None
    if facet and value:
        return _facet(_billing(value, obis), facet)
    return _unknown(obis, class_id, attribute)


def _value(obis: bytes, class_id: int | None, attribute: int) -> Quantity | None:
    """The catalogued meaning of exactly this attribute, in its channel."""
    row = next((row for row in TABLE.candidates(obis) if row.attribute == attribute), None)
    if row is not None and may_be_value(class_id):
        return _channel(_from_row(row, obis), row.key, obis)
    if obis[0] != ELECTRICITY or class_id == _PROFILE or attribute != 2:
        return None
    found = electricity(obis)
    return _channel(found, "", obis) if found else None


def _from_row(row: Row, obis: bytes) -> Quantity:
    display = DISPLAYS.get(row.display)
    groups = {"b": obis[1], "e": obis[4], "e5": obis[4] - 5}
    return Quantity(
        row.key.format(**groups),
        titled(row.en, **groups),
        display.unit if display else None if row.kind is Kind.NUMBER else "",
        display.device_class if display else "timestamp" if row.kind is Kind.TIMESTAMP else "",
        display.state_class if display else "",
        display.precision if display else None,
        row.core,
        row.category,
        row.kind,
        WORDS.get(row.words) or _BIT_WORDS.get(row.key, {}),
    )


def _channel(found: Quantity, template: str, obis: bytes) -> Quantity:
    if obis[1] in OWN_CHANNELS or "{b}" in template:
        return found
    return replace(in_channel(found, obis[1]), core=False)


def in_channel(found: Quantity, b: int) -> Quantity:
    """The quantity of another channel: ``ch2_voltage``."""
    longer = found.extended("", CHANNEL, ", ", b=b)
    return replace(longer, key=f"ch{b}_{found.key}")


def _billing(found: Quantity, obis: bytes) -> Quantity:
    f = obis[5]
    if f == CURRENT:
        return found
    stored = found.extended(f"_billing_{f}", PERIOD, ", ", f=f)
    return replace(stored, state_class="", core=False)  # a stored value is no running total


def _facet(found: Quantity, facet: Facet) -> Quantity:
    """Time, status or last average of a value."""
    core = found.core and facet.kind is Kind.TIMESTAMP and "demand_max" in found.key
    longer = replace(found.extended(facet.key, facet.en), core=core, kind=facet.kind)
    if facet.kind is Kind.NUMBER:
        return longer
    device_class = "timestamp" if facet.kind is Kind.TIMESTAMP else ""
    return replace(longer, unit="", device_class=device_class, state_class="", precision=None, category="diagnostic")


def _unknown(obis: bytes, class_id: int | None, attribute: int) -> Quantity:
    key = "obis_" + "_".join(map(str, (*obis, attribute)))
    return Quantity(key, object_title(obis, class_id, attribute), category="diagnostic", catalogued=False)


_ENERGY_C = frozenset((1, 2, 9, 10, 15, 16, 21, 41, 61))  # group C: active, apparent, by phase


def is_energy(obis: Obis) -> bool:
    """A register of active or apparent electric energy, or of power: current or total."""
    return obis[0] == 1 and obis[2] in _ENERGY_C and obis[3] in (7, 8)


def is_measured(obis: Obis) -> bool:
    """What people have a meter for: electric energy or power, or anything of another medium or M-Bus device."""
    return is_energy(obis) or obis[0] > 1 or (obis[0] == 0 and obis[2] == 24)


# --- choosing out of what a meter has -------------------------------------------------------------------------------


class Derived(NamedTuple):
    """A value computed out of one read where the meter lacks it: ``plus`` minus ``minus`` (missing: 0)."""

    key: str
    plus: str
    minus: str

    def value(self, values: Mapping[str, Decimal], offered: Container[str]) -> Decimal | None:
        """The difference; None when a part that the meter offers was not read, unless ``plus`` alone tells it.

        A meter's net power is import or export, never both: while there is import, there is no export.
        """
        plus = values.get(self.plus)
        if plus is None:
            return None
        unknown = self.minus in offered and plus <= 0
        minus = values.get(self.minus, None if unknown else Decimal(0))
        return None if minus is None else plus - minus

    @property
    def quantity(self) -> Quantity:
        """What the derived value means: the same as the direct one."""
        return quantity(Obis((1, 0, _NET_C[self.key], 7, 0, CURRENT)))


_NET_C = {"power": 16, "power_l1": 36, "power_l2": 56, "power_l3": 76}
DERIVED = tuple(
    Derived(key, key.replace("power", "power_import"), key.replace("power", "power_export")) for key in _NET_C
)


def derived(keys: Iterable[str]) -> list[Derived]:
    """The values that are to be computed when a meter offers these keys."""
    offered = set(keys)
    return [row for row in DERIVED if row.key not in offered and row.plus in offered]


class Item(NamedTuple):
    """One attribute worth reading, and what it means."""

    class_id: int
    obis: Obis
    attribute: int
    quantity: Quantity


def select(objects: Iterable[ObjectInfo], everything: bool = False) -> list[Item]:
    """The core set of what a meter offers, or everything that has a meaning; keys are unique."""
    items = [item for info in objects for item in _items(info) if everything or item.quantity.core]
    items = unique(items)
    if everything:
        return items
    direct = {item.quantity.key for item in items}
    superseded = {part for row in DERIVED if row.key in direct for part in (row.plus, row.minus)}
    return [item for item in items if item.quantity.key not in superseded]


def _items(info: ObjectInfo) -> list[Item]:
    attributes = {*VALUES.get(info.class_id, ()), *TIMES.get(info.class_id, ())}
    attributes |= {row.attribute for row in TABLE.candidates(info.obis)}
    model = find(info.class_id, info.version)
    known = {item.index for item in model.attributes} if model else attributes
    found = (
        Item(info.class_id, info.obis, attribute, quantity(info.obis, info.class_id, attribute))
        for attribute in sorted(attributes & known)
        if info.readable(attribute)
    )
    return [item for item in found if item.quantity.catalogued]


def unique(items: Iterable[Item]) -> list[Item]:
    """The same items; where two have one key, channel 1 steps back (``ch1_``), then the general object (its OBIS)."""
    taken: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: (item.obis[1] != 0, item.obis[0] == 0, item.obis)):
        key = item.quantity.key
        if key in taken and (taken[key].obis, taken[key].attribute) == (item.obis, item.attribute):
            continue
        if key in taken and item.obis[1]:
            item = item._replace(quantity=in_channel(item.quantity, item.obis[1]))
        if item.quantity.key in taken:
            item = item._replace(quantity=_unknown(item.obis, item.class_id, item.attribute))
        taken[item.quantity.key] = item
    return sorted(taken.values(), key=lambda item: (item.obis, item.attribute))
