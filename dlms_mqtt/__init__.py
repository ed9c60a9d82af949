"""Home electricity meters over DLMS/COSEM: a library, and a bridge into MQTT and Home Assistant.

``Meter`` and ``SyncMeter`` read one meter; docs/library.md shows them at work. The names below are the library's public
face and are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from dlms_mqtt.lazy import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlms_mqtt.errors import (
        AccessRefused,
        AuthenticationRefused,
        DlmsMqttError,
        MeterRefused,
        ProtocolError,
        TransportError,
    )
    from dlms_mqtt.library.connection import Connection
    from dlms_mqtt.library.decoding import Decoded, decode
    from dlms_mqtt.library.gurux import GuruxDevice, read_gurux
    from dlms_mqtt.library.listening import listen
    from dlms_mqtt.library.meter import Meter, read_all
    from dlms_mqtt.library.pushes import Push
    from dlms_mqtt.library.results import ClockDrift, MeterObject, Profile, Reading
    from dlms_mqtt.library.search import Finding, find
    from dlms_mqtt.library.sync import SyncMeter

__version__ = "0.2.0"

#: module -> the public names that it holds
_HOMES = {
    "errors": (
        "AccessRefused",
        "AuthenticationRefused",
        "DlmsMqttError",
        "MeterRefused",
        "ProtocolError",
        "TransportError",
    ),
    "library.connection": ("Connection",),
    "library.gurux": ("GuruxDevice", "read_gurux"),
    "library.meter": ("Meter", "read_all"),
    "library.decoding": ("Decoded", "decode"),
    "library.listening": ("listen",),
    "library.pushes": ("Push",),
    "library.results": ("ClockDrift", "MeterObject", "Profile", "Reading"),
    "library.search": ("Finding", "find"),
    "library.sync": ("SyncMeter",),
}

__all__ = [
    "AccessRefused",
    "AuthenticationRefused",
    "ClockDrift",
    "Connection",
    "Decoded",
    "DlmsMqttError",
    "Finding",
    "GuruxDevice",
    "Meter",
    "MeterObject",
    "MeterRefused",
    "Profile",
    "ProtocolError",
    "Push",
    "Reading",
    "SyncMeter",
    "TransportError",
    "decode",
    "find",
    "listen",
    "read_all",
    "read_gurux",
]

__getattr__, __dir__ = public(__name__, _HOMES)
