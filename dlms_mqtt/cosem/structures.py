"""The small structures that objects are made of: capture objects, scaler and unit, SAPs, scripts, scheduled actions.

Each is a named tuple with ``from_data`` and ``to_data``, so that the client and the simulator say the same thing.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from enum import IntEnum
from types import UnionType
from typing import Any, NamedTuple, Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import descriptors
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.values import shortest_float32
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.units import UNITS

_FLOAT32_END = 3.4e38
_STRUCTURE, _ARRAY = DataType.STRUCTURE, DataType.ARRAY


def _fields(value: Data, kinds: tuple[type | UnionType, ...], what: str) -> tuple[Any, ...]:
    """The plain values of a structure whose first elements have these Python types; DecodeError."""
    items = value.value if isinstance(value.value, tuple) else ()
    found = tuple(item.value for item in items[: len(kinds)])
    if len(found) < len(kinds) or not all(map(isinstance, found, kinds)):
        raise DecodeError(f"{what} is written in an unknown way")
    return found


def _items(value: Data, what: str) -> tuple[Data, ...]:
    if value.type == DataType.NULL_DATA:  # an empty list, as some meters write it
        return ()
    if value.type not in (DataType.ARRAY, DataType.STRUCTURE):
        raise DecodeError(f"{what}: an array was expected, not {value.type.text}")
    items: tuple[Data, ...] = value.value
    return items


def _obis(octets: bytes, what: str) -> Obis:
    if len(octets) != 6:
        raise DecodeError(f"{what}: a logical name has 6 octets, not {len(octets)}")
    return Obis(octets)


def _structure(*items: tuple[DataType, Any]) -> Data:
    return Data(_STRUCTURE, tuple(Data(*item) for item in items))


LARGEST_SCALER = 20  # beyond it a scaler is rubbish


def _float_text(value: float) -> str:
    """A float32 that was read as a Python float has digits behind its own that mean nothing."""
    is_float32 = abs(value) < _FLOAT32_END and struct.unpack(">f", struct.pack(">f", value))[0] == value
    return shortest_float32(value) if is_float32 else repr(value)


def signed_scaler(scaler: int) -> int:
    """A negative scaler, also where it is tagged as an unsigned number of one or two octets."""
    for octets in (1, 2):
        if (1 << 8 * octets) - 128 <= scaler < 1 << 8 * octets:
            return scaler - (1 << 8 * octets)
    return scaler


class ScalerUnit(NamedTuple):
    """Attribute ``scaler_unit``: a value is raw times ten to the ``scaler``, in the unit with this code."""

    scaler: int
    unit_code: int

    @property
    def unit(self) -> str:
        """The unit's symbol; empty for a plain count or a code the Blue Book does not have."""
        return "" if self.unit_code in (0, 254, 255) else UNITS.get(self.unit_code, "")

    def apply(self, raw: int | float) -> Decimal:
        """The value in the meter's unit, exactly; a number that is a float32 by its shortest decimal."""
        return Decimal(_float_text(raw) if isinstance(raw, float) else raw).scaleb(self.scaler)

    @classmethod
    def from_data(cls, value: Data) -> Self:
        """DecodeError unless it is a structure of two numbers of which the first can be a power of ten.

        The scaler is a signed octet by the Blue Book; some meters tag it as unsigned (254 is -2) or as a longer number.
        """
        scaler, unit = _fields(value, (int, int), "scaler_unit")
        found = cls(signed_scaler(scaler), unit)
        if not found.is_sensible:
            raise DecodeError(f"scaler_unit: 10^{found.scaler} is no scale of a meter")
        return found

    @property
    def is_sensible(self) -> bool:
        """Can this power of ten be the scale of a meter?"""
        return abs(self.scaler) <= LARGEST_SCALER

    def to_data(self) -> Data:
        """The structure of integer and enum."""
        return _structure((DataType.INTEGER, self.scaler), (DataType.ENUM, self.unit_code))


class CaptureObject(descriptors.CaptureObject):
    """One column of a profile (or element of a push list): an attribute; ``data_index`` 0 is the whole attribute."""

    __slots__ = ()

    @classmethod
    def from_data(cls, value: Data) -> Self:
        """DecodeError unless it starts with class, OBIS, attribute and data index; push lists may have more behind."""
        class_id, obis, attribute, index = _fields(value, (int, bytes, int, int), "capture object definition")
        return cls(class_id, _obis(obis, "capture object definition"), attribute, index)


class SapAssignment(NamedTuple):
    """A logical device of the meter: its server address and name."""

    sap: int
    name: str

    def to_data(self) -> Data:
        """The structure of long-unsigned and octet-string."""
        return _structure((DataType.LONG_UNSIGNED, self.sap), (DataType.OCTET_STRING, self.name.encode("latin-1")))


class ScriptAction(NamedTuple):
    """What a script does in one step; ``service`` 1 writes the attribute, 2 invokes the method ``number``."""

    service: int
    class_id: int
    obis: Obis
    number: int
    parameter: Data

    def to_data(self) -> Data:
        """The structure of five."""
        return _structure(
            (DataType.ENUM, self.service),
            (DataType.LONG_UNSIGNED, self.class_id),
            (DataType.OCTET_STRING, bytes(self.obis)),
            (DataType.INTEGER, self.number),
            self.parameter,
        )


class Script(NamedTuple):
    """One script of a script table."""

    identifier: int
    actions: tuple[ScriptAction, ...]

    def to_data(self) -> Data:
        """The structure of long-unsigned and array."""
        actions = tuple(action.to_data() for action in self.actions)
        return _structure((DataType.LONG_UNSIGNED, self.identifier), (_ARRAY, actions))


class ImageTransferStatus(IntEnum):
    """Attribute ``image_transfer_status`` of class 18."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_INITIATED = 2
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7

    @property
    def text(self) -> str:
        """The standard's word."""
        return self.name.lower().replace("_", "-")


class ImageInfo(NamedTuple):
    """An image that waits for its activation (Image transfer, attribute 7)."""

    size: int
    identification: bytes
    signature: bytes

    @classmethod
    def from_data(cls, value: Data) -> Self:
        """DecodeError unless it is a number and two octet strings."""
        return cls(*_fields(value, (int, bytes, bytes), "image_to_activate_info"))

    def to_data(self) -> Data:
        """The structure of double-long-unsigned and two octet strings."""
        return _structure(
            (DataType.DOUBLE_LONG_UNSIGNED, self.size),
            (DataType.OCTET_STRING, self.identification),
            (DataType.OCTET_STRING, self.signature),
        )


def capture_objects(value: Data) -> tuple[CaptureObject, ...]:
    """Attribute 3 of Profile generic, or a push object list."""
    return tuple(map(CaptureObject.from_data, _items(value, "capture_objects")))


def images(value: Data) -> tuple[ImageInfo, ...]:
    """Attribute 7 of Image transfer."""
    return tuple(map(ImageInfo.from_data, _items(value, "image_to_activate_info")))


def array(items: tuple[Any, ...] | list[Any]) -> Data:
    """An array of structures that know ``to_data``."""
    return Data(_ARRAY, tuple(item.to_data() for item in items))
