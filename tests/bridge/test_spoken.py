"""Home Assistant's language names the entities, unless the configuration has one."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.config.spoken import keep_language, kept_language, known_language
from tests.bridge.house import METER, house

BRIDGE = "homeassistant/device/dlms_mqtt_bridge_main/config"
HOUSE = "homeassistant/device/dlms_mqtt_house/config"


def named(home, topic=BRIDGE):
    rows = home.seen.json(topic)["components"].values() if topic in home.seen.latest else ()
    return {row.get("name") for row in rows}


@pytest.mark.parametrize(("wish", "known"), [("de", "de"), ("de-CH", "de"), ("pt-BR", "pt"), ("xx", ""), ("", "")])
def test_what_is_meant(wish, known):
    assert known_language(wish) == known


def test_what_is_kept(tmp_path):
    assert kept_language(tmp_path) == ""
    keep_language(tmp_path, "sv")
    assert kept_language(tmp_path) == "sv"
    (tmp_path / "language").write_bytes(b"\xff")
    assert kept_language(tmp_path) == ""


async def test_taken_over_at_work_and_kept(mosquitto, tmp_path, meter):
    """Also without management; the meter's line stays as it is."""
    meters = METER.replace("PORT", str(meter.port))
    async with house(mosquitto, tmp_path, meters) as home:
        await home.until(lambda: "Energy import" in named(home, HOUSE) and "Connection" in named(home))
        running = home.app.bridge
        reply = await home.ask("bridge/main/request/language", {"language": "de-AT"})
        assert reply["data"] == {"language": "de"}
        await home.until(lambda: "Verbindung" in named(home) and "Energie Bezug" in named(home, HOUSE))
        assert home.app.bridge is running
    assert kept_language(tmp_path / "state") == "de-AT"
    async with house(mosquitto, tmp_path, meters) as home:
        await home.until(lambda: "Verbindung" in named(home) and "Energie Bezug" in named(home, HOUSE))


async def test_one_that_we_do_not_have_is_english(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "") as home:
        reply = await home.ask("bridge/main/request/language", {"language": "tlh"})
        assert reply["data"] == {"language": "en"}
        nothing = await home.ask("bridge/main/request/language", {"language": " "})
        assert nothing["error"]["code"] == "bad-request"


async def test_a_configured_one_stays(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "", mqtt="discovery: {language: sv}") as home:
        await home.until(lambda: "Anslutning" in named(home))
        reply = await home.ask("bridge/main/request/language", {"language": "de"})
        assert reply["data"] == {"language": "sv"}
        assert "Anslutning" in named(home)


async def test_a_disk_that_takes_nothing(mosquitto, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dlms_mqtt.bridge.requests.management.keep_language", full)
    async with house(mosquitto, tmp_path, "") as home:
        reply = await home.ask("bridge/main/request/language", {"language": "de"})
        assert reply["error"]["code"] == "internal"
        assert "No space left" in reply["error"]["message"]
