"""An open serial port of an ESPHome device: the libraries of the native API, and their errors in plain words.

Importing this takes a second and needs the extra ``esphome``; only who opens such a port does it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import suppress
from typing import Any

import serialx
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import (
    APIConnectionError,
    EncryptionHelloAPIError,
    EncryptionPlaintextAPIError,
    InvalidAuthAPIError,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
    ResolveAPIError,
)

from dlms_mqtt.errors import ConnectFailed, TransportError
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.esphome.address import Address
from dlms_mqtt.transport.network import connect_failed

for _name in ("aioesphomeapi", "serialx"):  # they log every octet, the meter's password with them
    logging.getLogger(_name).setLevel(logging.INFO)

ERRORS = (APIConnectionError, serialx.SerialException, OSError)
"""What a call of the port may raise."""

_PATIENCE = 10.0  # s for everything that opening takes
_KEY_HINT = "It is `key:` below `api: encryption:` of the device's ESPHome configuration; give it as noise_psk."
_NO_KEY_HINT = "Leave noise_psk out, or set `api: encryption:` in its ESPHome configuration."
_WORDS: tuple[tuple[type[Exception], str, str], ...] = (
    (InvalidEncryptionKeyAPIError, "{name} does not accept this key", _KEY_HINT),
    (RequiresEncryptionAPIError, "{name} wants an encrypted connection", _KEY_HINT),
    (EncryptionPlaintextAPIError, "{name} does not speak encrypted", _NO_KEY_HINT),
    (EncryptionHelloAPIError, "{name} does not speak encrypted", _NO_KEY_HINT),
    (InvalidAuthAPIError, "{name} wants an API password, which ESPHome has given up", "Update it and use a key."),
    (ResolveAPIError, "the name in {name} is unknown", "Check the spelling, or write the IP address."),
)


class Head:
    """One port, ours alone."""

    def __init__(self, api: APIClient, port: serialx.BaseSerialTransport) -> None:
        self._api, self._port = api, port

    def write(self, data: bytes) -> None:
        """Send; any of ERRORS."""
        self._port.write(data)

    async def flush(self) -> None:
        """Wait until the device's UART has sent everything; any of ERRORS."""
        await self._port.flush()

    async def configure(self, wanted: SerialFormat) -> None:
        """Change speed and parity; any of ERRORS."""
        await self._port.reconfigure_port(**_settings(wanted))

    async def lines(self, dtr: bool | None, rts: bool | None) -> None:
        """Set those that are not None; any of ERRORS."""
        await self._port.set_modem_pins(dtr=dtr, rts=rts)

    def close(self) -> None:
        """Give the port back and leave: what is sent to a device that has gone is waited for by nobody."""
        with suppress(*ERRORS):
            self._port.close()
        self._api.force_disconnect()


async def connect(name: str, address: Address, key: str, wanted: SerialFormat, protocol: asyncio.Protocol) -> Head:
    """Open a port; ``name`` is for messages. ConnectFailed."""
    api = APIClient(address.host, address.port, noise_psk=key or None, client_info="dlms-mqtt", provide_time=False)
    try:
        async with asyncio.timeout(_PATIENCE):
            await api.connect(login=True, log_errors=False)
            return Head(api, await _open_port(api, name, address, wanted, protocol))
    except BaseException as error:
        api.force_disconnect()
        if isinstance(error, ERRORS):
            raise in_words(error, name) from error
        raise


async def _open_port(
    api: APIClient, name: str, address: Address, wanted: SerialFormat, protocol: asyncio.Protocol
) -> serialx.BaseSerialTransport:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {**_settings(wanted), "api": api, "connect_timeout": _PATIENCE}
    if address.only:
        options["port_name"] = await _only_port(api, name)
    elif address.port_name:
        options["port_name"] = address.port_name
    try:
        port, _ = await serialx.create_serial_connection(loop, lambda: protocol, name, **options)
    except ValueError as error:
        raise _no_port(name, address.port_name, await _port_names(api)) from error
    return port


async def _port_names(api: APIClient) -> list[str]:
    return [port.name for port in (await api.device_info()).serial_proxies]


async def _only_port(api: APIClient, name: str) -> str:
    names = await _port_names(api)
    if len(names) != 1:
        raise _no_port(name, "", names)
    return names[0]


def _no_port(name: str, wanted: str, names: list[str]) -> ConnectFailed:
    if not names:
        return ConnectFailed(f"{name} offers no serial port", hint="Add serial_proxy: to its ESPHome configuration.")
    problem = f"has no serial port '{wanted}'" if wanted else "has several serial ports"
    return ConnectFailed(f"{name} {problem}", hint=f"Write port_name=... with one of: {', '.join(names)}.")


def in_words(error: BaseException, name: str) -> TransportError:
    """What one of ERRORS means for who wants to open a port."""
    for kind, sentence, hint in _WORDS:
        if isinstance(error, kind):
            return ConnectFailed(sentence.format(name=name), hint=hint)
    if getattr(error, "errno", None) == errno.EBUSY:
        return ConnectFailed(
            f"{name} is in use by another program", hint="A port of an ESPHome device serves one client: close that."
        )
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError):
        return connect_failed(cause, name)
    return ConnectFailed(f"{name} could not be opened: {error}")


def _settings(wanted: SerialFormat) -> dict[str, Any]:
    parity = serialx.Parity(wanted.parity[0].upper())
    return {
        "baudrate": wanted.baud,
        "byte_size": wanted.data_bits,
        "parity": parity,
        "stopbits": serialx.StopBits(wanted.stop_bits),
    }
