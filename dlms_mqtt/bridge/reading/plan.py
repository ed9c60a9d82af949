"""What is read of a meter and when: the configuration applied to what the meter offers; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import tzinfo
from functools import lru_cache

from dlms_mqtt.bridge.config.sections.item import Item as ItemConfig
from dlms_mqtt.bridge.config.sections.item import Profile as ProfileConfig
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.reading.schedule import At, Every, Schedule
from dlms_mqtt.client.procedures.apart import apart
from dlms_mqtt.cosem.catalogue import default_class, varies
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.languages.texts import Title
from dlms_mqtt.meter.catalogue.keys import of_key
from dlms_mqtt.meter.catalogue.lookup import Derived, Item, derived, is_measured, quantity, select
from dlms_mqtt.meter.catalogue.quantity import Kind, Quantity
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.obis import Obis

_OBJECT = 50  # octets of one in a list
_MOMENTS = {kind.text: kind for kind in (DataType.DATE_TIME, DataType.DATE, DataType.TIME)}


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One value to read. ``config`` is the user's own row about it, if there is one."""

    attribute: AttributeDescriptor
    quantity: Quantity
    schedule: Schedule
    config: ItemConfig | None = None

    @property
    def key(self) -> str:
        """Its key in topics."""
        return self.quantity.key

    @property
    def is_alarm(self) -> bool:
        """Is this an alarm register (0.x.97.98.0-9.255)?"""
        obis = self.attribute.obis
        return obis[0] == 0 and obis[2:4] == b"\x61\x62" and obis[4] < 10


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is read. ``missing`` are user's rows whose class nobody knows."""

    items: tuple[PlanItem, ...]
    derived: tuple[Derived, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def by_key(self) -> dict[str, PlanItem]:
        """The items by key."""
        return {item.key: item for item in self.items}


def _objects(class_id: int, *codes: str) -> tuple[ObjectInfo, ...]:
    return tuple(ObjectInfo(class_id, 0, Obis.parse(code)) for code in codes)


#: What nearly every electricity meter has, for one that gives no list of its objects.
WELL_KNOWN: tuple[ObjectInfo, ...] = (
    *_objects(1, "0.0.96.1.0.255", "0.0.42.0.0.255"),
    *_objects(3, "1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.1.7.0.255", "1.0.2.7.0.255"),
    *_objects(3, "1.0.32.7.0.255", "1.0.52.7.0.255", "1.0.72.7.0.255"),
    *_objects(3, "1.0.31.7.0.255", "1.0.51.7.0.255", "1.0.71.7.0.255"),
    *_objects(8, "0.0.1.0.0.255"),
)


def needs_object_list(meter: Meter) -> bool:
    """Can the plan be made without asking the meter what it has?"""
    return meter.read.set != "none" or any(_is_open(config) for config in meter.read.also)


def _is_open(config: ItemConfig) -> bool:
    """Is its class not sure without the meter's list?"""
    guessed = config.class_ is None and config.obis is not None and varies(config.obis)
    return guessed or _class_of(config, {}) is None


async def plan_for(meter: Meter, objects: Sequence[ObjectInfo], zone: tzinfo) -> Plan:
    """``make_plan``, beside the event loop where there are very many objects."""
    return await apart(_OBJECT * len(objects), lambda: make_plan(meter, objects, zone))


def make_plan(meter: Meter, objects: Sequence[ObjectInfo], zone: tzinfo) -> Plan:
    """The plan for a meter that offers these objects."""
    classes = {item.obis: item.class_id for item in objects}
    chosen = _chosen(meter.read, objects)
    rows = [(_address(item, classes), item) for item in meter.read.also]
    own = {address for address, _ in rows}
    items = [
        plan_item(AttributeDescriptor(item.class_id, item.obis, item.attribute), item.quantity, None, meter.every, zone)
        for item in chosen
        if (item.class_id, item.obis, item.attribute) not in own
    ]
    items += [
        plan_item(AttributeDescriptor(class_id, obis, number), quantity(obis, class_id, number), row, meter.every, zone)
        for (class_id, obis, number), row in rows
        if class_id is not None
    ]
    items = _unique(items)
    missing = tuple(str(row.obis) for address, row in rows if address[0] is None)
    return Plan(tuple(items), _derived(meter.read, items), missing)


def _chosen(read: Read, objects: Sequence[ObjectInfo]) -> list[Item]:
    if read.set == "none":
        return []
    excepted = exceptions(read)
    return [
        item
        for item in select(objects, everything=read.set == "all")
        if not excepted(item.quantity.key, AttributeDescriptor(item.class_id, item.obis, item.attribute))
    ]


def exceptions(read: Read) -> Callable[[str, AttributeDescriptor], bool]:
    """Says of a key and its attribute whether ``read.except`` leaves it out, of what is read and of what is pushed."""
    references = _exceptions(read.except_)

    def excepted(key: str, attribute: AttributeDescriptor) -> bool:
        return key in read.except_ or any(_is_meant(reference, *attribute) for reference in references)

    return excepted


def _exceptions(texts: Iterable[str]) -> list[ObjectRef]:
    """The objects that are excepted by their codes; bare keys go by themselves, in the form that they have here."""
    found = []
    for text in texts:
        with suppress(ConfigError):
            if of_key(text) is None:
                found.append(object_of(text))
    return found


def _is_meant(reference: ObjectRef, class_id: int, obis: Obis, attribute: int) -> bool:
    if reference.obis != obis or reference.class_id not in (None, class_id):
        return False
    with suppress(ConfigError):  # a name that this class does not have
        return reference.is_whole or reference.attribute(class_id) == attribute
    return False


def _class_of(config: ItemConfig, classes: Mapping[Obis, int]) -> int | None:
    assert config.obis is not None  # noqa: S101 - the schema has seen to it
    if config.class_ is not None:
        return config.class_
    return classes.get(config.obis) or default_class(config.obis)


def _address(config: ItemConfig, classes: Mapping[Obis, int]) -> tuple[int | None, Obis, int]:
    assert config.obis is not None  # noqa: S101 - the schema has seen to it
    return _class_of(config, classes), config.obis, config.attribute


def plan_item(
    attribute: AttributeDescriptor, found: Quantity, config: ItemConfig | None, every: float, zone: tzinfo
) -> PlanItem:
    """One value, as the user's own row says it where there is one."""
    return PlanItem(attribute, _configured_quantity(found, config), schedule_of(config, every, zone), config)


def _configured_quantity(found: Quantity, config: ItemConfig | None) -> Quantity:
    if config is None:
        return found
    kind, words = found.kind, found.words
    if config.bits:
        kind, words = Kind.BITS, config.bits
    elif config.values:
        kind, words = Kind.ENUM, config.values
    elif config.max_length or config.type in ("date", "time"):
        kind = Kind.TEXT
    elif config.type == "date-time":
        kind, found = Kind.TIMESTAMP, replace(found, unit="", device_class="timestamp", state_class="")
    if not (config.key or config.name) and kind is found.kind and words is found.words:
        return found  # meters share it
    title = Title(own=config.name) if config.name else found.title
    return replace(found, key=config.key or found.key, title=title, kind=kind, words=words)


def moment_of(found: Quantity, config: ItemConfig | None) -> DataType | None:
    """Which of date-time, date and time an item is; None for everything else."""
    if found.kind is Kind.TIMESTAMP:
        return DataType.DATE_TIME
    return _MOMENTS.get(config.type) if config and found.kind is Kind.TEXT else None


def schedule_of(config: ItemConfig | ProfileConfig | None, every: float, zone: tzinfo) -> Schedule:
    """The schedule of a row; ``every`` where it says nothing."""
    if config is not None and config.at:
        return At(config.at, zone)
    return _every(config.every if config is not None and config.every is not None else every)


_every = lru_cache(maxsize=64)(Every)  # meters share it


def _unique(items: Iterable[PlanItem]) -> list[PlanItem]:
    """Keys are unique; the user's own row wins."""
    by_key: dict[str, PlanItem] = {}
    for item in sorted(items, key=lambda item: item.config is None):
        by_key.setdefault(item.key, item)
    return sorted(by_key.values(), key=lambda item: (item.attribute.obis, item.attribute.attribute))


def _derived(read: Read, items: Sequence[PlanItem]) -> tuple[Derived, ...]:
    """``power`` out of import and export, unless it is excepted."""
    keys = [item.key for item in items]
    return tuple(row for row in derived(keys) if row.key not in read.except_ and read.set != "none")


def without_energy(plan: Plan, config: Meter, client: int) -> str:
    """A sentence where electricity was asked for, as a set, and neither energy nor power is offered to ``client``."""
    if config.read.set == "none" or any(is_measured(item.attribute.obis) for item in plan.items):
        return ""
    return f"client {client} is shown neither energy nor power; `dlms-mqtt find` names clients that may be"
