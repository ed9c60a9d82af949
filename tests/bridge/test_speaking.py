"""Meters that speak by themselves: what their preset means, and what shows that a meter is asked all the same."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.bridge.config.load import load_config, parse_meter
from dlms_mqtt.bridge.config.speaking import only_speaks, polls
from dlms_mqtt.meter.presets.preset import preset_connection, preset_names, preset_only_speaks

HAN = {"preset": "norway-han", "connection": {"serial": "/dev/x"}}


def _meter(data: dict[str, Any]) -> Any:
    return parse_meter("h", data, preset_connection)[0]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"connection": {"tcp": "a:1", "baud": 2400, "encryption_key": "hex:" + "00" * 16, "security": "encryption"}},
        {"push": {"every": "10s"}},
        {"push": {"ask": False}},
        {"read": {"also": [{"obis": "1.0.1.7.0.255", "name": "Power"}]}},
    ],
)
def test_the_preset_is_enough(more: dict[str, Any]) -> None:
    meter = _meter(HAN | more)
    assert meter.push.listen == "connection"
    assert only_speaks(meter) and not polls(meter, "/dev/x")
    assert meter.push.every == (10 if "every" in more.get("push", {}) else 3600)


@pytest.mark.parametrize(
    "more",
    [
        {"preset": "generic"},
        {"connection": {"serial": "/dev/x", "client": 1}},
        {"connection": {"tcp": "a:1", "framing": "wrapper"}},
        {"connection": {"serial": "/dev/x", "password": "text:12345678"}},
        {"read": "all"},
        {"read": {"also": [{"obis": "0.0.96.13.0.255", "class": 1, "writable": True, "max_length": 5}]}},
        {"profiles": [{"obis": "1.0.99.1.0.255"}]},
        {"actions": {"cut": {"obis": "0.0.96.3.10.255"}}},
        {"allow": ["write"]},
        {"clock": {"sync": True}},
    ],
)
def test_a_meter_that_is_to_be_asked_is_asked(more: dict[str, Any]) -> None:
    meter = _meter(HAN | more)
    assert meter.push is None
    assert polls(meter, "/dev/x") and not only_speaks(meter)


@pytest.mark.parametrize("read", [{"set": "core"}, {"set": "none", "also": ["1.0.1.7.0.255"]}])
def test_a_meter_that_does_both(read: dict[str, Any]) -> None:
    meter = _meter({"connection": {"tcp": "a:1"}, "push": {"listen": "connection", "ask": True}, "read": read})
    assert meter.push.listen == "connection" and polls(meter, "tcp://a:1") and not only_speaks(meter)


def test_a_port_of_ours_stays_the_only_one() -> None:
    meter = _meter(HAN | {"push": {"listen": "tcp://127.0.0.1:4059"}})
    assert meter.push.listen == "tcp://127.0.0.1:4059" and polls(meter, "/dev/x")


def test_a_file_of_ones_own_and_managed_meters_too(tmp_path: Any) -> None:
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / "state/meters/flat.yaml").write_text("{preset: sweden-han, connection: {serial: /dev/y}}")
    (tmp_path / "mine.yaml").write_text("{name: Mine, push: {baud: [2400]}}")
    file = tmp_path / "config.yaml"
    file.write_text("{bridge: {state_dir: state}, meters: {h: {preset: mine.yaml, connection: {serial: /dev/x}}}}")
    meters = load_config(file, preset_connection, {}).config.meters
    assert {name: only_speaks(meter) for name, meter in meters.items()} == {"h": True, "flat": True}


def test_no_family_is_both() -> None:
    speak = {name for name in preset_names() if preset_only_speaks(name)}
    assert {"norway-han", "austria-mbus", "sagemcom-t210-p1"} <= speak
    assert not speak & {"generic", "kamstrup-optical", "landis-gyr-e650"}
