"""Suites and keys: lengths that fit, and names of keys that tell nothing of them."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security.suites import SUITES, Keys, Security, key_id


@pytest.mark.parametrize(("suite", "length"), [(0, 16), (1, 16), (2, 32)])
def test_lengths(suite: int, length: int) -> None:
    assert SUITES[suite].key_length == length
    Keys(*[Secret(bytes(length))] * 4).check(suite)
    Keys(Secret(bytes(length))).check(suite)  # the others may be left out


@pytest.mark.parametrize("name", ["encryption", "authentication", "dedicated", "broadcast"])
@pytest.mark.parametrize(("suite", "length"), [(0, 32), (0, 15), (2, 16), (1, 8)])
def test_a_wrong_length_names_the_key_and_shows_nothing(name: str, suite: int, length: int) -> None:
    keys = {"encryption": Secret(bytes(SUITES[suite].key_length)), name: Secret(b"Z" * length)}
    with pytest.raises(ConfigError, match=f"the {name} key has {length} octets, suite {suite} needs") as caught:
        Keys(**keys).check(suite)
    assert caught.value.key == f"{name}_key"
    assert "ZZ" not in str(caught.value)


def test_protection_is_two_bits_of_the_control_byte() -> None:
    assert Security.BOTH == Security.AUTHENTICATION | Security.ENCRYPTION == 0x30


def test_a_name_of_a_key_is_the_same_and_tells_nothing() -> None:
    key = bytes(range(16))
    assert key_id(key) == key_id(Secret(key))
    assert key_id(key) != key_id(bytes(16))
    assert len(key_id(key)) == 32 and key.hex() not in key_id(key)
