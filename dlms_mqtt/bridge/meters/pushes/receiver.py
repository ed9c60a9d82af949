"""Meters that speak by themselves: what arrives is matched to a meter and ends in the same topics as a poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dlms_mqtt.bridge.config.sections.meter import Match
from dlms_mqtt.bridge.config.sections.meter import Push as PushConfig
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.pushes.rate import A_SECOND, PushRate
from dlms_mqtt.bridge.meters.pushes.twins import Twins
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.reading.plan import PlanItem, plan_item
from dlms_mqtt.client.push import Notification, Push, PushReader, Refused
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.peer_history import PushCounters
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DecodeError, FramingError
from dlms_mqtt.meter.catalogue.lookup import unique
from dlms_mqtt.meter.catalogue.quantity import Quantity
from dlms_mqtt.meter.push.readings import PushedValues, catalogued
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import EventNotification
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.security import Keys
from dlms_mqtt.transport.incoming import Call, Incoming

_LOG = logging.getLogger(__name__)
_EVERY = 3600.0
_MOST_READERS = 256  # connections and senders that a meter's messages are put together for


def keys_of(settings: ConnectionSettings) -> Keys | None:
    """The keys that pushes of this meter are opened with; None when they come plain."""
    if not settings.encryption_key:
        return None
    authentication = settings.authentication_key
    extra = {"authentication": authentication} if authentication else {}
    return Keys(settings.encryption_key, broadcast=settings.broadcast_key, **extra)


class Receiver:
    """Whoever takes what arrives on a port or a line: a meter at work, or a trial that keeps nothing."""

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        """Take octets of a line or port; what was refused of them."""
        raise NotImplementedError

    def forget(self, origin: str) -> None:
        """That connection ended."""

    def take_call(self, call: Call) -> bool:
        """Is this connection that somebody has made to be asked on?"""
        return False

    def recognise(self, call: Call) -> None:
        """Something has come over this connection."""

    def tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Nothing more will come."""


class PushReceiver(Receiver):
    """The pushes of one meter; ``receive`` takes bytes of any origin and says whether they were its own."""

    def __init__(
        self,
        meter: MeterTask,
        scalers: Mapping[Obis, ScalerUnit] | None = None,
        incoming: Incoming | None = None,
    ) -> None:
        """``scalers``: what the preset states for values that come without; what a poll taught goes before.

        ``incoming``: where the meter is asked, if it connects by itself.
        """
        self.meter = meter
        self._scalers: dict[AttributeDescriptor | Obis, ScalerUnit] = dict((scalers or {}).items())
        self._config = meter.config.push or PushConfig()
        self._configured = {(config.obis, config.attribute): config for config in meter.config.read.also}
        self._readers: dict[str, PushReader] = {}  # the longest silent first
        self._counters = PushCounters(meter.store, meter.id)
        self._twins: Twins | None = None
        self._rate = PushRate()
        self._flooded = False
        self.incoming = incoming
        self._last_origin = ""

    def overhear(self) -> None:
        """From now on the line hands over what is read while the meter is asked: the client may tell the same again."""
        self._twins = Twins()

    def _is_new(self, ear: str, notification: Notification) -> bool:
        return self._twins is None or self._twins.is_new(ear, notification)

    def close(self) -> None:
        """Remember which messages were taken, so that none is taken twice; until that is written the disk is ahead."""
        self._counters.close()

    def _reader(self, origin: str) -> PushReader:
        reader = self._readers.pop(origin, None)
        if reader is None:
            settings = self.meter.session.settings
            reader = PushReader(
                origin,
                keys_of(settings),
                accept_unauthenticated=settings.accept_unauthenticated,
                peer_counters=self._counters,
            )
        self._readers[origin] = reader
        if len(self._readers) > _MOST_READERS:
            del self._readers[next(iter(self._readers))]
        return reader

    def forget(self, origin: str) -> None:
        """That connection ended."""
        self._readers.pop(origin, None)
        if self.incoming is not None:
            self.incoming.received(origin, b"")

    def recognise(self, call: Call) -> None:
        """Something has come over this connection: it may have said whose it is."""
        if call.origin == self._last_origin:
            self.take_call(call)

    def take_call(self, call: Call) -> bool:
        """Is this connection the meter's, as far as is known? Then it is asked there.

        Where its pushes are known by what they say, one must have come first.
        """
        match = self._config.match
        known = call.origin == self._last_origin or not (match.device or match.system_title)
        if self.incoming is None or not known or (match.host and match.host != _host(call.origin)):
            return False
        if self.incoming.call is not call:
            self.incoming.connected(call)
            self.meter.wake()
        return True

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        """Take the meter's own messages; what was refused."""
        reader = self._reader(origin)
        if self.incoming is not None:
            self.incoming.received(origin, data)
        events = reader.feed(data, asyncio.get_running_loop().time(), whole=whole)
        if whole and not reader.unfinished:  # a datagram that was a message of its own leaves nothing behind
            self.forget(origin)
        return self._take(events)

    def tick(self) -> None:
        """Time has passed."""
        now = asyncio.get_running_loop().time()
        for reader in self._readers.values():
            self._take(reader.tick(now))

    def _take(self, events: Iterable[Push | Refused]) -> list[Refused]:
        refused = []
        for event in events:
            if isinstance(event, Refused):
                refused.append(event)
                if isinstance(event.error, FramingError) and self._twins is None:
                    self.meter.failed(event.error)
            elif may_be_of(self._config.match, event) and self._is_new("line", event.notification):
                self._take_push(event)
        return refused

    def _take_push(self, push: Push) -> None:
        """Its values are worked out once: they say whose it is, and go to the topics."""
        values, device = self._understood(push.notification), self._config.match.device
        if device and not (values and values.identity(push.system_title).is_device(device)):
            return
        self._counters.keep_ahead(asyncio.get_running_loop().time())
        self._last_origin = push.origin
        if values:
            self._publish(values)

    def take(self, notification: Any) -> None:
        """A notification that came within the meter's own association."""
        if self._is_new("client", notification) and (values := self._understood(notification)):
            self._publish(values)

    def _understood(self, notification: Notification) -> PushedValues | None:
        try:
            return PushedValues(notification)
        except DecodeError as error:
            _LOG.info("%s: a push could not be understood: %s", self.meter.id, error.message)
            return None

    def _publish(self, values: PushedValues) -> None:
        if not self._rate.admits(asyncio.get_running_loop().time()):
            self._tell_flood()
            return
        if self._flooded and self._rate.calm:
            self._flooded = False
            self.meter.status.judge("flood", "")
        meter, notification = self.meter, values.notification
        rows = values.measured({**self._scalers, **meter.session.scalers})
        moment = Moment(values.taken_at(meter.now(), meter.zone, meter.sense), meter.zone, meter.sense)
        meter.take_pushed(list(zip(self._items(rows), rows, strict=True)), moment)
        if isinstance(notification, EventNotification):
            meter.output.event("notification", moment.time, {"obis": str(notification.attribute.obis)})
        elif not rows:
            meter.output.event("notification", moment.time, {})

    def _tell_flood(self) -> None:
        if not self._flooded:
            self._flooded = True
            _LOG.warning("%s: more than %d pushes come each second; the rest is left out", self.meter.id, A_SECOND)
            self.meter.status.judge("flood", f"more than {A_SECOND} pushes come each second: the rest is left out")

    def _items(self, rows: list[Measured]) -> list[PlanItem]:
        """The plan's items where it has them, so that pushes and polls end in the same entities."""
        found = {(item.obis, item.attribute): item.quantity for item in unique(map(catalogued, rows))}
        planned = self.meter.plan.by_key if self.meter.plan else {}
        items = [self._item(row.attribute, found[row.attribute.obis, row.attribute.attribute]) for row in rows]
        return [planned.get(item.key, item) for item in items]

    def _item(self, attribute: AttributeDescriptor, found: Quantity) -> PlanItem:
        config = self._configured.get((attribute.obis, attribute.attribute))
        return plan_item(attribute, found, config, self._config.every or _EVERY, self.meter.zone)


def may_be_of(match: Match, push: Push) -> bool:
    """Is its sender the one that a meter is known by? What the values say of the device comes after that."""
    if match.system_title and push.system_title.hex() != match.system_title.lower():
        return False
    return not match.host or _host(push.origin) == match.host


def _host(origin: str) -> str:
    return origin.rpartition(":")[0].strip("[]")
