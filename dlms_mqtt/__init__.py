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
    from dlms_mqtt.library.results import ClockDrift, MeterObject, Profile, Reading
    from dlms_mqtt.library.sync import SyncMeter

__version__ = "0.1.0"

#: public name -> the module that holds it
_HOMES = {
    **dict.fromkeys(
        (
            "AccessRefused",
            "AuthenticationRefused",
            "DlmsMqttError",
            "MeterRefused",
            "ProtocolError",
            "TransportError",
        ),
        "errors",
    ),
    **dict.fromkeys(("ClockDrift", "MeterObject", "Profile", "Reading"), "library.results"),
    "Connection": "library.connection",
    "Meter": "library.meter",
    "SyncMeter": "library.sync",
}

__all__ = [
    "AccessRefused",
    "AuthenticationRefused",
    "ClockDrift",
    "Connection",
    "DlmsMqttError",
    "Meter",
    "MeterObject",
    "MeterRefused",
    "Profile",
    "ProtocolError",
    "Reading",
    "SyncMeter",
    "TransportError",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dlms_mqtt' has no attribute '{name}'")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"dlms_mqtt.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
