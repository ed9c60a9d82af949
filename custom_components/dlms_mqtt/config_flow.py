"""Adding a bridge (found on the broker, or by its base topic), moving it, and giving a refused password again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import voluptuous as vol
from homeassistant.components import mqtt
from homeassistant.components.mqtt import ReceiveMessage
from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigFlow, ConfigFlowResult, ConfigSubentryFlow
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.selector import SelectOptionDict, SelectSelector, SelectSelectorConfig
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo

from .api import ApiError, BridgeApi, Json, as_object, parse_object
from .const import (
    API_VERSION,
    CONF_BASE_TOPIC,
    CONF_BRIDGE,
    CONF_METER,
    DEFAULT_BASE_TOPIC,
    DISCOVERY_WAIT,
    DOMAIN,
    SETTLE,
    SUBENTRY_METER,
    TEST_TIMEOUT,
)
from .coordinator import DlmsMqttConfigEntry
from .errors import details, sentence
from .forms import REAUTH_SCHEMA
from .meter_config import outgoing, secret_errors, with_access
from .meter_flow import MeterFlow

MQTT_URL = "/config/integrations/dashboard/add?domain=mqtt"
PING_TIMEOUT = 5.0


class DlmsMqttConfigFlow(ConfigFlow, domain=DOMAIN):
    """One entry per bridge; the unique id is the bridge's id."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        self._base = DEFAULT_BASE_TOPIC
        self._found: dict[str, Json] = {}
        self._info: Json = {}

    @classmethod
    @callback
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Meters are subentries of their bridge."""
        return {SUBENTRY_METER: MeterFlow}

    # Discovery

    async def async_step_mqtt(self, discovery_info: MqttServiceInfo) -> ConfigFlowResult:
        """A bridge's info was seen on the broker."""
        info = parse_object(discovery_info.payload)
        parts = discovery_info.topic.rsplit("/", 3)
        if not info or len(parts) != 4 or info.get("bridge") != parts[2]:
            return self.async_abort(reason="invalid_discovery_info")
        self._base, self._info = parts[0], info
        if entry := await self.async_set_unique_id(info["bridge"]):
            return await self._moved(entry)
        if info.get("api") != API_VERSION:
            return self.async_abort(reason="incompatible")
        self.context["title_placeholders"] = {"name": str(info.get("name") or info["bridge"])}
        return await self._confirm()

    async def _moved(self, entry: ConfigEntry) -> ConfigFlowResult:
        """A known bridge under another base: believed when it answers there, and no longer where it was.

        Old retained topics stay behind, and another bridge may have been given the same id.
        """
        old = entry.data[CONF_BASE_TOPIC]
        if old != self._base and await self._answers(self._base) and not await self._answers(old):
            self._abort_if_unique_id_configured({CONF_BASE_TOPIC: self._base}, reload_on_update=False)
        return self.async_abort(reason="already_configured")

    # By hand

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the base topic and look for bridges under it."""
        return await self._base_topic_step("user", user_input)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The bridge's base topic was changed: enter the new one."""
        return await self._base_topic_step("reconfigure", user_input)

    async def _base_topic_step(self, step: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        if not await mqtt.async_wait_for_mqtt_client(self.hass):
            return self.async_abort(reason="mqtt_missing", description_placeholders={"mqtt_url": MQTT_URL})
        errors: dict[str, str] = {}
        if step == "reconfigure" and user_input is None:
            self._base = self._get_reconfigure_entry().data[CONF_BASE_TOPIC]
        if user_input is not None:
            self._base = user_input[CONF_BASE_TOPIC].strip().strip("/")
            if error := await self._look():
                errors[CONF_BASE_TOPIC] = error
            else:
                return await (self._move() if step == "reconfigure" else self.async_step_pick())
        schema = vol.Schema({vol.Required(CONF_BASE_TOPIC, default=self._base): str})
        return self.async_show_form(step_id=step, data_schema=schema, errors=errors)

    async def _look(self) -> str | None:
        """Find the bridges under the base; the error when there is none that we want."""
        try:
            mqtt.valid_publish_topic(self._base)
        except vol.Invalid:
            return "invalid_topic"
        self._found = await find_bridges(self.hass, self._base)
        if self.source == "reconfigure" and self._get_reconfigure_entry().unique_id not in self._found:
            return "other_bridge" if self._found else "no_bridge"
        return None if self._found else "no_bridge"

    async def _move(self) -> ConfigFlowResult:
        entry = self._get_reconfigure_entry()
        # The entry's update listener reloads: a flow that reloads as well is an error in newer versions.
        self.hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_BASE_TOPIC: self._base})
        return self.async_abort(reason="reconfigure_successful")

    async def async_step_pick(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Choose one of several bridges."""
        configured = self._async_current_ids()
        new = [bridge for bridge in self._found if bridge not in configured]
        if not new:
            return self.async_abort(reason="already_configured")
        if user_input is None and len(new) > 1:
            options = [SelectOptionDict(value=bridge, label=bridge) for bridge in new]
            selector = SelectSelector(SelectSelectorConfig(options=options))
            return self.async_show_form(step_id="pick", data_schema=vol.Schema({vol.Required(CONF_BRIDGE): selector}))
        self._info = self._found[user_input[CONF_BRIDGE] if user_input else new[0]]
        await self.async_set_unique_id(self._info["bridge"], raise_on_progress=False)
        self._abort_if_unique_id_configured()
        if self._info.get("api") != API_VERSION:
            return self.async_abort(reason="incompatible")
        return await self._confirm()

    # Confirmation

    async def _confirm(self) -> ConfigFlowResult:
        return await (
            self.async_step_confirm() if self._info.get("management") else self.async_step_confirm_read_only()
        )

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add the bridge on a click."""
        return await self._confirm_step("confirm", user_input)

    async def async_step_confirm_read_only(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The same for a bridge without management; the page says how to change that."""
        return await self._confirm_step("confirm_read_only", user_input)

    async def _confirm_step(self, step: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        bridge, errors = self._info["bridge"], {}
        if user_input is not None:
            if await self._answers(self._base):
                data = {CONF_BASE_TOPIC: self._base, CONF_BRIDGE: bridge}
                return self.async_create_entry(
                    title=str(self._info.get("name") or bridge),
                    data=data,
                    description="default" if self._info.get("management") else "read_only",
                    description_placeholders={"bridge": bridge},
                )
            errors["base"] = "no_reply"
        placeholders = {
            "bridge": bridge,
            "version": str(self._info.get("version")),
            "meters": str(len(self._info.get("meters") or ())),
            "topic": self._base,
        }
        return self.async_show_form(
            step_id=step, data_schema=vol.Schema({}), errors=errors, description_placeholders=placeholders
        )

    async def _answers(self, base: str) -> bool:
        """Does the bridge answer a ping under this base topic?"""
        api = BridgeApi(self.hass, base, self._info["bridge"])
        try:
            await api.subscribe()
            await find_bridges(self.hass, base)  # its retained answer proves that we are subscribed
            await api.request("ping", timeout=PING_TIMEOUT)
        except (ApiError, HomeAssistantError):  # HomeAssistantError: MQTT was removed meanwhile
            return False
        finally:
            api.close()
        return True

    # Re-authentication

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """A meter refused its password or key."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for new secrets and test them once: every wrong attempt brings the meter nearer to a lock."""
        entry: DlmsMqttConfigEntry = self._get_reauth_entry()
        meter = self.context["title_placeholders"][CONF_METER]
        errors: dict[str, str] = {}
        placeholders = {"meter": self.context["title_placeholders"]["name"], **details(ApiError(""))}
        if user_input is not None and not (errors := secret_errors(user_input)):
            try:
                await _give_secrets(entry, meter, user_input)
            except ApiError as error:
                errors, placeholders = {"base": sentence(error)}, placeholders | details(error)
            else:
                return self.async_abort(reason="reauth_successful")
        return self.async_show_form(
            step_id="reauth_confirm", data_schema=REAUTH_SCHEMA, errors=errors, description_placeholders=placeholders
        )


async def _give_secrets(entry: DlmsMqttConfigEntry, meter: str, fields: dict[str, Any]) -> None:
    """Test the meter with new secrets, then keep them; ApiError."""
    if entry.state is not ConfigEntryState.LOADED:
        raise ApiError("no-reply")
    bridge = entry.runtime_data
    bridge.busy.add(meter)
    try:
        config = await bridge.meter_config(meter)
        connection = as_object(config.get("connection"))
        connection = connection | with_access({}, fields, lambda secret: bridge.seal(secret, meter, connection))
        request = {"meter": meter, "config": outgoing({**config, "connection": connection})}
        await bridge.api.request("meter/validate", request, timeout=TEST_TIMEOUT)
        await bridge.api.request("meter/update", request)
    finally:
        bridge.busy.discard(meter)


async def find_bridges(hass: HomeAssistant, base: str) -> dict[str, Json]:
    """The info of every bridge under a base topic, by id; their topics are retained."""
    found: dict[str, Json] = {}
    seen = asyncio.Event()

    @callback
    def received(message: ReceiveMessage) -> None:
        info = parse_object(message.payload)
        bridge = message.topic.split("/")[-2]
        if info and info.get("bridge") == bridge:
            found[bridge] = info
            seen.set()

    unsubscribe = await mqtt.async_subscribe(hass, f"{base}/bridge/+/info", received, 1)
    try:
        async with asyncio.timeout(DISCOVERY_WAIT):
            await seen.wait()
            await asyncio.sleep(SETTLE)
    except TimeoutError:
        pass
    finally:
        unsubscribe()
    return found
