"""``decode``: bytes that were captured."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

from benchmarks import samples
from dlms_mqtt import decode

NUMBER = "7ea027010201105a87e6e7000f40000000090c07e7031603031c2aff800000020106000008e580bb7e"
PLAIN, CIPHERED = samples.push()
KEYS: Any = {"encryption_key": bytes(samples.KEY), "authentication_key": samples.AUTHENTICATION_KEY.hex()}


def test_a_push_in_hexadecimal() -> None:
    found = decode(NUMBER, timezone="Europe/Vienna")
    (reading,) = found.readings
    assert (str(reading.obis), reading.value, reading.unit) == ("1.0.1.7.0.255", Decimal(2277), "W")
    assert reading.time.isoformat() == "2023-03-22T03:28:42+01:00"
    assert found.messages[0]["framing"] == "hdlc"
    assert (found.errors, found.rest) == ([], b"")


def test_a_ciphered_push() -> None:
    with_key = decode(CIPHERED, **KEYS)
    assert with_key.readings[0].value == Decimal("12345.6")
    assert with_key.messages[0]["ciphering"]["verified"] is True
    assert decode(PLAIN, **KEYS).readings == decode(PLAIN).readings == with_key.readings
    without = decode(CIPHERED)
    assert without.readings == []
    assert without.messages[0]["ciphering"]["verified"] is None


def test_a_wrong_key() -> None:
    found = decode(CIPHERED, encryption_key=bytes(16), authentication_key=bytes(16))
    assert found.readings == []
    assert any("tag" in error or "key" in error for error in found.errors)


def test_what_is_no_message() -> None:
    found = decode(b"\x00\x01\x02")
    assert (found.readings, found.messages, found.rest) == ([], [], b"\x00\x01\x02")


def test_results_hold_no_key() -> None:
    found = decode(CIPHERED, **KEYS)
    kept = pickle.dumps(found)
    assert bytes(samples.KEY) not in kept
    again = pickle.loads(kept)
    assert again == found
    assert json.loads(again.to_json())["readings"][0]["value"] == 12345.6
    assert "12345.6" in repr(found)


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ("7e a", {}, "data: "),
    (5.0, {}, "data: "),
    (b"", {"encryption_key": b"short"}, "encryption_key: a key has 16 or 32 octets, this one 5"),
    (b"", {"encryption_key": "my secret"}, "encryption_key: "),
    (b"", {"system_title": "xy"}, "system_title: "),
    (b"", {"timezone": "Mars"}, "timezone: "),
]


@pytest.mark.parametrize(("data", "keywords", "text"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_argument_is_named(data: Any, keywords: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        decode(data, **keywords)
    assert "my secret" not in str(error.value)
