"""Serial ports: devices and every pyserial URL, opened exclusively, speed and parity changed on the open port.

A device is read by the event loop itself. A port that has no descriptor to wait on (``rfc2217://``, ``loop://``) gets a
thread that hands its bytes to the loop. Many optical heads take their power from DTR and RTS: both are on unless asked
otherwise, and are set before anything is sent.
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import serial

from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost, TransportError
from dlms_mqtt.transport.base import Inbox, SerialFormat, Transport, Uart, closed
from dlms_mqtt.transport.holder import port_in_use
from dlms_mqtt.transport.network import connect_failed
from dlms_mqtt.transport.serial_wire import DeviceWire, ThreadWire, Wire, words

T = TypeVar("T")

_POLL = 0.1
"""Seconds after which a reader thread looks whether it should end; bytes do not wait for it."""

_NOT_THERE = "Plug the probe in; `dlms-mqtt find` lists the ports."
_PERMISSION = "Add this user to the group of the device, mostly dialout, and log in again."
_UNKNOWN_PORT = (errno.ENOENT, errno.ENXIO, errno.ENODEV)


class SerialTransport(Transport):
    """A serial port by device name or pyserial URL. ``dtr`` and ``rts`` None: on, as far as the port has them."""

    def __init__(
        self,
        port: str,
        *,
        baud: int = 9600,
        data_bits: int = 8,
        parity: str = "none",
        stop_bits: int = 1,
        dtr: bool | None = None,
        rts: bool | None = None,
    ) -> None:
        self.name = port
        self._uart = Uart(SerialFormat(baud, data_bits, parity, stop_bits))
        self._dtr = dtr
        self._rts = rts
        self._port: serial.SerialBase | None = None
        self._wire = Wire()  # of no port: it has nothing and says nothing
        self._inbox = Inbox()

    @property
    def format(self) -> SerialFormat:
        """Speed and parity in force: a pseudo-terminal stays 8N1 whatever was asked."""
        return self._uart.format

    async def open(self) -> None:
        """Open the port for us alone; ConnectFailed says who holds it."""
        if self._port is not None:
            return
        loop = asyncio.get_running_loop()
        port: Any = self._prepare()
        native = _is_device(port)
        try:
            await self._call(port.open, native=native, late=lambda: _close(port))
        except (OSError, ValueError, termios.error) as error:
            raise self._open_failed(error) from error
        self._port, self._inbox = port, Inbox()
        self._wire = DeviceWire(loop, port, self._inbox, self.name) if native else ThreadWire(loop, port, self._inbox)
        self._uart.format = self._uart.first
        if native:
            await self._set_up()

    async def _set_up(self) -> None:
        """What pyserial does not check while it opens a device: parity and modem lines."""
        try:
            await self.configure(**self._uart.first._asdict())
            await self.lines(self._dtr, self._rts)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the port and wait for the reader's end."""
        port, self._port = self._port, None
        if port is None:
            return
        wire = self._wire
        wire.stop()

        def close() -> None:
            wire.join()
            _close(port)

        await self._call(close, native=self._native and not _still_sending(port))

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        self._open_port()
        if self._inbox.error is not None:
            raise ConnectionLost(self._inbox.error.message, hint=self._inbox.error.hint)
        self._uart.write(len(data))
        self._wire.write(data)

    async def drain(self) -> None:
        """Wait until the bytes have left the UART.

        USB adapters say "empty" while their own buffer is not, so the line time of the bytes is waited for as well.
        """
        self._open_port()
        await self._wire.flushed()
        await asyncio.sleep(self.lag)

    @property
    def lag(self) -> float:
        """Seconds until what was written has left the UART at the speed in force."""
        return self._uart.lag

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        if self._port is None:
            raise closed(self.name)
        return await self._inbox.read(timeout)

    def discard(self) -> bytes:
        """Throw away and return what was received."""
        if self._port is not None:
            self._wire.pull()
        return self._inbox.discard()

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """Change speed and parity on the open port; ConnectFailed where the port cannot do the speed."""
        port = self._open_port()
        wanted = SerialFormat(baud, data_bits, parity, stop_bits)
        try:
            await self._call(lambda: _apply(port, wanted), native=self._native)
        except (OSError, ValueError, termios.error) as error:
            raise ConnectFailed(f"{self.name} cannot be set to {wanted}: {words(error)}") from error
        self._uart.format = _in_force(port, wanted)

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the modem lines that are not None; ConnectFailed where the port has none."""
        port = self._open_port()
        wanted = {line: value for line, value in (("dtr", dtr), ("rts", rts)) if value is not None}
        try:
            await self._call(lambda: _set_lines(port, wanted), native=self._native or not wanted)
        except OSError as error:
            raise ConnectFailed(
                f"{self.name} has no DTR and RTS that could be set", hint="Leave out dtr and rts for this port."
            ) from error

    async def send_break(self, seconds: float = 0.3) -> None:
        """Hold the line in the break state; ConnectFailed where the port cannot."""
        port = self._open_port()
        try:
            await self._call(lambda: _set_break(port, True), native=self._native)
            await asyncio.sleep(seconds)
        except OSError as error:
            raise ConnectFailed(
                f"{self.name} cannot hold the line in the break state: {words(error)}", hint="Leave out wake_up_break."
            ) from error
        finally:
            if self._port is not None:
                await self._call(lambda: _end_break(port), native=self._native)

    @property
    def _native(self) -> bool:
        return isinstance(self._wire, DeviceWire)

    def _open_port(self) -> serial.SerialBase:
        if self._port is None:
            raise closed(self.name)
        return self._port

    def _prepare(self) -> serial.SerialBase:
        try:
            port = serial.serial_for_url(self.name, do_not_open=True, timeout=_POLL)
        except ValueError as error:  # an unknown URL scheme or a malformed URL
            raise ConfigError(f"'{self.name}' is no serial port: {error}") from error
        if _is_device(port):
            port.exclusive = True
        else:
            _assign(port, self._uart.first)
        for line, value in (("dtr", self._dtr), ("rts", self._rts)):
            setattr(port, line, value is not False)  # before opening: no pulse on the line
        return port

    def _open_failed(self, error: Exception) -> TransportError:
        if "://" in self.name and isinstance(error, OSError):
            return connect_failed(error, self.name)
        code = getattr(error, "errno", None)
        if code in (errno.EAGAIN, errno.EBUSY):
            return port_in_use(self.name)
        if code in _UNKNOWN_PORT:
            return ConnectFailed(f"there is no port {self.name}", hint=_NOT_THERE)
        if code in (errno.EACCES, errno.EPERM):
            return ConnectFailed(f"this user may not open {self.name}", hint=_PERMISSION)
        return ConnectFailed(f"{self.name} could not be opened: {words(error)}")

    async def _call(self, function: Callable[[], T], *, native: bool, late: Callable[[], None] | None = None) -> T:
        """Devices answer at once; a port behind a network blocks and gets a thread.

        Cancelled, the thread goes on: ``late`` undoes what it still did.
        """
        if native:
            return function()
        future = asyncio.get_running_loop().run_in_executor(None, function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: late() if late and not done.exception() else done.exception())
            raise


def _is_device(port: Any) -> bool:
    return type(port) is serial.Serial


def _still_sending(port: Any) -> bool:
    """A device is closed when its bytes have left: too long to wait for in the event loop."""
    try:
        return bool(port.out_waiting)
    except OSError:
        return False


def _assign(port: Any, wanted: SerialFormat) -> None:
    """All settings at once: each setter would make a request of its own, and over RFC 2217 wait for its answer."""
    port._bytesize = wanted.data_bits
    port._parity = wanted.parity[0].upper()
    port._stopbits = wanted.stop_bits
    port._baudrate = wanted.baud


def _apply(port: Any, wanted: SerialFormat) -> None:
    _assign(port, wanted)
    try:
        port._reconfigure_port()
    except termios.error as error:
        # glibc answers EINVAL when a driver changed only part of it: a pseudo-terminal has no parity and no 7 bits.
        if error.args[0] != errno.EINVAL or not _is_pseudo_terminal(port):
            raise


def _in_force(port: Any, wanted: SerialFormat) -> SerialFormat:
    return SerialFormat(wanted.baud) if _is_pseudo_terminal(port) else wanted


def _is_pseudo_terminal(port: Any) -> bool:
    """Linux keeps the majors 136 to 143 for the ends of pseudo-terminals that programs open."""
    return _is_device(port) and 136 <= os.major(os.fstat(port.fileno()).st_rdev) <= 143


def _set_lines(port: Any, wanted: dict[str, bool]) -> None:
    for line, value in wanted.items():
        setattr(port, line, value)


def _set_break(port: Any, on: bool) -> None:
    port.break_condition = on


def _end_break(port: Any) -> None:
    """A port that has gone says so at the next use; an error here would take the place of what brought us here."""
    with suppress(OSError):
        _set_break(port, False)


def _close(port: Any) -> None:
    """The same: one that has gone may refuse even that."""
    with suppress(OSError, termios.error):
        port.close()
