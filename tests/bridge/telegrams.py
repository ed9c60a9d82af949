"""Meters that speak by themselves, as strangers' meters spoke: readers in the network, and meters that call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.frames_data import entry

MANAGED = "management: true"
KAMSTRUP = bytes.fromhex(entry("push_kamstrup", "amsreader-kamstrup-em001-2")["hex"])
CIPHERED = entry("push_kamstrup", "dlmsparser-hdlc-kamstrup-omnipower")
LISTEN = 300
PAUSE = 0.4  # s between two telegrams


@contextlib.asynccontextmanager
async def speaking(data: bytes, pause: float = PAUSE) -> AsyncIterator[int]:
    """A reader in the network: whoever connects hears the meter again and again."""

    speakers = set()

    async def speak(reader, writer):
        speakers.add(asyncio.current_task())
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while True:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause)

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in speakers:
            task.cancel()
        await asyncio.gather(*speakers, return_exceptions=True)


@contextlib.asynccontextmanager
async def calling(port: int, data: bytes, pause: float = PAUSE) -> AsyncIterator[None]:
    """A meter that connects to the bridge, as soon as its port is open."""

    async def call():
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                with contextlib.closing(writer):
                    while True:
                        writer.write(data)
                        await writer.drain()
                        await asyncio.sleep(pause)
            await asyncio.sleep(pause)

    task = asyncio.create_task(call())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
