"""Brings pushes to somebody: at intervals or when something happens, to a listener or over a line.

Between two pushes nothing runs but one timer, and none at all where only events are pushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from dlms_mqtt.errors import ConfigError, TransportError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.link import LinkOptions, Side
from dlms_mqtt.protocol.framing.registry import WRAPPER, link_class
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.push import ON_EVENT, SCHEDULED, notification, tell_clients
from dlms_mqtt.times import parse_duration
from dlms_mqtt.transport import Transport, make_transport

CLIENTS = "clients"

log = logging.getLogger("dlms_mqtt.simulator")


@dataclass(frozen=True, slots=True)
class PushRow:
    """One push. ``to``: a line (``tcp://host:port``) or ``clients`` (every association that stands).

    ``every`` in seconds, 0: when an event is logged.
    """

    to: str
    every: float = 0.0
    obis: Obis = SCHEDULED
    client: int = 1
    ciphered: bool = False
    framing: str = WRAPPER


_KEYS = ("to", "every", "object", "client", "ciphered", "framing")


def parse_push(row: Any) -> PushRow:
    """A row of a description, or ``tcp://host:port,every=60,ciphered`` of the command line. ConfigError."""
    if isinstance(row, str):
        to, *options = row.split(",")
        row = {"to": to} | {key: value or True for key, _, value in (option.partition("=") for option in options)}
    strange = [key for key in row if key not in _KEYS]
    if strange or "to" not in row:
        raise ConfigError(f"a push has {', '.join(_KEYS)}", key="push", hint="Write tcp://host:port,every=60,ciphered")
    try:
        client = int(row.get("client", 1))
    except (TypeError, ValueError):
        raise ConfigError("the client of a push is a number", key="push") from None
    every, framing = _interval(row.get("every", 0)), str(row.get("framing", WRAPPER))
    link_class(framing)
    obis = Obis.parse(str(row["object"])) if "object" in row else SCHEDULED if every else ON_EVENT
    return PushRow(
        str(row["to"]),
        every,
        obis,
        client,
        str(row.get("ciphered", False)).lower() in ("true", "yes", "1"),
        framing,
    )


def _interval(value: Any) -> float:
    try:
        return parse_duration(value, bare=True)
    except ConfigError as error:
        raise ConfigError(f"every of a push: {error.message}", key="push") from None


def push_frame(meter: Meter, row: PushRow, number: int) -> bytes:
    """The push as octets of the line."""
    apdu = notification(meter, row.obis, client=row.client, ciphered=row.ciphered, number=number)
    options = LinkOptions(client=row.client, server=meter.server, physical=meter.physical)
    link = link_class(row.framing).make(Side.SERVER, options)
    link.send_unnumbered(apdu, row.client)
    return link.data_to_send()


class Pusher:
    """One row at work. ``transport``: a line that is already open (a meter that speaks on its serial port)."""

    def __init__(self, meter: Meter, row: PushRow, transport: Transport | None = None) -> None:
        self.meter = meter
        self.row = row
        self.sent = 0
        self._line = transport
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Push until cancelled."""
        self.meter.on_event.append(self._event)
        self.meter.on_push.append(self._on_request)
        try:
            while True:
                await self._wait()
                await self.push()
        finally:
            self.meter.on_event.remove(self._event)
            self.meter.on_push.remove(self._on_request)

    def _event(self, _event: object) -> None:
        if not self.row.every:
            self._due.set()

    def _on_request(self, obis: Obis) -> None:
        """Method 1 of the push setup."""
        if obis == self.row.obis:
            self._due.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.row.every or None):
                await self._due.wait()
        self._due.clear()

    async def push(self) -> None:
        """One push; a listener that is not there is no error: the meter tries again next time."""
        self.sent += 1
        if self.row.to == CLIENTS:
            tell_clients(self.meter, notification(self.meter, self.row.obis, client=self.row.client, number=self.sent))
            return
        frame = push_frame(self.meter, self.row, self.sent)
        if self._line is not None:
            self._line.write(frame)
            return
        line = make_transport(self.row.to)
        try:
            await line.open()
            line.write(frame)
            await line.drain()
        except TransportError as error:
            log.info("push to %s: %s", self.row.to, error)
        finally:
            await line.close()
