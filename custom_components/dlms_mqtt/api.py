"""The MQTT API of one bridge: a request goes out, exactly one reply comes back.

The response topics are subscribed once, when the connection is set up: Home Assistant only queues a subscription, and
the reply to a request published right behind it would be lost. In every request ``id`` is the request's own, which
the reply repeats; verbs of the bridge about a meter name it in ``meter``.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from homeassistant.components import mqtt
from homeassistant.components.mqtt import ReceiveMessage
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .const import REPLY_GRACE, REQUEST_TIMEOUT, TEST_TIMEOUT

type Json = dict[str, Any]
type Progress = Callable[[Json], None]


class ApiError(Exception):
    """The bridge said no, or nothing: ``code`` is one of the API's, or a word of ours."""

    def __init__(self, code: str, message: str = "", hint: str = "", detail: Json | None = None) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message
        self.hint = hint
        self.detail = detail or {}

    @classmethod
    def from_reply(cls, error: Any) -> ApiError:
        """Out of the ``error`` object of a reply or of the bridge's health."""
        data = as_object(error)
        return cls(
            str(data.get("code") or "internal"),
            str(data.get("message") or ""),
            str(data.get("hint") or ""),
            as_object(data.get("detail")),
        )

    @property
    def reason(self) -> str:
        """The finer word inside the code, such as ``counter`` within ``security-error``; else the standard's own."""
        return str(self.detail.get("reason") or self.detail.get("name") or "")


def as_object(value: Any) -> Json:
    """A JSON object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_rows(value: Any) -> list[Json]:
    """The JSON objects of a list; an empty list out of anything else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def parse_object(payload: Any) -> Json | None:
    """The JSON object in a message, or None."""
    try:
        value = json.loads(payload)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class _Pending:
    reply: asyncio.Future[Json]
    progress: Progress | None


class BridgeApi:
    """Requests to one bridge and to its meters."""

    def __init__(self, hass: HomeAssistant, base: str, bridge: str) -> None:
        self.hass = hass
        self.base = base
        self.bridge = bridge
        self._pending: dict[str, _Pending] = {}
        self._unsubscribe: list[CALLBACK_TYPE] = []

    async def subscribe(self) -> None:
        """Listen to the replies of the bridge and of the meters under its base."""
        for topic in (f"bridge/{self.bridge}/response/#", "meter/+/response/#"):
            self._unsubscribe.append(await mqtt.async_subscribe(self.hass, f"{self.base}/{topic}", self._received, 1))

    @callback
    def close(self) -> None:
        """Stop listening; whoever still waits is told."""
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self.give_up("cancelled")

    @callback
    def give_up(self, code: str) -> None:
        """No reply can come any more: whoever waits is told why."""
        for pending in self._pending.values():
            if not pending.reply.done():
                pending.reply.set_exception(ApiError(code))

    async def request(
        self,
        verb: str,
        data: Json | None = None,
        *,
        timeout: float = REQUEST_TIMEOUT,
        progress: Progress | None = None,
    ) -> Json:
        """The ``data`` of the reply to a verb of the bridge; ApiError."""
        return await self._exchange(f"bridge/{self.bridge}/request/{verb}", data, timeout, progress)

    async def command(self, meter: str, path: str, data: Json | None = None, *, timeout: float = TEST_TIMEOUT) -> Json:
        """The ``data`` of the reply to ``request/<verb>``, ``set/<key>`` or ``do/<action>`` of a meter; ApiError."""
        return await self._exchange(f"meter/{meter}/{path}", data, timeout, None)

    async def _exchange(self, topic: str, data: Json | None, timeout: float, progress: Progress | None) -> Json:
        request_id = f"ha-{uuid.uuid4().hex}"
        pending = self._pending[request_id] = _Pending(self.hass.loop.create_future(), progress)
        try:
            await self._publish(topic, {**(data or {}), "id": request_id, "timeout": timeout})
            async with asyncio.timeout(timeout + REPLY_GRACE):
                reply = await pending.reply
        except TimeoutError:
            raise ApiError("no-reply") from None
        except asyncio.CancelledError:  # the flow was closed: a search of many minutes shall not go on without us
            with suppress(ApiError):
                await self._publish("/".join((*topic.split("/")[:2], "request/cancel")), {"id": request_id})
            raise
        finally:
            del self._pending[request_id]
        if reply.get("status") != "ok":
            raise ApiError.from_reply(reply.get("error"))
        return as_object(reply.get("data"))

    async def _publish(self, topic: str, request: Json) -> None:
        try:
            if not mqtt.is_connected(self.hass):
                raise ApiError("broker-unavailable")
            await mqtt.async_publish(self.hass, f"{self.base}/{topic}", json.dumps(request), 1, False)
        except (HomeAssistantError, KeyError) as error:  # MQTT was removed (KeyError) or is disabled
            raise ApiError("broker-unavailable") from error

    @callback
    def _received(self, message: ReceiveMessage) -> None:
        reply = parse_object(message.payload)
        pending = self._pending.get(str(reply.get("id"))) if reply else None
        if reply is None or pending is None or message.retain:
            return
        if reply.get("status") != "progress":
            if not pending.reply.done():
                pending.reply.set_result(reply)
        elif pending.progress:
            pending.progress(as_object(reply.get("data")))
