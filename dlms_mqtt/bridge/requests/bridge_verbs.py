"""What can be asked of the bridge over MQTT: one handler per verb, found in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters, manual
from dlms_mqtt.bridge.config.load import ConfigMistakes, Loaded, Presets, managed_file, parse_meter
from dlms_mqtt.bridge.config.seal import SealKey, seal_id
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.bridge.config.spoken import keep_language
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.requests.dispatcher import Handler, Request
from dlms_mqtt.bridge.requests.trial.first_telegrams import Trial, first_telegrams
from dlms_mqtt.bridge.requests.trial.overheard import who_speaks
from dlms_mqtt.bridge.requests.trial.trial_connection import try_out
from dlms_mqtt.bridge.requests.verbs import VERBS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify, read_objects
from dlms_mqtt.client.settings import (
    CALLED_LINES,
    LINE_SECRETS,
    NETWORK_LINES,
    SECRET_KEYS,
    ConnectionSettings,
    parse_settings,
)
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter import json_shapes
from dlms_mqtt.meter.catalogue.lookup import select
from dlms_mqtt.meter.presets.preset import load_preset, preset_names, preset_scalers
from dlms_mqtt.transport.listen import listen_address
from dlms_mqtt.transport.ports import list_ports

_NEW = "new"  # a meter that has no id yet
_TAKEN = "seals"  # namespace of the store: with which of them a meter was added or changed


class BridgeAsked(Protocol):
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


class BridgeRequests:
    """The verbs of the bridge."""

    def __init__(self, bridge: BridgeAsked) -> None:
        self._bridge = bridge
        self._verbs: dict[str, Handler] = {
            "ping": self.ping,
            "ports": self.ports,
            "presets": self.presets,
            "schema": self.schema,
            "config": self.config,
            "reload": self.reload,
            "language": self.language,
            "meter/validate": self.validate,
            "meter/find": self.find_meter,
            "meter/objects": self.objects,
            "meter/add": self.add,
            "meter/update": self.update,
            "meter/remove": self.remove,
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
            self._need_management()
        return self._verbs[name]

    def _need_management(self) -> None:
        if not self._bridge.config.bridge.management:
            raise RequestError(
                "not-allowed", "Management over MQTT is off", hint="Set bridge.management: true in the configuration."
            )

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

    # -- meters -------------------------------------------------------------------------------------------------------

    async def validate(self, request: Request) -> Any:
        """Check a configuration and talk to the meter, once; with ``listen``: wait for what it sends by itself."""
        meter_id, settings, config = self._wanted(request)
        if seconds := request.get("listen", int, Decimal):
            return {"valid": True, **await self._heard(request, meter_id, settings, config, float(seconds))}

        async def work(client: DlmsClient) -> Any:
            return json_shapes.meter_json(await identify(client, proof=True))

        return {"valid": True, "meter": await self._once(request, settings, work)}

    async def _heard(
        self, request: Request, meter_id: str, settings: ConnectionSettings, config: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        meter = parse_meter(meter_id, config, self._bridge.presets)[0]
        if meter.push is None or not meter.push.listen:
            raise RequestError(
                "invalid-value",
                "This meter is not listened to",
                hint="Say where, with push.listen, or leave listen out.",
            )
        fleet, language = self._bridge.fleet, self._bridge.config.mqtt.discovery.language
        scalers, zone = preset_scalers(meter.preset), fleet.zone(meter)
        trial = Trial(meter_id, meter.push.listen, meter.push.match, settings, scalers, zone)
        return await first_telegrams(fleet, trial, seconds, request.progress, language)

    async def objects(self, request: Request) -> Any:
        """What may be read of a meter, by id or by configuration."""
        if request.body.get("config") is not None:
            self._need_management()
            _, settings, _ = self._wanted(request, _NEW)
        else:
            settings = self._known(managed_meters.meter_id_of(request.body)).session.settings
        request.progress(0, 1, "reading the object list")

        async def work(client: DlmsClient) -> Any:
            found = await read_objects(client, self._bridge.store)
            core = {item.quantity.key for item in select(found)}
            language = self._bridge.config.mqtt.discovery.language
            return {"objects": json_shapes.value_rows(select(found, everything=True), core, language)}

        return await self._once(request, settings, work)

    async def _once(
        self, request: Request, settings: ConnectionSettings, work: Callable[[DlmsClient], Awaitable[Any]]
    ) -> Any:
        """One conversation with settings that may not be in force; refused passwords count as everywhere."""
        if not settings.line:
            raise RequestError("not-supported", "This meter only pushes; there is no line to ask it on")
        name = managed_meters.meter_id_of(request.body, _NEW)
        running = self._bridge.meters.get(name)
        if running is not None and running.session.settings == settings:
            return await running.session.run(Priority.COMMAND, work, keep=running.keeps_open())
        return await try_out(self._bridge.fleet, name, settings, work)

    async def find_meter(self, request: Request) -> Any:
        """Find out how to talk to the meter on a line; with ``listen``: what speaks on it by itself."""
        from dlms_mqtt.meter.finder import Limits, find

        line = request.get("line", dict, str)
        line = {"serial": line} if isinstance(line, str) else line
        if not line:
            raise RequestError("bad-request", "'line' is {serial | tcp | udp}")
        if seconds := request.get("listen", int, Decimal):
            return await self._overheard(request, line, float(seconds))
        meter_id = managed_meters.meter_id_of({"meter": request.body.get("meter", _NEW)})
        given = managed_meters.remote_connection(line, self._bridge.seal, meter_id)
        name = str(given.get("serial") or given.get("tcp") or given.get("udp") or "")
        shared = self._bridge.fleet.line(_only_line(given))

        async def nothing() -> None:
            return None

        async with shared.turn(f"search on {name}", Priority.COMMAND, nothing):
            found = await find(
                given,
                store=self._bridge.store,
                progress=lambda done, total, stage: request.progress(round(done), round(total), stage),
                limits=Limits(go_on=bool(request.get("go_on", bool))),
            )
        return {
            "found": found.found,
            "connection": _json_connection(found.connection),
            "diagnosis": found.diagnosis,
            "causes": list(found.causes),
            "names": list(found.names),
            "learned": dict(found.learned),
        }

    async def _overheard(self, request: Request, line: dict[str, Any], seconds: float) -> dict[str, Any]:
        bind = line.pop("bind", "")
        if bind:
            listen_address(str(bind))  # ConfigError
        given = managed_meters.remote_connection(line, self._bridge.seal, _NEW)
        if bool(bind) == any(given.get(name) for name in CALLED_LINES):
            raise RequestError("bad-request", "'line' is {serial | tcp | udp}, or {bind} alone")
        where = str(bind) or OWN_LINE
        return await who_speaks(self._bridge.fleet, _only_line(given), where, seconds, request.progress)

    # -- management ---------------------------------------------------------------------------------------------------

    async def reload(self, request: Request) -> Any:
        """Read the configuration again."""
        return {"changed": await self._bridge.reload()}

    async def language(self, request: Request) -> Any:
        """Home Assistant's component says its language, for the names of entities; one that is configured stays."""
        language = request.get("language", str, default="").strip()
        if not language:
            raise RequestError("bad-request", "'language' is that of Home Assistant, such as de")
        if language != self._bridge.loaded.spoken:
            try:
                await asyncio.to_thread(keep_language, self._bridge.config.bridge.state_dir, language)
            except OSError as error:
                raise RequestError("internal", f"The language cannot be kept: {error.strerror}") from error
            await self._bridge.reload()
        return {"language": self._bridge.config.mqtt.discovery.language}

    async def add(self, request: Request) -> Any:
        """Add a managed meter."""
        meter_id, _, config = self._wanted(request)
        if meter_id in self._bridge.config.meters:
            raise RequestError("invalid-value", f"There is a meter '{meter_id}' already", hint="Use meter/update.")
        return await self._write(meter_id, config, request)

    async def update(self, request: Request) -> Any:
        """Change a managed meter."""
        self._managed(managed_meters.meter_id_of(request.body))
        meter_id, _, config = self._wanted(request)
        return await self._write(meter_id, config, request)

    async def remove(self, request: Request) -> Any:
        """Remove a managed meter."""
        meter_id = managed_meters.meter_id_of(request.body)
        self._managed(meter_id)
        try:
            managed_meters.remove_meter(self._bridge.config.bridge.state_dir, meter_id)
        except OSError as error:
            raise RequestError("internal", f"The meter's file cannot be removed: {error.strerror}") from error
        return {"changed": await self._bridge.reload()}

    async def _write(self, meter_id: str, config: Mapping[str, Any], request: Request) -> Any:
        state_dir = self._bridge.config.bridge.state_dir
        try:
            await asyncio.to_thread(managed_meters.write_meter, state_dir, meter_id, config)
        except OSError as error:
            raise RequestError("internal", f"The meter cannot be kept: {error.strerror}") from error
        self._bridge.store.update(_TAKEN, dict.fromkeys(self._seals(request), True))
        return {"changed": await self._bridge.reload(), "file": managed_file(state_dir, meter_id).name}

    def _wanted(self, request: Request, otherwise: str = "") -> tuple[str, ConnectionSettings, dict[str, Any]]:
        """Id (or ``otherwise``), settings and configuration of a request; RequestError with every mistake."""
        meter_id = managed_meters.meter_id_of(request.body, otherwise)
        if any(self._bridge.store.get(_TAKEN, name) for name in self._seals(request)):
            raise RequestError(
                "invalid-value",
                "This seal has been used: each opens one time",
                hint="Seal the secret again.",
                detail={"reason": "seal"},
            )
        config = managed_meters.remote_config(request.body.get("config"), self._bridge.seal, meter_id)
        if meter_id in self._bridge.loaded.managed:
            config = managed_meters.completed(
                config, managed_meters.stored_config(self._bridge.config.bridge.state_dir, meter_id)
            )
        try:
            parsed: tuple[Meter, ConnectionSettings] = parse_meter(meter_id, config, self._bridge.presets)
        except ConfigMistakes as error:
            rows = [{"key": item.key, "message": item.message} for item in error.mistakes]
            raise RequestError("invalid-value", error.message, detail={"mistakes": rows}) from None
        return meter_id, parsed[1], config

    def _seals(self, request: Request) -> list[str]:
        return [seal_id(sealed) for sealed in managed_meters.seals_in(request.body.get("config"))]

    def _known(self, meter_id: str) -> MeterTask:
        if meter_id not in self._bridge.meters:
            raise RequestError("unknown-meter", f"There is no meter '{meter_id}'")
        return self._bridge.meters[meter_id]

    def _managed(self, meter_id: str) -> None:
        if meter_id not in self._bridge.config.meters:
            raise RequestError("unknown-meter", f"There is no meter '{meter_id}'")
        if meter_id not in self._bridge.loaded.managed:
            raise RequestError(
                "not-allowed", f"'{meter_id}' is in the bridge's own configuration file", hint="Change it there."
            )


def _only_line(given: Mapping[str, Any]) -> ConnectionSettings:
    try:
        return parse_settings({key: given[key] for key in (*CALLED_LINES, *LINE_SECRETS) if given.get(key)})
    except ConfigError as error:
        raise RequestError("invalid-value", error.message, hint=error.hint) from None


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


def _json_connection(connection: Mapping[str, Any]) -> dict[str, Any]:
    """A ``connection:`` block as JSON, without secrets."""
    return {
        key: f"{value[0]}:{value[1]}"
        if isinstance(value, tuple) and len(value) == 2 and key in NETWORK_LINES
        else value
        for key, value in connection.items()
        if key not in SECRET_KEYS
    }
