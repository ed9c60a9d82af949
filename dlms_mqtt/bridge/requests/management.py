"""Requests that change what the bridge is to do: its configuration read again, its meters added, changed, removed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.load import managed_file
from dlms_mqtt.bridge.config.spoken import keep_language
from dlms_mqtt.bridge.requests.bridge_at_work import BridgeAtWork
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.sent_config import sent_meter, use_up_seals
from dlms_mqtt.errors import StoreError


def _not_kept(sentence: str, error: OSError) -> StoreError:
    return StoreError(f"{sentence}: {error.strerror}", hint="Look at the disk of bridge.state_dir, and at its owner.")


class Management:
    """Each ends with a reload, whose changes are the reply."""

    def __init__(self, bridge: BridgeAtWork) -> None:
        self._bridge = bridge
        self._turn = asyncio.Lock()  # two at once would write one file, and open one seal twice

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
                raise _not_kept("The language cannot be kept", error) from error
            await self._bridge.reload()
        return {"language": self._bridge.config.mqtt.discovery.language}

    async def add(self, request: Request) -> Any:
        """Add a managed meter."""
        async with self._turn:
            meter_id, _, config = sent_meter(self._bridge, request)
            if meter_id in self._bridge.config.meters:
                raise RequestError("invalid-value", f"There is a meter '{meter_id}' already", hint="Use meter/update.")
            return await self._write(meter_id, config, request)

    async def update(self, request: Request) -> Any:
        """Change a managed meter."""
        async with self._turn:
            self._managed(managed_meters.meter_id_of(request.body))
            meter_id, _, config = sent_meter(self._bridge, request)
            return await self._write(meter_id, config, request)

    async def remove(self, request: Request) -> Any:
        """Remove a managed meter."""
        async with self._turn:
            meter_id = managed_meters.meter_id_of(request.body)
            self._managed(meter_id)
            try:
                managed_meters.remove_meter(self._bridge.config.bridge.state_dir, meter_id)
            except OSError as error:
                raise _not_kept("The meter's file cannot be removed", error) from error
            return {"changed": await self._bridge.reload()}

    async def _write(self, meter_id: str, config: Mapping[str, Any], request: Request) -> Any:
        state_dir = self._bridge.config.bridge.state_dir
        try:
            await asyncio.to_thread(managed_meters.write_meter, state_dir, meter_id, config)
        except OSError as error:
            raise _not_kept("The meter cannot be kept", error) from error
        use_up_seals(self._bridge, request)
        return {"changed": await self._bridge.reload(), "file": managed_file(state_dir, meter_id).name}

    def _managed(self, meter_id: str) -> None:
        if meter_id not in self._bridge.config.meters:
            raise RequestError("unknown-meter", f"There is no meter '{meter_id}'")
        if meter_id not in self._bridge.loaded.managed:
            raise RequestError(
                "not-allowed", f"'{meter_id}' is in the bridge's own configuration file", hint="Change it there."
            )
