"""What requests need of the bridge that they are asked of; the bridge itself stands above them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.load import Loaded, Presets
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.client.state.store import Store


class BridgeAtWork(Protocol):
    """What the requests need of the bridge that they are asked of."""

    version: str
    started: str
    presets: Presets
    loaded: Loaded
    store: Store
    seal: SealKey
    fleet: Fleet
    reload: Callable[[], Awaitable[list[str]]]  # reads the configuration again; what changed

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    @property
    def meters(self) -> Mapping[str, MeterTask]:
        """The meters at work."""
        ...


def need_management(bridge: BridgeAtWork) -> None:
    """RequestError unless the configuration allows management over MQTT."""
    if not bridge.config.bridge.management:
        raise RequestError(
            "not-allowed", "Management over MQTT is off", hint="Set bridge.management: true in the configuration."
        )
