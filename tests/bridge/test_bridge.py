"""The bridge at its broker: what it brings again, puts right, keeps while the broker is away, to whom it yields."""

from __future__ import annotations

import asyncio
import json

import pytest

from dlms_mqtt.bridge import app as bridge_app
from dlms_mqtt.bridge import bridge as bridge_bridge
from dlms_mqtt.bridge.app import App
from tests.bridge.conftest import watching
from tests.bridge.house import METER, house, running, write_config


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


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


async def test_own_topics_are_put_right(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        for topic in ("dlms_mqtt/bridge/main/state", "dlms_mqtt/meter/house/availability"):
            await home.seen.publish(topic, "offline", retain=True)
            await home.until(lambda topic=topic: home.seen.of(topic)[-2:] == ["offline", "online"])


async def test_a_reload_changes_adds_removes_puts_to_sleep_and_listens(mosquitto, tmp_path, meter):
    def rewrite(house_every, flat, attic, more=""):
        rows = [_meter(meter).replace("every: 1s", f"every: {house_every}")]
        rows += [_meter(meter).replace("house:", "flat:").replace("House", "Flat")] if flat else []
        rows += [_meter(meter, f"    enabled: {attic}\n").replace("house:", "attic:").replace("House", "Attic")]
        path = write_config(tmp_path, mosquitto.port, "".join(rows), "watch_files: false")
        path.write_text(path.read_text() + more)

    async with house(mosquitto, tmp_path, _meter(meter), "watch_files: false") as home:
        await home.until(lambda: home.meter("value/power"))
        bridge = home.app.bridge
        assert bridge.broker_trouble is None and bridge.http is None
        rewrite("1s", True, "false")
        assert await home.app.reload() == ["flat", "attic"]
        await home.until(lambda: home.meter("value/power", "flat"))
        await home.until(lambda: home.meter("availability", "attic") == "offline")
        assert set(bridge.meters) == {"house", "flat"} and bridge.presence.asleep == {"attic"}
        before = bridge.meters["house"]
        rewrite("2s", False, "true", "http: {listen: '127.0.0.1:0'}\n")
        assert await home.app.reload() == ["house", "flat", "attic"]
        await home.until(lambda: home.meter("availability", "attic") == "online")
        await home.until(lambda: not home.meter("availability", "flat") and not home.meter("value/power", "flat"))
        assert set(bridge.meters) == {"house", "attic"} and bridge.meters["house"] is not before
        await home.until(lambda: home.meter("value/power"))
        await home.until(lambda: bridge.http and bridge.http.port)
        assert set(bridge.health()["meters"]) == {"house", "attic"}
        rewrite("2s", False, "false")
        assert await home.app.reload() == ["attic"]
        await home.until(lambda: home.meter("availability", "attic") == "offline")
        assert bridge.http is None and set(bridge.meters) == {"house"}


async def test_what_does_not_end_is_left_behind(mosquitto, tmp_path, monkeypatch, caplog):
    """The bridge says goodbye all the same."""
    caplog.set_level("INFO", bridge_bridge.__name__)
    monkeypatch.setattr(bridge_bridge, "_LEAVING", 0.1)
    async with house(mosquitto, tmp_path, "") as home:
        monkeypatch.setattr(home.app.bridge.commands, "close", asyncio.Event().wait)
        home.app.stop()
        await home.until(lambda: home.seen.latest["dlms_mqtt/bridge/main/state"] == "offline")
    assert "too long to be left" in caplog.text
