"""From a push to readings there is one way: bridge, ``listen`` and library agree, and the body is decoded once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import samples
from dlms_mqtt import decode
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver
from dlms_mqtt.cli.tools.listen import Printer
from dlms_mqtt.client.push import PushSource
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.meter.push import layouts
from dlms_mqtt.protocol import layout
from tests.frames_data import Entry, entries, entry_id

PLAIN = [item for item in entries("push") if "values" in item["expected"] and "ciphering" not in item["expected"]]
# Of a stream without frames a body is decoded once more: that alone tells where the message ends.
FRAMED = [item for item in PLAIN if "tree" in item["expected"] and item["framing"] != "raw-apdu"]


class Receiver(PushReceiver):
    """Of a meter that nobody reads: what it would publish is kept."""

    def __init__(self, store: Store, **connection: str) -> None:
        session = SimpleNamespace(settings=parse_settings({"tcp": "memory", **connection}), scalers={})
        output = SimpleNamespace(event=lambda *_: None)
        meter: Any = SimpleNamespace(id="m", config=Meter(), store=store, session=session, output=output, plan=None)
        meter.now, meter.zone, meter.sense, meter.take_pushed = lambda: datetime.now(UTC), None, -1, self._taken
        super().__init__(meter)
        self.rows: list[Any] = []

    def _taken(self, rows: list[Any], _moment: object) -> None:
        self.rows += [measured for _, measured in rows]


@pytest.fixture
def store(tmp_path: Any) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("item", PLAIN, ids=entry_id)
async def test_three_ways_say_the_same(item: Entry, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    octets = bytes.fromhex(item["hex"])
    receiver = Receiver(store)
    receiver.receive("meter:1", octets, True)
    by_bridge = {(str(row.attribute.obis), row.attribute.attribute): row.value for row in receiver.rows}
    found = decode(octets)
    by_library = {(str(reading.obis), reading.attribute): reading for reading in found.readings}
    assert list(by_bridge) == list(by_library)
    scaled = [row for row in receiver.rows if row.scaler_unit]
    for row in scaled:
        assert by_library[str(row.attribute.obis), row.attribute.attribute].value == row.value
    printer = Printer(PushSource(), None, True)
    printer.take("meter:1", octets, True)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_listen = [(reading["obis"], reading["key"]) for push in printed for reading in push["readings"]]
    assert by_listen == [(str(reading.obis), reading.key) for reading in found.readings]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that were decoded, as often as they were."""
    bodies: list[bytes] = []
    for module, name in ((layout, "decode_data"), (layouts, "decode")):
        original = getattr(module, name)

        def counted(data: bytes, offset: int = 0, original: Any = original) -> Any:
            bodies.append(data[offset:])
            return original(data, offset)

        monkeypatch.setattr(module, name, counted)
    return bodies


@pytest.mark.parametrize("item", FRAMED, ids=entry_id)
async def test_the_body_is_decoded_once(item: Entry, store: Store, decoded: list[bytes]) -> None:
    receiver = Receiver(store)
    receiver.receive("meter:1", bytes.fromhex(item["hex"]), True)
    if receiver.rows:
        assert len(decoded) == len(set(decoded))


async def test_the_body_of_a_ciphered_push_is_decoded_once(store: Store, decoded: list[bytes]) -> None:
    keys = {"encryption_key": f"hex:{bytes(samples.KEY).hex()}"}
    receiver = Receiver(store, **keys, authentication_key=f"hex:{samples.AUTHENTICATION_KEY.hex()}")
    receiver.receive("meter:1", samples.push()[1], True)
    assert receiver.rows
    assert len(decoded) == 1


@pytest.mark.parametrize("item", FRAMED[::5], ids=entry_id)
async def test_listen_decodes_it_once(item: Entry, decoded: list[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(PushSource(), None, True)
    printer.take("meter:1", bytes.fromhex(item["hex"]), True)
    assert capsys.readouterr().out
    assert len(decoded) == len(set(decoded))


def test_a_wrong_key_decodes_nothing(decoded: list[bytes]) -> None:
    assert decode(samples.push()[1], encryption_key=bytes(16), authentication_key=bytes(16)).readings == []
    assert decoded == []
