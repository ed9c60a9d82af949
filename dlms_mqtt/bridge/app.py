"""The bridge, wired: configuration, store, broker, lines and meters; starts, reloads and ends them.

A task that fails is reported and restarted with a growing pause; it never takes the process down.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dlms_mqtt import __version__
from dlms_mqtt.bridge.bridge_requests import BridgeRequests
from dlms_mqtt.bridge.claims import Claims
from dlms_mqtt.bridge.commands import Commands, Handler, Message
from dlms_mqtt.bridge.config import Config, Meter
from dlms_mqtt.bridge.config_file import ConfigMistakes, Loaded, Presets, load_config
from dlms_mqtt.bridge.discovery import Device, bridge_identifier, bridge_payload
from dlms_mqtt.bridge.health import bridge_health, meter_health, signature
from dlms_mqtt.bridge.line import Line
from dlms_mqtt.bridge.meter import CLOCK_SET, MeterTask
from dlms_mqtt.bridge.meter_output import Context, MeterOutput, clear_meter
from dlms_mqtt.bridge.meter_requests import MeterRequests
from dlms_mqtt.bridge.mqtt import Broker, Will, tls_context
from dlms_mqtt.bridge.notify import Notifier
from dlms_mqtt.bridge.outbox import Outbox
from dlms_mqtt.bridge.payload import dumps
from dlms_mqtt.bridge.push import PushHub, PushReceiver, read_connection
from dlms_mqtt.bridge.replies import RequestError
from dlms_mqtt.bridge.seal import SealKey
from dlms_mqtt.bridge.session import Session
from dlms_mqtt.bridge.topics import Address, Topics
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.memory import Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.store import MEMORY, Store, StoreError
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.preset import preset_connection
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_CLAIM_WAIT = 0.4  # s after the subscription: what is retained has arrived by then
_RESTARTS = (1.0, 5.0, 30.0, 120.0, 600.0)  # s before a task that failed is started again
_WATCH = 2.0  # s between looks at the files
_FLUSH = 3.0  # s for the last words
STATE_FILE = "state.sqlite"


class BridgeTaken(ConfigError):
    """Another live bridge on this broker has our id."""


@dataclass
class _Running:
    """One meter at work."""

    meter: MeterTask
    requests: MeterRequests
    receiver: PushReceiver
    url: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


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
        self.started = self._now().isoformat()
        self._stop, self._restart, self._taken = asyncio.Event(), False, ""
        self._running: dict[str, _Running] = {}
        self._lines: dict[str, Line] = {}
        self._refused: dict[str, str] = {}  # meters that another bridge holds
        self._health: Any = None
        self._broker_ready = False

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.time(), UTC)

    # -- parts --------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.loaded.config

    @property
    def meters(self) -> dict[str, MeterTask]:
        """The meters at work."""
        return {name: running.meter for name, running in self._running.items()}

    def line_named(self, settings: Mapping[str, Any]) -> Line:
        """The shared queue of a line, by connection options."""
        given = {key: settings[key] for key in ("serial", "tcp", "udp") if settings.get(key)}
        from dlms_mqtt.client.settings import parse_settings

        return self._line(parse_settings(given))

    def _line(self, settings: ConnectionSettings) -> Line:
        name = os.path.realpath(settings.line) if settings.line.startswith("/") else settings.line.lower()
        return self._lines.setdefault(name, Line(name))  # one port has many names below /dev/serial

    def new_session(self, name: str, settings: ConnectionSettings, attempts: int = 1) -> Session:
        """A session with any settings, on the shared line."""
        return Session(name, settings, self._line(settings), self._client_maker(None), self.store, self.clock, attempts)

    def _client_maker(self, receiver: Callable[[object], None] | None) -> Callable[[ConnectionSettings], DlmsClient]:
        memory = Memory()

        def make(settings: ConnectionSettings) -> DlmsClient:
            if settings.encryption_key and self.store.path == MEMORY:
                raise StoreError(
                    "the invocation counter cannot be kept, so nothing is ciphered", hint="Make room in state_dir."
                )
            return DlmsClient(settings, store=self.store, memory=memory, random=self._random, on_notification=receiver)

        return make

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
            self._restart, self._broker_ready = False, False
            self._stop.clear()

    async def _serve(self) -> None:
        if self.config.mqtt.tls:
            tls_context(self.config.mqtt.tls)  # a wrong file is told at once
        for warning in self.loaded.warnings:
            _LOG.warning("%s", warning)
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
        self.claims = Claims(self.topics, self.started, self.broker.send_now)
        self.requests = BridgeRequests(self)
        self.commands = Commands(self.topics, self._find, self.broker.reply, self.clock)
        self.pushes = PushHub()
        self.context = Context(self.topics, config.mqtt.discovery, self, self.store, self.clock, __version__)
        self._notifier = Notifier(self._environment)
        self._ghosts = self._find_ghosts()

    async def _work(self) -> None:
        self._publish_bridge()
        background = [
            self._supervised("broker", self.broker.run),
            self._supervised("expiry", self._expire_for_ever),
            self._supervised("health", self._health_for_ever),
            self._supervised("pushes", self.pushes.run),
            self._supervised("watchdog", self._notifier.watchdog),
            *([self._supervised("files", self._watch_files)] if self.config.bridge.watch_files else []),
        ]
        try:
            for name in self.config.meters:
                await self._start_meter(name)
            self._remember_meters()
            self._notifier.send("READY=1", f"STATUS={len(self._running)} meters")
            await self._stop.wait()
        finally:
            await self._end(background)

    async def _end(self, background: list[asyncio.Task[None]]) -> None:
        self._notifier.send("STOPPING=1")
        await self.commands.close()
        for name in list(self._running):
            await self._stop_meter(name)
        self.broker.retain(self.topics.state, "offline")
        await self.broker.flush(_FLUSH)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

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
        if not config.enabled or name in self._refused:
            return
        running = self._make_meter(name, config, self.loaded.connections[name])
        self._running[name] = running
        running.tasks.append(self._supervised(name, running.meter.run))
        await self._listen(running, config)
        await self._subscribe_meter(name)

    def _make_meter(self, name: str, config: Meter, settings: ConnectionSettings) -> _Running:
        output = MeterOutput(name, config, self.context, _features(config, settings))
        holder: list[PushReceiver] = []
        make = self._client_maker(lambda apdu: holder[0].take(apdu))
        session = Session(name, settings, self._line(settings), make, self.store, self.clock, config.attempts)
        meter = MeterTask(config, session, output, self.store, self.clock, self._zone(config))
        holder.append(PushReceiver(meter))
        return _Running(meter, MeterRequests(meter, self._pause), holder[0])

    def _zone(self, config: Meter) -> ZoneInfo | Any:
        name = config.timezone or self.config.bridge.timezone
        return ZoneInfo(name) if name else _system_zone(self._environment)

    async def _listen(self, running: _Running, config: Meter) -> None:
        if config.push is None or not config.push.listen:
            return
        if config.push.listen == "connection":
            if not running.meter.polls:
                running.tasks.append(
                    self._supervised(f"{running.meter.id} line", lambda: read_connection(running.receiver))
                )
            return
        running.url = config.push.listen
        await self.pushes.add(running.url, running.receiver)

    async def _subscribe_meter(self, name: str) -> None:
        if self._broker_ready:
            await self.broker.subscribe(self._meter_filters(name))

    def _meter_filters(self, name: str) -> list[str]:
        topics = self.topics.meter(name)
        return [*topics.commands, topics.availability, self.topics.discovery(Device(name, "").identifier)]

    async def _stop_meter(self, name: str) -> None:
        running = self._running.pop(name)
        for task in running.tasks:
            task.cancel()
        await asyncio.gather(*running.tasks, return_exceptions=True)
        if running.url:
            self.pushes.remove(running.url, name)
        running.receiver.close()
        running.meter.output.set_online(False)
        await running.meter.close()
        if self._broker_ready and self.broker.connected:
            await self.broker.unsubscribe(self._meter_filters(name))

    async def _pause(self, meter: MeterTask, seconds: float) -> None:
        """Free the meter's line: every meter on it pauses."""
        for other in self.meters.values():
            if other.session.line is meter.session.line:
                await other.session.pause(seconds)
                other.wake()
        self._health = None

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
        """Look who else is there before anything is published."""
        await self.broker.subscribe([*self.claims.filters, self.topics.birth, *self._leftovers()])
        await asyncio.sleep(_CLAIM_WAIT)
        if not self._broker_ready:
            await self._check_claims()
        await self.broker.unsubscribe(self._leftovers())
        self._broker_ready = True
        for name in self._running:
            await self.broker.subscribe(self._meter_filters(name))
        await self.broker.subscribe(self.topics.commands)

    def _leftovers(self) -> list[str]:
        """Filters for what earlier runs may have left at the broker."""
        names = [*self._running, *self._ghosts]
        return [name for meter in names for name in self.topics.meter(meter).retained]

    async def _check_claims(self) -> None:
        if await self.claims.bridge_is_taken():
            self._take_back(f"the bridge id '{self.config.bridge.id}' is held by another bridge on this broker")
            await asyncio.sleep(3600)  # until ``run`` ends this connection: nothing may be published
        for name in list(self._running):
            holder = await self.claims.holder(name)
            if holder:
                await self._refuse_meter(name, holder)

    def _take_back(self, sentence: str) -> None:
        _LOG.error("%s", sentence)
        self._taken = sentence
        self.broker.silence()
        self._stop.set()

    async def _refuse_meter(self, name: str, holder: str) -> None:
        _LOG.error("%s: the meter id is held by the bridge '%s'; it is not started", name, holder)
        self._refused[name] = f"{name}: the meter id is held by the bridge '{holder}'"
        await self._stop_meter(name)
        self.broker.forget_below(self.topics.meter(name).root, self.topics.discovery(Device(name, "").identifier))
        self._publish_bridge()

    def broker_message(self, message: Message) -> None:
        """One message, whatever it is."""
        if message.topic == self.topics.birth:
            if message.payload == b"online":
                self.broker.send_again()
            return
        if self.claims.seen(message.topic, message.payload):
            self._check_rival()
        if self._is_overwritten(message) or self._is_leftover(message):
            return
        self.commands.receive(message)

    def _check_rival(self) -> None:
        """Two instances started while the broker was away: the younger one gives way."""
        rival = self.claims.rival_started()
        if rival is not None and rival < self.started and self._broker_ready and not self._taken:
            task = asyncio.create_task(self._ask_rival(), name="rival")
            self._rival = task

    async def _ask_rival(self) -> None:
        if await self.claims.bridge_is_taken():
            self._take_back(f"the bridge id '{self.config.bridge.id}' is held by an older bridge on this broker")

    def _is_overwritten(self, message: Message) -> bool:
        """An old instance (or its last will) wrote to a topic of ours: put it right."""
        ours = self.broker.retained(message.topic)
        if ours is None or not self._broker_ready:
            return False
        if message.payload.decode(errors="replace") != ours:
            self.broker.send_again(message.topic)
        return True

    def _is_leftover(self, message: Message) -> bool:
        if not message.retained or not message.payload:
            return False
        for name in self._ghosts:
            if message.topic.startswith(f"{self.topics.meter(name).root}/"):
                self.broker.retain(message.topic, "")
                return True
        for name, meter in self.meters.items():
            if message.topic.startswith(self.topics.meter(name).value("")):
                meter.output.clear_stranger(message.topic)
                return True
        return False

    def _find(self, address: Address) -> Handler:
        if not address.meter:
            return self.requests.find(address.name)
        running = self._running.get(address.meter)
        if running is None:
            raise RequestError("unknown-meter", f"There is no meter '{address.meter}'")
        return running.requests.find(address.verb, address.name)

    # -- meters of before ---------------------------------------------------------------------------------------------

    def _find_ghosts(self) -> set[str]:
        """Meters that were ours in an earlier run and are not any more."""
        try:
            before = set(self.store.get("bridge", "meters", []))
        except StoreError:
            before = set()
        ghosts = before - set(self.config.meters)
        for name in ghosts:
            clear_meter(name, self.context, ())
        return ghosts

    def _remember_meters(self) -> None:
        try:
            names = sorted(self.config.meters)
            if self.store.get("bridge", "meters", []) != names:
                self.store.set("bridge", "meters", names)
        except StoreError as error:
            _LOG.debug("the meters are not remembered: %s", error.message)

    # -- reload -------------------------------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Read the configuration again; what changed. RequestError when it is wrong (the running one stays)."""
        try:
            fresh = load_config(self._path, self.presets, self._environment)
        except ConfigMistakes as error:
            _LOG.error("The configuration was not reloaded:\n%s", error.message)
            rows = [{"key": item.key, "message": item.message} for item in error.mistakes]
            raise RequestError("invalid-value", error.message, detail={"mistakes": rows}) from None
        old, self.loaded = self.loaded, fresh
        changed = await self._apply(old, fresh)
        _LOG.info("Configuration reloaded; changed: %s", ", ".join(changed) or "nothing")
        return changed

    async def _apply(self, old: Loaded, fresh: Loaded) -> list[str]:
        if (old.config.bridge, old.config.mqtt) != (fresh.config.bridge, fresh.config.mqtt):
            self._restart = True
            asyncio.get_running_loop().call_later(0.5, self._stop.set)  # the reply goes out first
            return ["bridge"]
        changed = [name for name in {**old.config.meters, **fresh.config.meters} if _differs(name, old, fresh)]
        for name in changed:
            await self._replace_meter(name, fresh)
        self._publish_bridge()
        self._remember_meters()
        self._health = None
        return changed

    async def _replace_meter(self, name: str, fresh: Loaded) -> None:
        self._refused.pop(name, None)
        running = self._running.get(name)
        keys = list(running.meter.output.state.fresh(0)) if running else []
        if running:
            await self._stop_meter(name)
        for key in keys:
            self.broker.retain(self.topics.meter(name).value(key), "")
        if name in fresh.config.meters:
            await self._start_meter(name)
        else:
            clear_meter(name, self.context, keys)

    async def _watch_files(self) -> None:
        seen = self._stamps()
        while True:
            await asyncio.sleep(_WATCH)
            now = self._stamps()
            if now != seen:
                seen = now
                try:
                    await self.reload()
                except RequestError:
                    continue
                seen = self._stamps()

    def _stamps(self) -> dict[Path, int]:
        files = {self._path, *self.loaded.files, *self.config.bridge.state_dir.glob("meters/*.yaml")}
        return {file: file.stat().st_mtime_ns for file in files if file.exists()}

    # -- health and expiry --------------------------------------------------------------------------------------------

    async def _expire_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1)
            for meter in self.meters.values():
                meter.output.expire()

    async def _health_for_ever(self) -> None:
        published = -1e9
        while True:
            health = self.health()
            sign = signature(health)
            if sign != self._health or self.clock.monotonic() - published >= self.config.bridge.health_every:
                self._health, published = sign, self.clock.monotonic()
                self.broker.retain(self.topics.health, dumps(health))
            await asyncio.sleep(1)

    def health(self) -> dict[str, Any]:
        """The health message now."""
        meters = {name: meter_health(meter) for name, meter in self.meters.items()}
        clock = "" if self.clock.time() >= CLOCK_SET else "the system's clock is not set"
        troubles = [
            clock,
            self._store_trouble,
            self.outbox.trouble,
            *self._refused.values(),
            *self.pushes.trouble.values(),
        ]
        counters = {"unsent": len(self.outbox), "dropped": self.outbox.dropped, "meters": len(meters)}
        return bridge_health(meters, troubles, counters)


def _features(config: Meter, settings: ConnectionSettings) -> list[str]:
    has_events = config.push is not None or any(said.event_log for said in config.profiles)
    features = {
        "ciphering": bool(settings.encryption_key),
        "guard": config.guard,
        "poll": bool(settings.line),
        "events": has_events,
    }
    return [name for name, there in features.items() if there]


def _differs(name: str, old: Loaded, fresh: Loaded) -> bool:
    return (old.config.meters.get(name), old.connections.get(name)) != (
        fresh.config.meters.get(name),
        fresh.connections.get(name),
    )


def _system_zone(environment: Mapping[str, str]) -> Any:
    """The system's time zone, with its rules where they can be found."""
    name = environment.get("TZ", "").lstrip(":")
    target = Path("/etc/localtime").resolve()
    parts = str(target).partition("zoneinfo/")
    for candidate in (name, parts[2]):
        try:
            if candidate:
                return ZoneInfo(candidate)
        except (ValueError, OSError, KeyError):
            continue
    return datetime.now().astimezone().tzinfo or UTC
