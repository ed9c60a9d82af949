from __future__ import annotations

import base64
import os
import re
import stat

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.config import seal
from dlms_mqtt.errors import ConfigError


def _vector(label: str) -> str:
    match = re.search(
        rf"^    {label} {{2,}}([^\n]*(?:\n {{27,}}[^\n]*)?)", (seal.__doc__ or "").partition("Test vector")[2], re.M
    )
    assert match
    return re.sub(r"\(one line\)|\s", "", match.group(1))


HOUSE = ("house", {"tcp": "192.0.2.10:4059", "client": 1})


def test_the_vector_of_the_documentation():
    key = seal.SealKey(bytes.fromhex(_vector("bridge private key")))
    assert base64.b64decode(key.public).hex() == _vector("bridge public key")
    assert key.public == _vector("  as info.seal")
    randoms = iter([bytes.fromhex(_vector("ephemeral private key")), bytes.fromhex(_vector("nonce"))])
    sealed = seal.seal("text:12345678", key.public, lambda n: next(randoms), *HOUSE)
    assert sealed == _vector("sealed")
    assert bytes.fromhex(_vector("purpose")) == b"house\ntcp=192.0.2.10:4059"
    assert key.open(sealed, *HOUSE) == "text:12345678"


def test_a_seal_for_a_meter_that_calls():
    """The same octets as in the tests of the component."""
    key, sealed = (
        seal.SealKey(bytes.fromhex(_vector("bridge private key"))),
        "sealed:NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlRAQUJDREVGR0hJSkuAmj5NfQ5fWH3pmUkbBt6VeuGY7zqDsWJEK4TMFQ==",
    )
    assert key.open(sealed, "house", {"bind": "tcp://0.0.0.0:4059"}) == "text:12345678"


@given(st.text())
def test_what_is_sealed_can_be_opened(text):
    key = seal.SealKey(os.urandom(32))
    assert key.open(seal.seal(text, key.public, os.urandom, *HOUSE), *HOUSE) == text


@pytest.mark.parametrize(
    ("meter", "connection"),
    [
        ("house", {"tcp": "192.0.2.66:4059"}),
        ("house2", {"tcp": "192.0.2.10:4059"}),
        ("house", {"udp": "192.0.2.10:4059"}),
        ("house", {"serial": "socket://192.0.2.66:4059", "tcp": "192.0.2.10:4059"}),
        ("house", {"tcp": "192.0.2.10:4059", "bind": "tcp://0.0.0.0:4059"}),
        ("house", {}),
    ],
)
def test_a_seal_is_for_one_meter_and_line(meter, connection):
    key = seal.SealKey(os.urandom(32))
    sealed = seal.seal("text:secret", key.public, os.urandom, *HOUSE)
    with pytest.raises(ConfigError, match="another bridge, meter or line"):
        key.open(sealed, meter, connection)
    assert key.open(sealed, "house", {"tcp": "192.0.2.10:4059", "client": 2, "serial": None}) == "text:secret"


def test_a_seal_of_the_version_before_is_refused_with_a_sentence():
    key, private = seal.SealKey(os.urandom(32)), X25519PrivateKey.generate()
    bridge, ephemeral = key._private.public_key(), private.public_key().public_bytes_raw()
    info = b"dlms-mqtt seal v1" + ephemeral + bridge.public_bytes_raw()
    derived = HKDF(hashes.SHA256(), 32, salt=b"", info=info).derive(private.exchange(bridge))
    body = ephemeral + bytes(12) + AESGCM(derived).encrypt(bytes(12), b"text:12345678", None)
    with pytest.raises(ConfigError, match=r"version 0\.1") as error:
        key.open("sealed:" + base64.b64encode(body).decode(), *HOUSE)
    assert "Update" in error.value.hint


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40], lambda b: b"", lambda b: bytes(32) + b[32:]])
def test_damage_is_a_config_error(damage):
    key = seal.SealKey(os.urandom(32))
    sealed = base64.b64decode(seal.seal("text:secret", key.public, os.urandom, *HOUSE)[7:])
    with pytest.raises(ConfigError) as error:
        key.open("sealed:" + base64.b64encode(damage(sealed)).decode(), *HOUSE)
    assert "secret:" not in str(error.value)


def test_not_base64_and_another_bridge():
    key, other = seal.SealKey(os.urandom(32)), seal.SealKey(os.urandom(32))
    for bad in ("sealed:***", seal.seal("text:a", other.public, os.urandom, *HOUSE)):
        with pytest.raises(ConfigError):
            key.open(bad, *HOUSE)


def test_each_seal_has_an_id():
    key = seal.SealKey(os.urandom(32))
    one, two = (seal.seal("text:a", key.public, os.urandom, *HOUSE) for _ in range(2))
    assert seal.seal_id(one) != seal.seal_id(two) and len(seal.seal_id(one)) == 64
    assert seal.seal_id("sealed:***") == ""


def test_key_file_is_private_and_kept(tmp_path):
    first = seal.SealKey.load(tmp_path / "seal.key", os.urandom)
    assert stat.S_IMODE((tmp_path / "seal.key").stat().st_mode) == 0o600
    assert seal.SealKey.load(tmp_path / "seal.key", os.urandom).public == first.public


@pytest.mark.expect_log("set aside")
@pytest.mark.parametrize("content", [b"", b"x" * 31, None])
def test_a_key_that_is_damaged_is_set_aside(tmp_path, content):
    path = tmp_path / "seal.key"
    path.mkdir() if content is None else path.write_bytes(content)
    key = seal.SealKey.load(path, os.urandom)
    assert seal.SealKey.load(path, os.urandom).public == key.public
    assert (tmp_path / "seal.key.damaged-1").exists()
