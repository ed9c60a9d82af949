"""A meter behind an optical head that runs ESPHome: sign-on with its changes of speed and parity, and trouble."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt import Meter
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectFailed, ConnectionLost
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import PASSWORD, SignOnOptions, household, serve_memory
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY
from tests.esphome_head import KEY, EsphomeHead

IN_PLAIN_AND_NOISE = pytest.mark.parametrize("key", ["", KEY], ids=["plain", "noise"])
IMPORT = AttributeDescriptor(3, Obis.parse("1.8.0"), 2)
FORMS = [(300, 7, 1), (9600, 8, 0)]  # speed, bits and parity (none, even, odd) after a sign-on


def served(head: EsphomeHead, options: SignOnOptions | None) -> AbstractAsyncContextManager[None]:
    return serve_memory(household(), head.line, sign_on=options)


@asynccontextmanager
async def meter_behind(head: EsphomeHead, options: SignOnOptions | None) -> AsyncIterator[EsphomeHead]:
    async with head, served(head, options):
        yield head


def settings(head: EsphomeHead, **values: Any) -> ConnectionSettings:
    key = Secret(head.key.encode()) if head.key else None
    access = {"client": 32, "authentication": "low", "password": PASSWORD}
    return ConnectionSettings(serial=head.url, noise_psk=key, **access, **values)


async def energy(chosen: ConnectionSettings) -> None:
    """Read it; whatever went wrong is raised."""
    async with DlmsClient(chosen) as client:
        [answer] = await client.read([IMPORT])
        assert answer.value


def forms(head: EsphomeHead) -> list[tuple[int, int, int]]:
    requests = [message for message in head.log if type(message).__name__ == "SerialProxyConfigureRequest"]
    forms = [(message.baudrate, message.data_size, message.parity) for message in requests]
    return [form for before, form in zip([None, *forms], forms, strict=False) if form != before]


@IN_PLAIN_AND_NOISE
async def test_sign_on_at_300_baud_and_hdlc_at_9600(key: str) -> None:
    async with meter_behind(EsphomeHead(key=key), SignOnOptions()) as head:
        await energy(settings(head, opening="sign-on"))
        assert forms(head)[-2:] == FORMS


async def test_a_readout_in_mode_c() -> None:
    async with meter_behind(EsphomeHead(patient=True), READOUT_ONLY) as head:
        await energy(settings(head, opening="readout"))
        assert forms(head)[-2:] == [(300, 7, 1), (9600, 7, 1)]


@IN_PLAIN_AND_NOISE
async def test_the_library_names_the_port_by_its_url(key: str) -> None:
    async with meter_behind(EsphomeHead(key=key), None) as head:
        url = f"{head.url}&noise_psk={key}" if key else head.url
        async with Meter(url, client=32, password=PASSWORD) as meter:
            assert KEY not in repr(meter)
            reading = await meter.read("1.8.0")
            assert reading.value


@IN_PLAIN_AND_NOISE
async def test_cut_in_the_middle_and_there_again(key: str) -> None:
    async with EsphomeHead(key=key) as head:
        chosen = settings(head, opening="sign-on")
        async with served(head, SignOnOptions()), DlmsClient(chosen) as client:
            await client.read([IMPORT])
            head.cut()
            with pytest.raises(ConnectionLost):
                await client.read([IMPORT])
        with pytest.raises(ConnectFailed, match="nobody listens"):
            await energy(chosen)
        await head.start()
        async with served(head, SignOnOptions()):  # which no longer waits at 9600 for the client that went
            await energy(chosen)


async def test_restarted_in_the_middle() -> None:
    async with EsphomeHead() as head:
        chosen = settings(head, opening="sign-on")
        async with served(head, SignOnOptions()), DlmsClient(chosen) as client:
            await client.read([IMPORT])
            await head.restart()
            with pytest.raises(ConnectionLost, match="restarts"):
                await client.read([IMPORT])
        async with served(head, SignOnOptions()):
            await energy(chosen)


async def test_two_programs_want_the_port() -> None:
    async with meter_behind(EsphomeHead(), None) as head:
        async with DlmsClient(settings(head)):
            with pytest.raises(ConnectFailed, match="in use"):
                await energy(settings(head))
        await energy(settings(head))


@IN_PLAIN_AND_NOISE
async def test_no_password_in_the_log_of_any_library(caplog: pytest.LogCaptureFixture, key: str) -> None:
    caplog.set_level(logging.DEBUG)
    async with meter_behind(EsphomeHead(key=key), None) as head:
        await energy(settings(head))
    assert "associated as client 32" in caplog.text
    assert PASSWORD.decode() not in caplog.text
    assert PASSWORD.hex() not in caplog.text
