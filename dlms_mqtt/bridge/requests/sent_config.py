"""The configuration of a meter as a request brings it: seals opened, what is not sent taken as it is kept, checked."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.load import ConfigMistakes, parse_meter
from dlms_mqtt.bridge.config.seal import seal_id
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.requests.bridge_at_work import BridgeAtWork
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.client.settings import ConnectionSettings

NEW = "new"  # a meter that has no id yet
_TAKEN = "seals"  # namespace of the store: with which of them a meter was added or changed


def sent_meter(
    bridge: BridgeAtWork, request: Request, otherwise: str = ""
) -> tuple[str, ConnectionSettings, dict[str, Any]]:
    """Id (or ``otherwise``), settings and configuration of a request; RequestError with every mistake."""
    meter_id = managed_meters.meter_id_of(request.body, otherwise)
    if any(bridge.store.get(_TAKEN, name) for name in _seals(request)):
        raise RequestError(
            "invalid-value",
            "This seal has been used: each opens one time",
            hint="Seal the secret again.",
            detail={"reason": "seal"},
        )
    config = managed_meters.remote_config(request.body.get("config"), bridge.seal, meter_id)
    if meter_id in bridge.loaded.managed:
        config = managed_meters.completed(
            config, managed_meters.stored_config(bridge.config.bridge.state_dir, meter_id)
        )
    try:
        parsed: tuple[Meter, ConnectionSettings] = parse_meter(meter_id, config, bridge.presets)
    except ConfigMistakes as error:
        rows = [{"key": item.key, "message": item.message} for item in error.mistakes]
        raise RequestError("invalid-value", error.message, detail={"mistakes": rows}) from None
    return meter_id, parsed[1], config


def _seals(request: Request) -> list[str]:
    return [seal_id(sealed) for sealed in managed_meters.seals_in(request.body.get("config"))]


def use_up_seals(bridge: BridgeAtWork, request: Request) -> None:
    """The seals of this request open nothing more: who overheard it cannot send them again."""
    bridge.store.update(_TAKEN, dict.fromkeys(_seals(request), True))
