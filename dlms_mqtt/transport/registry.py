"""Which transport serves which kind of line: one row each.

``make_transport("tcp://10.0.0.5:4059")``, ``make_transport("/dev/ttyUSB0", baud=300)``. Two ends in one process come
from ``memory.memory_pair`` and are handed over as they are. A row imports its module only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.base import Transport, parse_address


class LineSettings(Protocol):
    """The part of the connection settings that says what the line is."""

    @property
    def serial(self) -> str | None: ...  # noqa: D102
    @property
    def noise_psk(self) -> bytes | None: ...  # noqa: D102
    @property
    def tcp(self) -> tuple[str, int] | None: ...  # noqa: D102
    @property
    def udp(self) -> tuple[str, int] | None: ...  # noqa: D102
    @property
    def bind(self) -> str: ...  # noqa: D102
    @property
    def baud(self) -> int | None: ...  # noqa: D102
    @property
    def parity(self) -> str | None: ...  # noqa: D102
    @property
    def dtr(self) -> bool | None: ...  # noqa: D102
    @property
    def rts(self) -> bool | None: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102


_DIALS_WITHIN = 600.0  # s: how long a command waits for the meter to connect


def make_transport(line: str, **options: Any) -> Transport:
    """The transport for a URL or a device name, not yet open; ``options`` as its class takes them. ConfigError."""
    scheme, separator, rest = line.partition("://")
    return _ROWS.get(scheme.lower() if separator else "", _serial)(line, rest, options)


async def open_transport(line: str, **options: Any) -> Transport:
    """The same, opened; ConnectFailed."""
    transport = make_transport(line, **options)
    await transport.open()
    return transport


def transport_for(settings: LineSettings) -> Transport:
    """The transport that connection settings ask for, not yet open; ConfigError."""
    if settings.serial is not None:
        return make_transport(settings.serial, **_serial_options(settings))
    for scheme, address in (("tcp", settings.tcp), ("udp", settings.udp)):
        if address is not None:
            return _ROWS[scheme]("", "", {"address": address, "connect_timeout": settings.timeout})
    if settings.bind:
        from dlms_mqtt.transport.incoming import PortTransport

        return PortTransport(settings.bind, _DIALS_WITHIN)
    raise ConfigError("no line to the meter is named", hint="Give --serial PORT, --tcp HOST:PORT or --udp HOST:PORT.")


def _serial_options(settings: LineSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"baud": settings.baud, "parity": settings.parity}
    options |= {"dtr": settings.dtr, "rts": settings.rts, "noise_psk": settings.noise_psk}
    return {name: value for name, value in options.items() if value is not None}


def _tcp(_line: str, rest: str, options: dict[str, Any]) -> Transport:
    from dlms_mqtt.transport.tcp import TcpTransport

    host, port = options.get("address") or parse_address(rest)
    return TcpTransport(host, port, connect_timeout=options.get("connect_timeout", 5.0))


def _udp(_line: str, rest: str, options: dict[str, Any]) -> Transport:
    from dlms_mqtt.transport.udp import UdpTransport

    host, port = options.get("address") or parse_address(rest)
    return UdpTransport(host, port)


def _socket(line: str, rest: str, options: dict[str, Any]) -> Transport:
    """pyserial's name for plain TCP; with options of pyserial's own it is left to pyserial."""
    return _serial(line, rest, options) if "?" in rest else _tcp(line, rest.rstrip("/"), options)


def _serial(line: str, _rest: str, options: dict[str, Any]) -> Transport:
    from dlms_mqtt.transport.serial import SerialTransport

    return SerialTransport(line, **options)


def _esphome(line: str, _rest: str, options: dict[str, Any]) -> Transport:
    from dlms_mqtt.transport.esphome.line import EsphomeTransport

    return EsphomeTransport(line, **options)


_ROWS: dict[str, Callable[[str, str, dict[str, Any]], Transport]] = {
    "tcp": _tcp,
    "udp": _udp,
    "socket": _socket,
    "esphome": _esphome,
    "serial": lambda _line, rest, options: _serial(rest, "", options),
}
