"""What can be asked of the bridge over MQTT: one handler per verb, found in a table; those that only look are here."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import manual
from dlms_mqtt.bridge.requests.bridge_at_work import BridgeAtWork, need_management
from dlms_mqtt.bridge.requests.dispatcher import Handler, Request
from dlms_mqtt.bridge.requests.management import Management
from dlms_mqtt.bridge.requests.trial.trials import Trials
from dlms_mqtt.bridge.requests.verbs import VERBS
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import load_preset, preset_names
from dlms_mqtt.transport.ports import list_ports


class BridgeRequests:
    """The verbs of the bridge."""

    def __init__(self, bridge: BridgeAtWork) -> None:
        self._bridge = bridge
        trials, management = Trials(bridge), Management(bridge)
        self._verbs: dict[str, Handler] = {
            "ping": self.ping,
            "ports": self.ports,
            "presets": self.presets,
            "schema": self.schema,
            "config": self.config,
            "reload": management.reload,
            "language": management.language,
            "meter/validate": trials.validate,
            "meter/find": trials.find,
            "meter/objects": trials.objects,
            "meter/add": management.add,
            "meter/update": management.update,
            "meter/remove": management.remove,
        }

    def find(self, name: str) -> Handler:
        """The handler of a verb; RequestError when there is none or it is not allowed."""
        if name not in self._verbs:
            raise RequestError(
                "unknown-request",
                f"There is no request '{name}'",
                hint=f"There are {', '.join((*self._verbs, 'cancel'))}.",
            )
        if VERBS[name].managing:
            need_management(self._bridge)
        return self._verbs[name]

    # -- questions ----------------------------------------------------------------------------------------------------

    async def ping(self, request: Request) -> Any:
        """Are you there?"""
        return {
            "bridge": self._bridge.config.bridge.id,
            "started": self._bridge.started,
            "version": self._bridge.version,
        }

    async def ports(self, request: Request) -> Any:
        """The serial ports of this machine."""
        used = {meter.session.settings.serial: name for name, meter in self._bridge.meters.items()}
        return {
            "ports": [
                {
                    "port": port.name,
                    "device": port.device,
                    "description": port.description,
                    "in_use_by": used.get(port.name) or used.get(port.device),
                }
                for port in list_ports()
            ]
        }

    async def presets(self, request: Request) -> Any:
        """The meter families."""
        return {"presets": [_preset_row(name) for name in preset_names()]}

    async def schema(self, request: Request) -> Any:
        """The JSON schema of the configuration."""
        return manual.schema()

    async def config(self, request: Request) -> Any:
        """The configuration in force, without secrets."""
        return {"bridge": self._bridge.config.bridge.id, "meters": self._bridge.loaded.shown}


def _preset_row(name: str) -> dict[str, Any]:
    try:
        preset = load_preset(name)
    except ConfigError:
        preset = {}
    return {
        "id": name,
        "name": str(preset.get("name") or name),
        "manufacturer": str(preset.get("manufacturer") or ""),
        "push_only": "push" in preset and not preset.get("connection"),  # nothing is known of how to ask it
        "pushes": "push" in preset,
        "ciphered": str((preset.get("push") or {}).get("ciphered") or ""),
    }
