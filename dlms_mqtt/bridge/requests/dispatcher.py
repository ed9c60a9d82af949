"""Commands: every message on a command topic gets exactly one reply, whatever it was and however it ends.

An ``id`` repeated within ten minutes gets the first reply again (while it is kept) and runs nothing. This file runs no
verb: a handler per verb comes from outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import field
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api import replies
from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.payload import MAX_REQUEST, dumps, loads, plain_text
from dlms_mqtt.bridge.api.topics import Address, Topics
from dlms_mqtt.bridge.requests import bounds
from dlms_mqtt.bridge.requests.repeated_ids import REMEMBERED, RepeatedIds
from dlms_mqtt.bridge.requests.verbs import verb_of
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_MOST_REPLIES = 1000  # that are kept
_MOST_RUNNING = 32
_TIMEOUT = 60.0  # s
_LONG_TIMEOUT = 3600.0
_LONGEST_ID = 128  # characters, or digits

Progress = Callable[[int, int, str], None]
Id = str | int | Decimal | None


@dataclass(frozen=True, slots=True)
class Request:
    """A command taken apart: ``body`` is a JSON request, ``value`` its value or the plain message, ``text`` as text."""

    address: Address
    body: dict[str, Any]
    value: Any = None
    text: str = ""
    id: Id = None
    progress: Progress = field(default=lambda done, total, stage: None)

    def get(self, name: str, *kinds: type, default: Any = None) -> Any:
        """A field of the body; RequestError when it is there and of another kind."""
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, bool) and bool not in kinds:
            value = object()
        if kinds and not isinstance(value, kinds):
            raise RequestError("bad-request", f"'{name}' is of the wrong kind")
        return value


Handler = Callable[[Request], Awaitable[Any]]
Find = Callable[[Address], Handler]
Send = Callable[[str, str, bytes | None], None]  # topic, payload, correlation data


@dataclass(slots=True)
class _Running:
    reply: asyncio.Future[dict[str, Any]]
    started: float
    task: asyncio.Task[None] | None = None


class Commands:
    """Takes messages, finds handlers, sends replies. ``find`` raises RequestError for what does not exist."""

    def __init__(self, topics: Topics, find: Find, send: Send, clock: Clock, store: Store) -> None:
        self._topics, self._find, self._send, self._clock = topics, find, send, clock
        self._ids = RepeatedIds(store, clock)
        self._known: dict[tuple[str, str], _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def receive(self, message: Message) -> bool:
        """Start a command; False when the message is none (another topic, retained or empty) or we are leaving."""
        address = self._topics.address(message.topic)
        if address is None or message.retained or not message.payload or self._closed:
            return False
        task = asyncio.get_running_loop().create_task(self._answer(address, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Take no more, and cancel what runs; each is still answered."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, address: Address, message: Message) -> None:
        reply_to = self._reply_to(address, message)
        request_id: Id = None

        def send(reply: dict[str, Any]) -> None:
            identity = {} if request_id is None else {"id": request_id}
            self._send(reply_to, dumps({**identity, **reply}), message.correlation)

        try:
            request = parse(address, message.payload, lambda *facts: send(replies.progress(*facts)))
            request_id = request.id
            reply = await self._once(request)
        except asyncio.CancelledError as error:
            reply = replies.failed(error)
        except RequestError as error:
            request_id = _id_of(message.payload)
            reply = replies.failed(error)
        send(reply)

    def _reply_to(self, address: Address, message: Message) -> str:
        wanted = message.response_topic
        return wanted if self._topics.allowed_response(wanted) else self._topics.response(address)

    async def _once(self, request: Request) -> dict[str, Any]:
        if request.id is None:
            return await self._run(request)
        naming = verb_of(request.address).naming and "meter" not in request.body
        key = ("/".join(request.address), f"{'named' if naming else type(request.id).__name__}:{request.id}")
        self._forget()
        known = None if naming else self._known.get(key)
        if known:
            return await asyncio.shield(known.reply)
        if not naming:
            self._ids.note(request.address, key[1])
        running = _Running(asyncio.get_running_loop().create_future(), self._clock.monotonic(), asyncio.current_task())
        self._known[key] = running
        reply = replies.failed(RequestError("internal", "The request ended without a reply"))
        try:
            reply = await self._run(request)
        except asyncio.CancelledError as error:
            reply = replies.failed(error)
        finally:
            running.task = None
            running.reply.set_result(reply)
        return reply

    async def _run(self, request: Request) -> dict[str, Any]:
        try:
            if len(self._tasks) > _MOST_RUNNING:
                raise RequestError("busy", "Too many requests are running", hint="Wait for their replies.")
            bounds.check(request.body)
            handler = self._cancel if request.address.name == "cancel" else self._find(request.address)
            async with asyncio.timeout(_timeout(request)):
                if request.id is not None and not verb_of(request.address).looks:
                    await self._ids.written()
                return replies.ok(await handler(request))
        except Exception as error:
            # A full disk is no fault of ours, and is told by the one who looks after the state.
            if replies.code_of(error) == "internal" and not isinstance(error, StoreError):
                _LOG.exception("The request %s failed", "/".join(request.address))
            return replies.failed(error)

    async def _cancel(self, request: Request) -> dict[str, Any]:
        wanted = request.id
        if wanted is None:
            raise RequestError("bad-request", "'id' is missing", hint="It is the id of the request that is to end.")
        for (topic, key), running in list(self._known.items()):
            same = topic.startswith(f"{request.address.meter}/") and key.partition(":")[2] == str(wanted)
            if same and running.task and running.task is not asyncio.current_task():
                running.task.cancel()
                return {"cancelled": wanted}
        raise RequestError("invalid-value", f"No request with the id {wanted!r} is running")

    def _forget(self) -> None:
        old = self._clock.monotonic() - REMEMBERED
        for key, running in list(self._known.items()):
            if running.reply.done() and (running.started < old or len(self._known) > _MOST_REPLIES):
                del self._known[key]


def parse(address: Address, payload: bytes, progress: Progress) -> Request:
    """Take a message apart; RequestError ``bad-request`` when it cannot be a request."""
    if len(payload) > MAX_REQUEST:
        raise RequestError("bad-request", f"A request has at most {MAX_REQUEST} octets")
    try:
        body = loads(payload)
    except ValueError:
        body = _plain(address, payload)
    if not isinstance(body, dict):
        if address.verb == "request":
            raise RequestError("bad-request", "A request is a JSON object", hint='Send {} or {"id": 1, ...}.')
        return Request(address, {}, body, _plain(address, payload), None, progress)
    request_id = body.get("id")
    if request_id is not None and not _is_id(request_id):
        raise RequestError("bad-request", f"'id' is a text of at most {_LONGEST_ID} characters, or a number")
    return Request(address, body, body.get("value"), plain_text(body.get("value")), request_id, progress)


def _plain(address: Address, payload: bytes) -> str:
    if address.verb == "request":
        raise RequestError("bad-request", "The message is not JSON") from None
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise RequestError("bad-request", "The message is not UTF-8 text") from None


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_ID
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and abs(value) < 10**_LONGEST_ID


def _id_of(payload: bytes) -> Id:
    try:
        request_id = loads(payload).get("id")
    except (ValueError, AttributeError):
        return None
    return request_id if _is_id(request_id) else None


def _timeout(request: Request) -> float:
    wanted = request.get("timeout", int, Decimal)
    long = verb_of(request.address).long or "listen" in request.body
    longest = _LONG_TIMEOUT if long else _TIMEOUT
    return longest if wanted is None else float(wanted)
