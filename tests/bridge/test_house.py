"""Writes, actions, profiles, pushes, management, restarts and cleaning up, with a real broker and a simulated meter."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import stat
from datetime import UTC, datetime, timedelta

import aiomqtt
import pytest

from dlms_mqtt.bridge import app as bridge_app
from dlms_mqtt.bridge import bridge as bridge_bridge
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.conftest import watching
from tests.bridge.house import METER, house, running, write_config
from tests.bridge.test_codes import _config
from tests.free_port import free_port


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


async def test_writes_and_actions(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/set/ratio", {"value": 21})
        assert reply["data"] == {"value": 21, "read_back": 21}
        await home.until(lambda: home.meter("value/ratio") == "21")
        reply = await home.ask("meter/house/set/tariff", {"value": "night"})
        assert reply["data"]["read_back"] == "night"
        await home.seen.publish("dlms_mqtt/meter/house/set/tariff", "day")
        await home.until(lambda: home.meter("value/tariff") == "day")
        reply = await home.ask("meter/house/do/reconnect", {"confirm": "house"})
        assert reply["status"] in ("ok", "error")
        body = {"obis": "1.0.0.4.3.255", "attribute": 2, "value": 5}
        data = (await home.ask("meter/house/request/write", body))["data"]
        assert data["read_back"] == data["value"] == 5
        assert data["obis"] == body["obis"]
        body = {"obis": "0.0.96.3.10.255", "method": 1, "confirm": "house"}
        reply = await home.ask("meter/house/request/invoke", body)
        assert reply["data"] == {"obis": body["obis"], "class": 70, "method": 1, "returned": None, "raw": None}


async def test_requests_that_only_read(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/request/objects")
        assert {"1.0.1.8.0.255"} <= {row["obis"] for row in reply["data"]["objects"]}
        assert any('"progress"' in text for text in home.seen.of("dlms_mqtt/meter/house/response/objects"))
        reply = await home.ask("meter/house/request/clock")
        assert abs(reply["data"]["drift"]) < 5
        assert set(reply["data"]) == {"time", "raw", "deviation", "deviation_sense", "status", "drift"}
        assert (await home.ask("meter/house/request/clock", {"set": True}))["status"] == "ok"
        start = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "from": start})
        assert {row["unit"] for row in reply["data"]["values"]} & {"Wh"}
        assert set(reply["data"]["meter"]) == {"system_title", "logical_device_name"}
        reply = await home.ask("meter/house/request/read", {"items": [{"obis": "1.0.1.8.0.255"}]})
        assert reply["data"]["meter"]["logical_device_name"].startswith("DMQ")
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "first": 1, "count": 2})
        assert reply["status"] == "ok" and reply["data"]["values"]
        reply = await home.ask("meter/house/request/poll", {"keys": ["energy"]})
        assert set(reply["data"]["values"]) == {"energy"}
        assert (await home.ask("meter/house/request/poll", {"keys": ["none"]}))["error"]["code"] == "unknown-key"
        reply = await home.ask("meter/house/request/dump")
        assert reply["status"] == "ok" and "facts" in reply["data"]
        for verb in ("ping", "ports", "presets", "schema", "config"):
            assert (await home.ask(f"bridge/main/request/{verb}"))["status"] == "ok", verb
        presets = (await home.ask("bridge/main/request/presets"))["data"]["presets"]
        push_only = {row["id"]: row["push_only"] for row in presets}
        assert push_only["norway-han"] and not push_only["generic"] and not push_only["kaifa-tcp"]


async def test_profiles_of_the_configuration(mosquitto, tmp_path, meter):
    more = "    profiles:\n      - {obis: 1.0.99.1.0.255, key: load, every: 1h, backfill: 1d}\n"
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        await home.until(
            lambda: len([p for p in home.seen.of("dlms_mqtt/meter/house/profile/load") if json.loads(p)["rows"]]) >= 1
        )
        await asyncio.sleep(0.3)
        rows = [row for text in home.seen.of("dlms_mqtt/meter/house/profile/load") for row in json.loads(text)["rows"]]
        message = json.loads(home.seen.of("dlms_mqtt/meter/house/profile/load")[0])
        assert message["interval"] in (900, 3600) and message["seq"]
        assert all(set(column) == {"key", "obis", "unit"} for column in message["columns"])
        assert len(rows[0]) == len(message["columns"]) + 2
        times = [row[0] for row in rows]
        assert times == sorted(set(times)) and len(times) > 20
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await asyncio.sleep(0.5)
        again = [
            row[0] for text in home.seen.of("dlms_mqtt/meter/house/profile/load") for row in json.loads(text)["rows"]
        ]
        assert not set(again) & set(times)


async def test_a_profile_as_rows(mosquitto, tmp_path, meter):
    """The compact table says what the single values say, in a tenth of the bytes."""
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        ask = {"obis": "1.0.99.1.0.255", "from": (datetime.now() - timedelta(days=2)).isoformat()}
        values = (await home.ask("meter/house/request/profile", ask))["data"]["values"]
        table = (await home.ask("meter/house/request/profile", {**ask, "as": "rows"}))["data"]
        assert table["interval"] in (900, 3600) and table["columns"][0]["unit"] == "kWh"
        times = [row[0] for row in table["rows"]]
        assert times == sorted(set(times)) and times[0] == table["from"] and times[-1] == table["to"]
        column = table["columns"][0]["obis"]
        single = {row["time"]: row["value"] / 1000 for row in values if row["obis"] == column}
        assert {row[0]: row[2] for row in table["rows"]} == pytest.approx(single)
        assert len(json.dumps(table)) * 8 < len(json.dumps(values))
        assert (await home.ask("meter/house/request/profile", {**ask, "as": "x"}))["error"]["code"] == "invalid-value"


def _push(power: int) -> bytes:
    items = [
        Data(DataType.STRUCTURE, (Data(DataType.OCTET_STRING, bytes(Obis.parse(obis))), value, unit))
        for obis, value, unit in (
            ("1.0.1.7.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, power), _unit(0, 27)),
            ("1.0.1.8.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, 123456), _unit(0, 30)),
        )
    ]
    body = encode(Data(DataType.ARRAY, tuple(items)))
    apdu = DataNotification(1, None, body).encode()
    return bytes.fromhex("000100010066") + len(apdu).to_bytes(2, "big") + apdu


def _unit(scaler: int, code: int) -> Data:
    return Data(DataType.STRUCTURE, (Data(DataType.INTEGER, scaler), Data(DataType.ENUM, code)))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_pushes(mosquitto, tmp_path, kind):
    port = free_port()
    text = f"\n  house:\n    push: {{listen: '{kind}://127.0.0.1:{port}', every: 10s}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.send(_push(0))
            await home.until(lambda: home.meter("value/power_import") == "0")
            sock.send(_push(750))
            await home.until(lambda: home.meter("value/power_import") == "750")
        assert home.meter("value/energy_import") == "123.456"
        assert home.meter("availability") == "online"
        await home.until(
            lambda: (
                "sensor_energy_import" in home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
            )
        )
        assert home.seen.of("dlms_mqtt/meter/house/event") == []


async def test_management_with_sealed_secrets(mosquitto, tmp_path, meter, caplog):
    caplog.set_level("DEBUG")
    async with house(mosquitto, tmp_path, "", "management: true") as home:
        key = home.seen.json("dlms_mqtt/bridge/main/info")["seal"]
        connection = {"tcp": f"127.0.0.1:{meter.port}", "client": 32, "authentication": "low"}
        secret, other = (seal("text:12345678", key, os.urandom, name, connection) for name in ("flat", "new"))
        connection["password"] = secret
        config = {"name": "Flat", "connection": connection, "every": "1s"}
        reply = await home.ask("bridge/main/request/meter/validate", {"meter": "flat", "config": config})
        assert reply["data"]["valid"] and reply["data"]["meter"]["logical_device_name"]
        rows = await home.ask("bridge/main/request/meter/objects", {"meter": "flat", "config": config})
        unnamed = await home.ask(
            "bridge/main/request/meter/objects",
            {"id": "Request 5", "config": {**config, "connection": {**connection, "password": other}}},
        )
        assert unnamed["data"] == rows["data"]
        energy = next(row for row in rows["data"]["objects"] if row["key"] == "energy_import")
        assert energy["core"] and energy["unit"] == "kWh"
        assert "1.0.99.1.0.255" in rows["data"]["profiles"]
        assert (await home.ask("bridge/main/request/meter/add", {"meter": "flat", "config": config}))["status"] == "ok"
        await home.until(lambda: home.meter("availability", "flat") == "online")
        managed = [{"id": "flat", "name": "Flat", "managed": True, "device": "dlms_mqtt_flat"}]
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == managed)
        file = tmp_path / "state/meters/flat.yaml"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        shown = (await home.ask("bridge/main/request/config"))["data"]["meters"]["flat"]
        assert shown["connection"] == {key: value for key, value in connection.items() if key != "password"}
        # changed without repeating the secret
        reply = await home.ask(
            "bridge/main/request/meter/update", {"meter": "flat", "config": {**shown, "name": "Flat 2"}}
        )
        assert reply["data"]["changed"] == ["flat"]
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"][0]["name"] == "Flat 2")
        await home.until(lambda: home.meter("availability", "flat") == "online")
        assert (await home.ask("meter/flat/request/read", {"items": ["1.0.1.8.0.255"]}))["status"] == "ok"
        assert (await home.ask("bridge/main/request/meter/remove", {"meter": "flat"}))["status"] == "ok"
        await home.until(lambda: home.seen.latest["homeassistant/device/dlms_mqtt_flat/config"] == "")
        await home.until(
            lambda: (
                not any(
                    value
                    for topic, value in home.seen.latest.items()
                    if topic.startswith("dlms_mqtt/meter/flat/") and "/value/" in topic
                )
            )
        )
        assert not file.exists()
        everything = "\n".join(payload for _, payload, _ in home.seen.all) + caplog.text
        assert "12345678" not in everything.replace(secret, "").replace(other, "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"connection": {"tcp": "a", "authentication": "low", "password": "text:12345678"}}, "not-allowed"),
        ({"connection": {"serial": "spy:///dev/ttyUSB0?file=/etc/passwd"}}, "not-allowed"),
        ({"connection": {"serial": "/dev/../etc/passwd"}}, "not-allowed"),
        ({"allow": ["write"]}, "not-allowed"),
        ({"actions": {"x": {"obis": "0.0.96.3.10.255"}}}, "not-allowed"),
        ({"read": {"also": [{"obis": "1.0.1.8.0.255", "writable": True}]}}, "not-allowed"),
        ({"preset": "/etc/passwd.yaml"}, "invalid-value"),
        ({"evry": "1s"}, "invalid-value"),
        ({"connection": {}}, "invalid-value"),
    ],
)
async def test_what_a_publisher_may_not_say(mosquitto, tmp_path, change, code):
    async with house(mosquitto, tmp_path, "", "management: true") as home:
        config = {"connection": {"tcp": "127.0.0.1:1"}, **change}
        reply = await home.ask("bridge/main/request/meter/add", {"meter": "flat", "config": config})
        assert reply["error"]["code"] == code, reply


async def test_sealed_file_paths_and_foreign_seals(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "", "management: true") as home:
        key = home.seen.json("dlms_mqtt/bridge/main/info")["seal"]
        other = base64.b64encode(os.urandom(32)).decode()
        for secret, code in (
            (seal("file:/etc/shadow", key, os.urandom, "flat", {"tcp": "127.0.0.1:1"}), "not-allowed"),
            (seal("text:a", other, os.urandom, "flat", {"tcp": "127.0.0.1:1"}), "invalid-value"),
        ):
            config = {"connection": {"tcp": "127.0.0.1:1", "authentication": "low", "password": secret}}
            reply = await home.ask("bridge/main/request/meter/add", {"meter": "flat", "config": config})
            assert reply["error"]["code"] == code
        assert reply["error"]["detail"]["reason"] == "seal"  # a form asks for the secret again, not for another one


async def test_a_seal_that_was_seen_on_the_broker_opens_nothing_elsewhere(mosquitto, tmp_path, meter):
    caught = []

    async def evil(reader, writer):
        caught.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(evil, "127.0.0.1", 0) as server:
        elsewhere = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with house(mosquitto, tmp_path, "", "management: true") as home:
            key, line = home.seen.json("dlms_mqtt/bridge/main/info")["seal"], {"tcp": f"127.0.0.1:{meter.port}"}
            secret = seal("text:12345678", key, os.urandom, "flat", line)
            right = {**line, "client": 32, "authentication": "low", "password": secret}

            async def asked(verb, name, connection):
                body = {"meter": name, "config": {"connection": connection}}
                reply = await home.ask(f"bridge/main/request/meter/{verb}", body)
                return reply.get("error", {"detail": {"reason": ""}})["detail"].get("reason")

            assert await asked("validate", "flat", right) == ""
            assert await asked("add", "flat", right) == ""
            for verb in ("validate", "objects", "update"):
                assert await asked(verb, "flat", {**right, "tcp": elsewhere}) == "seal"
            for verb in ("validate", "objects", "add"):
                assert await asked(verb, "mine", right) == "seal"
                assert await asked(verb, "mine", {**right, "tcp": elsewhere}) == "seal"
            reply = await home.ask("bridge/main/request/meter/find", {"line": {"tcp": elsewhere, "password": secret}})
            assert reply["error"]["detail"]["reason"] == "seal"
            # what was taken is taken, though the meter is gone
            assert (await home.ask("bridge/main/request/meter/remove", {"meter": "flat"}))["status"] == "ok"
            reply = await home.ask(
                "bridge/main/request/meter/add", {"meter": "flat", "config": {"connection": right, "every": "1s"}}
            )
            assert "has been used" in reply["error"]["message"]
    assert caught == []


async def test_without_management_nothing_is_changed(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "") as home:
        for verb in ("reload", "meter/add", "meter/update", "meter/remove", "meter/find", "meter/validate"):
            assert (await home.ask(f"bridge/main/request/{verb}", {"meter": "a", "config": {}}))["error"][
                "code"
            ] == "not-allowed"


async def test_home_assistants_birth_brings_everything_again(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter).replace("every: 1s", "every: 1h")) as home:
        await home.until(lambda: home.meter("value/power") != "")
        await asyncio.sleep(0.2)
        home.seen.latest.clear()
        await home.seen.publish("homeassistant/status", "online")
        wanted = {
            "homeassistant/device/dlms_mqtt_house/config",
            "dlms_mqtt/meter/house/availability",
            "dlms_mqtt/meter/house/value/power",
            "dlms_mqtt/meter/house/state",
        }
        await home.until(lambda: wanted <= set(home.seen.latest))


@pytest.mark.expect_log("No line to the broker", "there again")
@pytest.mark.parametrize("persistence", [True, False])
async def test_a_broker_that_restarts_loses_nothing(mosquitto_factory, tmp_path, meter, persistence):
    mosquitto = mosquitto_factory(persistence=persistence)
    path = write_config(tmp_path, mosquitto.port, _meter(meter))
    app = App(path, environment={})
    async with running(app):
        async with watching(mosquitto.port) as seen:
            await seen.until(lambda: len(seen.of("dlms_mqtt/meter/house/reading")) > 30)
            first = [json.loads(text)["seq"] for text in seen.of("dlms_mqtt/meter/house/reading")]
        mosquitto.stop()
        await asyncio.sleep(2.5)
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            await seen.until(
                lambda: (
                    seen.latest.get("dlms_mqtt/meter/house/availability") == "online"
                    and seen.latest.get("dlms_mqtt/bridge/main/state") == "online"
                )
            )
            await seen.until(
                lambda: (
                    len(seen.of("dlms_mqtt/meter/house/reading")) > 30
                    and "homeassistant/device/dlms_mqtt_house/config" in seen.latest
                )
            )
            second = [json.loads(text)["seq"] for text in seen.of("dlms_mqtt/meter/house/reading")]
    assert first == sorted(first)
    assert second == sorted(second)
    assert app.bridge.outbox.dropped == 0


def _component(home, name):
    return home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"].get(name)


async def test_an_item_that_leaves_and_a_meter_that_is_gone(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(
            lambda: (
                home.meter("value/voltage_l1")
                and "sensor_voltage_l1" in home.seen.latest.get("homeassistant/device/dlms_mqtt_house/config", "")
            )
        )
    excepted = _meter(meter, "    read: {except: [voltage_l1]}\n")
    async with house(mosquitto, tmp_path, excepted) as home:
        await home.until(lambda: home.meter("availability") == "online" and home.meter("value/power"))
        await home.until(lambda: _component(home, "sensor_voltage_l1") == {"platform": "sensor"})
        await home.until(lambda: home.meter("value/voltage_l1") == "")
        assert "voltage_l1" not in json.loads(home.meter("state"))
        # the file changes under way: the meter goes
        home.path.write_text(re.sub(r"meters:.*", "meters: {}\n", home.path.read_text(), flags=re.S))
        await home.until(lambda: home.seen.latest["homeassistant/device/dlms_mqtt_house/config"] == "")
        await home.until(
            lambda: home.meter("availability") == "" and home.meter("state") == "" and home.meter("value/power") == ""
        )


async def test_a_meter_removed_while_the_bridge_was_off(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("value/power"))
    async with house(mosquitto, tmp_path, "") as home:
        await home.until(
            lambda: not any(home.meter(name) for name in ("availability", "state", "value/power", "value/clock"))
        )
        await home.until(lambda: home.seen.latest["homeassistant/device/dlms_mqtt_house/config"] == "")


@pytest.mark.expect_log("not reloaded")
async def test_a_mistake_keeps_the_running_configuration(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter), "management: true\nwatch_files: false") as home:
        home.path.write_text(home.path.read_text() + "oops: 1\n")
        reply = await home.ask("bridge/main/request/reload")
        assert reply["error"]["code"] == "invalid-value" and "oops" in reply["error"]["message"]
        assert (await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]}))["status"] == "ok"
        home.path.write_text("")  # as an editor or a full disk may leave it
        reply = await home.ask("bridge/main/request/reload")
        assert reply["error"]["code"] == "invalid-value" and "empty" in reply["error"]["message"]
        assert home.meter("availability") == "online"


async def test_a_file_that_is_still_being_written_waits(mosquitto, tmp_path, meter, monkeypatch):
    monkeypatch.setattr(bridge_app, "_WATCH", 0.3)
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        text = home.path.read_text()
        cut = re.sub(r"meters:.*", "meters: {}\n", text, flags=re.S)
        for step in range(10):  # a slow editor: what is there between two looks is never the whole
            home.path.write_text(cut + f"# {step}\n")
            os.utime(home.path, ns=(step, step))
            await asyncio.sleep(0.1)
        home.path.write_text(text + "# done\n")
        await asyncio.sleep(1)
        assert "" not in home.seen.of("dlms_mqtt/meter/house/availability")
        assert home.meter("availability") == "online" and home.meter("value/power")


@pytest.mark.expect_log("is held by", "no other bridge holds")
async def test_an_id_that_another_live_bridge_holds(mosquitto, tmp_path, meter, monkeypatch, caplog):
    """Whoever comes second waits, says so once, and goes on when the other is gone."""
    monkeypatch.setattr(bridge_app, "_TAKEN_AGAIN", (0.1, 3600.0))
    monkeypatch.setattr(bridge_bridge, "_CLAIM_AGAIN", 0.3)
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        (tmp_path / "two").mkdir()
        same = write_config(tmp_path / "two", mosquitto.port, _meter(meter))
        second = App(same, environment={})
        async with running(second) as task:
            await home.until(lambda: second._waits == 2)
            assert second.bridge.taken and not task.done()
            more = _meter(meter).replace("house:", "flat:")
            write_config(tmp_path / "two", mosquitto.port, _meter(meter) + more)
            await second.reload()
            assert "flat" in second.config.meters and "flat" not in second.bridge.meters, "whoever waits reads none"
        assert caplog.text.count("it is tried again") == 1
        assert home.seen.latest["dlms_mqtt/bridge/main/state"] == "online"
        other = write_config(tmp_path / "two", mosquitto.port, _meter(meter), "id: other")
        async with running(App(other, environment={})):
            await home.until(
                lambda: (
                    home.seen.latest.get("dlms_mqtt/bridge/other/info")
                    and home.seen.json("dlms_mqtt/bridge/other/info")["meters"] == []
                )
            )
            await home.until(
                lambda: "held by the bridge 'main'" in home.seen.latest.get("dlms_mqtt/bridge/other/health", "")
            )
            assert home.meter("availability") == "online"
            home.app.stop()
            await home.until(lambda: home.seen.json("dlms_mqtt/bridge/other/info")["meters"] != [])
            await home.until(lambda: home.meter("availability") == "online")


async def test_a_meter_is_added_while_the_broker_does_not_answer(mosquitto, tmp_path, meter, monkeypatch):
    """A time-out is no reason to end: the line is made anew, and the meter's commands are heard on it."""
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        first = home.app.bridge.broker._client

        async def silent(filters):
            raise aiomqtt.MqttError("Operation timed out")

        monkeypatch.setattr(first, "subscribe_to", silent)
        write_config(tmp_path, mosquitto.port, _meter(meter) + _meter(meter).replace("house:", "flat:"))
        assert await home.app.reload() == ["flat"]
        await home.until(lambda: home.app.bridge.broker._client not in (None, first))
        assert (await home.ask("meter/flat/request/poll"))["status"] == "ok"


async def test_own_topics_are_put_right(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        for topic in ("dlms_mqtt/bridge/main/state", "dlms_mqtt/meter/house/availability"):
            await home.seen.publish(topic, "offline", retain=True)
            await home.until(lambda topic=topic: home.seen.of(topic)[-2:] == ["offline", "online"])


async def test_a_meter_that_pushes_on_its_own_line(mosquitto, tmp_path):
    async def speak(reader, writer):
        for power in (0, 750):
            writer.write(_push(power))
            await asyncio.sleep(0.3)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"\n  house:\n    connection: {{tcp: '127.0.0.1:{port}'}}\n    push: {{listen: connection, every: 10s}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "750")
        await asyncio.sleep(1.5)
        assert home.meter("availability") == "online"
    server.close()


async def test_a_preset_of_a_meter_that_only_speaks_is_enough(mosquitto, tmp_path):
    heard = bytearray()

    async def speak(reader, writer):
        writer.write(_push(750))
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"\n  house: {{preset: norway-han, connection: {{tcp: '127.0.0.1:{port}'}}}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "750")
    server.close()
    assert not heard


async def test_what_is_said_of_pushed_values_asks_nothing(mosquitto, tmp_path):
    heard = bytearray()

    async def speak(reader, writer):
        writer.write(_push(750))
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    text = f"""
  house:
    connection: {{tcp: '127.0.0.1:{server.sockets[0].getsockname()[1]}'}}
    push: {{listen: connection, every: 10s}}
    read:
      also:
        - {{obis: 1.0.1.7.0.255, name: Drawn power, transform: value * 2}}
"""
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "1500")
        device = home.seen.json("homeassistant/device/dlms_mqtt_house/config")
        assert device["components"]["sensor_power_import"]["name"] == "Drawn power"
    server.close()
    assert not heard


async def test_a_meter_is_found(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, "", "management: true") as home:
        body = {"line": {"tcp": f"127.0.0.1:{meter.port}"}}
        reply = await home.ask("bridge/main/request/meter/find", body | {"go_on": "yes"})
        assert reply["error"]["code"] == "bad-request", reply
        reply = await home.ask("bridge/main/request/meter/find", body | {"go_on": True})
        assert reply["data"]["found"], reply
        assert reply["data"]["connection"]["tcp"] == body["line"]["tcp"]
        assert any('"progress"' in text for text in home.seen.of("dlms_mqtt/bridge/main/response/meter/find"))
        for line in ({}, {"serial": "spy:///dev/x?file=/etc/passwd"}, {"tcp": "a:b:c", "udp": 5}):
            reply = await home.ask("bridge/main/request/meter/find", {"line": line})
            assert reply["error"]["code"] in ("bad-request", "not-allowed", "invalid-value"), reply
