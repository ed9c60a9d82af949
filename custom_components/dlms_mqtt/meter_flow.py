"""Adding and changing a meter: line, preset or search, access data, live test, items. The bridge does the work.

Secrets are sealed as soon as the form is sent; the flow keeps the sealed text only, and nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.core import Event, callback
from homeassistant.helpers import device_registry as dr

from .api import ApiError, Json, as_object, as_rows
from .const import CONF_HISTORY, CONF_METER, DEVICE_WAIT, DOMAIN, HISTORY_DAYS, LONG_TIMEOUT, TEST_TIMEOUT
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry, find_device
from .errors import LINE_FAULTS, details, in_sentence, in_words, sentence
from .forms import (
    GENERIC,
    HISTORY_SCHEMA,
    NETWORK_SCHEMA,
    REMOTE_SCHEMA,
    access_schema,
    items_schema,
    preset_schema,
    serial_schema,
)
from .history import LOAD_PROFILE
from .meter_config import (
    LINE_KEYS,
    USUAL_CLIENTS,
    access_errors,
    build_read,
    chosen,
    clients_of,
    facts_of,
    fast,
    flat,
    folded,
    host_port,
    is_ciphered,
    masked,
    meter_id,
    name_of,
    normal_read,
    outgoing,
    same_place,
    seconds,
    shown_errors,
    with_access,
    with_found,
    with_line,
    without_secrets,
)

_LOGGER = logging.getLogger(__name__)

LINES = ["serial", "tcp", "udp", "remote"]
SHOWN = ("client", "server", "authentication", "security", "suite", "system_title")  # never a secret
DEFAULT_INTERVAL = 30
MY_DEVICE = "/config/devices/device/"
MQTT_DEVICES = "/config/integrations/integration/mqtt"


class MeterFlow(ConfigSubentryFlow):
    """One meter of one bridge."""

    def __init__(self) -> None:
        self._meter = ""
        self._config: Json = {}
        self._before: Json = {}  # what is changed, as the bridge had it when the form was opened
        self._objects: list[Json] = []
        self._history: Json | None = None  # what the subentry keeps of it; None: not asked
        self._learned: Json = {}  # by a search
        self._failure: ApiError | None = None
        self._task: asyncio.Task[None] | None = None

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
        if self._get_entry().state is ConfigEntryState.LOADED:
            self._bridge.busy.discard(self._meter)
            self._bridge.refresh()

    # Line

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Which line leads to the meter?"""
        if reason := self._obstacle():
            return self.async_abort(reason=reason)
        return self.async_show_menu(step_id="user", menu_options=LINES)

    async def async_step_serial(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A serial port of the bridge's machine."""
        if user_input is not None:
            return await self._take_line({"serial": user_input["port"]})
        try:
            ports = as_rows((await self._bridge.api.request("ports")).get("ports"))
        except ApiError:
            ports = []  # the name can be typed as well
        return self.async_show_form(step_id="serial", data_schema=serial_schema(ports))

    async def async_step_tcp(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A meter or serial converter on TCP."""
        if user_input is not None:
            return await self._take_line({"tcp": host_port(user_input["host"], user_input["port"])})
        return self.async_show_form(step_id="tcp", data_schema=NETWORK_SCHEMA)

    async def async_step_udp(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A meter on UDP."""
        if user_input is not None:
            return await self._take_line({"udp": host_port(user_input["host"], user_input["port"])})
        return self.async_show_form(step_id="udp", data_schema=NETWORK_SCHEMA)

    async def async_step_remote(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A serial port of another machine, over the network."""
        if user_input is not None:
            address = host_port(user_input["host"], user_input["port"])
            return await self._take_line({"serial": f"{user_input['protocol']}://{address}"})
        return self.async_show_form(step_id="remote", data_schema=REMOTE_SCHEMA)

    async def _take_line(self, line: Json) -> SubentryFlowResult:
        # The bridge sends no secret to another address than it was given for: it must be given again.
        self._config["connection"] = with_line(without_secrets(self._connection), line)
        return await (self.async_step_access() if self._reconfiguring else self.async_step_method())

    # Preset or search

    async def async_step_method(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A known family, or find out."""
        return self.async_show_menu(step_id="method", menu_options=["find", "preset"])

    async def async_step_find(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Let the bridge find out how to talk to the meter."""
        return await self._progress("find", self._find, done="access", failed="find_failed")

    async def _find(self) -> None:
        line = {key: self._connection[key] for key in LINE_KEYS if key in self._connection}
        found = await self._bridge.api.request(
            "meter/find", {"line": line}, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        if not found.get("found"):
            raise ApiError("no-answer", str(found.get("diagnosis") or ""), detail=found)
        self._config["connection"] = with_found(self._connection, as_object(found.get("connection")))
        self._config.pop("preset", None)  # what was found stands by itself
        self._learned = as_object(found.get("learned"))

    async def async_step_find_failed(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Say what was seen on the line, and what can be done."""
        assert self._failure is not None  # noqa: S101
        return self.async_show_menu(
            step_id="find_failed",
            menu_options=["find", "preset", "user"],
            description_placeholders={"causes": await self._causes(self._failure)},
        )

    async def _causes(self, failure: ApiError) -> str:
        """Why nothing was found, the likeliest first; else why the search failed."""
        names, causes = failure.detail.get("names"), failure.detail.get("causes")
        rows = list(zip(names, causes, strict=False)) if isinstance(names, list) and isinstance(causes, list) else []
        if not rows:
            return await in_sentence(self.hass, failure)
        told = [await in_words(self.hass, f"selector.find_cause.options.{name}", str(cause)) for name, cause in rows]
        return "\n".join(f"- {text}" for text in told)

    async def async_step_preset(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Choose the meter's family."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._config["preset"] = user_input["preset"]
            return await self.async_step_access()
        try:
            presets = as_rows((await self._bridge.api.request("presets")).get("presets"))
        except ApiError as error:
            presets, errors = [], {"base": sentence(error)}
        return self.async_show_form(
            step_id="preset",
            data_schema=preset_schema(presets),
            errors=errors,
            description_placeholders=details(ApiError("")),
        )

    # Access

    async def async_step_access(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Name, addresses and secrets; comes back with the reason when the test failed."""
        errors: dict[str, str] = {}
        if self._failure is not None and user_input is None:
            errors["base"] = sentence(self._failure)
        fields = flat(user_input or {})
        if user_input is not None and not (errors := shown_errors(access_errors(fields, self._connection))):
            try:
                self._take_access(fields)
            except ApiError as error:
                self._failure, errors = error, {"base": sentence(error)}
            else:
                return await self.async_step_test()
        shown = {key: self._connection[key] for key in SHOWN if key in self._connection}
        if "suite" in shown:
            shown["suite"] = str(shown["suite"])
        shown |= {"name": self._config.get("name") or name_of(self._learned)}
        shown |= {key: value for key, value in fields.items() if key in (*SHOWN, "name")}
        schema = access_schema(is_ciphered(self._connection) or "base" in errors)
        return self.async_show_form(
            step_id="access",
            data_schema=self.add_suggested_values_to_schema(schema, folded(shown)),
            errors=errors,
            description_placeholders={
                **details(self._failure or ApiError("")),
                "found": await self._found(),
                "clients": clients_of(self._learned, "password") or USUAL_CLIENTS,
            },
        )

    async def _found(self) -> str:
        """What a search has found, in sentences; empty where there was none."""
        told = {
            "meter": facts_of(self._learned, self._connection),
            "open": clients_of(self._learned, "open"),
            "password": clients_of(self._learned, "password"),
        }
        texts = [
            (await in_words(self.hass, f"selector.found.options.{name}", "{facts}")).replace("{facts}", facts)
            for name, facts in told.items()
            if facts and self._learned
        ]
        return "".join(f"{text}\n\n" for text in texts)

    def _take_access(self, fields: dict[str, Any]) -> None:
        line = self._connection
        sealed = bool(self._meter) and line != without_secrets(line)  # for this id only
        if not self._reconfiguring and not sealed:
            self._meter = meter_id(fields["name"], self._taken_ids())
        self._config["connection"] = with_access(
            line,
            fields,
            lambda text: self._bridge.seal(text, self._meter, line),
            family=self._config.get("preset") not in (None, GENERIC),
        )
        self._config["name"] = fields["name"].strip()

    def _taken_ids(self) -> set[str]:
        """The ids of every bridge's meters: topics and devices are made of them."""
        taken: set[str] = set()
        for entry in self.hass.config_entries.async_loaded_entries(DOMAIN):
            taken |= set(entry.runtime_data.meters)
            taken |= {str(subentry.unique_id) for subentry in entry.subentries.values()}
        return taken

    async def async_step_test(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Talk to the meter, once."""
        done = "save" if self._reconfiguring else "objects"
        return await self._progress("test", self._test, done=done, failed="test_failed")

    async def _test(self) -> None:
        await (self._check_unchanged() if self._reconfiguring else self._check_new())
        answer = await self._bridge.api.request("meter/validate", self._request, timeout=TEST_TIMEOUT)
        if not self._reconfiguring:
            self._check_identity(as_object(answer.get("meter")))

    def _check_identity(self, identity: Json) -> None:
        """The same meter under another client would count twice; ApiError."""
        names = {
            facts.get(key) for facts in (identity, self._learned) for key in ("serial_number", "logical_device_name")
        }
        for meter, row in self._bridge.meters.items():
            device = find_device(self.hass, meter)
            if device is not None and device.serial_number and device.serial_number in names:
                raise ApiError("same-meter", detail={"name": row.get("name") or meter})

    async def async_step_test_failed(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Back to the access data; where nothing was reached, the line may as well be changed or searched."""
        assert self._failure is not None  # noqa: S101
        if sentence(self._failure) not in LINE_FAULTS:
            return await self.async_step_access()
        return self.async_show_menu(
            step_id="test_failed",
            menu_options=["test", "access", "line", *([] if self._reconfiguring else ["find"])],
            description_placeholders={"causes": await self._causes(self._failure)},
        )

    @property
    def _request(self) -> Json:
        return {CONF_METER: self._meter, "config": outgoing(self._config)}

    async def _check_new(self) -> None:
        """One meter added twice would count twice, and be asked twice; ApiError."""
        for meter, config in (await self._bridge.meter_configs()).items():
            if same_place(self._connection, as_object(as_object(config).get("connection"))):
                raise ApiError("already-read", detail={"name": as_object(config).get("name") or meter})

    async def _check_unchanged(self) -> None:
        """Another Home Assistant, a file or a person may have changed or removed the meter meanwhile; ApiError."""
        if await self._bridge.meter_config(self._meter) != self._before:
            raise ApiError("changed-meanwhile")

    # Items

    async def async_step_objects(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask the meter what it has."""
        return await self._progress("objects", self._read_objects, done="items", failed="test_failed")

    async def _read_objects(self) -> None:
        if self._reconfiguring:
            await self._check_unchanged()
        reply = await self._bridge.api.request(
            "meter/objects", self._request, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        self._objects = [row for row in as_rows(reply.get("objects")) if row.get("obis")]

    async def async_step_items(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What is read, and how often."""
        read = normal_read(self._config)
        if user_input is not None:
            self._take_items(read, user_input)
            return await self.async_step_save()
        quick, fast_every = fast(read)
        shown = {
            "items": chosen(read, self._objects),
            "every": seconds(self._config.get("every") or f"{DEFAULT_INTERVAL}s"),
            "fast_items": quick,
            "fast_every": fast_every,
            "history": bool(self._history_days()),
            "history_days": self._history_days() or HISTORY_DAYS,
        }
        schema = self.add_suggested_values_to_schema(items_schema(self._objects), shown)
        return self.async_show_form(step_id="items", data_schema=schema)

    def _take_items(self, read: Json, fields: dict[str, Any]) -> None:
        fast_every = int(fields["fast_every"]) if fields.get("fast_every") else None
        quick = fields.get("fast_items") or ()
        self._config["read"] = build_read(read, self._objects, fields["items"], quick, fast_every)
        if fields.get("every"):
            self._config["every"] = f"{fields['every']:.0f}s"
        self._take_history(fields)

    def _take_history(self, fields: dict[str, Any]) -> None:
        days = int(fields.get("history_days") or HISTORY_DAYS)
        self._history = {CONF_HISTORY: days} if fields.get("history") else {}

    def _keep_history(self) -> None:
        """What the subentry keeps beside the bridge's own configuration."""
        subentry = self._get_reconfigure_subentry()
        data = {key: value for key, value in subentry.data.items() if key != CONF_HISTORY}
        data |= self._history or {}
        self.hass.config_entries.async_update_subentry(self._get_entry(), subentry, data=data)

    def _history_days(self) -> int:
        """As the person chose it; for a new meter, where it has a load profile."""
        if self._reconfiguring:
            return int(self._get_reconfigure_subentry().data.get(CONF_HISTORY) or 0)
        return HISTORY_DAYS if any(row["obis"] == LOAD_PROFILE for row in self._objects) else 0

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

        @callback
        def on_change(event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
            changed.set()

        unsubscribe = self.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, on_change)
        try:
            async with asyncio.timeout(DEVICE_WAIT):
                while (device := find_device(self.hass, self._meter)) is None:
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return None
        finally:
            unsubscribe()
        return device

    # Reconfigure

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What shall be changed?"""
        if (reason := self._obstacle()) and reason != "management_off":
            return self.async_abort(reason=reason)
        self._meter = str(self._get_reconfigure_subentry().unique_id)
        if self._meter not in self._bridge.managed:
            return await self.async_step_history()
        if reason:
            return self.async_abort(reason=reason)
        try:
            self._before = await self._bridge.meter_config(self._meter)
        except ApiError as error:
            return self.async_abort(reason="no_configuration", description_placeholders=details(error))
        self._config = masked(self._before)
        return self.async_show_menu(step_id="reconfigure", menu_options=["objects", "access", "line"])

    async def async_step_history(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Of a meter that stands in the bridge's own file only this is ours to change."""
        if user_input is not None:
            self._take_history(user_input)
            self._keep_history()
            return self.async_abort(reason="reconfigure_successful")
        days = self._history_days()
        shown = {"history": bool(days), "history_days": days or HISTORY_DAYS}
        return self.async_show_form(
            step_id="history", data_schema=self.add_suggested_values_to_schema(HISTORY_SCHEMA, shown)
        )

    async def async_step_line(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """The meter moved to another line."""
        return self.async_show_menu(step_id="line", menu_options=LINES)

    # Progress

    async def _progress(
        self, step: str, work: Callable[[], Coroutine[Any, Any, None]], *, done: str, failed: str
    ) -> SubentryFlowResult:
        if self._task is None:
            self._task = self.hass.async_create_task(self._run(work), eager_start=False)
        if not self._task.done():
            return self.async_show_progress(step_id=step, progress_action=step, progress_task=self._task)
        self._task = None
        return self.async_show_progress_done(next_step_id=failed if self._failure else done)

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
        done, total = data.get("done"), data.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            update = getattr(self, "async_update_progress", None)  # newer than 2025.4
            if update:
                update(min(done / total, 1.0))
