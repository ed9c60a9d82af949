"""Who speaks on a line by itself: its framing, speed, ciphering and family, before anything is configured."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.requests.trial import overheard as module
from dlms_mqtt.client.settings import ConnectionSettings
from tests.bridge.house import House, house
from tests.bridge.telegrams import CIPHERED, KAMSTRUP, LISTEN, MANAGED, calling, speaking
from tests.free_port import free_port


@pytest.fixture
async def home(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "", MANAGED) as home:
        await home.until(lambda: "dlms_mqtt/bridge/main/info" in home.seen.latest)
        yield home


async def found(home: House, line, listen=LISTEN):
    reply = await home.ask("bridge/main/request/meter/find", {"line": line, "listen": listen}, 120)
    return reply.get("data") or reply["error"]


async def test_who_speaks(home):
    async with speaking(KAMSTRUP) as port:
        row = await found(home, {"tcp": f"127.0.0.1:{port}"})
        assert row["found"] and row["learned"]["ciphered"] is False and row["learned"]["framing"] == "hdlc"
        assert row["learned"]["presets"] == ["kamstrup-omnipower"]
    port = free_port()
    async with calling(port, bytes.fromhex(CIPHERED["hex"])):
        row = await found(home, {"bind": f"tcp://127.0.0.1:{port}"})
        assert row["found"] and row["learned"]["ciphered"] is True
        assert row["learned"]["system_title"].startswith("4b414d") and "kamstrup-omnipower" in row["learned"]["presets"]
    row = await found(home, {"bind": f"tcp://127.0.0.1:{free_port()}"}, 1)
    assert row["found"] is False and row["names"] == ["no-telegram"]
    for line in ({"bind": "tcp://127.0.0.1:1", "tcp": "127.0.0.1:1"}, {"client": 1}):
        assert (await found(home, line))["code"] == "bad-request"
    assert (await found(home, {"bind": "nonsense"}))["code"] == "invalid-value"


def test_speeds_that_are_tried():
    serial = module._forms(ConnectionSettings(serial="/dev/ttyUSB0"), "connection")
    assert serial[:3] == [{"baud": 2400, "parity": "even"}, {"baud": 2400, "parity": "none"}, serial[2]]
    assert module._forms(ConnectionSettings(serial="/dev/ttyUSB0", baud=9600), "connection") == [{}]
    assert module._forms(ConnectionSettings(serial="socket://h:1"), "connection") == [{}]
    assert module._forms(ConnectionSettings(tcp="h:1"), "connection") == [{}]
