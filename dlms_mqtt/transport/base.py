"""What every line to a meter can do: open, close, write, read with a time limit, drain.

A transport moves bytes and knows no meaning. Whatever goes wrong becomes a TransportError with one plain sentence and,
where there is one, the next step to try. After the end of the line ``read`` raises, it never spins.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple, Self

from dlms_mqtt.errors import ConfigError, ConnectionLost, ResponseTimeout, TransportError

DEFAULT_PORT = 4059
"""IANA: dlms-cosem, TCP and UDP."""


class SerialFormat(NamedTuple):
    """Speed and shape of the characters on a serial line; ``parity`` is none, even or odd."""

    baud: int = 9600
    data_bits: int = 8
    parity: str = "none"
    stop_bits: int = 1

    @property
    def bits(self) -> int:
        """Bits that one character takes on the line, start bit included."""
        return 1 + self.data_bits + (self.parity != "none") + self.stop_bits

    def seconds(self, octets: int) -> float:
        """Line time of so many characters."""
        return octets * self.bits / self.baud

    def __str__(self) -> str:
        return f"{self.baud} {self.data_bits}{self.parity[0].upper()}{self.stop_bits}"


class Transport(ABC):
    """One line to one or more meters. ``async with`` opens and closes it; once closed it can be opened again."""

    datagram = False
    """True: each write is one datagram and each read returns one."""

    name = ""
    """For messages: ``/dev/ttyUSB0``, ``10.0.0.5:4059``."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def open(self) -> None:
        """Open the line, if it is not open; ConnectFailed says why not."""

    @abstractmethod
    async def close(self) -> None:
        """Close the line; twice does no harm. One that has gone is closed without an error.

        Whoever leaves because of an error or a cancellation would lose that to it.
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost when the line is gone."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until everything written has left (serial: has left the UART)."""

    @abstractmethod
    async def read(self, timeout: float | None) -> bytes:
        """At least one byte as soon as there is any; ResponseTimeout after ``timeout`` seconds, ConnectionLost."""

    @property
    def lag(self) -> float:
        """Seconds until what was written has left (a slow line); 0 where that takes no time worth waiting for."""
        return 0.0

    def at_once(self) -> bytes:
        """What is there or comes at once, without a turn of the event loop; b"" where ``read`` must wait for it."""
        return b""

    @abstractmethod
    def discard(self) -> bytes:
        """Throw away, and return, what was received and not read."""

    @property
    def format(self) -> SerialFormat | None:
        """Speed and parity in force; None where the line has none that we can set."""
        return None

    async def configure(  # noqa: B027
        self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1
    ) -> None:
        """Change speed and parity on the open port; nothing happens where ``format`` is None."""

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:  # noqa: B027
        """Set the modem lines that are not None; nothing happens where there are none."""

    async def send_break(self, seconds: float = 0.3) -> None:  # noqa: B027
        """Hold the line in the break state; nothing happens where that cannot be done."""


class Uart:
    """A serial port's speed and parity, and when what was written has left its UART: adapters tell that too early."""

    def __init__(self, first: SerialFormat) -> None:
        self.first = self.format = first  # at the opening, and in force
        self._empty_at = 0.0  # the event loop's clock

    def write(self, octets: int) -> None:
        """So many octets go out behind those that are on their way."""
        self._empty_at = max(asyncio.get_running_loop().time(), self._empty_at) + self.format.seconds(octets)

    @property
    def lag(self) -> float:
        """Seconds until the last octet has left."""
        return max(0.0, self._empty_at - asyncio.get_running_loop().time())


MOST_WAITING = 1 << 20
"""Octets that are kept for a reader: a line that pours out must not fill the memory."""


class Inbox:
    """What was received and the one reader that waits for it."""

    def __init__(self, *, datagram: bool = False) -> None:
        self.chunks: deque[bytes] = deque()
        self.octets = 0  # that are in it
        self._datagram = datagram
        self._error: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timeout: float | None = None
        self._expires = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes and wake the reader; what nobody takes for long is lost, as it is in a port."""
        if not self.chunks or self.octets + len(data) <= MOST_WAITING:
            self.chunks.append(data)
            self.octets += len(data)
        self._wake()

    def fail(self, error: TransportError) -> None:
        """From now on, once the bytes are read, every read raises this."""
        self._error = self._error or error
        self._wake()

    @property
    def error(self) -> TransportError | None:
        """Why the line ended, if it did."""
        return self._error

    def discard(self) -> bytes:
        """Empty the box and return what was in it."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.octets = 0
        return data

    async def read(self, timeout: float | None) -> bytes:
        """All the bytes that are there (one datagram), or the first that come."""
        if not self.chunks:
            if self._error is None:
                await self._wait(timeout)
            if not self.chunks and self._error is not None:
                raise repeated(self._error)
        return self.at_once()

    def at_once(self) -> bytes:
        """All the bytes that are there (one datagram), or b""."""
        if self.chunks and (self._datagram or len(self.chunks) == 1):
            data = self.chunks.popleft()
            self.octets -= len(data)
            return data
        return self.discard()

    async def _wait(self, timeout: float | None) -> None:
        if self._waiter is not None:
            raise RuntimeError("two tasks read the same transport")
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        self._set_timer(loop, timeout)
        try:
            await waiter
        finally:
            self._waiter = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        """One timer serves read after read: one for each would cost more than to decipher an answer."""
        self._timeout = timeout
        if timeout is None:
            return
        self._expires = loop.time() + timeout
        if self._timer is not None:
            if self._timer.when() <= self._expires:
                return
            self._timer.cancel()
        self._timer = loop.call_at(self._expires, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """The timer that was set for an earlier read moves on to the end of this one."""
        self._timer = None
        if self._timeout is None or self._waiter is None or self._waiter.done():
            return
        if self._expires > loop.time():
            self._timer = loop.call_at(self._expires, self._ring, loop)
        else:
            self._waiter.set_exception(ResponseTimeout(f"nothing came within {self._timeout:g} s"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def repeated(error: TransportError) -> TransportError:
    """A fresh copy of an error that several callers will see: a shared one would collect their tracebacks."""
    return type(error)(error.message, hint=error.hint)


def closed(name: str) -> ConnectionLost:
    """The error of someone who uses a line that is not open."""
    return ConnectionLost(f"{name} is not open")


def parse_address(text: str, default_port: int = DEFAULT_PORT, *, least_port: int = 1) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address; ConfigError.

    ``least_port`` 0 lets the system choose the port that is served.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        sound = bool(bracket) and (not port or port.startswith(":"))
        port = port[1:]
    elif text.count(":") > 1:
        host, port, sound = text, "", True
    else:
        host, colon, port = text.partition(":")
        sound = bool(port) or not colon
    if not sound or not _is_host(host) or (port and not (port.isdecimal() and least_port <= int(port) < 65536)):
        raise ConfigError(f"'{text}' is no HOST:PORT", hint="Write 192.168.1.5:4059 or [fd00::5]:4059.")
    return host, int(port or default_port)


def _is_host(text: str) -> bool:
    """Whether it can be looked up at all: no part is empty, endless or without letters."""
    if text.isascii():  # without the tables of other scripts, which a small computer loads for a while
        return all(0 < len(label) < 64 for label in text.removesuffix(".").split(".")) and text.isprintable()
    try:
        return bool(text.encode("idna")) and text.isprintable()
    except UnicodeError:
        return False


def format_address(host: str, port: int | str) -> str:
    """``host:port``, with brackets round an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
