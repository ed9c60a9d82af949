"""Who holds which id on this broker: a bridge or meter id that another live bridge has is not taken.

A retained ``online`` may be a leftover of a broker that died with its bridge, so the holder is asked (``ping``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from dlms_mqtt.bridge.api.payload import dumps, loads
from dlms_mqtt.bridge.api.topics import Topics

_ANSWER = 3.0  # s that another bridge has to answer
Send = Callable[[str, str], Awaitable[None]]


class Claims:
    """What other bridges say about themselves. ``started`` tells our own messages from another instance's."""

    def __init__(self, topics: Topics, started: str, send: Send) -> None:
        self._topics, self._started, self._send = topics, started, send
        self._infos: dict[str, dict[str, Any]] = {}
        self._online: dict[str, bool] = {}
        self._pings: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (*self._topics.all_bridges, f"{self._topics.base}/bridge/+/response/ping")

    def seen(self, topic: str, payload: bytes) -> bool:
        """Take a message; False when it is none of ours."""
        parts = topic.removeprefix(f"{self._topics.base}/bridge/").split("/")
        if len(parts) < 2 or not topic.startswith(f"{self._topics.base}/bridge/"):
            return False
        bridge, kind = parts[0], "/".join(parts[1:])
        if kind == "state":
            self._online[bridge] = payload == b"online"
        elif kind == "info":
            self._infos[bridge] = _object(payload)
        elif kind == "response/ping":
            self._answered(_object(payload))
        else:
            return False
        return True

    def _answered(self, reply: dict[str, Any]) -> None:
        waiting = self._pings.get(str(reply.get("id")))
        data = reply.get("data")
        if waiting and not waiting.done() and isinstance(data, dict) and data.get("started") != self._started:
            waiting.set_result(data)

    def rival_started(self) -> str | None:
        """When another instance with our own id was started, if one has spoken."""
        started = self._infos.get(self._topics.bridge, {}).get("started")
        return started if isinstance(started, str) and started != self._started else None

    async def bridge_is_taken(self) -> bool:
        """Does another live instance have our id?"""
        known = self._online.get(self._topics.bridge) and self.rival_started() is not None
        return bool(known) and await self._is_alive(self._topics.bridge)

    def contested(self, meters: Iterable[str]) -> list[str]:
        """Those that another bridge says it has, and has had for longer than we."""
        mine, started = self._topics.bridge, self._started
        older = [info for bridge, info in self._infos.items() if bridge != mine and _started(info) < started]
        theirs = {name for info in older for name in _meters(info)}
        return [name for name in meters if name in theirs]

    async def holder(self, meter: str) -> str:
        """The live bridge that has this meter, or an empty text."""
        for bridge, info in list(self._infos.items()):
            if (
                bridge != self._topics.bridge
                and meter in _meters(info)
                and self._online.get(bridge)
                and await self._is_alive(bridge)
            ):
                return bridge
        return ""

    async def _is_alive(self, bridge: str) -> bool:
        ping = uuid4().hex
        self._pings[ping] = asyncio.get_running_loop().create_future()
        try:
            await self._send(f"{self._topics.base}/bridge/{bridge}/request/ping", dumps({"id": ping}))
            async with asyncio.timeout(_ANSWER):
                await self._pings[ping]
        except TimeoutError:
            return False
        finally:
            del self._pings[ping]
        return True


def _started(info: Mapping[str, Any]) -> str:
    """When that bridge started; one that does not say is younger than all."""
    started = info.get("started")
    return started if isinstance(started, str) else "~"


def _meters(info: Mapping[str, Any]) -> set[str]:
    rows = info.get("meters")
    found = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {name for name in found if isinstance(name, str)}


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
