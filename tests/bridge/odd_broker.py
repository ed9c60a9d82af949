"""A small MQTT 5 broker for one client at a time, with chosen oddities; it keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator


class OddBroker:
    """``most``: Receive Maximum, told and enforced; ``deny``: topics refused with 135; ``reason``: of every PUBACK;
    ``largest``: Maximum Packet Size, only told."""

    def __init__(
        self, *, most: int = 0, wait: float = 0.0, deny: str = "", reason: int = 0, heard: int = 1, largest: int = 0
    ) -> None:
        self.most, self.wait, self.deny, self.reason, self.heard = most, wait, deny, reason, heard
        self.largest = largest
        self.taken: list[tuple[str, bytes, bytes]] = []  # topic, payload, properties
        self.refused: list[str] = []
        self.lines = self.under_way = self.worst = 0
        self.identifiers: list[str] = []
        self.asked: list[list[str]] = []  # filters of each subscription
        self.unasked: list[list[str]] = []
        self.dumb = False  # answers no subscription
        self.goodbye = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.Task[None] | None] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._client, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._clients, return_exceptions=True)  # each may confirm a last message
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self, reason: int | None) -> None:
        for writer in self._writers:
            if reason is not None:
                _send(writer, 0xE0, bytes((reason, 0)))
            writer.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines, self.under_way = self.lines + 1, 0
        self._writers.add(writer)
        self._clients.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._packet(reader, writer):
                await writer.drain()
        self._writers.discard(writer)
        self._clients.discard(asyncio.current_task())
        writer.close()

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readexactly(1))[0]
        length = shift = 0
        while (octet := (await reader.readexactly(1))[0]) & 0x80:
            length, shift = length | (octet & 0x7F) << shift, shift + 7
        body = await reader.readexactly(length | octet << shift)
        kind = head >> 4
        if kind == 1:
            told = b"\x21" + struct.pack(">H", self.most) if self.most else b""
            told += b"\x27" + struct.pack(">I", self.largest) if self.largest else b""
            count, at = _varint(body, 10)
            at += count
            size = struct.unpack_from(">H", body, at)[0]
            self.identifiers.append(body[at + 2 : at + 2 + size].decode())
            _send(writer, 0x20, b"\0\0" + bytes((len(told),)) + told)
        elif kind in (8, 10) and self.dumb:
            pass
        elif kind == 8:
            self.asked.append(_filters(body, options=1))
            _send(writer, 0x90, body[:2] + b"\0" + bytes((self.heard,)) * len(self.asked[-1]))
        elif kind == 10:
            self.unasked.append(_filters(body, options=0))
            _send(writer, 0xB0, body[:2] + b"\0" + bytes(len(self.unasked[-1])))
        elif kind == 12:
            _send(writer, 0xD0, b"")
        elif kind == 3:
            return self._publish(head, body, writer)
        return kind != 14

    def _publish(self, head: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        size = struct.unpack(">H", body[:2])[0]
        topic, number = body[2 : 2 + size].decode(), body[2 + size : 4 + size]
        count, at = _varint(body, 4 + size)
        self.under_way += 1
        self.worst = max(self.worst, self.under_way)
        if self.most and self.under_way > self.most:
            _send(writer, 0xE0, b"\x93\0")
            return False
        reason = 135 if self.deny and topic.startswith(self.deny) else self.reason
        if reason:
            self.refused.append(topic)
        else:
            self.taken.append((topic, body[at + count :], body[at : at + count]))
        task = asyncio.ensure_future(self._confirm(writer, number, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _confirm(self, writer: asyncio.StreamWriter, number: bytes, reason: int) -> None:
        await asyncio.sleep(self.wait)
        self.under_way -= 1
        if not writer.is_closing():
            _send(writer, 0x40, number + (bytes((reason, 0)) if reason else b""))


def _filters(body: bytes, options: int) -> list[str]:
    count, at = _varint(body, 2)
    at, found = at + count, []
    while at < len(body):
        size = struct.unpack_from(">H", body, at)[0]
        found.append(body[at + 2 : at + 2 + size].decode())
        at += 2 + size + options
    return found


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value, shift, at = value | (body[at] & 0x7F) << shift, shift + 7, at + 1
        if not body[at - 1] & 0x80:
            return value, at


def _send(writer: asyncio.StreamWriter, head: int, body: bytes) -> None:
    length, left = b"", len(body)
    while True:
        length, left = length + bytes((left & 0x7F | (0x80 if left > 0x7F else 0),)), left >> 7
        if not left:
            break
    writer.write(bytes((head,)) + length + body)
