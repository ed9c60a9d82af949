# ruff: noqa: E501
"""Every error code of the API, end to end: broker, bridge and a simulated meter."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator import make, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house

CONNECTION = '{tcp: "127.0.0.1:PORT", client: 17, timeout: 20s, retries: 0}'
METER = """
  house:
    connection: CONNECTION
    every: 1h
    read:
      set: none
      also:
        - {obis: 1.0.0.4.2.255, key: ratio, writable: true, min: 1, max: 500}
        - {obis: 0.0.94.34.11.255, class: 1, key: tariff, writable: true, values: {1: day, 2: night}}
        - {obis: 1.0.1.8.0.255, key: energy}
        - {obis: 1.0.99.0.1.255, class: 1, key: trouble, writable: true, type: long-unsigned}
    actions:
      reconnect: {obis: 0.0.96.3.10.255, method: 2, confirm: true}
      nothing: {obis: 0.0.96.3.99.255, class: 70, method: 2}
    allow: [write, invoke]
"""


@pytest.fixture
async def meter():
    meter = household(1)
    results = iter([2, 250, 250, 250])
    meter.add(
        make(
            1, "1.0.99.0.1.255", Data(DataType.LONG_UNSIGNED, 5), writable=(2,),
            writers={2: lambda context, value: next(results)},
        )
    )  # fmt: skip
    async with serve_tcp(meter) as server:
        meter.port = server.port
        yield meter


def _config(meter, connection=CONNECTION, text=METER):
    return text.replace("CONNECTION", connection).replace("PORT", str(getattr(meter, "port", meter)))


CODES = [
    ("bad-request", "request/read", {}),
    ("unknown-request", "request/dance", {}),
    ("unknown-key", "set/nothing", {"value": 1}),
    ("unknown-action", "do/dance", {}),
    ("not-allowed", "set/energy", {"value": 1}),
    ("confirmation-required", "do/reconnect", {}),
    ("confirmation-required", "request/invoke", {"obis": "0.0.96.3.10.255", "method": 1}),
    ("invalid-value", "set/tariff", {"value": "noon"}),
    ("invalid-value", "set/ratio", {"value": 501}),
    ("invalid-value", "request/write", {"obis": "1.0.0.4.2.255", "attribute": 2, "value": "many"}),
    ("access-denied", "request/write", {"obis": "1.0.1.8.0.255", "attribute": 2, "value": 5}),
    ("object-undefined", "do/nothing", {}),
    ("type-unmatched", "request/write", {"obis": "1.0.0.4.2.255", "attribute": 2, "value": 5, "type": "double-long"}),
    ("temporary-failure", "set/trouble", {"value": 5}),
]


@pytest.mark.parametrize(("code", "topic", "request_body"), CODES)
async def test_what_the_meter_and_its_configuration_refuse(mosquitto, tmp_path, meter, code, topic, request_body):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        reply = await home.ask(f"meter/house/{topic}", request_body)
        assert reply["status"] == "error" and reply["error"]["code"] == code, reply
        assert reply["error"]["message"]


async def test_meter_refused(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        await home.ask("meter/house/set/trouble", {"value": 5})
        reply = await home.ask("meter/house/set/trouble", {"value": 5})
        assert reply["error"]["code"] == "meter-refused"
        assert reply["error"]["detail"]["result"] == 250


async def test_unknown_meter(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter), "management: true") as home:
        reply = await home.ask("bridge/main/request/meter/remove", {"meter": "nowhere"})
        assert reply["error"]["code"] == "unknown-meter"


async def test_paused(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        assert (await home.ask("meter/house/request/pause", {"minutes": 5}))["status"] == "ok"
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "paused"
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/health")["meters"]["house"]["paused"])
        assert (await home.ask("meter/house/request/resume"))["status"] == "ok"
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["status"] == "ok" and reply["data"]["values"][0]["unit"] == "kWh"


@pytest.mark.expect_log("house")
async def test_link_down(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, _config(1)) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "link-down"


@contextlib.asynccontextmanager
async def _deaf():
    """A port that takes everything and says nothing."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.expect_log("house")
async def test_no_answer(mosquitto, tmp_path):
    quick = CONNECTION.replace("20s", "1s")
    async with _deaf() as port, house(mosquitto, tmp_path, _config(port, quick)) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "no-answer"


READ = "meter/house/request/read"
REPLIES = "dlms_mqtt/meter/house/response/read"


async def test_timeout(mosquitto, tmp_path):
    async with _deaf() as port, house(mosquitto, tmp_path, _config(port)) as home:
        reply = await home.ask(READ, {"items": ["1.0.1.8.0.255"], "timeout": 0.3})
        assert reply["error"]["code"] == "timeout"


async def test_cancelled(mosquitto, tmp_path):
    async with _deaf() as port, house(mosquitto, tmp_path, _config(port)) as home:
        await home.seen.publish(f"dlms_mqtt/{READ}", {"id": "long", "items": ["1.0.1.8.0.255"]})
        cancel = await home.seen.ask("dlms_mqtt/meter/house/request/cancel", {"id": "long"})
        assert cancel["status"] == "ok"
        await home.until(lambda: any('"cancelled"' in text and '"long"' in text for text in home.seen.of(REPLIES)))


async def test_busy(mosquitto, tmp_path):
    async with _deaf() as port, house(mosquitto, tmp_path, _config(port)) as home:
        for number in range(40):
            await home.seen.publish(f"dlms_mqtt/{READ}", {"id": f"n{number}", "items": ["1.0.1.8.0.255"]})
        await home.until(lambda: any('"busy"' in text for text in home.seen.of(REPLIES)))


@pytest.mark.expect_log("house")
async def test_association_refused(mosquitto, tmp_path, meter):
    connection = CONNECTION.replace("client: 17", "client: 77")
    async with house(mosquitto, tmp_path, _config(meter, connection)) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "association-refused", reply


@pytest.mark.expect_log("house")
async def test_authentication_refused_then_locked_out_over_a_restart(mosquitto, tmp_path, meter):
    connection = CONNECTION.replace("client: 17", 'client: 32, authentication: low, password: "text:wrongone"')
    text = _config(meter, connection).replace("every: 1h", "every: 1h\n    attempts: 2")
    async with house(mosquitto, tmp_path, text) as home:
        # the first poll was refused already; one attempt is left
        await home.until(lambda: "password_refused" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "authentication-refused"
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "locked-out"
    attempts = sum(meter.failures.values())
    async with house(mosquitto, tmp_path, text) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "locked-out"
        await home.until(lambda: "locked_out" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
    assert sum(meter.failures.values()) == attempts == 2
    right = text.replace("wrongone", "12345678")
    async with house(mosquitto, tmp_path, right) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["status"] == "ok"


@pytest.mark.expect_log("house")
async def test_security_error(mosquitto, tmp_path, meter):
    keys = 'encryption_key: "hex:000102030405060708090a0b0c0d0eff", authentication_key: "hex:d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"'
    connection = CONNECTION.replace("client: 17", f"client: 39, invocation_counter: 1, security: encryption, {keys}")
    async with house(mosquitto, tmp_path, _config(meter, connection)) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "security-error", reply


async def test_not_supported(mosquitto, tmp_path):
    text = "\n  house:\n    push: {listen: 'tcp://127.0.0.1:0'}\n"
    async with house(mosquitto, tmp_path, text) as home:
        reply = await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]})
        assert reply["error"]["code"] == "not-supported"


@pytest.mark.expect_log("failed")
async def test_internal(mosquitto, tmp_path, meter, monkeypatch):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        monkeypatch.setitem(home.app.bridge.requests._verbs, "ping", lambda request: 1 / 0)
        reply = await home.ask("bridge/main/request/ping")
        assert reply["error"]["code"] == "internal"


async def test_every_kind_of_rubbish_is_answered(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        for payload in (b"null", b"nonsense", b"[]", b"\xff\xfe", b"{" * 9000, b"5"):
            before = len(home.seen.of("dlms_mqtt/meter/house/response/read"))
            await home.seen.publish("dlms_mqtt/meter/house/request/read", payload)
            await home.until(
                lambda before=before: len(home.seen.of("dlms_mqtt/meter/house/response/read")) == before + 1
            )
