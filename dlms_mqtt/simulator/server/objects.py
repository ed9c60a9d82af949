"""One object of a simulated meter: its class row, its values, what may be written and what its methods do.

A value is Data, or bytes that are its encoding, or a function that makes one of these when somebody asks: what nobody
reads is never computed. Types come from the interface class; a check narrows what may be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.classes import InterfaceClass, find
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.server.associations import CURRENT_LN, CURRENT_SN, LEVELS, MANAGER, PUBLIC, READER, Association

View = dict[tuple[int, Obis], ObjectInfo]
Value = Data | bytes | Callable[["Context"], Data | bytes]
Writer = Callable[["Context", Data], int]
Check = Callable[[Any], bool]
Select = Callable[["Context", AccessSelector], bytes | int]


class Outcome(NamedTuple):
    """How a method went, and what it returned."""

    result: int = ActionResult.SUCCESS
    returned: Data | None = None


Method = Callable[["Context", Data | None], Outcome]


@dataclass(slots=True)
class CosemObject:
    """``see``: least level that finds it; ``write`` and ``run``: least level to write ``writable`` and run methods.

    ``rights``: (attribute modes, method modes) as a real meter stated them; they go before the levels.
    """

    class_id: int
    obis: Obis
    version: int = 0
    values: dict[int, Value] = field(default_factory=dict)
    writable: frozenset[int] = frozenset()
    writers: dict[int, Writer] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    methods: dict[int, Method] = field(default_factory=dict)
    selectors: dict[int, Mapping[int, Select]] = field(default_factory=dict)
    see: int = READER
    write: int = MANAGER
    run: int = MANAGER
    rights: tuple[dict[int, int], dict[int, int]] | None = None
    short_name: int = 0

    def __post_init__(self) -> None:
        self.values.setdefault(1, Data(DataType.OCTET_STRING, bytes(self.obis)))

    @property
    def row(self) -> InterfaceClass | None:
        """The interface class, None where it is not modelled."""
        return find(self.class_id, self.version)

    def encoded(self, context: Context, attribute: int) -> bytes:
        """The value of an attribute as it goes on the line; KeyError where there is none."""
        value = self.values[attribute]
        if callable(value):
            value = value(context)
        return value if isinstance(value, bytes) else encode(value)

    def data(self, context: Context, attribute: int) -> Data:
        """The value of an attribute that is kept (or made) as Data."""
        value = self.values[attribute]
        found = value(context) if callable(value) else value
        if isinstance(found, bytes):
            raise TypeError(f"attribute {attribute} of {self.obis} is kept encoded")
        return found

    def put(self, context: Context, attribute: int, value: Data) -> int:
        """Write an attribute, rights apart: type, then range, then whatever the object does with it."""
        if not self._type_fits(context, attribute, value):
            return DataAccessResult.TYPE_UNMATCHED
        check = self.checks.get(attribute)
        if check is not None and not check(value.value):
            return DataAccessResult.OTHER_REASON
        writer = self.writers.get(attribute)
        if writer is not None:
            return writer(context, value)
        self.values[attribute] = value
        return DataAccessResult.SUCCESS

    def info(self, level: int, current: bool) -> ObjectInfo:
        """The object with the rights of a level; ``current``: it is the association that asks."""
        attributes, methods = self.rights or self._rights(level, current)
        return ObjectInfo(
            self.class_id,
            self.version,
            self.obis,
            {number: AttributeAccess(mode, selectors=self._selectors(number)) for number, mode in attributes.items()},
            {number: MethodAccess(mode) for number, mode in methods.items()},
            self.short_name or None,
        )

    def _rights(self, level: int, current: bool) -> tuple[dict[int, int], dict[int, int]]:
        writes, runs = level >= self.write, current or level >= self.run
        attributes = {number: 3 if writes and number in self.writable else 1 for number in sorted(self.values)}
        return attributes, dict.fromkeys(sorted(self.methods), 1 if runs else 0)

    def _selectors(self, attribute: int) -> tuple[int, ...] | None:
        found = self.selectors.get(attribute)
        return tuple(found) if found else None

    def _type_fits(self, context: Context, attribute: int, value: Data) -> bool:
        item = self.row.attribute(attribute) if self.row else None
        expected = item.type if item else None
        if expected is None:  # a CHOICE: the type is the one that the value has
            now = self.values.get(attribute)
            now = now(context) if callable(now) else now
            expected = now.type if isinstance(now, Data) else None
        return expected is None or expected is value.type or {expected, value.type} <= _TEXTS


_TEXTS = {DataType.OCTET_STRING, DataType.DATE_TIME, DataType.DATE, DataType.TIME}


class Device(Protocol):
    """What values and services ask of the meter (``meter`` is it), which is built on top of them."""

    title: bytes
    objects: dict[tuple[int, Obis], CosemObject]
    views: dict[tuple[int, str], View]
    oddities: dict[str, str]
    on_push: list[Callable[[Obis], None]]

    def named(self, short_name: int) -> tuple[CosemObject, str, int] | None:
        """What a variable name means."""

    def client_counter(self) -> int:
        """The highest invocation counter that any client has used."""


class Context:
    """One association at work: what a value may depend on."""

    __slots__ = ("association", "client_title", "meter", "referencing")

    def __init__(self, meter: Device, association: Association, referencing: str = "ln") -> None:
        self.meter = meter
        self.association = association
        self.referencing = referencing
        self.client_title = b""

    @property
    def current(self) -> tuple[int, Obis]:
        """The association object of this association."""
        return CURRENT_LN if self.referencing == "ln" else CURRENT_SN

    @property
    def view(self) -> View:
        """What this client sees of the meter, with its rights; clients of one level share it."""
        key = self.association.level, self.referencing
        found = self.meter.views.get(key)
        if found is None:
            found = self.meter.views[key] = self._view()
        return found

    def _view(self) -> View:
        other = CURRENT_SN if self.referencing == "ln" else CURRENT_LN
        return {
            key: item.info(self.association.level, key == self.current)
            for key, item in self.meter.objects.items()
            if self.association.level >= item.see and key != other
        }


def make(class_id: int, obis: str, *values: Value, version: int = 0, **options: Any) -> CosemObject:
    """An object with its attributes from 2 on, in the order of the class."""
    if "writable" in options:
        options["writable"] = frozenset(options["writable"])
    numbered: dict[int, Value] = dict(enumerate(values, start=2))
    return CosemObject(class_id, Obis.parse(obis), version, numbered, **options)


def named(kind: str, value: Any) -> Data:
    """A value by the Blue Book's name of its type: ``named("unsigned", 5)``; ConfigError."""
    found = DataType.from_text(kind)
    if found is None:
        raise ConfigError(f"there is no type '{kind}'")
    return Data(found, value)


__all__ = [
    "LEVELS",
    "MANAGER",
    "PUBLIC",
    "READER",
    "Context",
    "CosemObject",
    "Device",
    "Method",
    "Outcome",
    "Select",
    "Value",
    "View",
    "Writer",
    "make",
    "named",
]
