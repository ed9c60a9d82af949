"""An optical head or serial converter that runs ESPHome, over its native API; speed and parity follow on the open port.

serialx and aioesphomeapi do the talking; they come with the extra ``esphome`` and are imported when a port is opened.
"""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING

from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost
from dlms_mqtt.transport.base import Inbox, SerialFormat, Transport, Uart, closed
from dlms_mqtt.transport.esphome.address import key_text, parse, split_key

if TYPE_CHECKING:
    from dlms_mqtt.transport.esphome.head import Head

_GONE = "Does the device have power, and is it in reach of the network?"


class EsphomeTransport(Transport):
    """A serial port of an ESPHome device. ``dtr`` and ``rts`` None: on, as far as the port has them."""

    def __init__(
        self,
        line: str,
        *,
        noise_psk: bytes | None = None,
        baud: int = 9600,
        data_bits: int = 8,
        parity: str = "none",
        stop_bits: int = 1,
        dtr: bool | None = None,
        rts: bool | None = None,
    ) -> None:
        self.name, key = split_key(line)
        self._address = parse(self.name)
        self._key = key_text(noise_psk or key.encode()) if noise_psk or key else ""
        self._uart = Uart(SerialFormat(baud, data_bits, parity, stop_bits))
        self._lines = {"dtr": dtr, "rts": rts}
        self._head: Head | None = None
        self._errors: tuple[type[Exception], ...] = ()  # of the libraries that an open port uses
        self._inbox = Inbox()

    @property
    def format(self) -> SerialFormat:
        """Speed and parity in force."""
        return self._uart.format

    async def open(self) -> None:
        """Connect, and take the port for us alone; ConnectFailed, ConfigError where the extra is not installed."""
        if self._head is not None:
            return
        loop = asyncio.get_running_loop()
        library = await loop.run_in_executor(None, _library)
        self._inbox, self._uart.format = Inbox(), self._uart.first
        port = _Port(self.name, self._inbox)
        self._errors = library.ERRORS
        self._head = await library.connect(self.name, self._address, self._key, self._uart.format, port)
        await self._set_lines()

    async def _set_lines(self) -> None:
        """Many heads take their power from DTR and RTS; a port without them is one only where they were asked for."""
        sets_lines = any(value is not None for value in self._lines.values())
        try:
            await self.lines(**{line: value is not False for line, value in self._lines.items()})
        except BaseException as error:
            if sets_lines or not isinstance(error, ConnectFailed):
                await self.close()
                raise

    async def close(self) -> None:
        """Give the port back."""
        head, self._head = self._head, None
        if head is not None:
            head.close()

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        head = self._open_head()
        self._uart.write(len(data))
        try:
            head.write(data)
        except self._errors as error:
            raise self._gone() from error

    async def drain(self) -> None:
        """Wait until the bytes have left the device's UART, of which older devices do not tell: the line time too."""
        head = self._open_head()
        try:
            await head.flush()
        except self._errors as error:
            raise self._gone() from error
        await asyncio.sleep(self.lag)

    @property
    def lag(self) -> float:
        """Seconds until what was written has left the UART at the speed in force."""
        return self._uart.lag

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        if self._head is None:
            raise closed(self.name)
        return await self._inbox.read(timeout)

    def discard(self) -> bytes:
        """Throw away and return what was received."""
        return self._inbox.discard()

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """Change speed and parity on the open port; ConnectFailed where the device cannot do them."""
        head, wanted = self._open_head(), SerialFormat(baud, data_bits, parity, stop_bits)
        try:
            await head.configure(wanted)
        except OSError as error:
            raise self._gone() from error
        except self._errors as error:
            raise ConnectFailed(f"{self.name} cannot be set to {wanted}: {error}") from error
        self._uart.format = wanted

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the modem lines that are not None; ConnectFailed where the port has none."""
        head = self._open_head()
        if dtr is None and rts is None:
            return
        try:
            await head.lines(dtr, rts)
        except OSError as error:
            raise self._gone() from error
        except self._errors as error:
            raise ConnectFailed(
                f"{self.name} has no DTR and RTS that could be set", hint="Leave out dtr and rts for this port."
            ) from error

    def _open_head(self) -> Head:
        if self._head is None:
            raise closed(self.name)
        if self._inbox.error is not None:
            raise ConnectionLost(self._inbox.error.message, hint=self._inbox.error.hint)
        return self._head

    def _gone(self) -> ConnectionLost:
        return ConnectionLost(f"{self.name} does not answer any more", hint=_GONE)


class _Port(asyncio.Protocol):
    def __init__(self, name: str, inbox: Inbox) -> None:
        self._name, self._inbox = name, inbox

    def data_received(self, data: bytes) -> None:
        self._inbox.feed(bytes(data))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "has gone" if exc else "has closed the connection: it restarts, or was updated"
        self._inbox.fail(ConnectionLost(f"{self._name} {reason}", hint=_GONE))


def _library() -> ModuleType:
    try:
        from dlms_mqtt.transport.esphome import head
    except ImportError as error:
        raise ConfigError(
            f"esphome:// needs libraries that are not installed ({error.name})",
            key="serial",
            hint="pip install 'dlms-mqtt[esphome]'",
        ) from error
    return head
