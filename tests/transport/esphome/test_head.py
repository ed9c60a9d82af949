"""An open port of an ESPHome device: which one, which key, speed and modem lines, errors in plain words."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.esphome.line import EsphomeTransport
from dlms_mqtt.transport.registry import open_transport
from tests.esphome_head import KEY, OTHER_KEY, EsphomeHead

IN_PLAIN_AND_NOISE = pytest.mark.parametrize("key", ["", KEY], ids=["plain", "noise"])
PATIENCE = 60


def port_of(head: EsphomeHead, **options: Any) -> EsphomeTransport:
    return EsphomeTransport(head.url, noise_psk=head.key.encode() or None, **options)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing tells that a connection has ended
            await asyncio.sleep(0.001)


async def test_a_speed_that_the_device_cannot_do() -> None:
    async with EsphomeHead() as head, port_of(head) as line:
        head.speeds = {9600}
        with pytest.raises(ConnectFailed, match="cannot be set to 250000 8N1"):
            await line.configure(baud=250000)
        assert line.format == SerialFormat(9600)


@pytest.mark.parametrize(
    ("options", "pins"), [({}, 3), ({"dtr": False}, 1), ({"rts": False}, 2), ({"dtr": False, "rts": False}, 0)]
)
async def test_modem_lines_are_set_before_anything_is_sent(options: dict[str, bool], pins: int) -> None:
    async with EsphomeHead() as head, port_of(head, **options) as line:
        assert head.pins == pins
        await line.lines(dtr=True, rts=False)
        assert head.pins == 2
        await line.lines()
        await line.send_break(0.01)  # the native API knows none


@IN_PLAIN_AND_NOISE
async def test_a_port_in_use_and_free_again(key: str) -> None:
    async with EsphomeHead(key=key) as head:
        other = port_of(head)
        async with port_of(head):
            with pytest.raises(ConnectFailed, match="is in use by another program") as caught:
                await other.open()
            assert "serves one client" in caught.value.hint
        await other.open()  # what leaves gives its port back before the next one asks
        await other.open()
        await other.close()
        await other.close()
        await until(lambda: not head.peers)


async def test_a_port_that_fails_while_it_is_closed_is_left_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the place of a cancellation would have the line opened again for ever."""

    def fail(_port: object) -> None:
        raise OSError("the device has gone")

    async with EsphomeHead() as head:
        line = port_of(head)
        await line.open()
        assert line._head is not None
        monkeypatch.setattr(type(line._head._port), "close", fail)
        await line.close()
        await until(lambda: not head.peers)


@pytest.mark.parametrize(
    ("of_head", "ours", "message", "hint"),
    [
        (KEY, OTHER_KEY, "does not accept this key", "api: encryption:"),
        (KEY, "", "wants an encrypted connection", "noise_psk"),
        ("", KEY, "does not speak encrypted", "Leave noise_psk out"),
    ],
)
async def test_keys_that_do_not_fit(
    caplog: pytest.LogCaptureFixture, of_head: str, ours: str, message: str, hint: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with EsphomeHead(key=of_head) as head:
        with pytest.raises(ConnectFailed, match=message) as caught:
            await open_transport(head.url, noise_psk=ours.encode() or None)
        assert hint in caught.value.hint
        for key in (KEY, OTHER_KEY):
            assert key not in caught.value.told + caplog.text


async def test_which_port_of_the_device() -> None:
    async with EsphomeHead() as head:
        async with EsphomeTransport(f"esphome://127.0.0.1:{head.port}") as line:  # it has only one
            assert line.name.endswith(str(head.port))
        with pytest.raises(ConnectFailed, match="has no serial port 'other'") as caught:
            await open_transport(f"esphome://127.0.0.1:{head.port}/?port_name=other")
        assert "one of: meter." in caught.value.hint
    async with EsphomeHead(names=("meter", "water meter")) as head:
        with pytest.raises(ConnectFailed, match="several serial ports") as caught:
            await open_transport(f"esphome://127.0.0.1:{head.port}/")
        assert "meter, water meter" in caught.value.hint
    async with EsphomeHead(names=()) as head:
        with pytest.raises(ConnectFailed, match="offers no serial port") as caught:
            await open_transport(f"esphome://127.0.0.1:{head.port}/")
        assert "serial_proxy:" in caught.value.hint


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(ConnectFailed, match="is unknown"):
        await open_transport("esphome://nowhere.invalid/?port_name=x")
