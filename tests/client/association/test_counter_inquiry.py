"""The meter's invocation counter: what can be counted on, what a refusal says, and when ours may be behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.association.counter_inquiry import (
    checked_counter,
    may_be_behind,
    refuse_lost_counter,
    through_public_client,
)
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.facts import DOUBTFUL, LOST
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused, RemoteProtocolError, StoreError
from dlms_mqtt.protocol.secret import Secret


def settings(**options: Any) -> ConnectionSettings:
    ciphered = {"encryption_key": Secret(bytes(16)), "authentication_key": Secret(bytes(16))}
    return ConnectionSettings(tcp=("10.0.0.1", 4059), **{**ciphered, **options})


@pytest.mark.parametrize("value", [0, 1, 4294967293])
def test_a_counter(value: int) -> None:
    assert checked_counter(value) == value


@pytest.mark.parametrize("value", [-1, 4294967294, 4294967295, 1 << 40, "7", None, b"\x07", 1.5])
def test_what_is_none(value: object) -> None:
    with pytest.raises(RemoteProtocolError, match="no number that can be counted on"):
        checked_counter(value)


def test_a_refusal_says_for_what_the_meter_was_asked() -> None:
    with (
        pytest.raises(AccessRefused, match="through the public client: not allowed") as caught,
        through_public_client(),
    ):
        raise AccessRefused("not allowed", code=3, name="read-write-denied")
    assert (caught.value.code, caught.value.name) == (3, "read-write-denied")
    assert "invocation_counter" in str(caught.value.hint)


def test_a_lost_counter_is_not_begun_anew() -> None:
    """A title of its own and a number to begin with: the key may have been further than that."""
    store = Store(MEMORY)
    fixed = settings(system_title=b"DMQ12345", invocation_counter=1)
    refuse_lost_counter(fixed, store)
    store.set(*LOST, "state.sqlite.damaged")
    with pytest.raises(StoreError, match=r"lost with state\.sqlite\.damaged"):
        refuse_lost_counter(fixed, store)
    for other in (settings(invocation_counter=1), settings(system_title=b"DMQ12345")):
        refuse_lost_counter(other, store)
    refuse_lost_counter(ConnectionSettings(tcp=("10.0.0.1", 4059)), store)
    refuse_lost_counter(fixed, None)


def test_when_ours_may_be_behind(tmp_path: Path) -> None:
    store = Store(MEMORY)
    assert not may_be_behind(settings(), store)
    store.set(*DOUBTFUL, True)
    assert may_be_behind(settings(), store)
    assert not may_be_behind(settings(invocation_counter=5), store)
    assert not may_be_behind(ConnectionSettings(tcp=("10.0.0.1", 4059)), store)
    assert not may_be_behind(settings(), None)
