"""Waiting for meters that connect by themselves: a TCP or UDP port that hands every chunk of bytes to a callback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.transport.base import format_address, parse_address

#: ``origin`` (host:port), the bytes, whether they are a whole datagram; b"" says that the connection ended.
OnData = Callable[[str, bytes, bool], None]


class Listener:
    """An open port; ``close`` ends it and every connection to it."""

    def __init__(self) -> None:
        self.connections: set[asyncio.BaseTransport] = set()
        self.server: asyncio.Server | None = None
        self.port = 0

    def close(self) -> None:
        """Stop listening; twice does no harm."""
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.close()


class _Stream(asyncio.Protocol):
    def __init__(self, listener: Listener, on_data: OnData) -> None:
        self._listener, self._on_data, self._origin = listener, on_data, "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._listener.connections.add(transport)
        self._origin = _name(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        self._on_data(self._origin, data, False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self._transport)
        self._on_data(self._origin, b"", True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_data: OnData) -> None:
        self._on_data = on_data

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._on_data(_name(addr), data, True)


def _name(address: Any) -> str:
    return format_address(address[0], address[1]) if address else "?"


async def listen(url: str, on_data: OnData) -> Listener:
    """Listen on ``tcp://ADDR:PORT`` or ``udp://ADDR:PORT``. ConfigError, ConnectFailed."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("tcp", "udp"):
        raise ConfigError(f"'{url}' is no address to listen on", hint="Write tcp://0.0.0.0:4059 or udp://0.0.0.0:4059.")
    host, port = parse_address(rest)
    listener, loop = Listener(), asyncio.get_running_loop()
    try:
        if scheme == "tcp":
            listener.server = await loop.create_server(lambda: _Stream(listener, on_data), host, port)
            listener.port = listener.server.sockets[0].getsockname()[1]
        else:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(on_data), local_addr=(host, port))
            listener.connections.add(transport)
            listener.port = transport.get_extra_info("sockname")[1]
    except OSError as error:
        raise ConnectFailed(
            f"cannot listen on {url}: {error.strerror or error}", hint="Another program may hold the port."
        ) from error
    return listener
