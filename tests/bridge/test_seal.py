from __future__ import annotations

import base64
import os
import re
import stat

import pytest
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


def test_the_vector_of_the_documentation():
    key = seal.SealKey(bytes.fromhex(_vector("bridge private key")))
    assert base64.b64decode(key.public).hex() == _vector("bridge public key")
    assert key.public == _vector("  as info.seal")
    randoms = iter([bytes.fromhex(_vector("ephemeral private key")), bytes.fromhex(_vector("nonce"))])
    sealed = seal.seal("text:12345678", key.public, lambda n: next(randoms))
    assert sealed == _vector("sealed")
    assert key.open(sealed) == "text:12345678"


@given(st.text())
def test_what_is_sealed_can_be_opened(text):
    key = seal.SealKey(os.urandom(32))
    assert key.open(seal.seal(text, key.public, os.urandom)) == text


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40], lambda b: b"", lambda b: bytes(32) + b[32:]])
def test_damage_is_a_config_error(damage):
    key = seal.SealKey(os.urandom(32))
    sealed = base64.b64decode(seal.seal("text:secret", key.public, os.urandom)[7:])
    with pytest.raises(ConfigError) as error:
        key.open("sealed:" + base64.b64encode(damage(sealed)).decode())
    assert "secret:" not in str(error.value)


def test_not_base64_and_another_bridge():
    key, other = seal.SealKey(os.urandom(32)), seal.SealKey(os.urandom(32))
    for bad in ("sealed:***", seal.seal("text:a", other.public, os.urandom)):
        with pytest.raises(ConfigError):
            key.open(bad)


def test_key_file_is_private_and_kept(tmp_path):
    first = seal.SealKey.load(tmp_path / "seal.key", os.urandom)
    assert stat.S_IMODE((tmp_path / "seal.key").stat().st_mode) == 0o600
    assert seal.SealKey.load(tmp_path / "seal.key", os.urandom).public == first.public


def test_open_all_walks_json():
    key = seal.SealKey(os.urandom(32))
    config = {"a": [seal.seal("hex:00", key.public, os.urandom), 1], "b": {"c": "text"}}
    assert key.open_all(config) == {"a": ["hex:00", 1], "b": {"c": "text"}}
