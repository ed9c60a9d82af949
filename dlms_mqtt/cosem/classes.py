"""What every COSEM interface class looks like: (class id, version) -> attributes and methods, built from the rows.

Adding a class is adding a row in `rows/`; nothing else has to know: which attribute is the value, which its scaler and
unit and which its time is asked here by client, simulator, catalogue and push alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from dlms_mqtt.cosem.rows import ROWS
from dlms_mqtt.cosem.rows.named import NAMED
from dlms_mqtt.cosem.rows.row import Row
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.axdr.data import DataType

__all__ = [
    "CLASSES",
    "CLASS_NAMES",
    "RESERVED_BASE_NAMES",
    "SCALERS",
    "TIMES",
    "VALUES",
    "Attribute",
    "InterfaceClass",
    "Method",
    "class_name",
    "find",
    "scaler_attribute",
]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; ``type`` is None where the meter decides; offsets are for short-name referencing.

    ``meaning`` is a word of `rows/row.py`: value, values, time, or nothing.
    """

    index: int
    name: str
    type: DataType | None
    short_name_offset: int
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One method with the type of its argument (None: the meter decides); offset None where it is not known."""

    index: int
    name: str
    type: DataType | None
    short_name_offset: int | None


@dataclass(frozen=True, slots=True)
class InterfaceClass:
    """One class in one version. ``attributes[0]`` is the logical name."""

    class_id: int
    version: int
    name: str
    attributes: tuple[Attribute, ...]
    methods: tuple[Method, ...]

    def attribute(self, index_or_name: int | str) -> Attribute | None:
        """The attribute with this number or name."""
        return next((item for item in self.attributes if index_or_name in (item.index, item.name)), None)

    def method(self, index_or_name: int | str) -> Method | None:
        """The method with this number or name."""
        return next((item for item in self.methods if index_or_name in (item.index, item.name)), None)


_TYPES: dict[str, DataType | None] = {item.text: item for item in DataType} | {"choice": None}
_LOGICAL_NAME = Attribute(1, "logical_name", DataType.OCTET_STRING, 0)


def _attributes(text: str) -> Iterator[Attribute]:
    yield _LOGICAL_NAME
    for index, item in enumerate(text.split(), start=2):
        name, _, rest = item.partition(":")
        kind, _, meaning = rest.partition("/")
        yield Attribute(index, name, _TYPES[kind], 8 * (index - 1), meaning)


def _methods(text: str, first_offset: int) -> Iterator[Method]:
    index = 0
    for item in text.split():
        number, _, rest = item.rpartition("=")
        index = int(number) if number else index + 1
        name, _, kind = rest.partition(":")
        yield Method(index, name, _TYPES[kind], first_offset + 8 * (index - 1) if first_offset >= 0 else None)


class _Classes(Mapping[tuple[int, int], InterfaceClass]):
    """(class id, version) -> the class, built when it is first asked for: a meter has a dozen of them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {(row.class_id, version): row for row in rows for version in row.versions}
        self._built: dict[tuple[int, int], InterfaceClass] = {}

    def __getitem__(self, key: tuple[int, int]) -> InterfaceClass:
        if key not in self._built:
            row = self._rows[key]
            attributes, methods = tuple(_attributes(row.attributes)), tuple(_methods(row.methods, row.first_method))
            self._built[key] = InterfaceClass(*key, row.name, attributes, methods)
        return self._built[key]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


CLASSES: Mapping[tuple[int, int], InterfaceClass] = _Classes(ROWS)
CLASS_NAMES: dict[int, str] = dict(sorted((NAMED | {row.class_id: row.name for row in ROWS}).items()))

_VERSIONS: dict[int, list[int]] = {}
for _class_id, _version in sorted(CLASSES):
    _VERSIONS.setdefault(_class_id, []).append(_version)

RESERVED_BASE_NAMES = {
    0xFA00: (12, "0.0.40.0.0.255"),
    0xFB00: (9, "0.0.10.0.125.255"),
    0xFC00: (17, "0.0.41.0.0.255"),
    0xFD00: (1, "0.0.42.0.0.255"),
}
"""Short names that the Blue Book reserves: base name -> (class id, OBIS)."""


def find(class_id: int, version: int | None = None) -> InterfaceClass | None:
    """The class in this version, else in the nearest older (or oldest known) one; None where it is not modelled.

    Without a version: the newest.
    """
    versions = _VERSIONS.get(class_id)
    if not versions:
        return None
    older = [known for known in versions if version is None or known <= version]
    return CLASSES[class_id, older[-1] if older else versions[0]]


def _meaning(*words: str) -> dict[int, tuple[int, ...]]:
    """Class -> its attributes with one of these meanings; of the newest version that has them."""
    ends = tuple(f"/{word}" for word in words)
    return _numbered(lambda item: item.endswith(ends))


def _numbered(wanted: Callable[[str], bool]) -> dict[int, tuple[int, ...]]:
    found = {}
    for row in sorted(ROWS, key=lambda row: row.versions[-1]):
        if numbers := tuple(index for index, item in enumerate(row.attributes.split(), 2) if wanted(item)):
            found[row.class_id] = numbers
    return found


VALUES: dict[int, tuple[int, ...]] = _meaning("value")
"""Class -> the attributes that hold its value, the first of them the one that the object's code alone names."""
TIMES: dict[int, tuple[int, ...]] = _meaning("time")
"""Class -> the attributes that say when the value was taken."""
SCALERS: dict[int, int] = {
    class_id: number for class_id, (number,) in _numbered(lambda item: item.startswith("scaler_unit:")).items()
}
"""Class -> its attribute with scaler and unit."""
_SCALED = {
    (class_id, number): SCALERS[class_id]
    for class_id, numbers in _meaning("value", "values").items()
    if class_id in SCALERS
    for number in numbers
}


def scaler_attribute(class_id: int, attribute: int) -> int | None:
    """The attribute with the scaler and unit of this one; None where it has none."""
    return _SCALED.get((class_id, attribute))


def class_name(class_id: int) -> str:
    """The class's name, or ``class 77`` where it has none."""
    return CLASS_NAMES.get(class_id, f"class {class_id}")
