"""What all ways of adding and changing a meter share; the bridge does the work.

Secrets are sealed as soon as the form is sent; the flow keeps the sealed text only, and nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.core import callback
from homeassistant.helpers import device_registry as dr

from .api import ApiError, Json, as_object, as_rows
from .const import CONF_HISTORY, CONF_METER, DEVICE_WAIT, DOMAIN, STAGE_SHOWN
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry
from .errors import details, in_sentence, in_words, sentence, stage_in_words
from .heads import known_heads
from .meter_config import HEAD_KEY, LINE_KEYS, head_key, outgoing, same_place

_LOGGER = logging.getLogger(__name__)

MY_DEVICE = "/config/devices/device/"
MQTT_DEVICES = "/config/integrations/integration/mqtt"


class BridgeFlow(ConfigSubentryFlow):
    """What every way to a meter shares: the bridge behind the entry, progress, failures, and giving it the meter."""

    def __init__(self) -> None:
        self._meter = ""
        self._config: Json = {}
        self._before: Json = {}  # what is changed, as the bridge had it when the form was opened
        self._objects: list[Json] = []
        self._profiles: Collection[str] = ()
        self._history: Json | None = None  # what the subentry keeps of it; None: not asked
        self._learned: Json = {}  # by a search
        self._was_silent = False  # the search of this line: another one goes on for longer
        self._known_keys: dict[str, str] = {}  # of ports that Home Assistant knows
        self._head_key = ""  # of an ESPHome device, as long as the flow lasts
        self._failure: ApiError | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stage = ""  # of the work, as the bridge tells it
        self._moved = asyncio.Event()  # to another stage

    # The bridge behind the entry

    @property
    def _bridge(self) -> BridgeCoordinator:
        entry: DlmsMqttConfigEntry = self._get_entry()
        return entry.runtime_data

    @property
    def _reconfiguring(self) -> bool:
        return self.source == SOURCE_RECONFIGURE

    @property
    def _connection(self) -> Json:
        return as_object(self._config.get("connection"))

    def _own_line(self, line: Json) -> Json:
        """The line without the key of an ESPHome device, which is kept aside until it is sealed."""
        port, typed = head_key(str(line.get("serial") or ""))
        self._head_key = typed or self._known_keys.get(port, "")
        return {**line, "serial": port} if port else line

    def _with_head_key(self, connection: Json, meter: str) -> Json:
        """The connection with the key of its ESPHome device, sealed for a meter; ApiError."""
        if not self._head_key:
            return connection
        return {**connection, HEAD_KEY: self._bridge.seal(f"text:{self._head_key}", meter, connection)}

    def _obstacle(self) -> str | None:
        """Why meters cannot be changed now, as a reason to abort."""
        if self._get_entry().state is not ConfigEntryState.LOADED:
            return "not_loaded"
        reasons = {
            "incompatible": not self._bridge.compatible,
            "bridge_offline": not self._bridge.online,
            "management_off": not self._bridge.management,
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    @callback
    def async_remove(self) -> None:
        """The flow ended, one way or another: the bridge's word counts for this meter again."""
        if self._task is not None:
            self._task.cancel()
        if self._get_entry().state is ConfigEntryState.LOADED:
            self._bridge.busy.discard(self._meter)
            self._bridge.refresh()

    # What went wrong

    async def _causes(self, failure: ApiError) -> str:
        """Why nothing was found, the likeliest first; else why the search failed."""
        names, causes = failure.detail.get("names"), failure.detail.get("causes")
        rows = list(zip(names, causes, strict=False)) if isinstance(names, list) and isinstance(causes, list) else []
        if not rows:
            return await in_sentence(self.hass, failure)
        network = "-network" if {"tcp", "udp"} & set(self._connection) else ""
        told = [await self._cause(str(name), network, str(cause)) for name, cause in rows]
        return "\n".join(f"- {text}" for text in told)

    async def _cause(self, name: str, network: str, cause: str) -> str:
        path = "selector.find_cause.options."
        return await in_words(self.hass, f"{path}{name}{network}", await in_words(self.hass, path + name, cause))

    # Which meter

    def _taken_ids(self) -> set[str]:
        """The ids of every bridge's meters: topics and devices are made of them."""
        taken: set[str] = set()
        for entry in self.hass.config_entries.async_loaded_entries(DOMAIN):
            taken |= set(entry.runtime_data.meters)
            taken |= {str(subentry.unique_id) for subentry in entry.subentries.values()}
        return taken

    def _check_identity(self, identity: Json) -> None:
        """The same meter under another client would count twice; ApiError."""
        names = {
            facts.get(key) for facts in (identity, self._learned) for key in ("serial_number", "logical_device_name")
        }
        for meter, row in self._bridge.meters.items():
            device = self._bridge.device(meter)
            if device is not None and device.serial_number and device.serial_number in names:
                raise ApiError("same-meter", detail={"name": row.get("name") or meter})

    @property
    def _request(self) -> Json:
        return {CONF_METER: self._meter, "config": outgoing(self._config)}

    async def _ports(self) -> list[Json]:
        """The bridge's own, and those of ESPHome devices that Home Assistant knows."""
        heads = await known_heads(self.hass)
        self._known_keys = {str(head.row["port"]): head.key for head in heads}
        try:
            own = as_rows((await self._bridge.api.request("ports")).get("ports"))
        except ApiError:
            own = []  # the name can be typed as well
        return [*own, *(head.row for head in heads)]

    async def _check_new(self) -> None:
        """One meter added twice would count twice, and be asked twice; ApiError."""
        if not any(self._connection.get(line) for line in LINE_KEYS):
            return  # a port of ours is for many
        for meter, config in (await self._bridge.meter_configs()).items():
            if same_place(self._connection, as_object(as_object(config).get("connection"))):
                raise ApiError("already-read", detail={"name": as_object(config).get("name") or meter})

    async def _check_unchanged(self) -> None:
        """Another Home Assistant, a file or a person may have changed or removed the meter meanwhile; ApiError."""
        if await self._bridge.meter_config(self._meter) != self._before:
            raise ApiError("changed-meanwhile")

    # Save

    async def async_step_save(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Give the meter to the bridge; on failure this page says why and tries again."""
        try:
            return await (self._update() if self._reconfiguring else self._add())
        except ApiError as error:
            return self.async_show_form(
                step_id="save",
                data_schema=vol.Schema({}),
                errors={"base": sentence(error)},
                description_placeholders=details(error),
            )

    async def _update(self) -> SubentryFlowResult:
        await self._check_unchanged()
        await self._bridge.api.request("meter/update", self._request)
        self._bridge.remember(self._meter, self._config.get("name") or self._meter)
        if self._history is not None:
            self._keep_history()
        return self.async_abort(reason="reconfigure_successful")  # the subentry follows the bridge

    async def _add(self) -> SubentryFlowResult:
        self._bridge.busy.add(self._meter)
        await self._bridge.api.request("meter/add", self._request)
        self._bridge.remember(self._meter, self._config["name"])
        device = await self._wait_for_device()
        return self.async_create_entry(
            title=self._config["name"],
            data={CONF_METER: self._meter, **(self._history or {})},
            unique_id=self._meter,
            description="device" if device else "mqtt",
            description_placeholders={
                "name": self._config["name"],
                "url": f"{MY_DEVICE}{device.id}" if device else MQTT_DEVICES,
            },
        )

    async def _wait_for_device(self) -> dr.DeviceEntry | None:
        """The device that MQTT discovery makes of the new meter, as soon as it is there."""
        changed = asyncio.Event()
        wake = callback(lambda _event: changed.set())
        registry = self.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, wake)
        bridge = self._bridge.listen(changed.set)  # says which device it is
        try:
            async with asyncio.timeout(DEVICE_WAIT):
                while (device := self._bridge.device(self._meter)) is None:
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return None
        finally:
            registry()
            bridge()
        return device

    def _keep_history(self) -> None:
        """What the subentry keeps beside the bridge's own configuration."""
        subentry = self._get_reconfigure_subentry()
        data = {key: value for key, value in subentry.data.items() if key != CONF_HISTORY}
        data |= self._history or {}
        self.hass.config_entries.async_update_subentry(self._get_entry(), subentry, data=data)

    # Progress

    async def _progress(
        self, step: str, work: Callable[[], Coroutine[Any, Any, None]], *, done: str, failed: str
    ) -> SubentryFlowResult:
        if self._task is None:
            self._stage = ""
            self._task = self.hass.async_create_task(self._run(work), eager_start=False)
        if not self._task.done():
            watch = self._next_page(self._task)
            told = {"stage": await stage_in_words(self.hass, self._stage)}
            return self.async_show_progress(
                step_id=step, progress_action=step, progress_task=watch, description_placeholders=told
            )
        self._task = None
        return self.async_show_progress_done(next_step_id=failed if self._failure else done)

    def _next_page(self, work: asyncio.Task[None]) -> asyncio.Task[None]:
        """Home Assistant asks for the page again when this ends: with the work, or with another stage of it."""
        if self._watch is None or self._watch.done():
            self._moved.clear()
            self._watch = self.hass.async_create_task(self._end_or_stage(work), eager_start=False)
        return self._watch

    async def _end_or_stage(self, work: asyncio.Task[None]) -> None:
        await asyncio.wait((work,), timeout=STAGE_SHOWN)
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait((work, moved), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The work, with its failure kept for the next page: an exception here would start it again and again."""
        self._failure = None
        try:
            await work()
        except ApiError as error:
            self._failure = error
        except Exception:
            _LOGGER.exception("Unexpected error while setting up a meter")
            self._failure = ApiError("internal")

    @callback
    def _show_progress(self, data: Json) -> None:
        if (stage := str(data.get("stage") or "")) != self._stage:
            self._stage = stage
            self._moved.set()
        done, total = data.get("done"), data.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            update = getattr(self, "async_update_progress", None)  # newer than 2025.4
            if update:
                update(min(done / total, 1.0))
