"""Meters that speak by themselves: what arrives is matched to a meter and ends in the same topics as a poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime

from dlms_mqtt.bridge.config import Push as PushConfig
from dlms_mqtt.bridge.meter import MeterTask
from dlms_mqtt.bridge.plan import PlanItem
from dlms_mqtt.bridge.readings import Moment
from dlms_mqtt.bridge.schedule import Every
from dlms_mqtt.client.memory import Measured
from dlms_mqtt.client.push import Notification, Push, PushReader, Refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.store import StoreError
from dlms_mqtt.cosem.catalogue import default_class
from dlms_mqtt.errors import DecodeError, DlmsMqttError, ResponseTimeout
from dlms_mqtt.meter.push import PushValue, push_values
from dlms_mqtt.meter.quantities import quantity
from dlms_mqtt.meter.readings import text_of
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.security import Keys, PeerCounters
from dlms_mqtt.transport import Transport, transport_for
from dlms_mqtt.transport.listen import Listener, listen

_LOG = logging.getLogger(__name__)
_TICK = 1.0  # s between looks at messages that will not be completed
_AGAIN = (1.0, 5.0, 15.0, 60.0)  # s after a line that went away
_EVERY = 3600.0


def keys_of(settings: ConnectionSettings) -> Keys | None:
    """The keys that pushes of this meter are opened with; None when they come plain."""
    if not settings.encryption_key:
        return None
    authentication = settings.authentication_key
    extra = {"authentication": authentication} if authentication else {}
    return Keys(settings.encryption_key, broadcast=settings.broadcast_key, **extra)


class PushReceiver:
    """The pushes of one meter; ``receive`` takes bytes of any origin and says whether they were its own."""

    def __init__(self, meter: MeterTask) -> None:
        self.meter = meter
        self._config = meter.config.push or PushConfig()
        self._readers: dict[str, PushReader] = {}
        self._counters = self._stored_counters()

    def _stored_counters(self) -> PeerCounters:
        try:
            return self.meter.store.peer_counters(self.meter.id)
        except StoreError:
            return PeerCounters()

    def close(self) -> None:
        """Remember which messages were taken, so that none is taken twice."""
        try:
            self.meter.store.keep_peer_counters(self.meter.id, self._counters)
        except StoreError as error:
            _LOG.debug("%s: counters of pushes are not kept: %s", self.meter.id, error.message)

    def _reader(self, origin: str) -> PushReader:
        if origin not in self._readers:
            settings = self.meter.session.settings
            self._readers[origin] = PushReader(
                origin,
                keys_of(settings),
                accept_unauthenticated=settings.accept_unauthenticated,
                peer_counters=self._counters,
            )
        return self._readers[origin]

    def forget(self, origin: str) -> None:
        """That connection ended."""
        self._readers.pop(origin, None)

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        """Take the meter's own messages; what was refused."""
        events = self._reader(origin).feed(data, asyncio.get_running_loop().time(), whole=whole)
        return self._take(events)

    def tick(self) -> None:
        """Time has passed."""
        for reader in self._readers.values():
            self._take(reader.tick(asyncio.get_running_loop().time()))

    def _take(self, events: Iterable[Push | Refused]) -> list[Refused]:
        refused = []
        for event in events:
            if isinstance(event, Refused):
                refused.append(event)
            elif self._is_ours(event):
                self.take(event.notification)
        return refused

    def _is_ours(self, push: Push) -> bool:
        match = self._config.match
        if match.system_title and push.system_title.hex() != match.system_title.lower():
            return False
        if match.host and push.origin.rpartition(":")[0].strip("[]") != match.host:
            return False
        return not match.device or match.device in _texts(push.notification)

    def take(self, notification: Notification | object) -> None:
        """A notification of this meter, however it came."""
        now = self.meter.now()
        values = _values(notification)
        moment = Moment(_time(notification, self.meter, now), self.meter.zone, self.meter.sense)
        rows = [(item, answer) for value in values if (row := self._row(value)) for item, answer in [row]]
        self.meter.take_pushed(rows, moment)
        if isinstance(notification, EventNotification):
            self.meter.output.event("notification", moment.time, {"obis": str(notification.attribute.obis)})
        elif not values:
            self.meter.output.event("notification", moment.time, {})

    def _row(self, value: PushValue) -> tuple[PlanItem, Measured] | None:
        if value.obis is None:
            return None
        number = value.attribute or 2
        class_id = value.class_id if value.class_id is not None else default_class(value.obis)
        attribute = AttributeDescriptor(class_id or 0, value.obis, number)
        found = quantity(value.obis, class_id, number)
        planned = self.meter.plan.by_key.get(found.key) if self.meter.plan else None
        item = planned or PlanItem(attribute, found, Every(self._config.every or _EVERY))
        return item, Measured(attribute, value.data, value.scaler_unit)


def _values(notification: object) -> list[PushValue]:
    if isinstance(notification, EventNotification):
        attribute = notification.attribute
        return [PushValue(notification.value, attribute.obis, None, attribute.class_id, attribute.attribute)]
    if not isinstance(notification, DataNotification):
        return []
    try:
        return push_values(notification.data)
    except DecodeError as error:
        _LOG.info("A push could not be understood: %s", error.message)
        return []


def _texts(notification: object) -> set[str | None]:
    return {text_of(value.data) for value in _values(notification)}


def _time(notification: object, meter: MeterTask, now: datetime) -> datetime:
    """When the values were taken: what the push says, unless its clock is far off."""
    told = getattr(notification, "time", None)
    moment = told.to_datetime(meter.zone, meter.sense) if told is not None else None
    return moment if moment is not None and moment.tzinfo and abs((moment - now).total_seconds()) < _EVERY else now


class PushHub:
    """The ports on which meters push. One port may serve many meters."""

    def __init__(self) -> None:
        self._receivers: dict[str, dict[str, PushReceiver]] = {}
        self._listeners: dict[str, Listener] = {}
        self.trouble: dict[str, str] = {}

    async def add(self, url: str, receiver: PushReceiver) -> None:
        """Let a meter push to ``url``, which is opened when it is not yet."""
        self._receivers.setdefault(url, {})[receiver.meter.id] = receiver
        if url in self._listeners:
            return
        try:
            self._listeners[url] = await listen(
                url, lambda origin, data, whole: self._received(url, origin, data, whole)
            )
            self.trouble.pop(url, None)
        except DlmsMqttError as error:
            self.trouble[url] = error.message
            _LOG.warning("%s", error.message)

    def remove(self, url: str, meter_id: str) -> None:
        """The meter is gone; the port too, when it was the last."""
        receivers = self._receivers.get(url, {})
        receiver = receivers.pop(meter_id, None)
        if receiver:
            receiver.close()
        if not receivers and (listener := self._listeners.pop(url, None)):
            listener.close()

    def port(self, url: str) -> int:
        """The port that was opened for ``url``."""
        return self._listeners[url].port

    def _received(self, url: str, origin: str, data: bytes, whole: bool) -> None:
        receivers = list(self._receivers.get(url, {}).values())
        if not data:
            for receiver in receivers:
                receiver.forget(origin)
            return
        refused = [receiver.receive(origin, data, whole) for receiver in receivers]
        if refused and all(refused):  # nobody could open it
            _LOG.info("%s: a push was refused: %s", origin, refused[0][0].error.message)

    async def run(self) -> None:
        """Give up what will not be completed, now and then."""
        while True:
            await asyncio.sleep(_TICK)
            for receivers in self._receivers.values():
                for receiver in receivers.values():
                    receiver.tick()


async def read_connection(receiver: PushReceiver) -> None:
    """Listen on the meter's own line, for ever (``listen: connection``)."""
    failures, meter = 0, receiver.meter
    while True:
        try:
            async with transport_for(meter.session.settings) as transport:
                failures = 0
                await _read_line(receiver, transport)
        except DlmsMqttError as error:
            meter.failed(error)
            await asyncio.sleep(_AGAIN[min(failures, len(_AGAIN) - 1)])
            failures += 1


async def _read_line(receiver: PushReceiver, transport: Transport) -> None:
    while True:
        try:
            data = await transport.read(_TICK)
        except ResponseTimeout:
            receiver.tick()
        else:
            receiver.receive(transport.name, data, transport.datagram)
