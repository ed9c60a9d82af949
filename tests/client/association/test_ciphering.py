"""The secrets of a client outside any association: title, counters, algorithm, and what the public client may know."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.association.association import Association
from dlms_mqtt.client.association.ciphering import ADOPTION_BOUND, COUNTER_OBIS, Ciphering, public_settings
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.client.state.peer_history import PeerHistory
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, SecurityError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
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


def test_the_counter_that_the_meter_is_asked_for() -> None:
    with Store(MEMORY) as store:
        unknown = ciphering(store, **CIPHERED)
        assert unknown.counter_unknown
        assert unknown.counter_attribute == AttributeDescriptor(1, COUNTER_OBIS, 2)
        unknown.start(41)
        assert (unknown.counter_unknown, unknown.counter and unknown.counter.value) == (False, 41)
        unknown.start(7)
        assert unknown.counter and unknown.counter.value == 41
        other = Obis.parse("0.0.43.1.5.255")
        assert ciphering(store, invocation_counter=other, **CIPHERED).counter_attribute.obis == other
    bare = ciphering()
    bare.start(7)
    assert not bare.counter_unknown and bare.new_cipher() is None


def test_a_given_dedicated_key_has_numbers_of_its_own_not_below_the_global_ones() -> None:
    with Store(MEMORY) as store:
        given = Secret(b"d" * 16)
        ours = ciphering(store, ciphering="dedicated", dedicated_key=given, invocation_counter=100, **CIPHERED)
        cipher = ours.new_cipher()
        assert cipher is not None and ours.dedicated_key == given
        assert store.counter(given, ours.title).value == 100
        assert ours.adopt(5000, traffic=True)
        assert (store.counter(given, ours.title).value, ours.counter and ours.counter.value) == (5000, 100)
        assert ours.new_cipher() is not None  # of the next association: the numbers go on
        assert store.counter(given, ours.title).value == 5000


def test_a_proof_goes_under_the_global_key() -> None:
    with Store(MEMORY) as store:
        ours = ciphering(store, ciphering="general-dedicated", **CIPHERED)
        with ours.under_the_global_key():
            pass  # nothing is ciphered yet
        cipher = ours.new_cipher()
        assert cipher is not None
        with pytest.raises(RuntimeError), ours.under_the_global_key():
            assert cipher.form == "general-global"
            raise RuntimeError("the meter hangs up")
        assert cipher.form == "general-dedicated"


@pytest.mark.parametrize("challenged", [True, False])
def test_counters_of_the_meter_are_kept_where_no_challenge_tells_a_new_association(challenged: bool) -> None:
    options = CIPHERED | ({} if challenged else {"authentication": "none", "security": "both"})
    with Store(MEMORY) as store:
        settings = ConnectionSettings(tcp=("192.0.2.1", 4059), **options)
        ours = Ciphering(settings, store, zeros, None, peer="m association")
        first, second = ours.new_cipher(), ours.new_cipher()
        assert first is not None and second is not None
        assert (first.peer_counters is second.peer_counters) != challenged
        assert isinstance(second.peer_counters, PeerHistory) != challenged


def agreed(mechanism: int, title: bytes = b"METER000") -> Association:
    return Association(Conformance.GET, 0, 7, title, mechanism, b"our challenge", b"its challenge")


@pytest.mark.parametrize(("authentication", "mechanism"), [("md5", 3), ("sha1", 4), ("sha256", 6)])
def test_each_side_proves_that_it_knows_the_secret(authentication: str, mechanism: int) -> None:
    ours = ciphering(authentication=authentication, password=Secret(b"secret"), system_title=b"CLIENT00")
    meters = ciphering(authentication=authentication, password=Secret(b"secret"), system_title=b"METER000")
    its_view = Association(Conformance.GET, 0, 7, b"CLIENT00", mechanism, b"its challenge", b"our challenge")
    assert ours.answer(agreed(mechanism)) != meters.answer(its_view)
    ours.verify(agreed(mechanism), meters.answer(its_view))
    for wrong in (ours.answer(agreed(mechanism)), b"", None, 7):
        with pytest.raises(SecurityError) as caught:
            ours.verify(agreed(mechanism), wrong)
        assert caught.value.reason == "authentication"


def test_a_maker_whose_meters_prove_nothing() -> None:
    one_way = ciphering(authentication="hls", hls_algorithm="landis-gyr", password=Secret(b"00000000"))
    one_way.verify(agreed(Mechanism.HLS), None)
    mutual = ciphering(authentication="hls", hls_algorithm="aes", password=Secret(b"0" * 16))
    with pytest.raises(SecurityError, match="no octet string"):
        mutual.verify(agreed(Mechanism.HLS), None)
