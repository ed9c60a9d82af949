"""The actions: each is a row that turns a call into a request to the meter's bridge and returns its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import voluptuous as vol
from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.typing import VolSchemaType
from homeassistant.util import dt as dt_util

from .api import ApiError, Json
from .const import DOMAIN, HISTORY_DAYS, LONG_TIMEOUT, TEST_TIMEOUT
from .coordinator import BridgeCoordinator
from .errors import to_exception
from .history import LOAD_PROFILE, LONGEST

_OBIS = r"\d+\.\d+\.\d+\.\d+\.\d+(?:\.\d+)?|\d+-\d+:\d+\.\d+\.\d+(?:\*\d+)?"
_REFERENCE = re.compile(rf"(?:(?P<class>\d+)/)?(?P<obis>{_OBIS})(?::(?P<index>\d+))?")

Request = tuple[str, Json]  # the topic's path below the meter, and what is asked


def reference(value: Any) -> str:
    """An object as the command line writes it: ``[CLASS/]OBIS[:ATTRIBUTE]``."""
    text = cv.string(value).strip()
    if not _REFERENCE.fullmatch(text):
        raise vol.Invalid("expected an OBIS code such as 1.0.1.8.0.255 or 1.0.1.8.0.255:2")
    return text


def _address(text: str, index: str) -> Json:
    match = _REFERENCE.fullmatch(text)
    assert match is not None  # the schema has seen to it  # noqa: S101
    parts = {"obis": match["obis"], "class": match["class"], index: match["index"]}
    return {key: value if key == "obis" else int(value) for key, value in parts.items() if value}


def _some(data: Json, *names: str) -> Json:
    return {name: data[name] for name in names if name in data}


def _read(data: Json) -> Request:
    return "request/read", {"items": [_address(text, "attribute") for text in data["objects"]]}


def _write(data: Json) -> Request:
    if "key" in data:
        return f"set/{data['key']}", _some(data, "value", "confirm")
    address = {"attribute": 2, **_address(data["object"], "attribute")}
    return "request/write", address | _some(data, "value", "type", "confirm")


def _invoke(data: Json) -> Request:
    if "action" in data:
        return f"do/{data['action']}", _some(data, "confirm")
    address = {"method": 1, **_address(data["object"], "method")}
    return "request/invoke", address | _some(data, "value", "type", "confirm")


def _moment(value: datetime) -> str:
    """ISO 8601 with offset; a time without a zone is one of Home Assistant's."""
    return dt_util.as_local(value).isoformat()


def _get_profile(data: Json) -> Request:
    times = {name: _moment(data[key]) for name, key in (("from", "start"), ("to", "end")) if key in data}
    return "request/profile", _some(data, "obis", "key", "first", "count") | times


def _set_clock(data: Json) -> Request:
    return "request/clock", {"set": _moment(data["time"]) if "time" in data else True}


def _poll(data: Json) -> Request:
    return "request/poll", _some(data, "keys")


def _pause(data: Json) -> Request:
    return ("request/pause", {"minutes": data["minutes"]}) if data["minutes"] else ("request/resume", {})


async def _import_history(bridge: BridgeCoordinator, meter: str, data: Json) -> Json:
    if "recorder" not in bridge.hass.config.components:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="no_recorder")
    now = dt_util.utcnow()
    start = dt_util.as_utc(data["start"]) if "start" in data else now - timedelta(days=HISTORY_DAYS)
    end = dt_util.as_utc(data["end"]) if "end" in data else now
    if not start < end or end - start > timedelta(days=LONGEST):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_period")
    done = await bridge.history.fill(meter, start, end, obis=data["obis"], repair=data["repair"])
    return {"entities": done}


def _one_device(value: Any) -> str:
    """The device; a target in YAML makes a list of it."""
    devices = cv.ensure_list(value)
    if len(devices) != 1:
        raise vol.Invalid("expected one device")
    return cv.string(devices[0])


def _schema(fields: dict[Any, Any], *rules: Callable[[Any], Any]) -> VolSchemaType:
    return vol.All(vol.Schema({vol.Required("device_id"): _one_device, **fields}), *rules)


KEY = vol.All(cv.string, vol.Match(r"^[a-z0-9_]+$"))
_VALUE = vol.Any(bool, int, float, str, list, dict)
_CONFIRM = {vol.Optional("confirm"): cv.string, vol.Optional("type"): cv.string}


@dataclass(frozen=True, slots=True)
class Action:
    """One action: how a call is checked and what is asked of the meter."""

    name: str
    schema: VolSchemaType
    build: Callable[[Json], Request] | None  # None: not one request, but a fill
    response: SupportsResponse = SupportsResponse.OPTIONAL
    timeout: float = TEST_TIMEOUT

    async def run(self, bridge: BridgeCoordinator, meter: str, data: Json) -> Json:
        """The answer to a checked call; ApiError."""
        if self.build is None:
            return await _import_history(bridge, meter, data)
        path, request = self.build(data)
        return await bridge.api.command(meter, path, request, timeout=self.timeout)


ACTIONS: tuple[Action, ...] = (
    Action(
        "read",
        _schema({vol.Required("objects"): vol.All(cv.ensure_list, vol.Length(min=1), [reference])}),
        _read,
        SupportsResponse.ONLY,
    ),
    Action(
        "write",
        _schema(
            {
                vol.Exclusive("key", "target"): KEY,
                vol.Exclusive("object", "target"): reference,
                vol.Required("value"): _VALUE,
                **_CONFIRM,
            },
            cv.has_at_least_one_key("key", "object"),
        ),
        _write,
    ),
    Action(
        "invoke",
        _schema(
            {
                vol.Exclusive("action", "target"): KEY,
                vol.Exclusive("object", "target"): reference,
                vol.Optional("value"): _VALUE,
                **_CONFIRM,
            },
            cv.has_at_least_one_key("action", "object"),
        ),
        _invoke,
    ),
    Action(
        "get_profile",
        _schema(
            {
                vol.Exclusive("key", "target"): KEY,
                vol.Exclusive("obis", "target"): reference,
                vol.Optional("start"): cv.datetime,
                vol.Optional("end"): cv.datetime,
                vol.Optional("first"): cv.positive_int,
                vol.Optional("count"): cv.positive_int,
            },
            cv.has_at_least_one_key("key", "obis"),
        ),
        _get_profile,
        SupportsResponse.ONLY,
        LONG_TIMEOUT,
    ),
    Action(
        "import_history",
        _schema(
            {
                vol.Optional("start"): cv.datetime,
                vol.Optional("end"): cv.datetime,
                vol.Optional("obis", default=LOAD_PROFILE): reference,
                vol.Optional("repair", default=False): cv.boolean,
            }
        ),
        None,
    ),
    Action("set_clock", _schema({vol.Optional("time"): cv.datetime}), _set_clock),
    Action("poll", _schema({vol.Optional("keys"): vol.All(cv.ensure_list, [KEY])}), _poll),
    Action("pause", _schema({vol.Required("minutes"): vol.All(vol.Coerce(int), vol.Range(0, 1440))}), _pause),
)


@callback
def register_services(hass: HomeAssistant) -> None:
    """Register every row."""
    for action in ACTIONS:
        hass.services.async_register(
            DOMAIN, action.name, _handler(hass, action), schema=action.schema, supports_response=action.response
        )


def _handler(hass: HomeAssistant, action: Action) -> Callable[[ServiceCall], Any]:
    async def handle(call: ServiceCall) -> ServiceResponse:
        meter, bridge = _find_meter(hass, call.data["device_id"])
        try:
            answer = await action.run(bridge, meter, dict(call.data))
        except ApiError as error:
            raise to_exception(error, meter) from error
        return answer if call.return_response else None

    return handle


@callback
def _find_meter(hass: HomeAssistant, device_id: str) -> tuple[str, BridgeCoordinator]:
    """The meter behind a device of the MQTT integration, and its bridge; ServiceValidationError."""
    device = dr.async_get(hass).async_get(device_id)
    names = {name for domain, name in device.identifiers if domain == mqtt.DOMAIN} if device else set()
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        bridge: BridgeCoordinator = entry.runtime_data
        for meter in bridge.meters:
            if bridge.identifier(meter) in names:
                _check_bridge(bridge)
                return meter, bridge
    raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_a_meter")


def _check_bridge(bridge: BridgeCoordinator) -> None:
    placeholders = {"bridge": bridge.api.bridge}
    if not bridge.compatible:
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="incompatible", translation_placeholders=placeholders
        )
    if not bridge.online:
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="bridge_offline", translation_placeholders=placeholders
        )
