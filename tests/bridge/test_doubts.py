"""What ``check`` doubts and lets pass: addresses twice, speeds that differ, secrets that others may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlms_mqtt.bridge.config import doubts as module
from dlms_mqtt.bridge.config.doubts import doubts
from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.meter.presets.preset import preset_connection


def _doubts(folder: Path, text: str, mode: int = 0o600) -> list[str]:
    file = folder / "config.yaml"
    file.write_text(f"bridge: {{state_dir: state}}\n{text}")
    file.chmod(mode)
    return list(doubts(load_config(file, preset_connection, {"PW": "text:12345678"})))


def _two(first: str, second: str, more: str = "") -> str:
    return f"meters:\n  a: {{connection: {{{first}}}}}\n  b: {{connection: {{{second}}}{more}}}\n"


@pytest.mark.parametrize("line", ["serial: /dev/x", "tcp: 'h:4059'"])
def test_the_same_address_twice(tmp_path: Path, line: str) -> None:
    [told] = _doubts(tmp_path, _two(line, line))
    assert told.startswith("meters a, b have the same line and address")


@pytest.mark.parametrize(
    ("other", "more"),
    [
        ("physical: 18", ""),
        ("server: 2", ""),
        ("iec_address: '77'", ""),
        ("client: 32", ""),
        ("timeout: 5", ", enabled: false"),
        ("timeout: 5", ", read: none"),
    ],
)
def test_what_is_not_the_same(tmp_path: Path, other: str, more: str) -> None:
    assert _doubts(tmp_path, _two("serial: /dev/x", f"serial: /dev/x, {other}", more)) == []


def test_a_value_of_a_meter_that_is_not_there(tmp_path: Path) -> None:
    text = _two("tcp: 'h:4059'", "tcp: 'i:4059'") + "  c: {derive: {all: a.power + b.power + d-e.power}}\n"
    [told] = _doubts(tmp_path, text.replace("d-e", "d_e"))
    assert told.startswith("meters.c.derive: there is no meter 'd-e'")


@pytest.mark.parametrize(
    ("derive", "circle"),
    [
        ("{x: y + 1, y: x + power}", "c.x, c.y"),
        ("{x: c.x}", "c.x"),
        ("{x: a.z}", "a.z, c.x"),
        ("{x: power, y: x, z: x + y}", ""),
    ],
)
def test_values_that_are_computed_of_each_other(tmp_path: Path, derive: str, circle: str) -> None:
    text = _two("tcp: 'h:4059'", "tcp: 'i:4059'").replace("4059'}", "4059'}, derive: {z: c.x}", 1)
    told = _doubts(tmp_path, f"{text}  c: {{connection: {{tcp: 'j:4059'}}, derive: {derive}}}\n")
    assert told == ([f"derive: {circle} are computed of each other, so that they never come"] if circle else [])


def test_different_speeds_of_one_port(tmp_path: Path) -> None:
    [told] = _doubts(tmp_path, _two("serial: /dev/x", "serial: /dev/x, physical: 18, baud: 2400"))
    assert told == "meters on /dev/x are asked at different speeds (a 9600/none, b 2400/none); is that meant?"
    same = _two("serial: /dev/x, baud: 2400", "serial: /dev/x, physical: 18, baud: 2400")
    assert _doubts(tmp_path, same) == []


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("mqtt: {password: secret}", 0o644, True),
        ("meters: {a: {connection: {tcp: h, password: 'text:12345678'}}}", 0o604, True),
        ("mqtt: {password: secret}", 0o640, False),
        ("mqtt: {username: somebody}", 0o644, False),
        ("mqtt: {password: 'env:PW'}", 0o644, False),
        ("mqtt: {password: !env PW}", 0o644, False),
    ],
)
def test_secrets_that_others_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, told: bool
) -> None:
    monkeypatch.setenv("PW", "text:12345678")
    said = [] if not told else [f"{tmp_path}/config.yaml holds secrets and can be read by every user of this machine"]
    assert [doubt.partition(";")[0] for doubt in _doubts(tmp_path, text, mode)] == said


@pytest.mark.parametrize("missing", [None, "serialx", "aioesphomeapi"])
def test_an_extra_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str | None) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
    text = "meters:\n  a: {connection: {serial: 'esphome://head/'}}\n  b: {connection: {serial: /dev/x}}\n"
    told = ["meters a need what is not installed here: pip install 'dlms-mqtt[esphome]'"] if missing else []
    assert _doubts(tmp_path, text) == told
