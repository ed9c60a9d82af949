"""The secrets of a client outside any association: title, counters, algorithm, and what the public client may know."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.association.ciphering import ADOPTION_BOUND, Ciphering, public_settings
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, SecurityError
from dlms_mqtt.protocol.secret import Secret

KEY = Secret(bytes(range(16)))
CIPHERED: dict[str, Any] = {"authentication": "gmac", "encryption_key": KEY, "authentication_key": KEY}


def zeros(length: int) -> bytes:
    return bytes(length)


def ciphering(store: Store | None = None, random: Any = zeros, **options: Any) -> Ciphering:
    return Ciphering(ConnectionSettings(tcp=("192.0.2.1", 4059), **options), store, random, None)


def test_two_processes_agree_on_one_title(tmp_path: Path) -> None:
    with Store(tmp_path / "state") as one, Store(tmp_path / "state") as other:

        def second_is_faster(length: int) -> bytes:
            other.agree("client", "system_title", (b"DMQ" + b"\x02" * 5).hex())
            return b"\x01" * length

        assert ciphering(one, second_is_faster, **CIPHERED).title == b"DMQ" + b"\x02" * 5
        assert ciphering(other, **CIPHERED).title == b"DMQ" + b"\x02" * 5


def test_a_title_only_where_one_is_needed() -> None:
    assert ciphering().title == b""
    assert len(ciphering(authentication="sha256", password=Secret(b"x")).title) == 8
    assert ciphering(system_title=b"ABC12345", **CIPHERED).title == b"ABC12345"


def test_the_makers_algorithm_must_be_named() -> None:
    options: dict[str, Any] = {"authentication": "hls", "password": Secret(b"00000000")}
    with pytest.raises(ConfigError, match="manufacturer's algorithm") as caught:
        ciphering(**options)
    assert caught.value.key == "hls_algorithm"
    ciphering(hls_algorithm="landis-gyr", **options)
    with pytest.raises(ConfigError, match="aes, landis-gyr"):
        parse_settings({"tcp": "192.0.2.1", "hls_algorithm": "secret sauce"})


def test_a_dedicated_key_only_under_protection() -> None:
    bare = ciphering(ciphering="dedicated", security="none", **CIPHERED)
    bare.new_cipher()
    assert bare.dedicated_key is None
    protected = ciphering(ciphering="dedicated", **CIPHERED)
    protected.new_cipher()
    assert protected.dedicated_key == bytes(16)


def test_a_counter_is_adopted_upwards_and_within_a_bound() -> None:
    with Store(MEMORY) as store:
        client = ciphering(store, invocation_counter=100, **CIPHERED)
        assert client.counter is not None
        assert [client.adopt(number) for number in (None, 5, 100)] == [False, False, False]
        assert client.adopt(5000)
        assert client.counter.value == 5000
        with pytest.raises(SecurityError, match="not taken over"):
            client.adopt(5000 + ADOPTION_BOUND + 1)
        assert client.counter.value == 5000
    assert not ciphering().adopt(7), "nothing is ciphered, nothing is counted"


def test_the_public_client_knows_no_secret() -> None:
    public = public_settings(
        ciphering(password=Secret(b"x"), dedicated_key=KEY, broadcast_key=KEY, **CIPHERED).settings
    )
    assert public.secrets == ()
    assert [row.name for row in fields(public) if row.metadata["secret"] and getattr(public, row.name)] == []
    assert (public.client, public.authentication, public.protection) == (16, "none", "none")
