"""Requests to the bridge itself: meters are found, added, changed and removed, and what a publisher may not say."""

from __future__ import annotations

import base64
import os
import stat
from types import SimpleNamespace

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.bridge.requests import bridge_verbs
from dlms_mqtt.bridge.requests.bridge_verbs import BridgeRequests
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.verbs import VERBS
from dlms_mqtt.errors import ConfigError
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


# -- questions, without a broker ---------------------------------------------------------------------------------------


def asked(verb, *, management=False, meters=()):
    settings = SimpleNamespace(bridge=SimpleNamespace(id="main", management=management))
    sessions = {
        name: SimpleNamespace(session=SimpleNamespace(settings=SimpleNamespace(serial=port))) for name, port in meters
    }
    bridge = SimpleNamespace(
        config=settings, started="2026-01-05T12:00:00Z", version="1.2.3", meters=sessions,
        loaded=SimpleNamespace(shown={"house": {"name": "House"}}),
    )  # fmt: skip
    return BridgeRequests(bridge).find(verb)(Request(Address("", "request", verb), {}))


async def test_ping_and_the_configuration():
    assert await asked("ping") == {"bridge": "main", "started": "2026-01-05T12:00:00Z", "version": "1.2.3"}
    assert await asked("config") == {"bridge": "main", "meters": {"house": {"name": "House"}}}


async def test_ports_say_who_uses_them(monkeypatch):
    """By the name that stays and by the one of now."""
    ports = [SimpleNamespace(name=f"/dev/serial/{n}", device=f"/dev/ttyUSB{n}", description=f"port {n}") for n in "012"]
    monkeypatch.setattr(bridge_verbs, "list_ports", lambda: ports)
    found = (await asked("ports", meters=[("house", "/dev/serial/0"), ("flat", "/dev/ttyUSB1")]))["ports"]
    assert [row["in_use_by"] for row in found] == ["house", "flat", None]
    assert found[2] == {
        "port": "/dev/serial/2", "device": "/dev/ttyUSB2", "description": "port 2", "in_use_by": None,
    }  # fmt: skip


async def test_a_preset_that_cannot_be_read_is_listed_by_its_name(monkeypatch):
    rows = {
        "good": {
            "name": "Good",
            "manufacturer": "Maker",
            "connection": {"client": 1},
            "push": {"ciphered": "required"},
        },
        "speaker": {"name": "Speaker", "push": {}},
    }

    def load(name):
        if name not in rows:
            raise ConfigError("it is damaged")
        return rows[name]

    monkeypatch.setattr(bridge_verbs, "preset_names", lambda: ("good", "speaker", "damaged"))
    monkeypatch.setattr(bridge_verbs, "load_preset", load)
    good, speaker, damaged = (await asked("presets"))["presets"]
    assert good == {
        "id": "good", "name": "Good", "manufacturer": "Maker", "push_only": False, "pushes": True,
        "ciphered": "required",
    }  # fmt: skip
    assert (speaker["push_only"], speaker["pushes"], speaker["ciphered"]) == (True, True, "")
    assert (damaged["id"], damaged["name"], damaged["pushes"]) == ("damaged", "damaged", False)


async def test_the_schema():
    assert "meters" in (await asked("schema"))["properties"]


def test_a_verb_that_does_not_exist_names_those_that_do():
    with pytest.raises(RequestError) as caught:
        asked("dance")
    assert caught.value.code == "unknown-request"
    assert "ping" in caught.value.hint and "cancel" in caught.value.hint


@pytest.mark.parametrize("verb", sorted(name for name, row in VERBS.items() if row.managing))
def test_who_may_manage(verb):
    with pytest.raises(RequestError) as caught:
        asked(verb)
    assert caught.value.code == "not-allowed"
    asked(verb, management=True).close()
