"""The meters at work: made, started, paused, stopped; meters on one physical line share its queue."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from dlms_mqtt.bridge.config.load import Scalers
from dlms_mqtt.bridge.config.sections.bridge import Bridge
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.bridge.meters.association import Session
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.publisher import MeterOutput, peer_of
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.pushes.hub import PushHub
from dlms_mqtt.bridge.meters.pushes.own_line import listen_between, read_connection
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver
from dlms_mqtt.bridge.meters.shared_line import Line
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.local_zone import zone_of
from dlms_mqtt.transport import transport_for
from dlms_mqtt.transport.incoming import Incoming, IncomingTransport
from dlms_mqtt.transport.overheard import OnReceived, OverheardTransport

_LOG = logging.getLogger(__name__)
_MOST_OCTETS = 3 << 20  # of one answer: 100,000 rows of a profile, which take 60 MB while they are worked on
_CALLED_WITHIN = 1.0  # s: a poll does not wait for a meter that has not connected, which wakes it

Supervise = Callable[[str, Callable[[], Awaitable[None]]], asyncio.Task[None]]


@dataclass
class Running:
    """One meter at work."""

    meter: MeterTask
    receiver: PushReceiver
    urls: set[str] = field(default_factory=set)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Fleet:
    """All meters of the bridge. ``supervise`` starts a task that is restarted when it fails."""

    def __init__(
        self,
        context: Context,
        bridge: Bridge,
        environment: Mapping[str, str],
        random: Callable[[int], bytes],
        supervise: Supervise,
    ) -> None:
        self._context, self._bridge, self._environment = context, bridge, environment
        self._random, self._supervise = random, supervise
        self._lines: dict[str, Line] = {}
        self.running: dict[str, Running] = {}
        self.complete = asyncio.Event()  # has every meter of the configuration been started?
        self.pushes = PushHub()

    @property
    def meters(self) -> dict[str, MeterTask]:
        """The meters by id."""
        return {name: running.meter for name, running in self.running.items()}

    def line(self, settings: ConnectionSettings) -> Line:
        """The shared queue of a line; one port has many names below /dev/serial."""
        name = os.path.realpath(settings.line) if settings.line.startswith("/") else settings.line.lower()
        return self._lines.setdefault(name, Line(name))

    def new_session(self, name: str, settings: ConnectionSettings) -> Session:
        """A session for a trial of settings that may not be in force; one refused password and no more."""
        context, line = self._context, self.line(settings)
        return Session(name, settings, line, self._clients(None), context.store, context.clock, 1, trial=True)

    def _clients(
        self,
        receive: Callable[[object], None] | None,
        on_received: OnReceived | None = None,
        incoming: Incoming | None = None,
        peer: str = "",
    ) -> Callable[[ConnectionSettings], DlmsClient]:
        memory, store = Memory(), self._context.store

        def make(settings: ConnectionSettings) -> DlmsClient:
            if settings.secrets and store.path == MEMORY:
                raise StoreError(
                    "neither invocation counters nor refused passwords can be kept, so no secret is used",
                    hint="Make room in state_dir.",
                )
            at_port = incoming and IncomingTransport(incoming, settings.bind, _CALLED_WITHIN)
            line = at_port or transport_for(settings)
            client = DlmsClient(
                settings,
                transport=OverheardTransport(line, on_received) if on_received else line,
                store=store,
                memory=memory,
                random=self._random,
                on_notification=receive,
                peer=peer,
            )
            client.most_octets = _MOST_OCTETS
            return client

        return make

    async def start(self, name: str, config: Meter, settings: ConnectionSettings, scalers: Scalers) -> None:
        """Start a meter that does not run; ``scalers`` are those of its pushes."""
        running = self._make(name, config, settings, scalers)
        self.running[name] = running
        running.tasks.append(self._supervise(name, running.meter.run))
        await self._listen(running, config)

    def _make(self, name: str, config: Meter, settings: ConnectionSettings, scalers: Scalers) -> Running:
        context = self._context
        output = MeterOutput(name, config, context, _features(config, settings))
        incoming = Incoming() if settings.bind else None
        listens = config.push is not None and config.push.listen == OWN_LINE and not incoming
        receiver: PushReceiver
        # A ring at run time: what the client hears goes to the receiver, which knows the meter, which has the client.
        on_received = (lambda *data: receiver.receive(*data)) if listens else None
        clients = self._clients(lambda apdu: receiver.take(apdu), on_received, incoming, peer_of(name))
        line = self.line(settings) if settings.line and not incoming else Line(f"{settings.bind} {name}".strip())
        session = Session(name, settings, line, clients, context.store, context.clock, config.attempts)
        zone_known = bool(config.timezone or self._bridge.timezone)
        meter = MeterTask(
            config, session, output, context.store, context.clock, self.zone(config), zone_known, self._meter
        )
        receiver = PushReceiver(meter, scalers, incoming)
        return Running(meter, receiver)

    def _meter(self, name: str) -> MeterTask | None:
        return self.running[name].meter if name in self.running else None

    def zone(self, config: Meter) -> tzinfo:
        """Of the meter's clock."""
        return zone_of((config.timezone, self._bridge.timezone), self._environment)

    async def _listen(self, running: Running, config: Meter) -> None:
        url = config.push.listen if config.push else ""
        bound = running.meter.session.settings.bind
        running.urls = {bound, url} - {"", OWN_LINE}
        ports = set(running.urls)
        if bound or url == OWN_LINE:
            running.tasks.append(self._supervise(f"{running.meter.id} line", self._line_reader(running)))
        for each in ports:
            await self.pushes.add(each, running.receiver)

    def _line_reader(self, running: Running) -> Callable[[], Awaitable[None]]:
        meter, receiver = running.meter, running.receiver
        if not meter.only_speaks:
            receiver.overhear()
            return lambda: listen_between(receiver)
        line = meter.session.line.name
        if self.pushes.is_read(line):  # by another meter: each opens it for itself
            line = f"{line} {meter.id}"
        running.urls.add(line)
        self.pushes.share(line, meter.id, receiver)
        take = self.pushes.feed(line)
        return lambda: read_connection(meter, take)

    async def stop(self, name: str) -> None:
        """End a meter; its topics stay."""
        running = self.running.pop(name)
        try:
            await end_all(running.tasks)
        finally:
            for url in running.urls:
                self.pushes.remove(url, name)
            running.receiver.close()
            running.meter.output.set_online(False)
        await running.meter.close()

    async def pause(self, meter: MeterTask, seconds: float) -> None:
        """Free the meter's line: every meter on it pauses."""
        for other in self.meters.values():
            if other.session.line is meter.session.line:
                await other.session.pause(seconds)
                other.wake()

    async def expire(self) -> None:
        """Drop what is too old and write what was learned, every second, for ever."""
        while True:
            await asyncio.sleep(1)
            for running in self.running.values():
                running.meter.output.expire()
            try:
                self._context.store.write_soon()
            except StoreError as error:
                _LOG.debug("what was learned of meters is not on the disk yet: %s", error.message)


def _features(config: Meter, settings: ConnectionSettings) -> list[str]:
    """What decides which built-in entities a meter has."""
    features = {
        "ciphering": bool(settings.encryption_key),
        "poll": bool(settings.line),
        "sign-on": settings.opening != "direct",
        "events": config.push is not None or any(profile.event_log for profile in config.profiles),
    }
    return [name for name, there in features.items() if there]
