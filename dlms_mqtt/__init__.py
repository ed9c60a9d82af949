"""Home electricity meters over DLMS/COSEM: a library, and a bridge into MQTT and Home Assistant.

``Meter`` and ``SyncMeter`` read one meter; docs/library.md shows them at work. The names below are the library's public
face and are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from dlms_mqtt.library.meter import Meter
    from dlms_mqtt.library.pushes import Decoded, Push, decode, listen
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
    "library.meter": ("Meter",),
    "library.pushes": ("Decoded", "Push", "decode", "listen"),
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
]


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'dlms_mqtt' has no attribute '{name}'")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"dlms_mqtt.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
