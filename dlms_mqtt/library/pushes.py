"""What meters say by themselves: ``decode`` explains bytes that were captured, ``listen`` takes pushes as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import field
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from dlms_mqtt.client.push import Notification, PushOpener, PushReader, PushReaders, PushSource, Refused
from dlms_mqtt.client.push import Push as RawPush
from dlms_mqtt.errors import ConfigError, ConnectionLost, DecodeError, DlmsMqttError, ResponseTimeout
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.library.connection import secret, value_errors, zone_named
from dlms_mqtt.library.results import JsonResult, Reading, reading
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys

if TYPE_CHECKING:
    from dlms_mqtt.transport import Transport
    from dlms_mqtt.transport.listen import Listener

_TICK = 1.0  # s between looks at messages that may never be completed
_KEY_LENGTHS = (16, 32)


class Decoded(JsonResult):
    """What bytes say.

    ``readings``: the values of the pushes in them, as ``Meter.read`` would give them. The rest is worked out when it
    is first asked for.
    """

    __slots__ = ("_document", "_explain", "readings")

    def __init__(self, readings: list[Reading], explain: Callable[[], dict[str, Any]]) -> None:
        self.readings = readings
        self._explain = explain
        self._document: dict[str, Any] | None = None

    def _explained(self) -> dict[str, Any]:
        if self._document is None:
            self._document = self._explain()
        return self._document

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Each message with its frames, protection, APDU and values, as of ``dlms-mqtt decode --json``."""
        return list(self._explained()["messages"])

    @property
    def errors(self) -> list[str]:
        """What could not be understood or believed, in words."""
        return [f"{error['message']}. {error['hint']}".rstrip(". ") for error in self._explained()["errors"]]

    @property
    def rest(self) -> bytes:
        """Octets that belong to nothing."""
        return bytes.fromhex(self._explained()["rest"])

    def as_dict(self) -> dict[str, Any]:
        """The document of ``dlms-mqtt decode --json``, with ``readings``."""
        return self._explained() | {"readings": [item.as_dict() for item in self.readings]}

    def __repr__(self) -> str:
        return f"Decoded(readings={self.readings!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decoded) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Explained first: the keys stay where they are."""
        return _decoded, (self.readings, self._explained())


def _decoded(readings: list[Reading], document: dict[str, Any]) -> Decoded:
    return Decoded(readings, lambda: document)


@dataclass(frozen=True, slots=True)
class Push(JsonResult):
    """One message of a meter. ``origin``: where it came from; ``time``: when its values were taken (aware).

    ``system_title``: of the sender, where it is told; ``verified``: was its tag checked (None: it has none).
    ``error``: why it is not believed or not understood; then there are no readings.
    """

    origin: str
    time: datetime
    readings: list[Reading] = field(default_factory=list)
    system_title: bytes = b""
    verified: bool | None = None
    error: DlmsMqttError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "origin": self.origin,
            "time": self.time.isoformat(timespec="seconds"),
            "readings": [item.as_dict() for item in self.readings],
            "system_title": self.system_title.hex() or None,
            "verified": self.verified,
        } | ({"error": self.error.told} if self.error else {})


def decode(
    data: bytes | str,
    *,
    encryption_key: bytes | str | None = None,
    authentication_key: bytes | str | None = None,
    dedicated_key: bytes | str | None = None,
    broadcast_key: bytes | str | None = None,
    system_title: bytes | str = b"",
    timezone: str | tzinfo | None = None,
) -> Decoded:
    """Explain captured bytes (or their hexadecimal text): frames, APDUs, pushes, P1 telegrams, bare values.

    Keys are ``bytes`` or hexadecimal text; ``system_title``: of the sender, where its messages do not tell it;
    ``timezone``: of the meter's clock. What is wrong with the bytes is in ``errors``; ValueError names a wrong
    argument.
    """
    with value_errors():
        octets = _octets(data, "data")
        keys = _keys(
            encryption=encryption_key,
            authentication=authentication_key,
            dedicated=dedicated_key,
            broadcast=broadcast_key,
        )
        title = _octets(system_title, "system_title")
    sources = [PushSource("", keys, title, accept_unauthenticated=True), *([PushSource("plain")] if keys else [])]
    reader = PushReader("", opener=PushOpener(sources))
    found = _Pushes(sources, zone_named(timezone), captured=True)
    pushes = [found.made(event) for event in (*reader.feed(octets, 0.0), *reader.finish())]
    return Decoded([item for push in pushes for item in push.readings], lambda: _document(octets, keys, title))


def _document(octets: bytes, keys: Keys | None, title: bytes) -> dict[str, Any]:
    from dlms_mqtt.meter.explain.explain import explain

    return explain(octets, keys, title)


def _octets(data: bytes | str, name: str) -> bytes:
    try:
        return bytes.fromhex(data) if isinstance(data, str) else bytes(data)
    except (ValueError, TypeError):
        raise ConfigError("expected bytes, or pairs of hexadecimal digits", key=name) from None


def _keys(**given: bytes | str | None) -> Keys | None:
    """The keys that were given. ConfigError."""
    secrets = {kind: secret(f"{kind}_key", key) for kind, key in given.items() if key}
    for kind, key in secrets.items():
        if len(key) not in _KEY_LENGTHS:
            raise ConfigError(f"a key has 16 or 32 octets, this one {len(key)}", key=f"{kind}_key")
    return Keys(**({"encryption": Secret()} | secrets)) if secrets else None


class listen:  # noqa: N801 - used like a function: `async for push in listen(...)`
    """Take what meters push: ``async for push in listen("tcp://0.0.0.0:4059"): ...``.

    ``line``: ``tcp://ADDR:PORT`` or ``udp://ADDR:PORT`` to wait for meters that connect, else a serial port or URL to
    read (``baud``, ``parity``). With keys only messages that are protected with them are believed, each once; what is
    refused comes with ``error``. Leaving the loop closes the line; ``async with listen(...) as pushes`` does so at the
    end of the block, and shows ``pushes.address`` before the first one has come.

    ValueError names a wrong argument; ConnectFailed, ConnectionLost (a serial line that ends).
    """

    def __init__(
        self,
        line: str,
        *,
        baud: int = 9600,
        parity: Literal["none", "even", "odd"] = "none",
        encryption_key: bytes | str | None = None,
        authentication_key: bytes | str | None = None,
        broadcast_key: bytes | str | None = None,
        system_title: bytes | str = b"",
        accept_unauthenticated: bool = False,
        timezone: str | tzinfo | None = None,
    ) -> None:
        self.address = line
        self._line, self._serial = line, {"baud": baud, "parity": parity}
        with value_errors():
            keys = _keys(encryption=encryption_key, authentication=authentication_key, broadcast=broadcast_key)
            title = _octets(system_title, "system_title")
        source = PushSource("", keys, title, accept_unauthenticated)
        self._pushes = _Pushes([source], zone_named(timezone))
        self._arrived: asyncio.Queue[Push | DlmsMqttError] = asyncio.Queue()
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the line. May be called again."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def __aiter__(self) -> AsyncGenerator[Push, None]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Push, None]:
        opened_here = self._stack is None
        await self._open()
        try:
            while self._stack is not None:
                item = await self._arrived.get()
                if isinstance(item, DlmsMqttError):
                    raise item
                yield item
        finally:
            if opened_here:
                await self.aclose()

    async def _open(self) -> None:
        if self._stack is not None:
            return
        async with AsyncExitStack() as stack:
            if self._line.startswith(("tcp://", "udp://")):
                await self._bind(stack)
            else:
                await self._read(stack)
            self._stack = stack.pop_all()

    async def _bind(self, stack: AsyncExitStack) -> None:
        from dlms_mqtt.transport.listen import listen as bind

        with value_errors():
            listener: Listener = await stack.enter_async_context(await bind(self._line, self._take))
        self.address = listener.name
        await stack.enter_async_context(_Background(self._tick()))

    async def _read(self, stack: AsyncExitStack) -> None:
        from dlms_mqtt.transport import make_transport

        transport: Transport = make_transport(self._line, **self._serial)
        await stack.enter_async_context(transport)
        await stack.enter_async_context(_Background(self._follow(transport)))

    def _take(self, origin: str, data: bytes, whole: bool) -> None:
        self._put(self._pushes.feed(origin, data, whole))

    def _put(self, pushes: list[Push]) -> None:
        for push in pushes:
            self._arrived.put_nowait(push)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._put(self._pushes.tick())

    async def _follow(self, transport: Transport) -> None:
        while True:
            try:
                self._take(transport.name, await transport.read(_TICK), False)
            except ResponseTimeout:
                self._put(self._pushes.tick())
            except ConnectionLost as error:
                self._take(transport.name, b"", True)  # the end may complete a message
                self._arrived.put_nowait(error)
                return


class _Background:
    """A task beside the block."""

    def __init__(self, work: Any) -> None:
        self._work = work

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._work)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class _Pushes:
    """Bytes in, pushes out. ``captured``: long ago, perhaps, so that the time they tell is believed."""

    def __init__(self, sources: Sequence[PushSource], zone: tzinfo, *, captured: bool = False) -> None:
        self._readers, self._zone, self._captured = PushReaders(sources), zone, captured

    def feed(self, origin: str, data: bytes, whole: bool) -> list[Push]:
        """Bytes from somewhere; none at all: that connection ended."""
        return [self.made(event) for event in self._readers.feed(origin, data, _now(), whole=whole)]

    def tick(self) -> list[Push]:
        """Time has passed."""
        return [self.made(event) for event in self._readers.tick(_now())]

    def made(self, event: RawPush | Refused) -> Push:
        """A message as the program sees it."""
        if isinstance(event, Refused):
            return Push(event.origin, datetime.now(UTC), error=event.error)
        title, verified = event.system_title, event.opened.verified
        try:
            time, readings = self._readings(event.notification)
        except DecodeError as error:
            return Push(event.origin, datetime.now(UTC), [], title, verified, error)
        return Push(event.origin, time, readings, title, verified)

    def _readings(self, notification: Notification) -> tuple[datetime, list[Reading]]:
        from dlms_mqtt.meter.push.readings import PushedValues

        values = PushedValues(notification)
        told = getattr(notification, "time", None) if self._captured else None
        moment = told.to_datetime(self._zone) if isinstance(told, DateTime) else None
        time = moment or values.taken_at(datetime.now(UTC), self._zone)
        return time, [reading(row, time, self._zone) for row in values.measured()]


def _now() -> float:
    return asyncio.get_running_loop().time()
