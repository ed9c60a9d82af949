"""How the bytes of one open serial port reach the event loop and leave it.

A device has a descriptor that the loop waits on; a remote or looped port is waited for in a thread. Either way the end
of the port is told once, to the inbox, and nothing spins after it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import termios
import threading
from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.base import Inbox

_CHUNK = 4096
_GONE = "The port comes back under the same name when it is plugged in again; prefer a name of /dev/serial/by-id."


class Wire:
    """How the bytes of one open port reach the event loop and leave it."""

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        raise NotImplementedError

    async def flushed(self) -> None:
        """Return when the system holds no more of our bytes."""

    def pull(self) -> None:
        """Fetch what the system has already received."""

    def stop(self) -> None:
        """Deliver nothing more."""

    def join(self) -> None:
        """Wait for the end of a thread (called outside the loop)."""


class DeviceWire(Wire):
    """A device with a descriptor: the event loop reads and writes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Any, inbox: Inbox, name: str) -> None:
        self._loop = loop
        self._fd: int = port.fileno()
        self._inbox = inbox
        self._name = name
        self._pending = bytearray()
        self._empty = asyncio.Event()
        self._empty.set()
        loop.add_reader(self._fd, self.pull)

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        self._pending += data
        if len(self._pending) == len(data):
            self._push()

    def _push(self) -> None:
        try:
            del self._pending[: os.write(self._fd, self._pending)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(error)
            return
        if self._pending:
            self._empty.clear()
            self._loop.add_writer(self._fd, self._push)
        else:
            self._empty.set()
            self._loop.remove_writer(self._fd)

    async def flushed(self) -> None:
        """Return when the system holds no more of our bytes."""
        await self._empty.wait()
        if self._inbox.error is None:
            await self._loop.run_in_executor(None, _drain_device, self._fd)

    def pull(self) -> None:
        """Fetch what the system has already received."""
        if self._inbox.error is not None:
            return
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._inbox.feed(data)
        elif not self._still_there():
            self._lose(None)

    def _still_there(self) -> bool:
        """A raw port with nothing to give reads as empty (VMIN 0); only one that is gone refuses its attributes."""
        try:
            termios.tcgetattr(self._fd)
        except termios.error:
            return False
        return not _hung_up(self._fd)

    def _lose(self, error: OSError | None) -> None:
        self.stop()
        self._pending.clear()
        self._empty.set()
        reason = f" ({error.strerror})" if error and error.errno != errno.EIO else ""
        self._inbox.fail(ConnectionLost(f"{self._name} has gone{reason}", hint=_GONE))

    def stop(self) -> None:
        """Deliver nothing more."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)


class ThreadWire(Wire):
    """A port that can only be waited for in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Any, inbox: Inbox) -> None:
        self._loop = loop
        self._port = port
        self._inbox = inbox
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"reader {port.name}", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        try:
            self._port.write(data)
        except OSError as error:
            self._inbox.fail(ConnectionLost(f"{self._port.name} has gone ({words(error)})"))
            raise ConnectionLost(f"{self._port.name} has gone ({words(error)})") from error

    def _run(self) -> None:
        while not self._ending:
            try:
                data = self._port.read(1)
                if data and (more := self._port.in_waiting):
                    data += self._port.read(more)
            except (
                OSError,
                TypeError,
                AttributeError,
            ) as error:  # pyserial's remote ports fail so when the peer leaves
                self._deliver(self._inbox.fail, ConnectionLost(f"{self._port.name} has gone ({words(error)})"))
                return
            if data:
                self._deliver(self._inbox.feed, bytes(data))

    def _deliver(self, function: Callable[[Any], None], item: object) -> None:
        if not self._ending:
            self._loop.call_soon_threadsafe(function, item)

    def stop(self) -> None:
        """Deliver nothing more."""
        self._ending = True

    def join(self) -> None:
        """Wait for the end of the thread (called outside the loop)."""
        self._thread.join()


def _drain_device(fd: int) -> None:
    try:
        termios.tcdrain(fd)
    except (termios.error, OSError):  # the port has gone or was closed: nothing left to wait for
        return


def _hung_up(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


def words(error: Exception) -> str:
    """The readable part of an error of the system or of pyserial."""
    return str(getattr(error, "strerror", None) or (error.args[-1] if error.args else error))
