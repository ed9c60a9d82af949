"""What a meter sends by itself, heard before it is added: who it is and which values come. Nothing is published.

Where a meter at work listens already, its port or line is shared; else it is opened, and closed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any

from dlms_mqtt.bridge.config.load import Scalers
from dlms_mqtt.bridge.config.sections.meter import Match
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.pushes.own_line import read_some
from dlms_mqtt.bridge.meters.pushes.receiver import Receiver, keys_of, may_be_of
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.client.push import Push, PushReader, Refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DecodeError, DlmsMqttError, FramingError, ResponseTimeout
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.transport import transport_for

ROUND = 11.0  # s: after the first telegram comes the longer list of most families
_ALL_ALIKE = 6  # telegrams that say nothing new: there is one list only
_REPORT_EVERY = 5.0  # s

Progress = Callable[[int, int, str], None]


class Wait:
    """How long to go on: to the end, but only for a round after the first telegram."""

    def __init__(self, seconds: float, progress: Progress) -> None:
        self._loop = asyncio.get_running_loop()
        self._started, self._seconds, self._progress = self._loop.time(), seconds, progress
        self._ends = self._started + seconds
        self._reported_at = float("-inf")
        self.stirred = asyncio.Event()

    @property
    def left(self) -> float:
        """Seconds; 0 at the end."""
        return max(0.0, self._ends - self._loop.time())

    def received(self, what: str) -> None:
        """A telegram came."""
        self._ends = min(self._ends, self._loop.time() + ROUND) if not self.stirred.is_set() else self._ends
        self.stirred.set()
        self._tell(what)

    def end(self) -> None:
        """Enough."""
        self._ends = self._loop.time()

    async def tick(self) -> None:
        """Until the next look."""
        await asyncio.sleep(min(1.0, self.left))
        if self._loop.time() - self._reported_at >= _REPORT_EVERY and not self.stirred.is_set():
            self._tell("waiting")

    def _tell(self, stage: str) -> None:
        self._reported_at = self._loop.time()
        self._progress(round(self._reported_at - self._started), round(self._seconds), stage)


class Telegrams(Receiver):
    """What one meter sent: takes octets as a meter at work does, and keeps the readings."""

    def __init__(self, settings: ConnectionSettings, match: Match, scalers: Scalers, zone: tzinfo, wait: Wait) -> None:
        self._settings, self._match, self._scalers, self._zone, self._wait = settings, match, scalers, zone, wait
        self._readers: dict[str, PushReader] = {}
        self._alike = self.count = self.octets = 0
        self.readings: dict[str, Reading] = {}
        self.refusal: DlmsMqttError | None = None
        self.meter: dict[str, str] = {}

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        """Octets of a line; what could not be used."""
        self.octets += len(data)
        reader = self._readers.get(origin)
        if reader is None:
            lenient = self._settings.accept_unauthenticated
            reader = PushReader(origin, keys_of(self._settings), accept_unauthenticated=lenient)
            self._readers[origin] = reader
        refused = []
        for event in reader.feed(data, asyncio.get_running_loop().time(), whole=whole):
            if isinstance(event, Refused):
                refused.append(event)
                self._refused(event.error)
            elif may_be_of(self._match, event):
                self._take(event)
        return refused

    def _refused(self, error: DlmsMqttError) -> None:
        self.refusal = error
        if not isinstance(error, FramingError):
            self._wait.received("refused")

    def _take(self, push: Push) -> None:
        try:
            values = PushedValues(push.notification)
            scalers: Any = dict(self._scalers)
            readings = values.readings(datetime.now(UTC), self._zone, scalers=scalers)
            who = values.identity(push.system_title)
        except DecodeError as error:
            self._refused(error)
            return
        if self._match.device and not who.is_device(self._match.device):
            return
        self.count += 1
        self.meter |= named(who.system_title.hex(), who.logical_device_name, who.serial_number)
        news = {reading.key: reading for reading in readings}
        self._alike = self._alike + 1 if news.keys() <= self.readings.keys() else 0
        self.readings |= news
        self._wait.received(f"telegram {self.count}")
        if self._alike >= _ALL_ALIKE:
            self._wait.end()

    def forget(self, origin: str) -> None:
        """That connection ended."""
        self._readers.pop(origin, None)

    @property
    def failure(self) -> DlmsMqttError:
        """Why there is nothing to show."""
        if self.refusal is not None and not isinstance(self.refusal, FramingError):
            return self.refusal
        if self.octets:
            return ResponseTimeout(
                f"{self.octets} octets came, and no whole telegram",
                reason="garbled",
                hint="Check speed and parity, and wait longer.",
            )
        return ResponseTimeout(
            "nothing came", reason="no-telegram", hint="Check the line, and whether the grid operator has enabled it."
        )


def named(title: str, device: str, serial: str) -> dict[str, str]:
    """Who a meter says it is, without what it does not say."""
    identity = {"system_title": title, "logical_device_name": device, "serial_number": serial}
    return {key: value for key, value in identity.items() if value}


@dataclass(frozen=True, slots=True)
class Trial:
    """A meter that speaks, as a request describes it; ``listen`` as ``push.listen`` is."""

    name: str
    listen: str
    match: Match
    settings: ConnectionSettings
    scalers: Scalers
    zone: tzinfo


async def first_telegrams(
    fleet: Fleet, trial: Trial, seconds: float, progress: Progress, language: str
) -> dict[str, Any]:
    """Who speaks, and the values of its telegrams; DlmsMqttError where none could be used."""
    wait = Wait(seconds, progress)
    telegrams = Telegrams(trial.settings, trial.match, trial.scalers, trial.zone, wait)
    async with listening(fleet, trial, telegrams, wait):
        while wait.left:
            await wait.tick()
    if not telegrams.count:
        raise telegrams.failure
    rows = [_row(reading, language) for reading in telegrams.readings.values()]
    return {"telegrams": telegrams.count, "meter": telegrams.meter, "values": rows}


def _row(reading: Reading, language: str) -> dict[str, Any]:
    found = quantity(reading.obis, reading.class_id, reading.attribute)
    return {
        "obis": str(reading.obis),
        "class": reading.class_id,
        "attribute": reading.attribute,
        "key": reading.key,
        "name": found.name_in(language),
        "value": reading.value,
        "unit": reading.unit or None,
        "quality": str(reading.quality),
    }


@asynccontextmanager
async def listening(fleet: Fleet, trial: Trial, receiver: Receiver, wait: Wait) -> AsyncIterator[None]:
    """Octets reach ``receiver``; ConnectFailed. A line of our own that is lost ends the wait: ConnectionLost."""
    port = trial.listen if trial.listen != OWN_LINE else trial.settings.bind
    place, name, hub = port or fleet.line(trial.settings).name, f"{trial.name} (trial)", fleet.pushes
    try:
        if port:
            await hub.join(place, name, receiver)
            yield
        elif hub.is_read(place):
            hub.share(place, name, receiver)
            yield
        else:
            async with _reading(fleet, trial.settings, name, receiver, wait):
                yield
    finally:
        hub.remove(place, name)


@asynccontextmanager
async def _reading(
    fleet: Fleet, settings: ConnectionSettings, name: str, receiver: Receiver, wait: Wait
) -> AsyncIterator[None]:
    async with fleet.line(settings).turn(name, Priority.COMMAND, _nothing), transport_for(settings) as transport:

        async def read() -> None:
            while True:
                await read_some(transport, receiver.receive)

        task = asyncio.create_task(read())
        task.add_done_callback(lambda task: None if task.cancelled() else wait.end())
        try:
            yield
            if task.done():
                task.result()  # the line was lost
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _nothing() -> None:
    """There is no session to be closed."""
