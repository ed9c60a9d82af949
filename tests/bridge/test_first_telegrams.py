"""A meter that speaks by itself, heard before it is added: what strangers' meters sent, over ports and lines."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC

import pytest

from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.bridge.config.sections.meter import Match
from dlms_mqtt.bridge.requests.trial.first_telegrams import ROUND, Telegrams, Wait
from dlms_mqtt.client.settings import ConnectionSettings
from tests.bridge.house import House, house
from tests.bridge.telegrams import CIPHERED, KAMSTRUP, LISTEN, MANAGED, calling, speaking
from tests.frames_data import entry
from tests.free_port import free_port

KAIFA = entry("push_kaifa", "dlmsparser-mbus-netz-noe-p1")
SLOW = 3.0  # where a meter at work publishes each of them


@pytest.fixture
async def home(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "", MANAGED) as home:
        await home.until(lambda: "dlms_mqtt/bridge/main/info" in home.seen.latest)
        yield home


async def heard(home: House, config, listen=LISTEN, secrets=None, verb="validate", **more):
    key = home.seen.json("dlms_mqtt/bridge/main/info")["seal"]
    line = {name: config.get("connection", {})[name] for name in ("tcp",) if name in config.get("connection", {})}
    sealed = {name: seal(secret, key, os.urandom, "new", line) for name, secret in (secrets or {}).items()}
    config = {**config, "connection": {**config.get("connection", {}), **sealed}}
    body = {"meter": "new", "config": config, "listen": listen, **more}
    return await home.ask(f"bridge/main/request/meter/{verb}", body, 120)


def said(reply):
    return {row["key"]: (row["value"], row["unit"]) for row in reply["data"]["values"]}


async def test_a_meter_that_connects_to_us(home):
    port = free_port()
    async with calling(port, KAMSTRUP):
        reply = await heard(home, {"push": {"listen": f"tcp://127.0.0.1:{port}"}, "preset": "kamstrup-omnipower"})
    assert reply["data"]["valid"] and reply["data"]["telegrams"]
    values = said(reply)
    assert values["power_import"][1] == "W" and values["voltage_l1"][1] == "V"
    (row,) = (row for row in reply["data"]["values"] if row["key"] == "power_import")
    assert (row["obis"], row["class"], row["attribute"], row["quality"]) == ("1.1.1.7.0.255", 3, 2, "good")
    assert row["name"] == "Active power import"
    stages = [
        row["data"]["stage"]
        for row in map(json.loads, home.seen.of("dlms_mqtt/bridge/main/response/meter/validate"))
        if row["status"] == "progress"
    ]
    assert "telegram 1" in stages
    assert not any(topic.startswith("dlms_mqtt/meter/new") for topic in home.seen.latest)  # nothing is published
    with pytest.raises(OSError):  # and the port is closed again
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_line_that_we_open_and_who_it_is(home):
    async with speaking(bytes.fromhex(CIPHERED["hex"])) as port:
        config = {"push": {"listen": "connection"}, "connection": {"tcp": f"127.0.0.1:{port}"}}
        keys = {f"{name}_key": f"hex:{CIPHERED['keys'][name]}" for name in ("encryption", "authentication")}
        reply = await heard(home, config, secrets=keys)
        # the counter of a trial is none of the meter that is added after it, and a replay is no news
        assert reply["data"]["telegrams"] == 1
        assert reply["data"]["meter"]["system_title"] == CIPHERED["expected"]["ciphering"]["system_title"].lower()
        assert "power_import" in said(reply)


@pytest.mark.expect_log("nothing proves who sent them")
async def test_encryption_without_authentication(home):
    async with speaking(bytes.fromhex(KAIFA["hex"])) as port:
        config = {"push": {"listen": "connection"}, "preset": "kaifa-ma309"}
        config["connection"] = {"tcp": f"127.0.0.1:{port}", "security": "encryption"}
        keys = {"encryption_key": f"hex:{KAIFA['keys']['encryption']}"}
        refused = await heard(home, config, secrets=keys)
        assert refused["error"]["code"] == "security-error"
        assert refused["error"]["detail"]["reason"] in ("unauthenticated", "security")
        config["connection"]["accept_unauthenticated"] = True
        assert "energy_import" in said(await heard(home, config, secrets=keys))


async def test_a_wrong_key_and_none(home):
    async with speaking(bytes.fromhex(CIPHERED["hex"])) as port:
        config = {"push": {"listen": "connection"}, "connection": {"tcp": f"127.0.0.1:{port}"}}
        keys = dict.fromkeys(("encryption_key", "authentication_key"), "hex:" + "11" * 16)
        wrong = await heard(home, config, secrets=keys)
        assert wrong["error"]["code"] == "security-error"
        none = await heard(home, config)
        assert (none["error"]["code"], none["error"]["detail"]["reason"]) == ("security-error", "key")


async def test_silence(home):
    quiet = await heard(home, {"push": {"listen": f"udp://127.0.0.1:{free_port()}"}}, 1)
    assert (quiet["error"]["code"], quiet["error"]["detail"]["reason"]) == ("no-answer", "no-telegram")


async def test_noise_and_the_time_it_takes(clock):
    """To the end: octets that are no telegram may be the wrong speed's."""
    stages = []
    wait = Wait(30, lambda done, total, stage: stages.append((done, total, stage)))
    trial = Telegrams(ConnectionSettings(), Match(), {}, UTC, wait)
    assert trial.failure.reason == "no-telegram"
    trial.receive("line", b"\x55" * 40, False)
    while wait.left:
        await wait.tick()
    assert (clock.elapsed, trial.failure.reason) == (30, "garbled")
    assert [done for done, _, stage in stages if stage == "waiting"] == [1, 6, 11, 16, 21, 26]


async def test_a_round_after_the_first_telegram(clock):
    """The longer lists of most families come within it."""
    stages = []
    wait = Wait(300, lambda *told: stages.append(told))
    trial = Telegrams(ConnectionSettings(), Match(), {}, UTC, wait)
    for _ in range(3):
        await wait.tick()
    trial.receive("line", KAMSTRUP, False)
    while wait.left:
        await wait.tick()
    assert (clock.elapsed, trial.count) == (3 + ROUND, 1)
    assert (3, 300, "telegram 1") in stages


async def test_a_list_that_comes_again_and_again_is_the_only_one(clock):
    wait = Wait(300, lambda *_: None)
    trial = Telegrams(ConnectionSettings(), Match(), {}, UTC, wait)
    while wait.left:
        await wait.tick()
        trial.receive("line", KAMSTRUP, False)
    assert clock.elapsed == 7  # one that is new, and six that are not


async def test_a_port_that_is_taken_and_a_line_that_ends(home):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    taken = await heard(home, {"push": {"listen": f"tcp://127.0.0.1:{port}"}})
    assert taken["error"]["code"] == "link-down" and "in use" in taken["error"]["message"]
    config = {"push": {"listen": "connection"}, "connection": {"tcp": f"127.0.0.1:{port}"}}
    assert (await heard(home, config))["error"]["code"] == "link-down"  # at once: the wait ends with the line
    server.close()


async def test_a_meter_that_does_not_speak(home):
    reply = await heard(home, {"connection": {"tcp": "127.0.0.1:1"}})
    assert reply["error"]["code"] == "invalid-value" and "push.listen" in reply["error"]["hint"]
    reply = await heard(home, {"push": {"listen": "tcp://127.0.0.1:1"}}, 4000)
    assert reply["error"]["code"] == "bad-request" and "'listen'" in reply["error"]["message"]


async def test_beside_meters_at_work(mosquitto, tmp_path):
    """Their port and their line are shared: nothing of theirs is lost, and no second port is opened."""
    port = free_port()
    async with speaking(KAMSTRUP, SLOW) as line:
        meters = (
            f"\n  house:\n    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n"
            f"  flat:\n    preset: norway-han\n    connection: {{tcp: '127.0.0.1:{line}'}}\n"
        )
        async with house(mosquitto, tmp_path, meters, MANAGED) as home, calling(port, KAMSTRUP, SLOW):
            await home.until(lambda: home.meter("value/power_import") and home.meter("value/power_import", "flat"))
            shared = await heard(home, {"push": {"listen": f"tcp://127.0.0.1:{port}"}})
            own = await heard(home, {"preset": "norway-han", "connection": {"tcp": f"127.0.0.1:{line}"}})
            assert "power_import" in said(shared) and said(shared).keys() == said(own).keys()
            before = len(home.seen.of("dlms_mqtt/meter/house/reading"))
            await home.until(lambda: len(home.seen.of("dlms_mqtt/meter/house/reading")) > before)


async def test_added_with_what_is_chosen(mosquitto, tmp_path):
    async with speaking(KAMSTRUP, SLOW) as port, house(mosquitto, tmp_path, "", MANAGED) as home:
        config = {
            "name": "House",
            "preset": "norway-han",
            "connection": {"tcp": f"127.0.0.1:{port}"},
            "push": {"listen": "connection"},
            "read": {"set": "none", "except": ["voltage_l1", "1.1.31.7.0.255"]},
        }
        body = {"meter": "house", "config": config}
        reply = await home.ask("bridge/main/request/meter/add", body)
        assert reply["status"] == "ok"
        await home.until(lambda: home.meter("value/power_import") and home.meter("value/voltage_l2"))
        await home.until(lambda: len(home.seen.of("dlms_mqtt/meter/house/value/power_import")) > 2)
        assert not home.meter("value/voltage_l1") and not home.meter("value/current_l1")
        device = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        assert "sensor_voltage_l2" in device and "sensor_voltage_l1" not in device
