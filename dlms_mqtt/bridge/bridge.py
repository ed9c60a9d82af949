"""One configuration at work: broker, meters, requests and presence wired together, complete once it is made.

Whatever needs another line or memory (``mqtt:``, ``bridge:``) needs another ``Bridge``; meters come and go in one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from dlms_mqtt import __version__
from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address, Topics
from dlms_mqtt.bridge.config.load import Loaded, Presets
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.homeassistant.announcement import roots
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.publisher import clear_meter, put_to_sleep
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.client import Will
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.publisher import Publisher
from dlms_mqtt.bridge.presence.device_ids import aliases, device_tag
from dlms_mqtt.bridge.presence.leftovers import Leftovers
from dlms_mqtt.bridge.presence.presence import Presence
from dlms_mqtt.bridge.requests.bridge_verbs import BridgeRequests
from dlms_mqtt.bridge.requests.dispatcher import Commands, Handler
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.bridge.router import Router
from dlms_mqtt.bridge.self_report import SelfReport
from dlms_mqtt.bridge.state_dir import State
from dlms_mqtt.bridge.systemd import Notifier
from dlms_mqtt.bridge.tasks import end_all, supervised
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.transport.clock import Clock

if TYPE_CHECKING:
    from dlms_mqtt.bridge.http.server import Server

_LOG = logging.getLogger(__name__)
_LEAVING = 2.0  # s for releases and disconnects of all meters together: whoever ends us waits 5 s in all
_FLUSH = 3.2  # s after which the last words must be out, what the meters took included
_CLAIM_AGAIN = 30.0  # s between looks whether a meter that another bridge holds is free; free is what is so twice


@dataclass(frozen=True, slots=True)
class Process:
    """What one process gives to every configuration that it runs; ``started`` in ISO 8601, ``reload`` as ``App``'s."""

    environment: Mapping[str, str]
    presets: Presets
    clock: Clock
    random: Callable[[int], bytes]
    started: str
    notifier: Notifier
    reload: Callable[[], Awaitable[list[str]]]


class Bridge:
    """``run`` returns when ``stop`` is called; ``taken`` then says who else has our id, or nothing."""

    version = __version__

    def __init__(self, loaded: Loaded, state: State, process: Process) -> None:
        config = loaded.config
        self.loaded, self.store, self.seal, self.trouble = loaded, *state
        self.presets, self.started, self.reload = process.presets, process.started, process.reload
        self._clock = process.clock
        self._stop = asyncio.Event()
        self.taken = ""
        self.refused: dict[str, str] = {}  # meters that another bridge holds
        self._aliases = aliases(config.meters, self.store)
        self.topics = Topics(
            config.mqtt.base_topic,
            config.bridge.id,
            config.mqtt.discovery.prefix,
            device_tag(config.mqtt.base_topic, self.store),
            self._aliases,
        )
        self.outbox = Outbox(self.store, config.bridge.unsent, round(self._clock.time() * 1000))
        client_id = config.mqtt.client_id or f"{config.mqtt.base_topic.replace('/', '-')}-{config.bridge.id}"
        first = "" if config.mqtt.client_id else f"{client_id}-{process.random(3).hex()}"
        self.broker = Broker(config.mqtt, client_id, Will(self.topics.state, "offline"), self.outbox, first)
        self.publisher = Publisher(self.broker, self.outbox)
        self._context = Context(
            self.topics,
            config.mqtt.discovery,
            self.publisher,
            self.store,
            self._clock,
            __version__,
            bool(loaded.spoken),
            config.bridge.health_every,
        )
        self.fleet = Fleet(self._context, config.bridge, process.environment, process.random, self._supervised)
        self.leftovers = Leftovers(config, self._context, self.broker, loaded.broken)
        self.presence = Presence(
            self.topics, self.started, self.broker, self.fleet, self.leftovers, self._give_way, self._refuse_meter
        )
        self.requests = BridgeRequests(self)
        self.commands = Commands(self.topics, self._find, self.broker.reply, self._clock, self.store)
        self._router = Router(self.topics, self.presence, self.commands)
        self._report = SelfReport(self, process.clock)
        self._notifier = process.notifier
        self.http: Server | None = None
        self._http_task: asyncio.Task[None] | None = None

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.loaded.config

    @property
    def meters(self) -> dict[str, MeterTask]:
        """The meters at work."""
        return self.fleet.meters

    @property
    def broker_trouble(self) -> str | None:
        """Why there is no line to the broker, perhaps empty; None: there is one."""
        return None if self.broker.connected else self.broker.trouble

    # -- life ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End ``run``."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``."""
        self._report.publish()
        background = [
            self._supervised("broker", lambda: self.broker.run(self._router)),
            self._supervised("expiry", self.fleet.expire),
            self._supervised("health", self._report.run),
            self._supervised("pushes", self.fleet.pushes.run),
            self._supervised("claims", self._claim_again),
        ]
        await self._serve_http()
        try:
            await self._start_meters()
            self.leftovers.remember(self.config.meters)
            self._notifier.send("READY=1", f"STATUS={len(self.meters)} meters")
            await self._stop.wait()
        finally:
            await self._end(background)

    async def _start_meters(self) -> None:
        """One after the other: the first are read while others start. A reload may come between."""
        for name in list(self.config.meters):
            if name in self.config.meters and name not in self.fleet.running and not self._stop.is_set():
                await self._start_meter(name)
                await asyncio.sleep(0)
        self.fleet.complete.set()

    async def _end(self, background: list[asyncio.Task[None]]) -> None:
        outputs, loop = [meter.output for meter in self.meters.values()], asyncio.get_running_loop()
        until = loop.time() + _FLUSH
        try:
            async with asyncio.timeout(_LEAVING):
                await self.commands.close()
                await asyncio.gather(*(self.fleet.stop(name) for name in list(self.fleet.running)))
        except TimeoutError:
            _LOG.info("A meter took too long to be left; its line is closed all the same")
        self.broker.retain(self.topics.state, "offline")  # first: it marks whatever is not cleared in time
        for output in outputs:
            output.leave()
        await self.broker.flush(until - loop.time())
        self.settle_leftovers()
        await end_all([*background, *([self._http_task] if self._http_task else [])])

    async def _serve_http(self) -> None:
        """Listen where the configuration says now."""
        if self._http_task:
            await end_all([self._http_task])
        self.http = _http_server(self, self.config.http.listen, self._clock)
        self._http_task = self._supervised("http", self.http.run) if self.http else None

    def settle_leftovers(self) -> None:
        """Clear what an earlier run left at the broker, once it is known what there is."""
        if self.broker.connected and not self.taken:
            self.leftovers.settle(self.config.meters)

    def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return supervised(name, run, self._clock)

    def _give_way(self, sentence: str) -> None:
        self.taken = sentence
        self.broker.silence()
        self.stop()

    # -- meters -------------------------------------------------------------------------------------------------------

    async def change_to(self, fresh: Loaded) -> list[str]:
        """Take over another configuration of the meters; what changed."""
        old, self.loaded = self.loaded, fresh
        known = aliases(fresh.config.meters, self.store)
        self._aliases.clear()
        self._aliases |= known
        self._context.discovery, self._context.component = fresh.config.mqtt.discovery, bool(fresh.spoken)
        changed = [name for name in {**old.config.meters, **fresh.config.meters} if _differs(name, old, fresh)]
        for name in changed:
            await self._replace_meter(name)
        for meter in self.meters.values():
            meter.output.announce_again()
        if old.config.http != fresh.config.http:
            await self._serve_http()
        self._report.publish()
        self.leftovers.remember(self.config.meters)
        return changed

    async def _replace_meter(self, name: str) -> None:
        self.refused.pop(name, None)
        meter = self.meters.get(name)
        keys = list(meter.output.state.fresh(0)) if meter else []
        if meter:
            await self._stop_meter(name)
        for key in keys:
            self.broker.retain(self.topics.meter(name).value(key), "")
        if name in self.config.meters:
            await self._start_meter(name)
        else:
            self.presence.asleep.discard(name)
            clear_meter(name, self._context, keys)

    async def _start_meter(self, name: str) -> None:
        config = self.config.meters[name]
        if self.presence.ready and (holder := await self.presence.claims.holder(name)):
            await self._refuse_meter(name, holder)
        if name in self.refused:
            return
        if not config.enabled:
            self.presence.asleep.add(name)
            put_to_sleep(name, self._context)
            return
        self.presence.asleep.discard(name)
        await self.fleet.start(name, config, self.loaded.connections[name], self.loaded.scalers[name])
        if self.presence.ready:
            await self.broker.subscribe_at_work(self.presence.filters(name))

    async def _stop_meter(self, name: str) -> None:
        if name in self.fleet.running:
            await self.fleet.stop(name)
        if self.presence.ready and self.broker.connected:
            await self.broker.unsubscribe_at_work(self.presence.filters(name))

    async def _refuse_meter(self, name: str, holder: str) -> None:
        sentence = f"{name}: the meter id is held by the bridge '{holder}'"
        _LOG.error("%s; it is not started", sentence)
        self.refused[name] = sentence
        await self._stop_meter(name)
        self.broker.forget_below(self.topics.meter(name).root, *roots(self.topics, self.topics.device(name)))
        self._report.publish()

    async def _claim_again(self) -> None:
        """A bridge that holds a meter of ours may go: the meter is started when it was seen free twice."""
        free: set[str] = set()
        while True:
            await asyncio.sleep(_CLAIM_AGAIN)
            before, free = free, await self._free()
            for name in before & free & self.refused.keys():
                _LOG.warning("%s: no other bridge holds the meter id any more; it is started", name)
                del self.refused[name]
                await self._start_meter(name)
                self._report.publish()

    async def _free(self) -> set[str]:
        """Of the meters that other bridges had."""
        held = await self.presence.claims.holders(self.refused)
        return self.refused.keys() - held.keys() if self.broker.connected else set()

    def _find(self, address: Address) -> Handler:
        if not address.meter:
            return self.requests.find(address.name)
        if address.meter not in self.meters:
            raise RequestError("unknown-meter", f"There is no meter '{address.meter}'")
        return MeterRequests(self.meters[address.meter], self.fleet.pause).find(address.verb, address.name)

    def health(self) -> dict[str, Any]:
        """The health message now."""
        return self._report.health()


def _http_server(bridge: Bridge, listen: str, clock: Clock) -> Server | None:
    """Imported where it is wanted alone: it costs memory."""
    if not listen:
        return None
    from dlms_mqtt.bridge.http.pages import routes
    from dlms_mqtt.bridge.http.server import Server
    from dlms_mqtt.bridge.http.snapshot import Snapshot

    return Server(listen, routes(Snapshot(bridge, clock)))


def _differs(name: str, old: Loaded, fresh: Loaded) -> bool:
    before, after = (
        (loaded.config.meters.get(name), loaded.connections.get(name), loaded.scalers.get(name))
        for loaded in (old, fresh)
    )
    return before != after
