"""Requests to the bridge itself: meters are found, added, changed and removed, and what a publisher may not say."""

from __future__ import annotations

import base64
import os
import stat

import pytest

from dlms_mqtt.bridge.config.seal import seal
from tests.bridge.house import house


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


async def test_without_management_nothing_is_changed(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "") as home:
        for verb in ("reload", "meter/add", "meter/update", "meter/remove", "meter/find", "meter/validate"):
            assert (await home.ask(f"bridge/main/request/{verb}", {"meter": "a", "config": {}}))["error"][
                "code"
            ] == "not-allowed"


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
