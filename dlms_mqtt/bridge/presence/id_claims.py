"""Who holds which id on this broker: a bridge or meter id that another live bridge has is not taken.

A retained ``online`` may be a leftover of a broker that died with its bridge, so the holder is asked (``ping``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import field
from typing import Any, TypeVar
from uuid import uuid4

from dlms_mqtt.bridge.api.payload import dumps, loads
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.frozen import dataclass

_ANSWER = 3.0  # s that another bridge has to answer
_MOST = 1000  # bridges on one base topic, and meters of one, that are taken note of: whoever invents more costs nothing
_MOST_METERS = 20_000  # of all of them together
_LONGEST = 256  # characters of an id or a time
Send = Callable[[str, str], Awaitable[None]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Info:
    """What is kept of a bridge's ``info``; ``started`` is None where it does not say.

    ``meters``: was each added over MQTT?
    """

    started: str | None = None
    meters: Mapping[str, bool] = field(default_factory=dict)


class Claims:
    """What other bridges say about themselves. ``started`` tells our own messages from another instance's."""

    def __init__(self, topics: Topics, started: str, send: Send) -> None:
        self._topics, self._started, self._send = topics, started, send
        self._infos: dict[str, Info] = {}
        self._online: dict[str, bool] = {}
        self._pings: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (*self._topics.all_bridges, f"{self._topics.base}/bridge/+/response/ping")

    def seen(self, topic: str, payload: bytes) -> str:
        """Take a message; the bridge that it is about, or an empty text when it is none of ours or one too many."""
        root = f"{self._topics.base}/bridge/"
        bridge, separator, kind = topic.removeprefix(root).partition("/")
        if not topic.startswith(root) or not separator or len(bridge) > _LONGEST:
            return ""
        if kind == "state" and self._has_room(self._online, bridge):
            self._note(self._online, bridge, payload == b"online", gone=not payload)
        elif kind == "info" and self._has_room(self._infos, bridge):  # asked first: reading an info is the dear part
            self._note(self._infos, bridge, self._bounded(bridge, info_in(payload)), gone=not payload)
        elif kind == "response/ping":
            self._answered(_object(payload))
        else:
            return ""
        return bridge

    def _has_room(self, rows: Mapping[str, object], bridge: str) -> bool:
        return bridge in rows or len(rows) < _MOST or bridge == self._topics.bridge

    @staticmethod
    def _note(rows: dict[str, T], bridge: str, row: T, *, gone: bool) -> None:
        if gone:
            rows.pop(bridge, None)
        else:
            rows[bridge] = row

    def _bounded(self, bridge: str, info: Info) -> Info:
        if bridge == self._topics.bridge:
            return info
        noted = sum(len(row.meters) for name, row in self._infos.items() if name not in (bridge, self._topics.bridge))
        return info if noted + len(info.meters) <= _MOST_METERS else Info(info.started)

    def _answered(self, reply: dict[str, Any]) -> None:
        waiting = self._pings.get(str(reply.get("id")))
        data = reply.get("data")
        if waiting and not waiting.done() and isinstance(data, dict) and data.get("started") != self._started:
            waiting.set_result(data)

    def rival_started(self) -> str | None:
        """When another instance with our own id was started, if one has spoken."""
        started = self._infos.get(self._topics.bridge, Info()).started
        return started if started != self._started else None

    def announced_as_ours(self, meters: Container[str]) -> dict[str, bool]:
        """What stands at the broker of meters of our own id beside these, and whether they were added over MQTT.

        Nothing where it still says ``online``: another bridge with our id may only be slow to answer.
        """
        ours = self._topics.bridge
        info = Info() if self._online.get(ours) else self._infos.get(ours, Info())
        return {name: managed for name, managed in info.meters.items() if name not in meters}

    async def bridge_is_taken(self) -> bool:
        """Does another live instance have our id?"""
        ours = self._topics.bridge
        known = self._online.get(ours) and self.rival_started() is not None
        return bool(known) and ours in await self._alive([ours])

    def contested(self, meters: Iterable[str], bridge: str = "") -> list[str]:
        """Those that another bridge (or this one) says it has, and has had for longer than we."""
        rows = {bridge: self._infos.get(bridge, Info())} if bridge else self._infos
        older = [info for name, info in rows.items() if name != self._topics.bridge and self._is_older(info)]
        return [name for name in meters if any(name in info.meters for info in older)]

    def _is_older(self, info: Info) -> bool:
        """One that does not say when it started is younger than all."""
        return info.started is not None and info.started < self._started

    async def holder(self, meter: str) -> str:
        """The live bridge that has this meter, or an empty text."""
        return (await self.holders([meter])).get(meter, "")

    async def holders(self, meters: Iterable[str]) -> dict[str, str]:
        """The live bridge of each of these meters that another one has."""
        others = [name for name in self._infos if name != self._topics.bridge and self._online.get(name)]
        claims = [(meter, name) for meter in meters for name in others if meter in self._infos[name].meters]
        alive = await self._alive(dict.fromkeys(name for _, name in claims))
        return {meter: name for meter, name in reversed(claims) if name in alive}

    async def _alive(self, bridges: Iterable[str]) -> set[str]:
        """Which of these answer; asked side by side, as a broker may keep the words of many that are gone."""
        loop = asyncio.get_running_loop()
        asked = {uuid4().hex: (bridge, loop.create_future()) for bridge in bridges}
        self._pings |= {ping: answer for ping, (_, answer) in asked.items()}
        try:
            for ping, (bridge, _) in asked.items():
                await self._send(f"{self._topics.base}/bridge/{bridge}/request/ping", dumps({"id": ping}))
            if asked:
                await asyncio.wait([answer for _, answer in asked.values()], timeout=_ANSWER)
        finally:
            for ping in asked:
                del self._pings[ping]
        return {bridge for bridge, answer in asked.values() if answer.done()}


def info_in(payload: bytes) -> Info:
    """What an ``info`` says; nothing of what is none."""
    body = _object(payload)
    started, rows = body.get("started"), body.get("meters")
    found = [row for row in rows[:_MOST] if isinstance(row, dict)] if isinstance(rows, list) else []
    meters = {row["id"]: row.get("managed") is True for row in found if _is_short(row.get("id"))}
    return Info(started if started and _is_short(started) else None, meters)


def _is_short(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
