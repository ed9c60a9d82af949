"""DLMS/COSEM without I/O: bytes in, events out, bytes out. No asyncio, no clock, no randomness of its own.

The names below are public; the rest may change with any version.
"""

from __future__ import annotations

from dlms_mqtt.lazy import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor, entry_access, range_access
    from dlms_mqtt.protocol.axdr.data import Data, DataType, decode, encode
    from dlms_mqtt.protocol.axdr.timestamps import DateTime
    from dlms_mqtt.protocol.obis import Obis
    from dlms_mqtt.protocol.secret import Secret

#: module -> the public names that it holds
_HOMES = {
    "apdu.descriptors": (
        "AttributeDescriptor",
        "MethodDescriptor",
        "entry_access",
        "range_access",
    ),
    "axdr.data": (
        "Data",
        "DataType",
        "decode",
        "encode",
    ),
    "axdr.timestamps": ("DateTime",),
    "obis": ("Obis",),
    "secret": ("Secret",),
}

__all__ = [
    "AttributeDescriptor",
    "Data",
    "DataType",
    "DateTime",
    "MethodDescriptor",
    "Obis",
    "Secret",
    "decode",
    "encode",
    "entry_access",
    "range_access",
]

__getattr__, __dir__ = public(__name__, _HOMES)
