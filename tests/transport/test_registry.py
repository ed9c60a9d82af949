"""Which kind of line a URL, a device name or connection settings mean."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport import make_transport, open_transport, transport_for
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.esphome.line import EsphomeTransport
from dlms_mqtt.transport.incoming import PortTransport
from dlms_mqtt.transport.serial import SerialTransport
from dlms_mqtt.transport.tcp import TcpTransport
from dlms_mqtt.transport.udp import UdpTransport


@pytest.mark.parametrize(
    ("line", "kind", "name"),
    [
        ("tcp://10.0.0.5", TcpTransport, "10.0.0.5:4059"),
        ("udp://[fd00::5]:99", UdpTransport, "[fd00::5]:99"),
        ("socket://box:7000/", TcpTransport, "box:7000"),
        ("socket://box:7000?logging=debug", SerialTransport, "socket://box:7000?logging=debug"),
        ("rfc2217://box:7000", SerialTransport, "rfc2217://box:7000"),
        ("serial:///dev/ttyUSB0", SerialTransport, "/dev/ttyUSB0"),
        ("/dev/serial/by-id/usb-x", SerialTransport, "/dev/serial/by-id/usb-x"),
        ("COM3", SerialTransport, "COM3"),
        ("ESPHOME://head/?port_name=uart", EsphomeTransport, "ESPHOME://head/?port_name=uart"),
    ],
)
def test_the_row_for_each_line(line: str, kind: type, name: str) -> None:
    transport = make_transport(line)
    assert (type(transport), transport.name) == (kind, name)


def test_settings_name_the_line() -> None:
    assert transport_for(ConnectionSettings(tcp=("10.0.0.5", 1))).name == "10.0.0.5:1"
    assert transport_for(ConnectionSettings(udp=("fd00::5", 1))).name == "[fd00::5]:1"
    serial = transport_for(ConnectionSettings(serial="/dev/ttyUSB0", baud=2400, parity="even"))
    assert serial.format == SerialFormat(2400, 8, "even")
    assert transport_for(ConnectionSettings(serial="/dev/ttyUSB0")).format == SerialFormat(9600)
    with pytest.raises(ConfigError, match="no line"):
        transport_for(ConnectionSettings())


def test_a_meter_that_dials_in_is_waited_for() -> None:
    line = transport_for(ConnectionSettings(bind="tcp://127.0.0.1:4059"))
    assert isinstance(line, PortTransport)


def test_a_key_and_modem_lines_are_handed_over() -> None:
    line = transport_for(ConnectionSettings(serial="loop://", dtr=False, rts=True))
    assert isinstance(line, SerialTransport)


async def test_what_is_opened_at_once_can_be_used() -> None:
    async with await open_transport("loop://") as line:
        line.write(b"x")
        assert await line.read(60) == b"x"


@pytest.mark.parametrize("line", ["tcp://", "udp://[::1", "socket://box:x/", "tcp://box:0"])
def test_addresses_that_are_none(line: str) -> None:
    with pytest.raises(ConfigError, match="is no HOST:PORT"):
        make_transport(line)
