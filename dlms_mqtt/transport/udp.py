"""Datagrams to and from one address: each write is one datagram, each read returns one."""

from __future__ import annotations

import asyncio
from typing import cast

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.base import Inbox, Transport, closed, format_address
from dlms_mqtt.transport.network import connect_failed


class UdpTransport(Transport):
    """Datagrams over UDP. A system that says that nobody listens ends the line, as a closed connection does."""

    datagram = True

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.name = format_address(host, port)
        self._endpoint: _Endpoint | None = None

    async def open(self) -> None:
        """Bind a socket and connect it to the address; ConnectFailed."""
        if self._endpoint is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            _, self._endpoint = await loop.create_datagram_endpoint(
                lambda: _Endpoint(self.name), remote_addr=(self.host, self.port)
            )
        except OSError as error:
            raise connect_failed(error, self.name) from error

    async def close(self) -> None:
        """Close the socket."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.transport.close()
            await endpoint.gone.wait()

    def write(self, data: bytes) -> None:
        """Send one datagram."""
        endpoint = self._open()
        if endpoint.inbox.error is not None:
            raise ConnectionLost(endpoint.inbox.error.message, hint=endpoint.inbox.error.hint)
        endpoint.transport.sendto(data)

    async def drain(self) -> None:
        """Datagrams leave at once."""

    async def read(self, timeout: float | None) -> bytes:
        """One datagram; ResponseTimeout, ConnectionLost."""
        return await self._open().inbox.read(timeout)

    def at_once(self) -> bytes:
        """One datagram that is there."""
        return self._endpoint.inbox.at_once() if self._endpoint else b""

    def discard(self) -> bytes:
        """Throw away and return all datagrams received."""
        return self._endpoint.inbox.discard() if self._endpoint else b""

    def _open(self) -> _Endpoint:
        if self._endpoint is None:
            raise closed(self.name)
        return self._endpoint


class _Endpoint(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox = Inbox(datagram=True)
        self.gone = asyncio.Event()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data:  # an empty datagram carries nothing and would read as the end
            self.inbox.feed(data)

    def error_received(self, exc: Exception) -> None:
        failed = connect_failed(exc, self.name) if isinstance(exc, OSError) else None
        self.inbox.fail(ConnectionLost(failed.message if failed else str(exc), hint=failed.hint if failed else ""))

    def connection_lost(self, exc: Exception | None) -> None:
        self.inbox.fail(closed(self.name))
        self.gone.set()
