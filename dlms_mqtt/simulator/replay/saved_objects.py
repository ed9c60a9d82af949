"""Objects of a real meter out of what ``dlms-mqtt objects --values --json`` printed: values as read, rights as listed.

The clock goes, and load profiles are filled with the values that were read: the shape is the real meter's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlms_mqtt.cosem.access import ATTRIBUTE_BITS, ATTRIBUTE_MODES, METHOD_BITS, METHOD_MODES
from dlms_mqtt.cosem.structures import capture_objects
from dlms_mqtt.errors import ConfigError, DlmsMqttError
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode, from_tree, to_data
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.household.clock_object import clock_object
from dlms_mqtt.simulator.household.profiles import Column, Profile, each, each_day, time_cell
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import PUBLIC, CosemObject, Outcome, Value

_ATTRIBUTE_WORDS = {word: mode for mode, word in ATTRIBUTE_MODES.items()}
_METHOD_WORDS = {word: mode for mode, word in METHOD_MODES.items()}
_ATTRIBUTE_BITS = {word: bit for bit, word in ATTRIBUTE_BITS.items()}
_METHOD_BITS = {word: bit for bit, word in METHOD_BITS.items()}
_CLOCK, _PROFILE, _ASSOCIATIONS = 8, 7, (12, 15)
_DAY = 86400
_KEPT = 90 * _DAY


def saved_objects(meter: Meter, saved: Mapping[str, Any]) -> Iterator[CosemObject]:
    """The objects, ready to be added to a meter. ConfigError."""
    try:
        values = {_key(row): _value(row) for row in saved.get("values", ())}
        for row in saved["objects"]:
            if row["class"] not in _ASSOCIATIONS:
                yield _object(meter, row, values)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the saved object list is not understood: {error!r}", hint="Make it with `objects --values --json`."
        ) from error


def _key(row: Mapping[str, Any]) -> tuple[int, str, int]:
    return row["class"], row["obis"], row["attribute"]


def _value(row: Mapping[str, Any]) -> Data:
    raw, kind = row["raw"], DataType.from_text(row["type"])
    if kind is None:
        raise ConfigError(f"there is no type '{row['type']}'")
    if isinstance(raw, list):
        return from_tree(raw)
    return from_tree([row["type"], raw]) if isinstance(raw, str) else to_data(raw, kind)


def _object(meter: Meter, row: Mapping[str, Any], known: Mapping[tuple[int, str, int], Data]) -> CosemObject:
    obis, class_id = Obis.parse(row["obis"]), int(row["class"])
    attributes = {a["attribute"]: _mode(a["access"], _ATTRIBUTE_WORDS, _ATTRIBUTE_BITS) for a in row["attributes"]}
    methods = {m["method"]: _mode(m["access"], _METHOD_WORDS, _METHOD_BITS) for m in row["methods"]}
    values: dict[int, Value] = {
        number: known[class_id, row["obis"], number]
        for number in attributes or range(1, 20)
        if (class_id, row["obis"], number) in known
    }
    item = CosemObject(class_id, obis, int(row["version"]), values, see=PUBLIC, short_name=row.get("short_name") or 0)
    item.rights = (attributes, methods) if attributes else None
    item.methods = dict.fromkeys(methods, lambda _context, _argument: Outcome())
    if class_id == _CLOCK:
        live = clock_object(meter)
        item.values |= {number: live.values[number] for number in (2, 4)}
        item.writers, item.methods = live.writers, live.methods
    if class_id == _PROFILE:
        _fill(meter, item, known)
    return item


def _mode(text: str, words: Mapping[str, int], bits: Mapping[str, int]) -> int:
    if text in words:
        return words[text]
    return sum(bits.get(word, 0) for word in text.split(", "))


def _fill(meter: Meter, item: CosemObject, known: Mapping[tuple[int, str, int], Data]) -> None:
    """A buffer with rows of the values that were read."""
    try:
        sources = capture_objects(item.values.get(3, Data(DataType.ARRAY, ())))  # type: ignore[arg-type]
        period = item.values[4].value  # type: ignore[union-attr]
    except (DlmsMqttError, KeyError, AttributeError):
        sources, period = (), 0
    columns = []
    for source in sources:
        value = encode(known.get((source.class_id, str(source.obis), source.attribute), Data(DataType.NULL_DATA, None)))
        cell = time_cell(meter) if source.class_id == _CLOCK else lambda _key, value=value: value
        columns.append(Column(source, cell))
    keys = each_day(meter) if period == _DAY else each(meter, period) if period else lambda _most: ()
    profile = Profile(meter, columns, keys, float, max(1, _KEPT // period) if period else 1)
    item.values |= {2: profile.buffer, 7: profile.used}
    item.selectors = {2: {1: profile.by_range, 2: profile.by_entry}}
