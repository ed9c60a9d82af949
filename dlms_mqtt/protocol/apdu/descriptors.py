"""What a request points at: an attribute or a method of an object, perhaps only a part of it (selective access).

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, NamedTuple

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import DATA, U8, Codec, optional, record, sequence
from dlms_mqtt.protocol.obis import Obis

AccessSelector = tuple[int, Data]


class AttributeDescriptor(NamedTuple):
    """Cosem-Attribute-Descriptor; proprietary attributes have negative numbers."""

    class_id: int
    obis: Obis
    attribute: int

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}:{self.attribute}"


class MethodDescriptor(NamedTuple):
    """Cosem-Method-Descriptor."""

    class_id: int
    obis: Obis
    method: int

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}:{self.method}"


AttributeWithSelection = tuple[AttributeDescriptor, AccessSelector | None]


def _pair(*fields: Any) -> tuple[Any, ...]:
    return fields


_DESCRIPTOR = Struct(">H6sb")


def _descriptor(kind: Callable[[int, Obis, int], Any]) -> Codec:
    """Class, OBIS code, number: lists are made of these, so they are read and written in one go."""

    def read(reader: Reader) -> Any:
        class_id, obis, number = _DESCRIPTOR.unpack(reader.take(9, "descriptor"))
        return kind(class_id, Obis(obis), number)

    def encode(descriptor: Any) -> bytes:
        if len(descriptor[1]) != 6:
            raise ValueError(f"an OBIS code has 6 octets, not {len(descriptor[1])}")
        return _DESCRIPTOR.pack(*descriptor)

    return Codec(read, encode, 9)


ATTRIBUTE = _descriptor(AttributeDescriptor)
METHOD = _descriptor(MethodDescriptor)
SELECTOR = record(_pair, U8, DATA)
ACCESS = optional(SELECTOR)


def _encode_with_selection(item: AttributeWithSelection) -> bytes:
    attribute, access = item
    return ATTRIBUTE.encode(attribute) + ACCESS.encode(access)


ATTRIBUTE_WITH_SELECTION = record(_pair, ATTRIBUTE, ACCESS)._replace(encode=_encode_with_selection)
ATTRIBUTES = sequence(ATTRIBUTE_WITH_SELECTION)
METHODS = sequence(METHOD)


class CaptureObject(NamedTuple):
    """One column of a profile: capture_object_definition; ``data_index`` 0 means the whole attribute."""

    class_id: int
    obis: Obis
    attribute: int
    data_index: int = 0

    def to_data(self) -> Data:
        """As the structure that a profile lists and a range selector names."""
        return Data(
            DataType.STRUCTURE,
            (
                Data(DataType.LONG_UNSIGNED, self.class_id),
                Data(DataType.OCTET_STRING, bytes(self.obis)),
                Data(DataType.INTEGER, self.attribute),
                Data(DataType.LONG_UNSIGNED, self.data_index),
            ),
        )


def range_access(
    sort_object: CaptureObject, start: Data, end: Data, columns: Iterable[CaptureObject] = ()
) -> AccessSelector:
    """Selector 1 of a profile buffer: the rows whose sort value is in start..end, all columns unless some are named."""
    selected = Data(DataType.ARRAY, tuple([column.to_data() for column in columns]))
    return 1, Data(DataType.STRUCTURE, (sort_object.to_data(), start, end, selected))


def entry_access(first: int, last: int = 0, first_column: int = 1, last_column: int = 0) -> AccessSelector:
    """Selector 2 of a profile buffer: rows and columns by number, from 1; a last of 0 means up to the end."""
    rows = (Data(DataType.DOUBLE_LONG_UNSIGNED, first), Data(DataType.DOUBLE_LONG_UNSIGNED, last))
    columns = (Data(DataType.LONG_UNSIGNED, first_column), Data(DataType.LONG_UNSIGNED, last_column))
    return 2, Data(DataType.STRUCTURE, rows + columns)
