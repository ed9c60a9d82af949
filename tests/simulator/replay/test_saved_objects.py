"""Objects out of what the command `objects` printed of a real meter: values, rights, profiles, and what is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.cli.meter import objects as command
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.json_shapes import value_json
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, CosemObject
from dlms_mqtt.simulator.description import Described, describe, load_meter
from dlms_mqtt.simulator.replay.saved_objects import saved_objects
from tests.fake_clock import FakeClock
from tests.simulator.bench import frozen_meter
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


async def _saved(client: DlmsClient, clock: FakeClock) -> dict[str, Any]:
    """What the command prints, without its command line."""
    found = await read_objects(client)
    attributes = [attribute for item in found for attribute in command._readable(item)]
    answers = await client.read(attributes)
    values = [value_json(answer, datetime.fromtimestamp(clock.time(), UTC)) for answer in answers]  # type: ignore[arg-type]
    document = {"meter": {}, "objects": [command.object_json(item) for item in found], "values": values}
    return json.loads(json.dumps(document, default=str))


def _values(document: dict[str, Any], without: set[str]) -> list[tuple[Any, ...]]:
    return [
        (row["obis"], row["attribute"], row["raw"], row["type"])
        for row in document["values"]
        if row["obis"] not in without
    ]


async def test_a_saved_meter_answers_as_the_real_one(clock: FakeClock, tmp_path: Path) -> None:
    meter = describe({}, clock=clock).meter
    async with connected(meter, client=32, authentication="low", password=b"12345678") as client:
        saved = await _saved(client, clock)
    again = described(tmp_path, json.dumps(saved), "saved.json").meter
    async with connected(again, client=32, authentication="low", password=b"12345678") as client:
        copy = await _saved(client, clock)
        assert len((await read_profile(client, Obis.parse("1.0.99.1.0.255"), Selection(first=1, count=4))).rows) == 4
    assert copy["objects"] == saved["objects"]
    moving = {
        "0.0.1.0.0.255",
        "1.0.99.1.0.255",
        "1.0.99.2.0.255",
        "0.0.98.1.0.255",
        "0.0.99.98.0.255",
        "0.0.40.0.0.255",
    }
    assert _values(copy, moving) == _values(saved, moving)


ROW = {
    "class": 3,
    "obis": "1.0.1.8.0.255",
    "version": 0,
    "attributes": [{"attribute": 2, "access": "read"}, {"attribute": 3, "access": "read"}],
    "methods": [{"method": 1, "access": "access"}],
}
VALUE = {"class": 3, "obis": "1.0.1.8.0.255", "attribute": 2, "type": "double-long-unsigned", "raw": 4711}


def saved(rows: list[Any], values: list[Any]) -> list[CosemObject]:
    return list(saved_objects(frozen_meter(), {"objects": rows, "values": values}))


def test_a_value_keeps_its_type_and_an_object_its_rights() -> None:
    text = {**VALUE, "attribute": 3, "type": "octet-string", "raw": "4142"}
    (item,) = saved([ROW, {**ROW, "class": 15}], [VALUE, text])
    assert item.values | {1: None} == {
        1: None,
        2: Data(DataType.DOUBLE_LONG_UNSIGNED, 4711),
        3: Data(DataType.OCTET_STRING, b"AB"),
    }
    assert item.rights is not None and list(item.rights[1]) == [1]
    assert item.methods[1](None, None).result == 0  # type: ignore[arg-type]


def test_an_object_whose_rights_nobody_listed_has_what_was_read() -> None:
    (item,) = saved([{**ROW, "attributes": [], "short_name": 4000}], [VALUE])
    assert (list(item.values), item.rights, item.short_name) == ([2, 1], None, 4000)


def test_a_profile_that_cannot_be_understood_is_empty() -> None:
    meter = frozen_meter()
    (item,) = saved_objects(meter, {"objects": [{**ROW, "class": 7}], "values": []})
    assert item.encoded(Context(meter, meter.associations[17]), 2) == b"\x01\x00"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "not understood: KeyError"),
        ({"objects": [{"class": 3}]}, "not understood: KeyError"),
        ({"objects": [], "values": [{**VALUE, "type": "word"}]}, "there is no type 'word'"),
        ({"objects": [{**ROW, "version": "new"}]}, "not understood: ValueError"),
    ],
)
def test_what_is_not_understood(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(saved_objects(frozen_meter(), document))
