"""Published dialogues: every APDU of them, field by field, in order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dlms_mqtt.protocol.acse.messages import Aare, Aarq
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetRequestWithList, GetResponseNormal, GetResponseWithList
from dlms_mqtt.protocol.layout import Apdu
from tests.frames_data import entries, entry_id
from tests.octets import strip_llc
from tests.protocol.acse.test_messages import describe as describe_association
from tests.protocol.apdu.drive import describe, drive, frames, value_shape

CONVERSATIONS = entries("conversations")


def messages(entry: dict[str, Any]) -> list[Apdu]:
    found = []
    for _, hex_text in entry["frames"]:
        for frame in frames(hex_text):
            if frame.information[:2] in (b"\xe6\xe6", b"\xe6\xe7"):
                found.append(drive(strip_llc(frame.information)))
    return found


def reads(found: list[Apdu]) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = []
    pairs = []
    for message in found:
        if isinstance(message, GetRequestNormal):
            targets = [describe(message)["attribute"]]
        elif isinstance(message, GetRequestWithList):
            targets = describe(message)["attributes"]
        elif isinstance(message, GetResponseNormal):
            pairs.append(targets[0] | value_shape(message.value))
        elif isinstance(message, GetResponseWithList):
            pairs += [target | value_shape(value) for target, value in zip(targets, message.results, strict=True)]
    return pairs


@pytest.mark.parametrize("entry", CONVERSATIONS, ids=entry_id)
def test_conversation(entry: dict[str, Any]) -> None:
    found, expected = messages(entry), entry["expected"]
    assert Counter(message.NAME for message in found) == expected["services"]
    associations = [message for message in found if isinstance(message, Aarq | Aare)]
    assert [describe_association(message) for message in associations] == expected.get("associations", [])
    for kind, services in (("actions", "action-"), ("writes", "set-")):
        picked = [describe(message) for message in found if message.NAME.startswith(services)]
        assert picked == expected.get(kind, [])
    if "reads" in expected:
        assert reads(found) == expected["reads"]
    elif "answers" in expected:
        answers = [message for message in found if isinstance(message, GetResponseNormal)]
        assert [value_shape(message.value)["data"] for message in answers] == [
            one["data"] for one in expected["answers"]
        ]
