"""``async with Meter("tcp://HOST:PORT") as meter``: one meter, read, written and asked in a line each.

Whatever several tasks ask of one meter is asked one after the other. A call may be cancelled at any time: the next one
gets its own answer. Nothing that writes or acts is ever sent twice by itself, and no refused password.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import Any, Self, Unpack, overload

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_named, read_objects, resolve, type_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE
from dlms_mqtt.errors import (
    DlmsMqttError,
    MeterRefused,
)
from dlms_mqtt.library.connection import Connection, settings_of, value_errors, zone_named
from dlms_mqtt.library.meter_line import MeterLine, State, Way, configured, not_open
from dlms_mqtt.library.results import (
    ClockDrift,
    MeterObject,
    Profile,
    Reading,
    clock_drift,
    failed,
    profile,
    reading,
    value_of,
)
from dlms_mqtt.library.values import argument_of, type_named, written
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.transport import Transport

Named = str | MeterObject
"""An object: ``[CLASS/]OBIS[:ATTRIBUTE]``, such as ``1-0:1.8.0`` or ``3/1.0.1.8.0.255:2``, a key such as
``energy_import``, or one of ``objects()``."""


class Meter:
    """One meter. ``line``: ``tcp://HOST:PORT``, ``udp://HOST:PORT``, a serial port or any serial URL.

    The keywords beyond these are the connection keys of the configuration, see ``Connection``. ``reconnect``: a
    call after the line was lost opens it anew (else it raises ConnectionLost). ``timezone``: of the meter's clock,
    an IANA name (default: this computer's). ``state``: the file that keeps invocation counters and object lists;
    None: no file, and ciphering that needs one is refused.

    ValueError names a keyword with a wrong value. Entering the block opens line and association: TransportError,
    MeterRefused, RemoteProtocolError, StoreError.
    """

    def __init__(
        self,
        line: str | Transport = "",
        *,
        reconnect: bool = False,
        timezone: str | tzinfo | None = None,
        state: State = "auto",
        **connection: Unpack[Connection],
    ) -> None:
        transport = None if isinstance(line, str) else line
        settings = settings_of(line if isinstance(line, str) else "", connection, lineless=transport is not None)
        self._begin(Way(settings, transport, zone_named(timezone) if timezone else None, state, reconnect))

    def _begin(self, way: Way) -> None:
        self._line = MeterLine(way)
        self._sense = -1
        self._found_zone: tzinfo | None = None
        self._objects: list[MeterObject] | None = None

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], meter: str = "", *, reconnect: bool = False) -> Self:
        """A meter of a bridge's configuration file, with its state file; ``meter`` may be left out if there is one.

        ConfigError with file, line and key; ValueError where the configuration has no such meter.
        """
        from pathlib import Path

        self = cls.__new__(cls)
        self._begin(configured(Path(path), meter, reconnect))
        return self

    # -- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """What entering the block does."""
        await self._line.open()

    async def close(self) -> None:
        """What leaving the block does: after what is being asked, release the association. May be called again."""
        await self._line.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    @overload
    async def read(self, wanted: Named, /) -> Reading: ...
    @overload
    async def read(self, wanted: Named, second: Named, /, *more: Named) -> list[Reading]: ...
    @overload
    async def read(self, wanted: list[str] | list[MeterObject] | tuple[Named, ...], /) -> list[Reading]: ...
    async def read(
        self, wanted: Named | list[str] | list[MeterObject] | tuple[Named, ...], /, *more: Named
    ) -> Reading | list[Reading]:
        """Read attributes in as few turns of the line as the meter allows.

        One object: its Reading, or MeterRefused. Several, or a list: a Reading for each in this order, with ``value``
        or ``error``. ValueError for what is no object; a code that stands in no catalogue is looked up in the meter's
        own list.
        """
        if isinstance(wanted, list | tuple):
            return await self._line.ask(lambda client: self._read(client, [*wanted, *more]))
        found = await self._line.ask(lambda client: self._read(client, [wanted, *more]))
        if more:
            return found
        if found[0].error is not None:
            raise found[0].error
        return found[0]

    async def _read(self, client: DlmsClient, wanted: Sequence[Named]) -> list[Reading]:
        from dlms_mqtt.meter.catalogue.reference import object_of

        with value_errors():
            named = [object_of(str(item)) for item in wanted]
            found = await read_named(client, named, self._line.store)
        now = datetime.now(UTC)
        return [self._reading(attribute, answer, now) for attribute, answer in found]

    def _reading(self, attribute: AttributeDescriptor, answer: Measured | MeterRefused, now: datetime) -> Reading:
        if isinstance(answer, MeterRefused):
            return failed(attribute, answer, now)
        plain = isinstance(answer.data.value, int | float | str)
        zone = None if plain else self._zone  # finding this computer's takes a while
        return reading(answer, now, zone, self._sense)

    async def objects(self, *, fresh: bool = False) -> list[MeterObject]:
        """What the meter has for this client: the association view, asked for once and then kept.

        A meter with a state file keeps it there too, under its name and firmware; ``fresh`` asks the meter again.
        """
        if self._objects is None or fresh:
            found = await self._line.ask(lambda client: read_objects(client, self._line.store, fresh=fresh))
            self._objects = [MeterObject(item) for item in found]
        return list(self._objects)

    async def profile(
        self,
        obis: Named,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        first: int | None = None,
        count: int | None = None,
        exact: bool = False,
    ) -> Profile:
        """Rows of a load profile or log: from ``start`` to ``end``, or ``count`` entries from number ``first`` (1) on.

        Only these are asked for where the meter allows it. A time without zone is the meter's. ``exact``: scaled
        numbers are ``Decimal``, not ``float``. MeterRefused, DecodeError.
        """
        from dlms_mqtt.client.procedures.profile import Selection, read_profile
        from dlms_mqtt.meter.catalogue.reference import object_of

        if (start or end) and (first or count):
            raise ValueError("start: rows are chosen by time or by number, not both")
        with value_errors():
            code = object_of(str(obis)).obis
        selection = Selection(self._aware(start), self._aware(end), first, count)
        zone = self._zone
        found = await self._line.ask(
            lambda client: read_profile(client, code, selection, tz=zone, sense=self._sense),
        )
        return profile(found, zone, exact)

    # -- writing and acting -------------------------------------------------------------------------------------------

    async def write(self, item: Named, value: Any, *, type: str | None = None) -> None:  # noqa: A002
        """Write one attribute, in the type that it has (``type``: another, such as ``long-unsigned``).

        A number is in the unit that ``read`` gives it in. Text for octets is written as it is, ``bytes`` too; times as
        the meter writes its own. It is not read back and never repeated. ValueError where the value does not fit,
        MeterRefused.
        """
        from dlms_mqtt.meter.catalogue.reference import object_of

        async def ask(client: DlmsClient) -> None:
            reference = object_of(str(item))
            (class_id,) = await resolve(client, [reference], self._line.store)
            attribute = AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id))
            scaled = (await client.scalers([attribute]))[0]
            kind = type_named(type) or await type_of(client, attribute)
            data = value if isinstance(value, Data) else written(value, kind, scaled, self._zone, self._sense)
            await client.set(attribute, data)

        with value_errors():
            await self._line.ask(ask, repeat=False)

    async def invoke(self, method: Named, argument: Any = None, *, type: str | None = None) -> Any:  # noqa: A002
        """Run a method, ``[CLASS/]OBIS:METHOD``, by its number or Blue Book name; what it returns, mostly None.

        Without ``argument`` it is what most meters want: 0 in the method's own type. Never repeated. MeterRefused.
        """
        from dlms_mqtt.meter.catalogue.reference import method_of

        async def ask(client: DlmsClient) -> Data | None:
            reference = method_of(str(method))
            if reference.is_whole:
                raise ValueError(f"method: which one of {reference.obis}? Write {method}:1 for its first")
            (class_id,) = await resolve(client, [reference], self._line.store)
            called = MethodDescriptor(class_id, reference.obis, reference.method(class_id))
            return await client.invoke(called, argument_of(called, argument, type_named(type)))

        with value_errors():
            returned = await self._line.ask(ask, repeat=False)
        return None if returned is None else value_of(returned, self._zone, self._sense)

    async def clock(self) -> ClockDrift:
        """The meter's time and how far it is off. MeterRefused, DecodeError."""
        from dlms_mqtt.client.procedures.clock import read_clock

        shown = await self._line.ask(lambda client: read_clock(client, tz=self._zone, now=_now))
        self._sense = shown.sense
        return clock_drift(shown)

    async def set_clock(self) -> datetime:
        """Set the meter's clock to this computer's; the time that was sent. MeterRefused."""
        from dlms_mqtt.client.procedures.clock import read_clock, set_clock

        async def ask(client: DlmsClient) -> datetime:
            shown = await read_clock(client, tz=self._zone, now=_now)
            return await set_clock(client, shown, tz=self._zone, now=_now)

        return await self._line.ask(ask, repeat=False)

    # -- what else is known -------------------------------------------------------------------------------------------

    @property
    def client(self) -> DlmsClient:
        """The client below, for what is not here (image transfer, ACCESS, selective access); not queued."""
        if self._line.client is None:
            raise not_open(forked=False)
        return self._line.client

    @property
    def line(self) -> str:
        """The line in words: ``tcp://127.0.0.1:4059``."""
        return self._line.name

    def __repr__(self) -> str:
        state = "open" if self._line.is_open else "closed"
        return f"<Meter {self.line} client={self._line.way.settings.client} {state}>"

    @property
    def _zone(self) -> tzinfo:
        if self._found_zone is None:
            self._found_zone = zone_named(self._line.way.zone)
        return self._found_zone

    def _aware(self, moment: datetime | None) -> datetime | None:
        return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=self._zone)


async def read_all(meters: Iterable[Meter], /, *wanted: Named, at_once: int = 500) -> list[list[Reading]]:
    """Read the same objects of many meters: each is opened, read and closed, ``at_once`` of them at a time.

    One list for each meter, in order, with a Reading for each object; where a meter could not be read, all of them
    have the ``error``. Meters on one serial line take turns only by ``at_once=1``. ValueError for what is no object.
    """
    places = asyncio.Semaphore(at_once)

    async def read(meter: Meter) -> list[Reading]:
        async with places:
            try:
                async with meter:
                    return await meter.read([str(item) for item in wanted])
            except DlmsMqttError as error:
                return [failed(attribute, error, _now()) for attribute in nowhere]

    nowhere = [_unasked(item) for item in wanted]
    return list(await asyncio.gather(*map(read, meters)))


def _unasked(item: Named) -> AttributeDescriptor:
    """What was wanted of a meter that could not be asked for the class. ValueError."""
    from dlms_mqtt.cosem.catalogue import default_class
    from dlms_mqtt.meter.catalogue.reference import object_of

    with value_errors():
        reference = object_of(str(item))
    return AttributeDescriptor(
        reference.class_id or default_class(reference.obis) or 0, reference.obis, reference.number or DEFAULT_ATTRIBUTE
    )


def _now() -> datetime:
    return datetime.now(UTC)
