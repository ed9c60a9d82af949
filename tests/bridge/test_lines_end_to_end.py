"""The whole way over every kind of line: first reading, write, action, refused write, profile, push.

Our simulated meter over TCP with HDLC, a pseudo-terminal with sign-on and UDP; the meter of pydlms-client over TCP with
the wrapper and with HDLC.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import SignOnOptions, serve_pty, serve_tcp, serve_udp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.push import notification, tell_clients
from tests.bridge.house import house

METER = """
  house:
    connection: {LINE, timeout: 20s, octet_timeout: 10s, retries: 1}
    every: 1s
    session: keep
    read:
      set: none
      also:
        - {obis: 1.0.32.7.0.255, class: 3}
        - WRITABLE
    actions:
      switch_off: {obis: 0.0.96.3.10.255, class: 70, method: 1, confirm: true}
    allow: [write]
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """A meter on a line, and what is the meter's own about the conversation."""

    line: str
    push: Callable[[], None]
    switched_off: Callable[[], bool]
    writable: str
    written: Any
    refused: dict[str, Any]
    profile: dict[str, Any]
    pushed: tuple[str, str]


def _ours(line: str, meter: Any) -> Setup:
    switch = meter.objects[70, Obis.parse("0.0.96.3.10.255")]
    return Setup(
        line,
        lambda: tell_clients(meter, notification(meter, client=17)),
        lambda: switch.data(None, 2).value is False,
        "{obis: 1.0.0.4.2.255, class: 1, key: mine, writable: true, min: 1, max: 500}",
        21,
        {"obis": "1.0.1.8.0.255", "attribute": 2, "value": 5},
        {"obis": "1.0.99.1.0.255", "first": 1, "count": 3},
        ("energy_import", ""),
    )


@contextlib.asynccontextmanager
async def tcp_hdlc() -> AsyncIterator[Setup]:
    meter = household(1)
    async with serve_tcp(meter, framing="hdlc") as server:
        yield _ours(f'tcp: "127.0.0.1:{server.port}", framing: hdlc, client: 17', meter)


@contextlib.asynccontextmanager
async def pseudo_terminal() -> AsyncIterator[Setup]:
    meter = household(1)
    async with serve_pty(meter, paced=False, sign_on=SignOnOptions()) as line:
        yield _ours(f"serial: {line.device}, framing: hdlc, opening: sign-on, client: 17", meter)


@contextlib.asynccontextmanager
async def udp() -> AsyncIterator[Setup]:
    meter = household(1)
    async with serve_udp(meter) as (host, port):
        yield _ours(f'udp: "{host}:{port}", client: 17', meter)


@contextlib.asynccontextmanager
async def pydlms(hdlc: bool) -> AsyncIterator[Setup]:
    simulator = pytest.importorskip("pydlms.simulator")
    sim = simulator.example_meter()
    sim.attribute_access[3, simulator.ObisCode.parse("1.0.1.8.0.255"), 2] = 1  # read only
    server = simulator.serve(sim, hdlc=hdlc)
    switch = sim.objects[70, simulator.ObisCode.parse("0.0.96.3.10.255")]
    item = (
        Data(DataType.OCTET_STRING, bytes(Obis.parse("1.0.2.7.0.255"))),
        Data(DataType.DOUBLE_LONG_UNSIGNED, 321),
        Data(DataType.STRUCTURE, (Data(DataType.INTEGER, 0), Data(DataType.ENUM, 27))),
    )
    push = DataNotification(1, None, encode(Data(DataType.ARRAY, (Data(DataType.STRUCTURE, item),)))).encode()
    try:
        framing = "hdlc" if hdlc else "wrapper"
        yield Setup(
            f'tcp: "127.0.0.1:{server.server_address[1]}", framing: {framing}, client: 16',
            lambda: sim.push_before_response(push),
            lambda: switch[2].value is False,
            "{obis: 0.0.96.1.0.255, class: 1, key: mine, writable: true, max_length: 20}",
            "PYD0000000002",
            {"obis": "1.0.1.8.0.255", "class": 3, "attribute": 2, "value": 5, "type": "double-long-unsigned"},
            {"obis": "1.0.99.1.0.255", "from": "2024-05-01T02:00:00Z", "to": "2024-05-01T03:00:00Z"},
            ("power_export", "321"),
        )
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


LINES = {
    "tcp hdlc": tcp_hdlc,
    "pseudo-terminal with sign-on": pseudo_terminal,
    "udp": udp,
    "pydlms wrapper": lambda: pydlms(False),
    "pydlms hdlc": lambda: pydlms(True),
}


@pytest.mark.parametrize("line", LINES)
async def test_a_whole_conversation(mosquitto, tmp_path, line):
    async with LINES[line]() as setup:
        text = METER.replace("LINE", setup.line).replace("WRITABLE", setup.writable)
        async with house(mosquitto, tmp_path, text) as home:
            await home.until(lambda: home.meter("availability") == "online" and home.meter("value/voltage_l1"))
            assert 200 < float(home.meter("value/voltage_l1")) < 260

            reply = await home.ask("meter/house/set/mine", {"value": setup.written})
            assert reply["data"] == {"value": setup.written, "read_back": setup.written}
            await home.until(lambda: home.meter("value/mine") == str(setup.written))

            reply = await home.ask("meter/house/request/write", setup.refused)
            assert reply["error"]["code"] == "access-denied", reply
            reply = await home.ask("meter/house/do/switch_off", {"confirm": "house"})
            assert reply["status"] == "ok" and setup.switched_off()

            reply = await home.ask("meter/house/request/profile", setup.profile)
            assert reply["status"] == "ok", reply
            assert len({row["time"] for row in reply["data"]["values"] if "time" in row}) >= 3, reply["data"]["values"][
                :5
            ]

            await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/health")["status"] == "ok")

            key, value = setup.pushed
            assert home.meter(f"value/{key}") == ""
            setup.push()
            await home.until(lambda: home.meter(f"value/{key}") != "")
            assert home.meter(f"value/{key}") == (value or home.meter(f"value/{key}"))
            await home.until(lambda: key in json.loads(home.meter("state")))
            # Of what our meter pushes nobody has told the scaler: that is said, and the meter itself does well.
            await home.until(
                lambda: home.seen.json("dlms_mqtt/bridge/main/health")["meters"]["house"]["status"] == "ok"
            )
        assert home.seen.of("dlms_mqtt/meter/house/event") == []
