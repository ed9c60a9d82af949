"""What is known of a request before it runs: values and actions are no requests, whatever their key."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.requests.verbs import VERBS, Verb, verb_of

TOPICS = Topics("dlms_mqtt", "main")


def verb(topic: str) -> Verb:
    address = TOPICS.address(topic)
    assert address is not None
    return verb_of(address)


@pytest.mark.parametrize("name", [name for name in VERBS if "/" not in name])
def test_a_key_of_that_name_is_no_request(name: str) -> None:
    assert verb(f"dlms_mqtt/meter/house/set/{name}") == Verb()
    assert verb(f"dlms_mqtt/meter/house/do/{name}") == Verb()


def test_requests_by_their_topics() -> None:
    assert verb("dlms_mqtt/meter/house/request/profile") == Verb(looks=True, long=True)
    assert verb("dlms_mqtt/bridge/main/request/meter/find") == Verb(looks=True, long=True, managing=True)
    assert verb("dlms_mqtt/bridge/main/request/unheard-of") == Verb()


def test_whatever_changes_something_outlives_a_crash() -> None:
    """Ids of these are on the disk before they run."""
    changing = {name for name, row in VERBS.items() if not row.looks}
    assert changing >= {"write", "invoke", "meter/add", "meter/update", "meter/remove", "pause", "resume", "reload"}
