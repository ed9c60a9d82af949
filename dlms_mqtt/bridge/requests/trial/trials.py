"""Requests about a meter that may not be in force: is a configuration right, what may be read, how is it reached?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.requests.bridge_at_work import BridgeAtWork, need_management
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.sent_config import NEW, sent_meter
from dlms_mqtt.bridge.requests.trial.first_telegrams import Trial, first_telegrams
from dlms_mqtt.bridge.requests.trial.overheard import who_speaks
from dlms_mqtt.bridge.requests.trial.trial_connection import try_out
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify, read_objects
from dlms_mqtt.client.procedures.profile import PROFILE_GENERIC
from dlms_mqtt.client.settings import (
    CALLED_LINES,
    LINE_SECRETS,
    ConnectionSettings,
    parse_settings,
)
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter import json_shapes
from dlms_mqtt.meter.catalogue.lookup import select
from dlms_mqtt.meter.presets.preset import preset_scalers
from dlms_mqtt.transport.listen import listen_address


class Trials:
    """What they find out is the reply; nothing of it is kept."""

    def __init__(self, bridge: BridgeAtWork) -> None:
        self._bridge = bridge

    async def validate(self, request: Request) -> Any:
        """Check a configuration and talk to the meter, once; with ``listen``: wait for what it sends by itself."""
        meter_id, settings, config = sent_meter(self._bridge, request)
        if seconds := request.get("listen", int, Decimal):
            return {
                "valid": True,
                **await self._validate_listening(request, meter_id, settings, config, float(seconds)),
            }

        async def work(client: DlmsClient) -> Any:
            return json_shapes.meter_json(await identify(client, proof=True))

        return {"valid": True, "meter": await self._once(request, settings, work)}

    async def _validate_listening(
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
            need_management(self._bridge)
            _, settings, _ = sent_meter(self._bridge, request, NEW)
        else:
            settings = self._known(managed_meters.meter_id_of(request.body)).session.settings
        request.progress(0, 1, "reading the object list")

        async def work(client: DlmsClient) -> Any:
            found = await read_objects(client, self._bridge.store)
            core = {item.quantity.key for item in select(found)}
            language = self._bridge.config.mqtt.discovery.language
            profiles = [str(item.obis) for item in found if item.class_id == PROFILE_GENERIC and item.readable(2)]
            rows = json_shapes.value_rows(select(found, everything=True), core, language)
            return {"objects": rows, "profiles": profiles}

        return await self._once(request, settings, work)

    async def _once(
        self, request: Request, settings: ConnectionSettings, work: Callable[[DlmsClient], Awaitable[Any]]
    ) -> Any:
        """One conversation with settings that may not be in force; refused passwords count as everywhere."""
        if not settings.line:
            raise RequestError("not-supported", "This meter only pushes; there is no line to ask it on")
        name = managed_meters.meter_id_of(request.body, NEW)
        running = self._bridge.meters.get(name)
        if running is not None and running.session.settings == settings:
            return await running.session.run(Priority.COMMAND, work, keep=running.keeps_open())
        return await try_out(self._bridge.fleet, name, settings, work)

    async def find(self, request: Request) -> Any:
        """Find out how to talk to the meter on a line; with ``listen``: what speaks on it by itself."""
        from dlms_mqtt.meter.finder import Limits
        from dlms_mqtt.meter.finder import find as search

        line = request.get("line", dict, str)
        line = {"serial": line} if isinstance(line, str) else line
        if not line:
            raise RequestError("bad-request", "'line' is {serial | tcp | udp}")
        if seconds := request.get("listen", int, Decimal):
            return await self._overheard(request, line, float(seconds))
        meter_id = managed_meters.meter_id_of({"meter": request.body.get("meter", NEW)})
        given = managed_meters.remote_connection(line, self._bridge.seal, meter_id)
        name = str(next(filter(None, map(given.get, CALLED_LINES)), ""))
        shared = self._bridge.fleet.line(_only_line(given))

        async def nothing() -> None:
            return None

        async with shared.turn(f"search on {name}", Priority.COMMAND, nothing):
            found = await search(
                given,
                store=self._bridge.store,
                progress=lambda done, total, stage: request.progress(round(done), round(total), stage),
                limits=Limits(go_on=bool(request.get("go_on", bool))),
            )
        return {
            "found": found.found,
            "connection": found.json()["connection"],
            "diagnosis": found.diagnosis,
            "causes": list(found.causes),
            "names": list(found.names),
            "learned": dict(found.learned),
        }

    async def _overheard(self, request: Request, line: dict[str, Any], seconds: float) -> dict[str, Any]:
        bind = line.pop("bind", "")
        if bind:
            listen_address(str(bind))  # ConfigError
        given = managed_meters.remote_connection(line, self._bridge.seal, NEW)
        if bool(bind) == any(given.get(name) for name in CALLED_LINES):
            raise RequestError("bad-request", "'line' is {serial | tcp | udp}, or {bind} alone")
        where = str(bind) or OWN_LINE
        return await who_speaks(self._bridge.fleet, _only_line(given), where, seconds, request.progress)

    def _known(self, meter_id: str) -> MeterTask:
        if meter_id not in self._bridge.meters:
            raise RequestError("unknown-meter", f"There is no meter '{meter_id}'")
        return self._bridge.meters[meter_id]


def _only_line(given: Mapping[str, Any]) -> ConnectionSettings:
    try:
        return parse_settings({key: given[key] for key in (*CALLED_LINES, *LINE_SECRETS) if given.get(key)})
    except ConfigError as error:
        raise RequestError("invalid-value", error.message, hint=error.hint) from None
