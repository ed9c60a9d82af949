"""A captured dialogue told as one: partners, association, counters, values with the units that came apart; pushes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.push import Push, PushReaders, PushSource
from dlms_mqtt.meter.explain.capture_text import pieces_of
from dlms_mqtt.meter.explain.conversation import conversation
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.meter.explain.json_shapes import readings_json
from dlms_mqtt.meter.json_text import dumps
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.protocol.security import Keys
from tests.client.our_meter import WAYS
from tests.frames_data import entries
from tests.meter.explain.test_sessions import session

CAPTURES = Path(__file__).parents[2] / "captures"


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("blocks", [{}, {"gbt_window": 2, "max_pdu": 90}], ids=["whole", "blocks"])
async def test_a_ciphered_session(clock: object, blocks: dict[str, int], framing: str) -> None:
    way = WAYS["gmac, ciphered"]
    talk = await session(way | blocks, framing, False)
    told = conversation(explain(talk, Keys(way["encryption_key"], way["authentication_key"]))["messages"])
    assert told is not None
    (association,) = told["associations"]
    assert (association["result"], association["mechanism"]) == ("accepted", "HLS-GMAC")
    assert association["client_title"] == way["system_title"].hex()
    assert association["max_pdu_size"] > 0
    assert told["client"] == str(way["client"])
    client, meter = told["counters"]
    assert client["system_title"] == way["system_title"].hex()
    assert (client["sender"], meter["sender"]) == ("client", "meter")
    for row in (client, meter):
        assert row["not_risen"] == 0
        assert row["last"] - row["first"] >= row["messages"] - 1 > 1
    names = [(row["obis"], row["attribute"]) for row in told["values"]]
    assert ("0.0.42.0.0.255", 2) in names
    assert len(names) == len(set(names))  # each once, however often it was asked for and in how many blocks it came


async def test_without_keys_the_counters_are_told_and_senders_kept_apart(clock: object) -> None:
    talk = await session(WAYS["gmac, ciphered"], "wrapper", False)
    told = conversation(explain(talk)["messages"])
    assert told is not None
    assert {row["sender"] for row in told["counters"]} >= {"client", "meter"}
    assert not any(row["not_risen"] for row in told["counters"])
    assert told["values"] == []


def test_a_repeated_counter_is_told() -> None:
    def message(name: str, counter: int) -> dict[str, Any]:
        return {
            "frames": [{"source": "1", "destination": "16"}],
            "apdu": {"name": name},
            "ciphering": {"invocation_counter": counter, "system_title": None},
        }

    told = conversation(
        [message(name, n) for name, n in (("glo-get-request", 5), ("x-response", 6), ("x-response", 6))]
    )
    assert told is not None
    client, meter = told["counters"]
    assert (client["first"], client["last"], client["messages"], client["not_risen"]) == (5, 5, 1, 0)
    assert (meter["first"], meter["last"], meter["messages"], meter["not_risen"]) == (6, 6, 2, 1)


def test_scaler_and_unit_that_were_read_apart_belong_to_the_value() -> None:
    told = conversation(explain(pieces_of((CAPTURES / "own-vv.txt").read_bytes()))["messages"])
    assert told is not None
    rows = {(row["obis"], row["attribute"]): row for row in told["values"]}
    energy = rows["1.0.1.8.0.255", 2]
    assert (energy["raw"], energy["scaler"], energy["value"], energy["unit"]) == (1234567, 0, 1234567, "Wh")
    assert told["requests"] == told["answers"] == 3
    dumps(told)


@pytest.mark.parametrize("text", ["060000000a", "7ea0", entries("push_kaifa", framing="hdlc")[0]["hex"]])
def test_what_is_no_conversation_is_not_called_one(text: str) -> None:
    assert conversation(explain(bytes.fromhex(text))["messages"]) is None


PUSHES = [
    entry
    for name in ("push_kaifa", "push_kamstrup", "push_aidon")
    for entry in entries(name, framing="hdlc")
    if "ciphering" not in entry["expected"]
]


@pytest.mark.parametrize("entry", PUSHES, ids=lambda entry: entry["id"])
def test_a_push_has_the_names_and_units_that_listen_gives(entry: dict[str, Any]) -> None:
    octets = bytes.fromhex(entry["hex"])
    events = PushReaders([PushSource(accept_unauthenticated=True)]).feed("here", octets, 0.0, whole=True)
    heard = [event for event in events if isinstance(event, Push)]
    explained = [message for message in explain(octets, zone=UTC)["messages"] if message.get("readings")]
    assert len(heard) == len(explained) > 0
    for push, message in zip(heard, explained, strict=True):
        pushed = PushedValues(push.notification)
        told = pushed.stated_time(UTC)
        readings = pushed.readings(told or datetime.now(UTC), UTC)
        assert message["readings"] == readings_json(readings, UTC, timed=told is not None)
        assert all(row["key"] for row in message["readings"])
