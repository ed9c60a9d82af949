"""``listen``: pushes as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from dlms_mqtt.client.push import PushSource
from dlms_mqtt.errors import ConnectionLost, DlmsMqttError, ResponseTimeout
from dlms_mqtt.library.connection import value_errors, zone_named
from dlms_mqtt.library.pushes import Push, Pushes, keys_of, octets_of

if TYPE_CHECKING:
    from dlms_mqtt.transport import Transport
    from dlms_mqtt.transport.listen import Listener

_TICK = 1.0  # s between looks at messages that may never be completed


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
            keys = keys_of(encryption=encryption_key, authentication=authentication_key, broadcast=broadcast_key)
            title = octets_of(system_title, "system_title")
        source = PushSource("", keys, title, accept_unauthenticated)
        self._pushes = Pushes([source], zone_named(timezone))
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
        self._put(self._pushes.feed(origin, data, whole, _now()))

    def _put(self, pushes: list[Push]) -> None:
        for push in pushes:
            self._arrived.put_nowait(push)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._put(self._pushes.tick(_now()))

    async def _follow(self, transport: Transport) -> None:
        while True:
            try:
                self._take(transport.name, await transport.read(_TICK), False)
            except ResponseTimeout:
                self._put(self._pushes.tick(_now()))
            except ConnectionLost as error:
                self._take(transport.name, b"", True)  # the end may complete a message
                self._arrived.put_nowait(error)
                return


class _Background:
    """A task beside the block."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._work)

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
