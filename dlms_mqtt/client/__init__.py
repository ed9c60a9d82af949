"""The DLMS/COSEM client: an association with one meter, kept by ``async with``.

The names below are public, for what ``dlms_mqtt.Meter`` does not do: single services, selective access, own transports.
"""

from __future__ import annotations

from dlms_mqtt.lazy import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlms_mqtt.client.client import DlmsClient
    from dlms_mqtt.client.procedures.clock import read_clock
    from dlms_mqtt.client.procedures.objects import read_objects
    from dlms_mqtt.client.procedures.profile import read_profile
    from dlms_mqtt.client.services.memory import Measured
    from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
    from dlms_mqtt.client.state.store import Store

#: module -> the public names that it holds
_HOMES = {
    "client": ("DlmsClient",),
    "procedures.clock": ("read_clock",),
    "procedures.objects": ("read_objects",),
    "procedures.profile": ("read_profile",),
    "services.memory": ("Measured",),
    "settings": (
        "ConnectionSettings",
        "parse_settings",
    ),
    "state.store": ("Store",),
}

__all__ = [
    "ConnectionSettings",
    "DlmsClient",
    "Measured",
    "Store",
    "parse_settings",
    "read_clock",
    "read_objects",
    "read_profile",
]

__getattr__, __dir__ = public(__name__, _HOMES)
