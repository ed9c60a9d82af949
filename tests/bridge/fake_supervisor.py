"""The part of Home Assistant's Supervisor that an app sees: the MQTT service and the way to Home Assistant."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

TOKEN = "0123456789abcdef"


class FakeSupervisor:
    """``broker`` and ``language`` may change at any time; None: no broker, no answer of Home Assistant."""

    def __init__(self) -> None:
        self.broker: dict[str, Any] | None = None
        self.language: str | None = None
        self.rubbish = False
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        self.asked.append(path)
        self.was_asked.set()
        status, body = self._answer(path) if f"Bearer {TOKEN}" in head else ("401 Unauthorized", "401: Unauthorized")
        length = len(body.encode())
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}".encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    def _answer(self, path: str) -> tuple[str, str]:
        if self.rubbish:
            return "200 OK", "<html>starting"
        if path == "/services/mqtt":
            if self.broker is None:
                return "400 Bad Request", json.dumps({"result": "error", "message": "Service not enabled"})
            return "200 OK", json.dumps({"result": "ok", "data": self.broker})
        if path == "/core/api/config" and self.language:
            return "200 OK", json.dumps({"language": self.language, "time_zone": "Europe/Vienna"})
        return "502 Bad Gateway", "502: Bad Gateway"


@contextlib.asynccontextmanager
async def fake_supervisor() -> AsyncIterator[FakeSupervisor]:
    """Listens on loopback; ``url`` says where."""
    supervisor = FakeSupervisor()
    server = await asyncio.start_server(supervisor.serve, "127.0.0.1", 0)
    supervisor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield supervisor
