"""``async with Meter("tcp://HOST:PORT") as meter``: one meter, read, written and asked in a line each.

Whatever several tasks ask of one meter is asked one after the other. A call may be cancelled at any time: the next one
gets its own answer. Nothing that writes or acts is ever sent twice by itself, and no refused password.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects, resolve, type_of
from dlms_mqtt.client.refusals import about_secrets
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import (
    ConnectionLost,
    DlmsMqttError,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
    TransportError,
)
from dlms_mqtt.library.connection import Connection, settings_of, value_errors, zone_named
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

if TYPE_CHECKING:
    from dlms_mqtt.client.state.store import Store

T = TypeVar("T")
_FRESH = 15.0  # s of silence after which an open association is checked before something that must not be repeated
Named = str | MeterObject
"""An object: ``[CLASS/]OBIS[:ATTRIBUTE]``, such as ``1-0:1.8.0`` or ``3/1.0.1.8.0.255:2``, a key such as
``energy_import``, or one of ``objects()``."""
State = str | os.PathLike[str] | None
"""The state file; ``"auto"``: the one that the command line uses too, opened only where ciphering needs it."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How to reach the meter, and whose clock and counters hold."""

    settings: ConnectionSettings
    transport: Transport | None
    zone: tzinfo | None
    state: State
    reconnect: bool


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
        self._begin(_Way(settings, transport, zone_named(timezone) if timezone else None, state, reconnect))

    def _begin(self, way: _Way) -> None:
        if way.state is None and way.settings.encryption_key and not isinstance(way.settings.invocation_counter, int):
            raise ValueError(
                "state: ciphering needs a state file, or the same key would protect two messages alike; "
                "leave it out, or give invocation_counter a number and see to it yourself that it rises"
            )
        self._way = way
        self._turn = asyncio.Lock()
        self._client: DlmsClient | None = None
        self._store: Store | None = None
        self._memory = Memory()
        self._sense = -1
        self._found_zone: tzinfo | None = None
        self._process = 0  # in which it was opened; 0: it is not open
        self._lost: DlmsMqttError | None = None
        self._refused: DlmsMqttError | None = None
        self._objects: list[MeterObject] | None = None

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], meter: str = "", *, reconnect: bool = False) -> Self:
        """A meter of a bridge's configuration file, with its state file; ``meter`` may be left out if there is one.

        ConfigError with file, line and key; ValueError where the configuration has no such meter.
        """
        self = cls.__new__(cls)
        self._begin(_configured(Path(path), meter, reconnect))
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
        async with self._turn:
            if self._process:
                raise LocalProtocolError("this meter is open already")
            self._process = os.getpid()
            try:
                await self._opened()
            except BaseException:
                await self._end()
                raise

    async def close(self) -> None:
        """What leaving the block does: after what is being asked, release the association. May be called again."""
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        here = self._process == os.getpid()  # a fork must not say goodbye on its parent's line
        self._process = 0
        client, self._client = self._client, None
        store, self._store = self._store, None
        try:
            if client is not None and here:
                await client.close()
        finally:
            self._lost = None
            if store is not None and here:
                store.close()

    async def _ask(self, question: Callable[[DlmsClient], Awaitable[T]], *, repeat: bool = True) -> T:
        """One question after the other. ``repeat``: where the line turns out to be gone, it may be asked anew."""
        if self._process != os.getpid():
            raise _not_open(forked=bool(self._process))
        async with self._turn:
            reused = self._client is not None
            if reused and self._way.reconnect and not repeat:
                await self._prove_open()
            try:
                return await self._put(question)
            except ConnectionLost:
                if not (reused and repeat and self._way.reconnect):
                    raise
            return await self._put(question)

    async def _put(self, question: Callable[[DlmsClient], Awaitable[T]]) -> T:
        """What goes wrong with the line is remembered for the next question."""
        client = await self._opened()
        try:
            return await question(client)
        except ConnectionLost as error:
            self._lost = error
            raise
        except (TransportError, RemoteProtocolError) as error:
            self._lost = error if self._way.reconnect else None
            raise

    async def _prove_open(self) -> None:
        """Before something that must not go out twice: an idle association may be long gone."""
        client = await self._opened()
        if client.idle > _FRESH:
            with suppress(DlmsMqttError):
                await self._put(lambda client: client.keep_alive())

    async def _opened(self) -> DlmsClient:
        """The client, with an association that is believed to stand."""
        if not self._process:
            raise _not_open(forked=False)
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        if self._lost is not None and not self._way.reconnect:
            raise ConnectionLost(
                f"the line to the meter was lost: {self._lost.message}",
                hint="Open the meter anew, or give reconnect=True.",
            ) from self._lost
        if self._lost is not None and self._client is not None:
            await self._client.close()
            self._client = None
        if self._client is None:
            self._client = await self._new_client()
        self._lost = None
        return self._client

    async def _new_client(self) -> DlmsClient:
        way = self._way
        if self._store is None:
            self._store = _store(way)
        client = DlmsClient(way.settings, transport=way.transport, store=self._store, memory=self._memory)
        try:
            await client.open()
        except DlmsMqttError as error:
            if about_secrets(error):
                self._refused = error
            raise
        return client

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
            return await self._ask(lambda client: self._read(client, [*wanted, *more]))
        found = await self._ask(lambda client: self._read(client, [wanted, *more]))
        if more:
            return found
        if found[0].error is not None:
            raise found[0].error
        return found[0]

    async def _read(self, client: DlmsClient, wanted: Sequence[Named]) -> list[Reading]:
        with value_errors():
            attributes = await self._attributes(client, wanted)
        known = [item for item in attributes if isinstance(item, AttributeDescriptor)]
        answers = iter(await client.read(known))
        now = datetime.now(UTC)
        return [
            self._reading(item, next(answers), now) if isinstance(item, AttributeDescriptor) else item
            for item in attributes
        ]

    def _reading(self, attribute: AttributeDescriptor, answer: Measured | MeterRefused, now: datetime) -> Reading:
        if isinstance(answer, MeterRefused):
            return failed(attribute, answer, now)
        return reading(answer, now, self._zone, self._sense)

    async def _attributes(self, client: DlmsClient, wanted: Sequence[Named]) -> list[AttributeDescriptor | Reading]:
        """What was named; a Reading where the meter has no such object."""
        from dlms_mqtt.meter.catalogue.reference import object_of

        named = [object_of(str(item)) for item in wanted]
        found: list[AttributeDescriptor | Reading] = []
        for reference, class_id in zip(named, await self._classes(client, named), strict=True):
            if isinstance(class_id, MeterRefused):
                number = DEFAULT_ATTRIBUTE if reference.number is None else reference.number
                nowhere = AttributeDescriptor(reference.class_id or 0, reference.obis, number)
                found.append(failed(nowhere, class_id, datetime.now(UTC)))
            else:
                found.append(AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id)))
        return found

    async def _classes(self, client: DlmsClient, references: Sequence[ObjectRef]) -> list[int | MeterRefused]:
        """The class of each object; one that the meter does not have must not spoil the others."""
        try:
            return list(await resolve(client, references, self._store))
        except MeterRefused as error:
            if len(references) == 1:
                return [error]
        found: list[int | MeterRefused] = []
        for reference in references:
            found += await self._classes(client, [reference])
        return found

    async def objects(self, *, fresh: bool = False) -> list[MeterObject]:
        """What the meter has for this client: the association view, asked for once and then kept.

        A meter with a state file keeps it there too, under its name and firmware; ``fresh`` asks the meter again.
        """
        if self._objects is None or fresh:
            found = await self._ask(lambda client: read_objects(client, self._store, fresh=fresh))
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
        found = await self._ask(
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

        async def ask(client: DlmsClient) -> None:
            (attribute,) = await self._attributes(client, [item])
            if isinstance(attribute, Reading):
                raise attribute.error or LocalProtocolError("there is no such object")
            scaled = (await client.scalers([attribute]))[0]
            kind = type_named(type) or await type_of(client, attribute)
            data = value if isinstance(value, Data) else written(value, kind, scaled, self._zone, self._sense)
            await client.set(attribute, data)

        with value_errors():
            await self._ask(ask, repeat=False)

    async def invoke(self, method: Named, argument: Any = None, *, type: str | None = None) -> Any:  # noqa: A002
        """Run a method, ``[CLASS/]OBIS:METHOD``, by its number or Blue Book name; what it returns, mostly None.

        Without ``argument`` it is what most meters want: 0 in the method's own type. Never repeated. MeterRefused.
        """
        from dlms_mqtt.meter.catalogue.reference import method_of

        async def ask(client: DlmsClient) -> Data | None:
            reference = method_of(str(method))
            if reference.is_whole:
                raise ValueError(f"method: which one of {reference.obis}? Write {method}:1 for its first")
            (class_id,) = await resolve(client, [reference], self._store)
            called = MethodDescriptor(class_id, reference.obis, reference.method(class_id))
            return await client.invoke(called, argument_of(called, argument, type_named(type)))

        with value_errors():
            returned = await self._ask(ask, repeat=False)
        return None if returned is None else value_of(returned, self._zone, self._sense)

    async def clock(self) -> ClockDrift:
        """The meter's time and how far it is off. MeterRefused, DecodeError."""
        from dlms_mqtt.client.procedures.clock import read_clock

        shown = await self._ask(lambda client: read_clock(client, tz=self._zone, now=_now))
        self._sense = shown.sense
        return clock_drift(shown)

    async def set_clock(self) -> datetime:
        """Set the meter's clock to this computer's; the time that was sent. MeterRefused."""
        from dlms_mqtt.client.procedures.clock import read_clock, set_clock

        async def ask(client: DlmsClient) -> datetime:
            shown = await read_clock(client, tz=self._zone, now=_now)
            return await set_clock(client, shown, tz=self._zone, now=_now)

        return await self._ask(ask, repeat=False)

    # -- what else is known -------------------------------------------------------------------------------------------

    @property
    def client(self) -> DlmsClient:
        """The client below, for what is not here (image transfer, ACCESS, selective access); not queued."""
        if self._client is None:
            raise _not_open(forked=False)
        return self._client

    @property
    def line(self) -> str:
        """The line in words: ``tcp://127.0.0.1:4059``."""
        way = self._way
        return way.transport.name if way.transport is not None else way.settings.line

    def __repr__(self) -> str:
        return f"<Meter {self.line} client={self._way.settings.client} {'open' if self._process else 'closed'}>"

    @property
    def _zone(self) -> tzinfo:
        if self._found_zone is None:
            self._found_zone = zone_named(self._way.zone)
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


def _not_open(*, forked: bool) -> LocalProtocolError:
    if forked:
        return LocalProtocolError(
            "this meter was opened in another process", hint="Open one of its own in each process, after the fork."
        )
    return LocalProtocolError("the meter is not open", hint="Use it inside `async with Meter(...) as meter:`.")


def _store(way: _Way) -> Store | None:
    """Opened where it is needed: to cipher, or because it was asked for. StoreError."""
    if way.state == "auto" and not way.settings.encryption_key:
        return None
    from dlms_mqtt.client.state.state_file import MEMORY, default_path
    from dlms_mqtt.client.state.store import Store

    if way.state is None:
        return Store(MEMORY) if way.settings.encryption_key else None
    return Store(default_path() if way.state == "auto" else Path(way.state))


def _configured(path: Path, meter: str, reconnect: bool) -> _Way:
    from dlms_mqtt.bridge.config.load import load_config
    from dlms_mqtt.meter.presets.preset import preset_connection

    loaded = load_config(path, preset_connection, os.environ)
    name = meter or (next(iter(loaded.connections)) if len(loaded.connections) == 1 else "")
    if name not in loaded.connections:
        raise ValueError(f"meter: {path} has no meter '{meter}'; it has {', '.join(loaded.connections) or 'none'}")
    bridge = loaded.config.bridge
    named = loaded.config.meters[name].timezone or bridge.timezone
    zone = zone_named(named) if named else None
    return _Way(loaded.connections[name], None, zone, bridge.state_dir / "state.sqlite", reconnect)
