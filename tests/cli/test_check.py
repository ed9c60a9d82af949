"""``check``: what would be read, when and to which topics, and every mistake; no meter and no broker is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli.bridge import check
from dlms_mqtt.meter.presets.preset import preset_connection
from tests.cli.conftest import Cli
from tests.free_port import free_port

CONFIG = """\
bridge: {id: attic, state_dir: STATE}
mqtt: {host: broker.example, base_topic: power}
meters:
  house:
    connection: {tcp: "192.0.2.1:4059"}
    every: 10s
    read:
      also:
        - {obis: 1.0.32.7.0.255, at: ["00:05", "12:05"]}
        - {obis: 0.0.96.13.0.255, class: 1, key: message, writable: true, max_length: 10}
    actions: {reconnect: {obis: 0.0.96.3.10.255, method: 2}}
    profiles: [{obis: 1.0.99.1.0.255, key: load_profile}]
"""


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("STATE", str(tmp_path / "state")))
    return str(file)


def test_what_when_and_where(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", "--config", written(tmp_path, CONFIG))
    assert (result.status, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert lines == [
        "bridge attic, broker broker.example:1883, topics below power/",
        "",
        "meter house: house, on tcp://192.0.2.1:4059, preset generic",
        "reads the core set of what the meter's object list offers, every 10 s",
        "to power/meter/house/state and power/meter/house/value/<key>",
        "KEY OBJECT WHEN TOPIC",
        "message 1/0.0.96.13.0.255:2 every 10 s power/meter/house/value/message",
        "voltage_l1 3/1.0.32.7.0.255:2 at 00:05, 12:05 power/meter/house/value/voltage_l1",
        "writes on power/meter/house/set/message",
        "actions on power/meter/house/do/reconnect",
        "profile rows to power/meter/house/profile/load_profile",
        "",
        "The configuration is good.",
    ]
    assert not (tmp_path / "state").exists()


def test_json(cli: Cli, tmp_path: Path) -> None:
    document = cli("check", "--config", written(tmp_path, CONFIG), "--json").json
    meter = document["meters"]["house"]
    assert (meter["set"], meter["every"], meter["needs_object_list"]) == ("core", 10, True)
    assert next(item for item in meter["items"] if item["key"] == "voltage_l1") == {
        "key": "voltage_l1",
        "obis": "1.0.32.7.0.255",
        "class": 3,
        "attribute": 2,
        "when": "at 00:05, 12:05",
        "topic": "power/meter/house/value/voltage_l1",
    }
    assert meter["writable"] == {"message": "power/meter/house/set/message"}


def test_no_meters(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", "--config", written(tmp_path, "bridge: {state_dir: STATE}"))
    assert result.status == 0
    assert result.out.endswith("The configuration is good, but it has no meters.\n")


def test_every_mistake_at_once(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path, CONFIG.replace("every: 10s", "every: soon").replace("base_topic", "base_topik"))
    result = cli("check", "--config", file)
    assert (result.status, result.out) == (2, "")
    first, second = result.err.splitlines()
    assert first == f"dlms-mqtt: {file}:2: mqtt.base_topik: unknown key; did you mean 'base_topic'?"
    assert second.startswith(f"{file}:6: meters.house.every: expected a time with a unit")


def test_what_really_is_done_with_a_meter_that_speaks(cli: Cli, tmp_path: Path) -> None:
    text = """\
bridge: {state_dir: STATE}
meters:
  han:
    preset: norway-han
    connection: {serial: /dev/ttyX}
    read: {also: [{obis: 1.0.1.7.0.255, name: Power}]}
  both: {connection: {tcp: "192.0.2.1:4059"}, push: {listen: "tcp://127.0.0.1:4061"}}
  port: {push: {listen: "udp://127.0.0.1:4062"}}
  mute: {connection: {tcp: "192.0.2.2:4059"}, read: none}
  all: {derive: {power: both.power + port.power}}
"""
    file = written(tmp_path, text)
    lines = [line.strip() for line in cli("check", "--config", file).out.splitlines()]
    assert [line for line in lines if line.startswith(("meter ", "reads", "listens", "nothing", "computes"))] == [
        "meter han: han, on /dev/ttyX, preset norway-han",
        "listens on /dev/ttyX, and takes what comes as often as it comes; it is never asked",
        "meter both: both, on tcp://192.0.2.1:4059, preset generic",
        "reads the core set of what the meter's object list offers, every 30 s",
        "listens on tcp://127.0.0.1:4061, and takes what comes as often as it comes",
        "meter port: port, on udp://127.0.0.1:4062, preset generic",
        "listens on udp://127.0.0.1:4062, and takes what comes as often as it comes; it is never asked",
        "meter mute: mute, on tcp://192.0.2.2:4059, preset generic",
        "nothing is read and nothing listened to",
        "meter all: all, on no line, preset generic",
        "computes power = both.power + port.power",
    ]
    meters = cli("check", "--config", file, "--json").json["meters"]
    assert [(name, meter["polled"], meter["listens"]) for name, meter in meters.items()] == [
        ("han", False, "/dev/ttyX"),
        ("both", True, "tcp://127.0.0.1:4061"),
        ("port", False, "udp://127.0.0.1:4062"),
        ("mute", False, ""),
        ("all", False, ""),
    ]
    assert meters["han"]["items"][0]["when"] == "when pushed"


def test_a_doubt_is_a_warning_and_no_failure(cli: Cli, tmp_path: Path) -> None:
    text = CONFIG + '  twin: {connection: {tcp: "192.0.2.1:4059"}}\n'
    result = cli("check", "--config", written(tmp_path, text))
    assert result.status == 0 and result.out.endswith("The configuration is good.\n")
    assert result.err.startswith("warning: meters house, twin have the same line and address (tcp://192.0.2.1:4059)")


def test_clear_goes_with_broker(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", "--config", written(tmp_path, CONFIG), "--clear")
    assert result.status == 2 and "--broker" in result.err


def test_a_broker_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    text = CONFIG.replace("broker.example", f"127.0.0.1:{free_port()}")
    result = cli("check", "--config", written(tmp_path, text), "--broker")
    assert result.status == 1 and "cannot be asked" in result.err


LEFT = {"gone": ["power/meter/gone/availability", "power/meter/gone/value/power"]}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"meters": {}, "cleared": False, "refused": []}, "Nothing stands at the broker"),
        ({"meters": LEFT, "cleared": False, "refused": []}, "Clear them with --clear."),
        ({"meters": LEFT, "cleared": True, "refused": []}, "They are cleared."),
        ({"meters": LEFT, "cleared": False, "refused": ["power/meter/gone/availability"]}, "does not let us clear 1"),
    ],
)
def test_what_is_left_at_the_broker(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], words: str
) -> None:
    async def enquire(*_: object) -> dict[str, Any]:
        return found

    monkeypatch.setattr(check, "enquire", enquire)
    result = cli("check", "--config", written(tmp_path, CONFIG), "--broker", *["--clear"] * bool(found["meters"]))
    assert result.status == 0 and words in result.out + result.err
    assert ("gone: 2 topics" in result.out) is bool(found["meters"])


@pytest.mark.parametrize(("clearing", "refused"), [(False, []), (True, []), (True, ["power/meter/gone/availability"])])
async def test_it_looks_and_clears_only_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clearing: bool, refused: list[str]
) -> None:
    cleared: list[str] = []

    async def retained_below(*_: object) -> dict[str, str]:
        return dict.fromkeys(LEFT["gone"], "online")

    async def clear(_: object, topics: list[str]) -> list[str]:
        cleared.extend(topics)
        return refused

    monkeypatch.setattr(check, "retained_below", retained_below)
    monkeypatch.setattr(check, "clear", clear)
    loaded = load_config(Path(written(tmp_path, CONFIG)), preset_connection, {})
    found = await check._look(loaded, clearing)(None)  # type: ignore[arg-type]
    assert found == {"meters": LEFT, "cleared": clearing and not refused, "refused": refused}
    assert cleared == (LEFT["gone"] if clearing else [])
