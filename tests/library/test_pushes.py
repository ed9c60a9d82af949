"""Pushes as a program sees them, made of the bytes of a line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from benchmarks import samples
from dlms_mqtt.client.push import PushSource
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.library.pushes import Push, Pushes, keys_of, octets_of

PLAIN, CIPHERED = samples.push()


def pushes(**keys: Any) -> Pushes:
    return Pushes([PushSource("", keys_of(**keys) if keys else None)], UTC)


def keyed() -> Pushes:
    return pushes(encryption=samples.KEY, authentication=samples.AUTHENTICATION_KEY)


def test_a_message_in_two_halves() -> None:
    taken = pushes()
    assert taken.feed("here", PLAIN[:20], False, 0.0) == []
    (push,) = taken.feed("here", PLAIN[20:], False, 0.1)
    assert (push.origin, push.verified, push.error) == ("here", None, None)
    assert push.readings[0].value == Decimal("12345.6")


def test_a_ciphered_message_is_believed_once() -> None:
    taken = keyed()
    first, again = (push for now in (0.0, 1.0) for push in taken.feed("here", CIPHERED, True, now))
    assert (first.verified, first.system_title) == (True, samples.TITLE)
    assert again.readings == []
    assert again.error is not None
    assert json.loads(again.to_json())["error"] == again.error.told


def test_half_a_message_is_told_when_its_time_is_over() -> None:
    taken = pushes()
    taken.feed("here", PLAIN[:20], False, 0.0)
    assert taken.tick(0.1) == []
    assert all(push.error or not push.readings for push in taken.tick(1000.0))


def test_as_json_has_it() -> None:
    push = Push("here", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), system_title=b"ABC")
    assert push.as_dict() == {
        "origin": "here",
        "time": "2026-01-02T03:04:05+00:00",
        "readings": [],
        "system_title": "414243",
        "verified": None,
    }


def test_keys_and_octets_as_people_write_them() -> None:
    assert octets_of("00 ff", "data") == octets_of(b"\x00\xff", "data") == b"\x00\xff"
    assert keys_of(encryption=None) is None
    with pytest.raises(ConfigError, match="16 or 32"):
        keys_of(encryption=b"short")
