"""The configuration at work: taken over, kept where it is wrong, and what leaves with it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from dataclasses import replace

import aiomqtt
import pytest

from dlms_mqtt.bridge import app as bridge_app
from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.bridge import Bridge
from dlms_mqtt.bridge.config.load import ConfigMistakes
from dlms_mqtt.errors import ConfigError
from tests.bridge.authority import Authority
from tests.bridge.house import METER, house, write_config
from tests.bridge.test_run import renew


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


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


@pytest.mark.expect_log("the line to the broker stays as it is")
async def test_renewed_certificates_are_taken_over_by_a_reload(tmp_path):
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("bridge")
    path = write_config(tmp_path, 1, "", mqtt=f"tls: {{ca: '{ours.file}', certificate: '{certificate}', key: '{key}'}}")
    app = App(path, environment={})
    app.stop()
    await app.run()
    assert await app.reload() == []
    renew(ours, "renewed", certificate, key)
    assert await app.reload() == ["mqtt.tls"]
    assert await app.reload() == []
    shutil.copy(path, certificate)
    with pytest.raises(RequestError, match="TLS files"):
        await app.reload()


async def test_reloads_wait_for_each_other(tmp_path, monkeypatch):
    """Two at once would start a meter twice: one of the two, and its connection to the meter, would stay for ever."""
    app = App(write_config(tmp_path, 1, ""), environment={})
    at_once = most = 0

    async def apply(old, fresh):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return []

    monkeypatch.setattr(app, "_apply", apply)
    assert await asyncio.gather(*(app.reload() for _ in range(5))) == [[]] * 5
    assert most == 1


@pytest.mark.expect_log("was not reloaded")
async def test_a_reload_with_other_certificates_that_cannot_be_used(tmp_path):
    """The bridge does not end over it, as it would at its start."""
    path = write_config(tmp_path, 1, "")
    app = App(path, environment={})
    write_config(tmp_path, 1, "", mqtt=f"tls: {{ca: '{path}'}}")
    with pytest.raises(RequestError, match="TLS files"):
        await app.reload()
    assert app.config.mqtt.tls is None


@pytest.mark.expect_log("TLS files")
async def test_renewed_certificates_that_cannot_be_used_keep_nothing_else_back(tmp_path, monkeypatch):
    """What else has changed stands."""
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("bridge")
    mqtt = f"tls: {{ca: '{ours.file}', certificate: '{certificate}', key: '{key}'}}"
    app = App(write_config(tmp_path, 1, "", mqtt=mqtt), environment={})
    app.stop()
    await app.run()
    shutil.copy(app._path, certificate)
    write_config(tmp_path, 1, "", bridge="id: other", mqtt=mqtt)
    monkeypatch.setattr(app, "_restart", lambda: None)
    assert await app.reload() == ["bridge"]
    assert app.config.bridge.id == "other"


async def test_a_wrong_certificate_ends_the_start(tmp_path):
    path = write_config(tmp_path, 1, "")
    app = App(write_config(tmp_path, 1, "", mqtt=f"tls: {{ca: '{path}'}}"), environment={})
    with pytest.raises(ConfigError, match="TLS files"):
        await app.run()


# -- starting anew, without a broker -----------------------------------------------------------------------------------


@pytest.fixture
def lives(monkeypatch):
    """Each life of a bridge, which ends by a ``stop``; what it does first is the test's."""
    seen = []

    def begin(act):
        async def run(bridge):
            seen.append(bridge)
            act(bridge, len(seen))
            await bridge._stop.wait()

        monkeypatch.setattr(Bridge, "run", run)
        return seen

    return begin


@pytest.mark.expect_log("the id is held", "left out", "a strange key")
async def test_whoever_finds_its_id_taken_looks_again_and_says_so_once(tmp_path, monkeypatch, caplog, lives):
    monkeypatch.setattr(bridge_app, "_TAKEN_AGAIN", (0.0,))
    app = App(write_config(tmp_path, 1, ""), environment={})
    mistakes = ConfigMistakes([ConfigError("there is no client '-1'", key="client")])
    app.loaded = replace(app.loaded, warnings=("a strange key",), broken={"flat": mistakes})

    def act(bridge, life):
        if life < 4:
            bridge._give_way("the id is held by another")
        else:
            app.stop()

    seen = lives(act)
    await app.run()
    assert len(seen) == 4 and app._waits == 0
    assert caplog.text.count("it is tried again") == 1


async def test_a_change_that_the_line_must_know_of_begins_anew(tmp_path, monkeypatch, lives):
    monkeypatch.setattr(bridge_app, "_LAST_REPLY", 0.0)
    app = App(write_config(tmp_path, 1, ""), environment={})
    tasks = []

    def act(bridge, life):
        if life == 1:
            write_config(tmp_path, 2, "")
            tasks.append(asyncio.ensure_future(app.reload()))
        else:
            app.stop()

    seen = lives(act)
    await app.run()
    assert [await task for task in tasks] == [["bridge"]]
    assert [bridge.config.mqtt.port for bridge in seen] == [1, 2]


async def test_a_store_that_can_be_had_again_begins_anew(tmp_path, monkeypatch, lives):
    app = App(write_config(tmp_path, 1, ""), environment={})
    found = asyncio.Event()

    async def trouble(store, folder):
        await found.wait()
        found.clear()

    monkeypatch.setattr(app._store_watch, "trouble", trouble)
    seen = lives(lambda bridge, life: found.set() if life == 1 else app.stop())
    await app.run()
    assert len(seen) == 2


async def test_who_is_stopped_before_it_began_serves_nobody(tmp_path, lives):
    seen = lives(lambda bridge, life: None)
    app = App(write_config(tmp_path, 1, ""), environment={})
    app.stop()
    await app.run()
    assert seen == []
    assert await app.reload() == []
