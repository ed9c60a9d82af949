"""A small HTTP server over h11: GET and HEAD of a few paths, nothing that changes anything, and nobody can use it up.

It knows no meter: ``routes`` make the answers. A port that cannot be opened is tried again and stands in ``trouble``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, urlsplit

import h11

from dlms_mqtt.bridge.config.sections.bridge import HTTP_PORT
from dlms_mqtt.transport.base import format_address, parse_address
from dlms_mqtt.transport.listen import cannot_listen

_LOG = logging.getLogger(__name__)
_MOST = 32  # connections at once
_PATIENCE = 20.0  # s for a request, the pause before it counted in
_LONGEST = 16_384  # octets of a request's head
_AGAIN = 30.0  # s until a port that cannot be opened is tried again
_PIECE = 65_536  # octets read at once
#: What a browser may do with our pages: run our own script, look at us, and nothing else.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
_ALWAYS = {
    "cache-control": "no-store",
    "content-security-policy": f"{_POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Answer(NamedTuple):
    """What a route gives: ``kind`` is the media type."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200


Route = Callable[[Mapping[str, str]], Answer]  # of the words of the query


class Server:
    """``listen`` as of ``http.listen``; ``routes`` by path. ``run`` serves until it is cancelled."""

    def __init__(self, listen: str, routes: Mapping[str, Route]) -> None:
        self._host, self._wanted_port = parse_address(listen, HTTP_PORT, least_port=0)
        self._routes = routes
        self._open: dict[asyncio.Task[None], None] = {}  # connections, the oldest first
        self._turn = asyncio.Lock()
        self.port = 0  # that is listened on; 0 while it is not
        self.trouble = ""

    async def run(self) -> None:
        """Open the port, as soon as that works, and serve."""
        server = await self._opened()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.port = 0
            server.close()
            for task in self._open:
                task.cancel()

    async def _opened(self) -> asyncio.Server:
        while True:
            try:
                server = await asyncio.start_server(self._accept, self._host, self._wanted_port, limit=_PIECE)
            except OSError as error:
                self._tell(cannot_listen(f"http://{format_address(self._host, self._wanted_port)}", error).told)
                await asyncio.sleep(_AGAIN)
                continue
            self.trouble, self.port = "", server.sockets[0].getsockname()[1]
            _LOG.info("Status page, /metrics and /health at http://%s/", format_address(self._host, self.port))
            return server

    def _tell(self, sentence: str) -> None:
        if sentence != self.trouble:
            _LOG.warning("%s It is tried again", sentence)
        self.trouble = sentence

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task of its own
        self._open[task] = None
        try:
            self._make_room()
            await self._talk(h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST), reader, writer)
        except (OSError, TimeoutError, h11.LocalProtocolError):
            pass  # whoever asked is gone, or was too slow
        finally:
            self._open.pop(task, None)
            with contextlib.suppress(OSError):
                writer.close()

    def _make_room(self) -> None:
        """Where there are too many the oldest goes: those who hold connections keep nobody out."""
        if len(self._open) > _MOST:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()

    async def _talk(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while connection.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}:
            async with asyncio.timeout(_PATIENCE):
                try:
                    request = await _next_request(connection, reader)
                    answer = await self._in_turn(request) if request else None
                except h11.RemoteProtocolError as error:
                    request, answer = None, Answer(b"bad request\n", status=error.error_status_hint)
                if answer:
                    writer.write(_encoded(connection, request, answer))
                    await writer.drain()
            if connection.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                return
            connection.start_next_cycle()

    async def _in_turn(self, request: h11.Request) -> Answer:
        """One answer at a time, and others between: many requests in one packet keep no meter waiting."""
        async with self._turn:
            await asyncio.sleep(0)
            return self._answer(request)

    def _answer(self, request: h11.Request) -> Answer:
        if not self._is_meant(request):
            return Answer(b"this name is not ours; use the address, or localhost\n", status=421)
        if request.method not in (b"GET", b"HEAD"):
            return Answer(b"only GET and HEAD: nothing can be changed here\n", status=405)
        url = _url(request)
        route = self._routes.get(url.path)
        if route is None:
            return Answer(f"not found; there are {' '.join(self._routes)}\n".encode(), status=404)
        try:
            return route({name: values[0] for name, values in parse_qs(url.query).items()})
        except Exception:
            _LOG.exception("GET %s failed", url.path)
            return Answer(b"internal error; the bridge's log tells more\n", status=500)

    def _is_meant(self, request: h11.Request) -> bool:
        """A web page whose own name leads to this machine reads what is not its (DNS rebinding)."""
        host = next((value for name, value in request.headers if name == b"host"), b"").decode("latin-1")
        return not _is_local(self._host) or not host or _is_local(host) or _is_local(host.rpartition(":")[0])


def _is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def _url(request: h11.Request) -> SplitResult:
    try:
        return urlsplit(request.target.decode("latin-1"))
    except ValueError:
        return SplitResult("", "", "?", "", "")


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The next request without its body, which nobody needs; None when no more comes."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_PIECE))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None
        elif isinstance(event, h11.Data):
            raise h11.RemoteProtocolError("no body is taken", error_status_hint=413)


def _encoded(connection: h11.Connection, request: h11.Request | None, answer: Answer) -> bytes:
    """Head and body; of HEAD the head alone."""
    headers = {**_ALWAYS, "content-type": answer.kind, "content-length": str(len(answer.body))}
    if answer.status == 405:
        headers["allow"] = "GET, HEAD"
    if request is None:
        headers["connection"] = "close"
    parts = [connection.send(h11.Response(status_code=answer.status, headers=list(headers.items())))]
    if request is None or request.method != b"HEAD":
        parts.append(connection.send(h11.Data(data=answer.body)))
    parts.append(connection.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)
