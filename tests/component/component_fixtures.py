"""Fixtures: Home Assistant with a mocked broker that keeps retained messages, and a bridge behind it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fake_bridge import FakeBridge, Message
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowHandler, section
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_mqtt_message

from custom_components.dlms_mqtt.const import CONF_BASE_TOPIC, CONF_BRIDGE, DOMAIN

COMPONENT = Path(__file__).parents[2] / "custom_components" / DOMAIN


@pytest.fixture(autouse=True)
def expected_lingering_timers() -> bool:
    """MQTT keeps a timer of its own."""
    return True


@pytest.fixture(autouse=True)
def _custom(request: pytest.FixtureRequest) -> None:
    """Let Home Assistant find the component; a recorder must be there before Home Assistant is."""
    if "recorder_mock" in request.fixturenames:
        request.getfixturevalue("recorder_mock")
    request.getfixturevalue("enable_custom_integrations")


@pytest.fixture(autouse=True)
def _short_waits() -> Iterator[None]:
    """What is waited for either comes at once or is not coming."""
    module = "custom_components.dlms_mqtt"
    with (
        patch("homeassistant.components.mqtt.client.INITIAL_SUBSCRIBE_COOLDOWN", 0.0),
        patch("homeassistant.components.mqtt.client.SUBSCRIBE_COOLDOWN", 0.0),
        patch(f"{module}.config_flow.DISCOVERY_WAIT", 5.0),
        patch(f"{module}.config_flow.SETTLE", 0.05),
        patch(f"{module}.config_flow.PING_TIMEOUT", 0.3),
        patch(f"{module}.api.REPLY_GRACE", 0.2),
        patch(f"{module}.coordinator.SETUP_WAIT", 30.0),  # only a test without a bridge waits it out, with its own
        patch(f"{module}.bridge_flow.DEVICE_WAIT", 0.5),
    ):
        yield


class Broker:
    """Retained messages for new subscriptions, and the way from Home Assistant's requests to the bridges."""

    def __init__(self, hass: HomeAssistant, client: Any) -> None:
        self.hass = hass
        self.client = client
        self.retained: dict[str, str] = {}
        self.bridges: list[FakeBridge] = []
        self.published: list[str] = []
        self._subscribe = client.subscribe.side_effect
        self._publish = client.publish.side_effect
        client.subscribe.side_effect = self._on_subscribe
        client.publish.side_effect = self._on_publish

    def fire(self, message: Message) -> None:
        """A message of a bridge reaches Home Assistant."""
        if message.retain:
            self.retained[message.topic] = message.payload
        async_fire_mqtt_message(self.hass, message.topic, message.payload)

    def _on_subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        result = self._subscribe(topics, *args, **kwargs)
        filters = [topics] if isinstance(topics, str) else [row[0] for row in topics]
        self.hass.loop.call_soon(self._send_retained, filters)
        return result

    def _send_retained(self, filters: list[str]) -> None:
        for topic, payload in list(self.retained.items()):
            if any(_matches(wanted, topic) for wanted in filters):
                async_fire_mqtt_message(self.hass, topic, payload, 1, True)

    def _on_publish(self, topic: str, payload: Any, *args: Any, **kwargs: Any) -> Any:
        text = payload.decode() if isinstance(payload, bytes) else payload
        self.published.append(f"{topic} {text}")
        for bridge in self.bridges:
            for message in bridge.receive(topic, text):
                self.hass.loop.call_soon(self.fire, message)
        return self._publish(topic, payload, *args, **kwargs)

    def attach(self, bridge: FakeBridge) -> FakeBridge:
        """Connect a bridge: it publishes what it retains and answers from now on."""
        self.bridges.append(bridge)
        for message in (bridge.publish_info(), bridge.publish_state(), bridge.publish_health()):
            self.fire(message)
        return bridge


def _matches(wanted: str, topic: str) -> bool:
    pattern = (
        re.escape(wanted).replace(r"\+", "[^/]+").replace(r"/\#", "(/.*)?").replace(r"\#", ".*").replace("/#", "(/.*)?")
    )
    return re.fullmatch(pattern, topic) is not None


@pytest.fixture
async def broker(hass: HomeAssistant, mqtt_mock: Any, mqtt_client_mock: Any) -> Broker:
    """MQTT is set up in Home Assistant."""
    return Broker(hass, mqtt_client_mock)


@pytest.fixture
async def bridge(broker: Broker) -> FakeBridge:
    """One bridge with management."""
    return broker.attach(FakeBridge())


def make_entry(hass: HomeAssistant, bridge: FakeBridge) -> MockConfigEntry:
    """A config entry for a bridge, not yet set up."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title=bridge.bridge,
        unique_id=bridge.bridge,
        data={CONF_BASE_TOPIC: bridge.base, CONF_BRIDGE: bridge.bridge},
    )
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
async def entry(hass: HomeAssistant, bridge: FakeBridge) -> AsyncIterator[MockConfigEntry]:
    """The bridge, set up."""
    await settle(hass)
    for flow in hass.config_entries.flow.async_progress_by_handler(DOMAIN):
        hass.config_entries.flow.async_abort(flow["flow_id"])  # the discovery of it
    made = make_entry(hass, bridge)
    assert await hass.config_entries.async_setup(made.entry_id)
    await hass.async_block_till_done()
    yield made


async def settle(hass: HomeAssistant) -> None:
    """Until nothing moves any more, background tasks included."""
    for _ in range(3):
        await hass.async_block_till_done(wait_background_tasks=True)


def add_mqtt_device(
    hass: HomeAssistant, meter: str, serial: str | None = None, devices: str = "dlms_mqtt"
) -> dr.DeviceEntry:
    """The device that MQTT discovery would make."""
    mqtt_entry = hass.config_entries.async_entries("mqtt")[0]
    return dr.async_get(hass).async_get_or_create(
        config_entry_id=mqtt_entry.entry_id,
        identifiers={("mqtt", f"{devices}_{meter}")},
        model_id="DLMS",
        serial_number=serial,
    )


# Every text that a flow shows must be translated.

SHOWN: set[str] = set()


def _lookup(texts: dict[str, Any], path: str) -> Any:
    found: Any = texts
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


@pytest.fixture(scope="session")
def english() -> dict[str, Any]:
    """The English texts."""
    texts: dict[str, Any] = json.loads((COMPONENT / "translations" / "en.json").read_text())
    return texts


@pytest.fixture(autouse=True)
def _texts_exist(english: dict[str, Any]) -> Iterator[None]:
    """Check each form, menu, progress, abort and last page that any test shows against the translations."""
    wrapped = ("async_show_form", "async_show_menu", "async_show_progress", "async_abort", "async_create_entry")
    originals = {name: getattr(FlowHandler, name) for name in wrapped}

    def checked(name: str) -> Any:
        def show(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = originals[name](self, *args, **kwargs)
            if type(self).__module__.startswith("custom_components.dlms_mqtt"):
                _check(self, result, english)
            return result

        return show

    with patch.multiple(FlowHandler, **{name: checked(name) for name in wrapped}):
        yield


def _fields(schema: Any, step: str) -> Iterator[str]:
    """The texts of a form's fields, and of its sections with theirs."""
    for key, field in (schema.schema if schema else {}).items():
        if isinstance(field, section):
            yield f"{step}.sections.{key}.name"
            yield from _fields(field.schema, f"{step}.sections.{key}")
        else:
            yield from (f"{step}.{part}.{key}" for part in ("data", "data_description"))


def _check(flow: Any, result: Any, texts: dict[str, Any]) -> None:
    root = "config_subentries.meter" if isinstance(flow.handler, tuple) else "config"
    if flow.handler == DOMAIN and hasattr(flow, "payload"):
        return  # repairs: their texts are checked in test_files.py
    kind = str(getattr(result["type"], "value", result["type"]))
    step = f"{root}.step.{result.get('step_id')}"
    wanted: list[str] = []
    if kind == "form":
        wanted += [f"{step}.title", *_fields(result["data_schema"], step)]
        wanted += [f"{root}.error.{error}" for error in (result["errors"] or {}).values()]
    elif kind == "menu":
        wanted += [f"{step}.title", *(f"{step}.menu_options.{option}" for option in result["menu_options"])]
    elif kind == "progress":
        wanted += [f"{step}.title", f"{root}.progress.{result['progress_action']}"]
    elif kind == "abort":
        wanted.append(f"{root}.abort.{result['reason']}")
    elif kind == "create_entry":
        wanted.append(f"{root}.create_entry.{result['description']}")
    for path in wanted:
        text = _lookup(texts, path)
        assert isinstance(text, str), f"no translation {path}"
        SHOWN.add(path)
        given = set(result.get("description_placeholders") or {})
        assert set(re.findall(r"{(\w+)}", text)) <= given, f"{path} has placeholders that are not given"
