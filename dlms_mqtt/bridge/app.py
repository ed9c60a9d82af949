"""The bridge, wired: configuration, store, broker and meters; starts, reloads and ends them.

A task that fails is reported and restarted with a growing pause; it never takes the process down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlms_mqtt import __version__
from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.api.topics import Address, Topics
from dlms_mqtt.bridge.config.load import ConfigMistakes, Loaded, Presets, load_config
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.bridge.config.sections import Config
from dlms_mqtt.bridge.homeassistant.discovery import Device, bridge_identifier, bridge_payload
from dlms_mqtt.bridge.meters.association import CLOCK_SET
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.health import bridge_health, meter_health, signature
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.publisher import Context, clear_meter, put_to_sleep
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.client import Will, tls_context
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.tasks import end_all
from dlms_mqtt.bridge.presence.leftovers import Former
from dlms_mqtt.bridge.presence.presence import Presence
from dlms_mqtt.bridge.requests.bridge_verbs import BridgeRequests
from dlms_mqtt.bridge.requests.dispatcher import Commands, Handler
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.bridge.systemd import Notifier
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, StoreError
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_RESTARTS = (1.0, 5.0, 30.0, 120.0, 600.0)  # s before a task that failed is started again
_WATCH = 1.0  # s between looks at the files
_STORE_AGAIN = 5.0  # s between looks whether the state file can be used
_FLUSH = 3.0  # s for the last words
STATE_FILE = "state.sqlite"


class BridgeTaken(ConfigError):
    """Another live bridge on this broker has our id."""


class App:
    """One bridge. ``run`` returns when ``stop`` is called; ConfigError at the start, BridgeTaken any time."""

    version = __version__

    def __init__(
        self,
        path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        presets: Presets = preset_connection,
        clock: Clock | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._path, self._environment = path, os.environ if environment is None else environment
        self.presets, self.clock, self._random = presets, clock or Clock(), random
        self.loaded: Loaded = load_config(path, presets, self._environment)
        self.started = datetime.fromtimestamp(self.clock.time(), UTC).isoformat()
        self._stop, self._restart, self._taken = asyncio.Event(), False, ""
        self._refused: dict[str, str] = {}  # meters that another bridge holds
        self._seen: dict[Path, int] = {}  # the files as they were last loaded
        self._told: Any = None  # what the last health message said

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.loaded.config

    @property
    def meters(self) -> dict[str, MeterTask]:
        """The meters at work."""
        return self.fleet.meters

    # -- life ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End ``run``; may be called from a signal handler of the loop."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``; starts anew when the broker's or the bridge's own configuration changed."""
        while True:
            await self._serve()
            if self._taken:
                raise BridgeTaken(self._taken, hint="Give this bridge another bridge.id.")
            if not self._restart:
                return
            self._restart = False
            self._stop.clear()

    async def _serve(self) -> None:
        for warning in self.loaded.warnings:
            _LOG.warning("%s", warning)
        if self.config.mqtt.tls:
            tls_context(self.config.mqtt.tls)  # a wrong file is told at once
        self._open_state()
        try:
            self._wire()
            await self._work()
        finally:
            self.store.close()

    def _open_state(self) -> None:
        folder = self.config.bridge.state_dir
        self._store_trouble = ""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.seal = SealKey.load(folder / "seal.key", self._random)
        except (OSError, ValueError) as error:
            raise ConfigError(f"state_dir {folder} cannot be used: {error}", key="bridge.state_dir") from None
        try:
            self.store = Store(folder / STATE_FILE)
        except StoreError as error:
            if "damaged" in error.message:
                raise
            _LOG.error("%s; going on without a memory", error.message)
            self._store_trouble, self.store = error.message, Store(MEMORY)

    def _wire(self) -> None:
        config = self.config
        self.topics = Topics(config.mqtt.base_topic, config.bridge.id, config.mqtt.discovery.prefix)
        self.outbox = Outbox(self.store, config.bridge.unsent)
        client_id = config.mqtt.client_id or f"dlms_mqtt-{config.bridge.id}-{self._random(3).hex()}"
        self.broker = Broker(config.mqtt, client_id, Will(self.topics.state, "offline"), self.outbox, self)
        self.requests = BridgeRequests(self)
        self.commands = Commands(self.topics, self._find, self.broker.reply, self.clock)
        self.context = Context(self.topics, config.mqtt.discovery, self, self.store, self.clock, __version__)
        self.fleet = Fleet(self.context, config.bridge, self._environment, self._random, self._supervised)
        self.former = Former(config, self.context, self.broker)
        self.presence = Presence(
            self.topics, self.started, self.broker, self.fleet, self.former.clear(), self._give_way, self._refuse_meter
        )
        self._notifier = Notifier(self._environment)

    async def _work(self) -> None:
        self._publish_bridge()
        background = [
            self._supervised("broker", self.broker.run),
            self._supervised("expiry", self.fleet.expire),
            self._supervised("health", self._tell_health),
            self._supervised("pushes", self.fleet.pushes.run),
            self._supervised("watchdog", self._notifier.watchdog),
            self._supervised("store", self._watch_store),
            *([self._supervised("files", self._watch_files)] if self.config.bridge.watch_files else []),
        ]
        try:
            for name in self.config.meters:
                await self._start_meter(name)
            self.former.remember(self.config.meters)
            self._notifier.send("READY=1", f"STATUS={len(self.meters)} meters")
            await self._stop.wait()
        finally:
            await self._end(background)

    async def _end(self, background: list[asyncio.Task[None]]) -> None:
        self._notifier.send("STOPPING=1")
        await self.commands.close()
        for name in list(self.fleet.running):
            await self.fleet.stop(name)
        self.broker.retain(self.topics.state, "offline")
        await self.broker.flush(_FLUSH)
        self._settle_former()
        await end_all(background)

    def _settle_former(self) -> None:
        if self.broker.connected and not self._taken:
            self.former.settle(self.config.meters)

    def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._supervise(name, run), name=name)

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began = self.clock.monotonic()
            try:
                return await run()
            except ConfigError as error:
                _LOG.error("%s: %s", name, error.message)
            except Exception:
                _LOG.exception("%s failed and is started again", name)
            failures = 0 if self.clock.monotonic() - began > _RESTARTS[-1] else failures + 1
            await asyncio.sleep(_RESTARTS[min(failures, len(_RESTARTS)) - 1])

    # -- meters -------------------------------------------------------------------------------------------------------

    async def _start_meter(self, name: str) -> None:
        config = self.config.meters[name]
        if self.presence.ready and (holder := await self.presence.claims.holder(name)):
            await self._refuse_meter(name, holder)
        if name in self._refused:
            return
        if not config.enabled:
            self.presence.asleep.add(name)
            put_to_sleep(name, self.context)
            return
        self.presence.asleep.discard(name)
        await self.fleet.start(name, config, self.loaded.connections[name], self.loaded.scalers[name])
        if self.presence.ready:
            await self.broker.subscribe(self.presence.filters(name))

    async def _stop_meter(self, name: str) -> None:
        if name in self.fleet.running:
            await self.fleet.stop(name)
        if self.presence.ready and self.broker.connected:
            await self.broker.unsubscribe(self.presence.filters(name))

    async def _refuse_meter(self, name: str, holder: str) -> None:
        sentence = f"{name}: the meter id is held by the bridge '{holder}'"
        _LOG.error("%s; it is not started", sentence)
        self._refused[name] = sentence
        await self._stop_meter(name)
        self.broker.forget_below(self.topics.meter(name).root, self.topics.discovery(Device(name, "").identifier))
        self._publish_bridge()

    def _give_way(self, sentence: str) -> None:
        _LOG.error("%s", sentence)
        self._taken = sentence
        self.broker.silence()
        self._stop.set()

    # -- publishing (the meters' Publisher) ---------------------------------------------------------------------------

    def retain(self, topic: str, payload: str) -> None:
        """Publish retained."""
        self.broker.retain(topic, payload)

    def store_and_forward(self, topic: str, message: Mapping[str, Any]) -> None:
        """Publish through the outbox; ``seq`` is added."""
        self.outbox.put(topic, lambda seq: dumps({"seq": seq, **message}))
        self.broker.outbox_filled()

    def keep(self) -> None:
        """Let what was handed over survive a kill."""
        self.outbox.spill()

    def _publish_bridge(self) -> None:
        self.broker.retain(self.topics.info, dumps(self._info()))
        self.broker.retain(self.topics.state, "online")
        discovery = self.config.mqtt.discovery
        if discovery.enabled:
            payload = bridge_payload(self.topics, self.config.bridge.name, __version__, discovery.language)
            self.broker.retain(self.topics.discovery(bridge_identifier(self.config.bridge.id)), dumps(payload))

    def _info(self) -> dict[str, Any]:
        rows = [
            {"id": name, "name": meter.name or name, "managed": name in self.loaded.managed}
            for name, meter in self.config.meters.items()
            if name not in self._refused
        ]
        return {
            "api": 1,
            "version": __version__,
            "bridge": self.config.bridge.id,
            "started": self.started,
            "management": self.config.bridge.management,
            "meters": rows,
            "seal": self.seal.public,
        }

    # -- the broker's side --------------------------------------------------------------------------------------------

    async def broker_connected(self) -> None:
        """The line is up; nothing retained has been sent yet."""
        await self.presence.look_around()

    def broker_message(self, message: Message) -> None:
        """One message, whatever it is."""
        if not self.presence.seen(message):
            self.commands.receive(message)

    def _find(self, address: Address) -> Handler:
        if not address.meter:
            return self.requests.find(address.name)
        if address.meter not in self.meters:
            raise RequestError("unknown-meter", f"There is no meter '{address.meter}'")
        return MeterRequests(self.meters[address.meter], self.fleet.pause).find(address.verb, address.name)

    # -- reload -------------------------------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Read the configuration again; what changed. RequestError when it is wrong (the running one stays)."""
        self._seen = self._stamps()
        try:
            self._refuse_empty()
            fresh = load_config(self._path, self.presets, self._environment)
        except ConfigMistakes as error:
            _LOG.error("The configuration was not reloaded:\n%s", error.message)
            rows = [{"key": item.key, "message": item.message} for item in error.mistakes]
            raise RequestError("invalid-value", error.message, detail={"mistakes": rows}) from None
        old, self.loaded = self.loaded, fresh
        self._seen = self._stamps() if fresh.files != old.files else self._seen
        changed = await self._apply(old, fresh)
        _LOG.info("Configuration reloaded; changed: %s", ", ".join(changed) or "nothing")
        return changed

    def _refuse_empty(self) -> None:
        """An editor or a full disk has cut the file: that is no wish to remove everything."""
        if self._path.exists() and not self._path.stat().st_size:
            raise ConfigMistakes([ConfigError("the file is empty", file=str(self._path), line=1)])

    async def _apply(self, old: Loaded, fresh: Loaded) -> list[str]:
        if (old.config.bridge, old.config.mqtt) != (fresh.config.bridge, fresh.config.mqtt):
            self._restart = True
            asyncio.get_running_loop().call_later(0.5, self._stop.set)  # the reply goes out first
            return ["bridge"]
        changed = [name for name in {**old.config.meters, **fresh.config.meters} if _differs(name, old, fresh)]
        for name in changed:
            await self._replace_meter(name, fresh)
        self._publish_bridge()
        self.former.remember(self.config.meters)
        return changed

    async def _replace_meter(self, name: str, fresh: Loaded) -> None:
        self._refused.pop(name, None)
        meter = self.meters.get(name)
        keys = list(meter.output.state.fresh(0)) if meter else []
        if meter:
            await self._stop_meter(name)
        for key in keys:
            self.broker.retain(self.topics.meter(name).value(key), "")
        if name in fresh.config.meters:
            await self._start_meter(name)
        else:
            self.presence.asleep.discard(name)
            clear_meter(name, self.context, keys)

    async def _watch_files(self) -> None:
        self._seen = before = self._stamps()
        while True:
            await asyncio.sleep(_WATCH)
            now = self._stamps()
            if now == before != self._seen:  # what still changes is still being written
                with contextlib.suppress(RequestError):
                    await self.reload()
            before = now

    def _stamps(self) -> dict[Path, int]:
        files = {self._path, *self.loaded.files, *self.config.bridge.state_dir.glob("meters/*.yaml")}
        return {file: file.stat().st_mtime_ns for file in files if file.exists()}

    async def _watch_store(self) -> None:
        """Start anew with a memory as soon as there can be one."""
        while self._store_trouble:
            await asyncio.sleep(_STORE_AGAIN)
            try:
                Store(self.config.bridge.state_dir / STATE_FILE).close()
            except StoreError:
                continue
            _LOG.warning("The state file can be used again")
            self._store_trouble, self._restart = "", True
            self._stop.set()

    # -- health -------------------------------------------------------------------------------------------------------

    async def _tell_health(self) -> None:
        """At once when a verdict changes, else now and then."""
        published = float("-inf")
        while True:
            health = self.health()
            sign = signature(health)
            if sign != self._told or self.clock.monotonic() - published >= self.config.bridge.health_every:
                self._told, published = sign, self.clock.monotonic()
                self.broker.retain(self.topics.health, dumps(health))
            self._settle_former()
            await asyncio.sleep(1)

    def health(self) -> dict[str, Any]:
        """The health message now."""
        meters = {name: meter_health(meter) for name, meter in self.meters.items()}
        troubles = [
            "" if self.clock.time() >= CLOCK_SET else "the system's clock is not set",
            self._store_trouble,
            self.outbox.trouble,
            self.broker.too_large,
            *self._refused.values(),
            *self.fleet.pushes.trouble.values(),
        ]
        counters = {"unsent": len(self.outbox), "dropped": self.outbox.dropped, "meters": len(meters)}
        return bridge_health(meters, troubles, counters)


def _differs(name: str, old: Loaded, fresh: Loaded) -> bool:
    before, after = (
        (loaded.config.meters.get(name), loaded.connections.get(name), loaded.scalers.get(name))
        for loaded in (old, fresh)
    )
    return before != after
