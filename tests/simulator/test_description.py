"""Meters out of a YAML file, and out of what `objects --values --json` saved of a real one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.errors import AccessRefused, ConfigError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.description import Described, load_meter
from tests.fake_clock import FakeClock
from tests.simulator.connected import connected

YAML = """
seed: 3
name: TEST000000000001
system_title: 5453540000000001
zone: Europe/Berlin
objects:
  - {obis: 1.0.99.99.0.255, class: 3, value: 4711, type: double-long-unsigned, scaler: -1, unit: W}
  - {obis: 0.0.128.0.1.255, value: 5, type: unsigned, writable: [2], range: [1, 9], see: public, write: public}
  - {obis: 0.0.96.1.9.255, attributes: {2: [octet-string, "41424344"]}}
remove: [1.0.14.7.0.255]
associations:
  - 16
  - {client: 3, authentication: low, password: "text:abc", level: manager, max_pdu: 128,
     conformance: [get, set, block-transfer-with-get-or-read]}
  - {client: 4, authentication: gmac, encryption_key: "hex:000102030405060708090a0b0c0d0e0f",
     authentication_key: "hex:000102030405060708090a0b0c0d0e0f", security: both}
oddities: {profile_nulls: true}
faults: ["delay:0.1"]
push: ["tcp://127.0.0.1:4059,every=60", {to: "udp://127.0.0.1:4059", ciphered: true}]
"""


def described(tmp_path: Path, text: str = YAML, name: str = "meter.yaml", **options: Any) -> Described:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return load_meter(file, clock=FakeClock(), **options)


async def test_a_described_meter(clock: FakeClock, tmp_path: Path) -> None:
    found = described(tmp_path, faults=("lost",))
    meter = found.meter
    assert sorted(meter.associations) == [3, 4, 16]
    assert meter.title.hex() == "5453540000000001"
    assert found.faults.get("delay")
    assert found.faults.get("lost")
    assert [row.ciphered for row in found.pushes] == [False, True]
    async with connected(meter, client=3, authentication="low", password=b"abc") as client:
        assert client.association.max_pdu == 128
        value = await client.read([AttributeDescriptor(3, Obis.parse("1.0.99.99.0.255"), 2)])
        assert str(getattr(value[0], "value", "")) == "471.1"
        parameter = AttributeDescriptor(1, Obis.parse("0.0.128.0.1.255"), 2)
        await client.set(parameter, Data(DataType.UNSIGNED, 9))
        with pytest.raises(AccessRefused):
            await client.set(parameter, Data(DataType.UNSIGNED, 10))
        with pytest.raises(AccessRefused):
            await client.get(AttributeDescriptor(3, Obis.parse("1.0.14.7.0.255"), 2))


@pytest.mark.parametrize(
    "text",
    [
        "colour: red",
        "kind: fridge",
        "zone: Mars/Olympus",
        "objects: [{class: 3}]",
        "objects: [{obis: 1.0.1.8.0.255, value: 1, type: float128}]",
        "objects: [{obis: 1.0.1.8.0.255, value: 1, unit: parsec}]",
        "objects: [{obis: 1.0.1.8.0.255, value: 1, see: nobody}]",
        "associations: [{name: nobody}]",
        "associations: [{client: 5, authentication: retina}]",
        "associations: [{client: 5, authentication: low, password: bare}]",
        "oddities: {backwards: true}",
        "faults: [gremlins]",
        "push: [{every: 5}]",
        "objects: yes please",
        "seed: five",
        "objects: [{obis: 1.0.1.8.0.255, class: three}]",
        "from: nowhere.json",
        "associations: [{client: 5, encryption_key: 'hex:00', security: most}]",
        "{",
        "[1, 2]",
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        described(tmp_path, text)
    assert caught.value.file.endswith("meter.yaml")


def test_a_file_that_is_not_there_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read: No such file"):
        load_meter(tmp_path / "nowhere.yaml")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match="picture cannot be read: not text"):
        load_meter(tmp_path / "picture")


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("system_title: 545354", "system_title", "expected 8 octets, not 3"),
        ("system_title: none of it", "system_title", "expected hexadecimal octets"),
        ("kind: fridge", "kind", "no kind of meter 'fridge'"),
        ("zone: Mars/Olympus", "zone", "no time zone 'Mars/Olympus'"),
    ],
)
def test_a_mistake_names_its_key(tmp_path: Path, text: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        described(tmp_path, text)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        (datetime(2026, 7, 1, 12), "2026-07-01T12:00:00+02:00"),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01T14:00:00+02:00"),
    ],
)
def test_a_clock_that_shows_what_it_is_told(tmp_path: Path, start: datetime, shown: str) -> None:
    assert described(tmp_path, "zone: Europe/Vienna", start=start).meter.now().isoformat() == shown
