"""What the component knows of one bridge: its retained topics, and the meters that follow from them.

The bridge is the truth. Its managed meters become config subentries by themselves; what a person adds or removes in
Home Assistant is asked of the bridge first, and comes back if the bridge did not agree.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from awesomeversion import AwesomeVersion, AwesomeVersionException
from homeassistant.components import mqtt
from homeassistant.components.mqtt import ReceiveMessage
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.issue_registry import IssueSeverity
from homeassistant.helpers.start import async_at_started

from .api import ApiError, BridgeApi, Json, as_object, as_rows, parse_object
from .const import (
    API_VERSION,
    CONF_BASE_TOPIC,
    CONF_BRIDGE,
    CONF_METER,
    DOMAIN,
    MINIMUM_BRIDGE,
    SETUP_WAIT,
)
from .errors import sentence
from .history import History
from .problems import METER_RULES, Problem, Problems, error_of
from .seal import seal
from .subentries import Subentries, meter_subentries

_LOGGER = logging.getLogger(__name__)

type DlmsMqttConfigEntry = ConfigEntry[BridgeCoordinator]


class BridgeCoordinator:
    """One bridge: state, info and health as last published; subentries, repairs and re-authentication from them."""

    def __init__(self, hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> None:
        self.hass = hass
        self.entry = entry
        self.api = BridgeApi(hass, entry.data[CONF_BASE_TOPIC], entry.data[CONF_BRIDGE])
        self.problems = Problems(hass, entry.data[CONF_BRIDGE])
        self.history = History(hass, self)
        self.info: Json = {}
        self.health: Json = {}
        self.online: bool | None = None
        self._subentries = Subentries(hass, entry, self)
        self._language = hass.config.language  # that our entities are named in
        self._told: tuple[str, str] | None = None  # which start of the bridge knows which language of ours
        self._running = False
        self._ready = asyncio.Event()
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._listeners: set[CALLBACK_TYPE] = set()

    # Life

    async def start(self) -> None:
        """Subscribe and wait for the bridge's retained info and state; ConfigEntryNotReady without them."""
        await self.api.subscribe()
        handlers: dict[str, Callable[[ReceiveMessage], None]] = {
            "state": self._on_state,
            "info": self._on_info,
            "health": self._on_health,
        }
        for name, handler in handlers.items():
            topic = f"{self.api.base}/bridge/{self.api.bridge}/{name}"
            self._unsubscribe.append(await mqtt.async_subscribe(self.hass, topic, handler, 1))
        try:
            async with asyncio.timeout(SETUP_WAIT):
                await self._ready.wait()
        except TimeoutError:
            raise ConfigEntryNotReady(
                translation_domain=DOMAIN,
                translation_key="bridge_not_found",
                translation_placeholders={"bridge": self.api.bridge, "topic": self.api.base},
            ) from None
        self._running = True
        self._subentries.start()
        self.refresh()
        self._unsubscribe.append(self.hass.bus.async_listen(EVENT_CORE_CONFIG_UPDATE, self._look_at_language))
        self._unsubscribe.append(async_at_started(self.hass, self._started))

    @callback
    def _started(self, _hass: HomeAssistant) -> None:
        self.history.start()

    @callback
    def stop(self) -> None:
        """Let go of the broker; repairs of an entry that is not loaded would never be cured."""
        self._running = False
        self.history.stop()
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self.api.close()
        self.problems.clear()

    # What the bridge is

    @property
    def busy(self) -> set[str]:
        """Meters that a flow is adding or giving secrets, or a removal is taking away."""
        return self._subentries.busy

    @property
    def compatible(self) -> bool:
        """Does the bridge speak the API that we speak?"""
        return self._compatibility() is None

    @property
    def management(self) -> bool:
        """Does the bridge let us add and change meters?"""
        return bool(self.info.get("management"))

    @property
    def meters(self) -> dict[str, Json]:
        """Every meter of the bridge by id: ``{id, name, managed}``."""
        return {str(row["id"]): row for row in as_rows(self.info.get("meters")) if row.get("id")}

    @property
    def managed(self) -> dict[str, str]:
        """The names of the meters that live in the bridge's state directory, by id."""
        return {meter: str(row.get("name") or meter) for meter, row in self.meters.items() if row.get("managed")}

    def identifier(self, meter: str) -> str | None:
        """What MQTT discovery calls the meter's device; None: the bridge has not told it yet. Old bridges never do."""
        told = self.meters.get(meter, {}).get("device", f"{DOMAIN}_{meter}")
        return None if told is None else str(told)

    def device(self, meter: str) -> dr.DeviceEntry | None:
        """The meter's device, which belongs to the MQTT integration."""
        return find_device(self.hass, self.identifier(meter))

    async def meter_config(self, meter: str) -> Json:
        """A meter's configuration as the bridge has it, without secrets; ApiError."""
        config = (await self.meter_configs()).get(meter)
        if not isinstance(config, dict):
            raise ApiError("unknown-meter")
        return config

    async def meter_configs(self) -> Json:
        """The same of all meters, by id."""
        return as_object((await self.api.request("config")).get("meters"))

    def seal(self, secret: str, meter: str, connection: Json) -> str:
        """Seal a secret to this bridge, for a meter and its line; ApiError when the bridge's key is unusable."""
        try:
            return seal(secret, str(self.info.get("seal")), meter, connection)
        except ValueError:
            raise ApiError("security-error", detail={"reason": "seal"}) from None

    def _compatibility(self) -> Problem | None:
        api, version = self.info.get("api"), str(self.info.get("version") or "?")
        placeholders = {"bridge": self.api.bridge, "version": version, "minimum": MINIMUM_BRIDGE}
        if isinstance(api, int) and api > API_VERSION:
            return Problem("bridge_too_new", self.api.bridge, placeholders)
        if api != API_VERSION or _is_older(version, MINIMUM_BRIDGE):
            return Problem("bridge_too_old", self.api.bridge, placeholders)
        return None

    # Messages

    @callback
    def _on_state(self, message: ReceiveMessage) -> None:
        online = message.payload == "online"
        if online != self.online and (self.online is not None or not online):
            _LOGGER.info("Bridge %s is %s", self.api.bridge, "available again" if online else "unavailable")
        self.online = online
        self._look_ready()
        self._speak()
        self.changed()

    def _look_ready(self) -> None:
        if self.info and self.online is not None:
            self._ready.set()

    @callback
    def _on_info(self, message: ReceiveMessage) -> None:
        if (info := parse_object(message.payload)) is not None:
            if self.info.get("started") not in (None, info.get("started")):
                self.api.give_up("restarted")
            self.info = info
            self._take_name()
            self._look_ready()
            self.refresh()

    def _take_name(self) -> None:
        """The hub is called as the bridge is, unless a person gave it a name of its own."""
        if (name := self.info.get("name")) and self.entry.title == self.api.bridge:
            self.hass.config_entries.async_update_entry(self.entry, title=str(name))

    @callback
    def _on_health(self, message: ReceiveMessage) -> None:
        if (health := parse_object(message.payload)) is not None:
            self.health = health
            self.refresh()

    @callback
    def refresh(self) -> None:
        """Bring subentries, repairs and re-authentication in line with what the bridge says."""
        if not self._running:
            return
        if self.compatible:
            self._subentries.sync()
            self._sync_reauthentication()
            self.problems.forget(self.managed)
            self.history.meters_changed()
        self.problems.show(self._current_problems())
        self._speak()
        self.changed()

    # Language

    @callback
    def _look_at_language(self, _event: Event) -> None:
        """Our entities get their names when they are added: anew, and the bridge is told as at every start."""
        if self.hass.config.language != self._language:
            self.hass.config_entries.async_schedule_reload(self.entry.entry_id)

    @callback
    def _speak(self) -> None:
        """Every start of the bridge is told our language once: entities are named in it."""
        told = (str(self.info.get("started")), self.hass.config.language)
        if self._running and self.online and self.compatible and told != self._told:
            self._told = told
            self.entry.async_create_background_task(self.hass, self._say_language(), f"{DOMAIN} language")

    async def _say_language(self) -> None:
        try:
            await self.api.request("language", {"language": self.hass.config.language})
        except ApiError as error:  # an older bridge, a full disk
            _LOGGER.debug("%s is not told the language: %s", self.api.bridge, error)

    # Listeners

    @callback
    def listen(self, listener: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call a listener whenever something is known anew; the answer ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    @callback
    def changed(self) -> None:
        """Tell the listeners."""
        for listener in list(self._listeners):
            listener()

    # Meters

    @callback
    def subentries_changed(self) -> None:
        """A person renamed, added or removed a subentry: the bridge follows."""
        self._subentries.changed()
        self.refresh()

    @callback
    def remember(self, meter: str, name: str) -> None:
        """The bridge has taken the meter; its info will say so in a moment."""
        rows = [row for row in as_rows(self.info.get("meters")) if row.get("id") != meter]
        row = self.meters.get(meter, {"device": None}) | {"id": meter, "name": name, "managed": True}
        self.info = {**self.info, "meters": [*rows, row]}

    @callback
    def forget(self, meter: str) -> None:
        """The bridge has removed the meter; its info will say so in a moment."""
        rows = [row for row in as_rows(self.info.get("meters")) if row.get("id") != meter]
        self.info = {**self.info, "meters": rows}

    # Problems

    def _current_problems(self) -> Iterator[Problem]:
        if problem := self._compatibility():
            yield problem
            return
        yield from self._orphans()
        yield from self.history.problems()
        for meter, health in self.meter_health().items():
            yield from self._meter_problems(meter, health)

    def _orphans(self) -> Iterator[Problem]:
        for subentry in meter_subentries(self.entry).values():
            meter = str(subentry.unique_id)
            if meter not in self.meters and meter not in self.busy:
                names = {"meter": subentry.title, "bridge": self.api.bridge}
                yield Problem("orphan", meter, names, fixable=True, data=subentry.subentry_id)

    def _meter_problems(self, meter: str, health: Json) -> Iterator[Problem]:
        name = {"meter": str(self.meters[meter].get("name") or meter)}
        for rule in METER_RULES:
            if (placeholders := rule.test(health)) is not None:
                yield Problem(rule.key, meter, name | placeholders, rule.severity, rule.fixable)
        if _refused(health) and not self.can_change(meter):
            yield Problem("password_refused", meter, name, IssueSeverity.ERROR)

    def meter_health(self) -> dict[str, Json]:
        """The health of each meter that the bridge still has."""
        reported = as_object(self.health.get("meters"))
        return {meter: as_object(reported.get(meter)) for meter in self.meters}

    def can_change(self, meter: str) -> bool:
        """Can the meter's configuration be changed from here?"""
        return self.management and meter in self.managed

    @callback
    def _sync_reauthentication(self) -> None:
        """Ask for the password that a meter refused; take the question back when the meter is content."""
        refused = [
            meter for meter, health in self.meter_health().items() if self.can_change(meter) and _refused(health)
        ]
        active = list(self.entry.async_get_active_flows(self.hass, {SOURCE_REAUTH}))
        for flow in active:
            meter = flow["context"].get("title_placeholders", {}).get(CONF_METER)
            if meter not in refused and meter not in self.busy:  # a flow at work ends by itself, with its result
                self.hass.config_entries.flow.async_abort(flow["flow_id"])
        if refused and not active:
            name = self.managed[refused[0]]
            self.entry.async_start_reauth(
                self.hass,
                context={"source": SOURCE_REAUTH, "title_placeholders": {CONF_METER: refused[0], "name": name}},
                data={CONF_METER: refused[0]},
            )


def _refused(health: Json) -> bool:
    """Does the meter refuse its password, or does its key not fit? Locked out is the same, some attempts later."""
    error = error_of(health)
    return error is not None and sentence(error) in ("authentication_refused", "key_wrong", "locked_out")


def _is_older(version: str, minimum: str) -> bool:
    try:
        return AwesomeVersion(version) < AwesomeVersion(minimum)
    except AwesomeVersionException:
        return True


@callback
def find_device(hass: HomeAssistant, identifier: str | None) -> dr.DeviceEntry | None:
    """The device of an identifier, of whichever entry of the MQTT integration."""
    registry = dr.async_get(hass)
    for entry in hass.config_entries.async_entries(mqtt.DOMAIN):
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            if (mqtt.DOMAIN, identifier) in device.identifiers:
                return device
    return None
