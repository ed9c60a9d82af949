"""Envelopes: tag tables, published ciphered messages, keys that a message names, numbered blocks."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.general import (
    DED_TAGS,
    GLO_TAGS,
    PLAIN_TAGS,
    AgreedKey,
    CipheredApdu,
    GeneralBlockTransfer,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralSigning,
    IdentifiedKey,
    WrappedKey,
)
from dlms_mqtt.protocol.layout import Apdu
from tests.frames_data import entry
from tests.protocol.apdu.drive import drive

TITLE = b"MMM\x00\x00\xbcaN"
UNNAMED = (b"",) * 5


def test_tag_tables() -> None:
    assert (GLO_TAGS[192], DED_TAGS[192], GLO_TAGS[1], GLO_TAGS[8], DED_TAGS[5]) == (200, 208, 33, 40, 69)
    assert (GLO_TAGS[199], DED_TAGS[199], GLO_TAGS[14], DED_TAGS[24]) == (207, 215, 46, 88)
    assert len(PLAIN_TAGS) == 2 * len(GLO_TAGS)
    glo, ded = CipheredApdu(0xC8, b"\x30"), CipheredApdu(0xD4, b"\x30")
    assert (glo.plain_tag, glo.dedicated) == (0xC0, False)
    assert (ded.plain_tag, ded.dedicated) == (0xC4, True)


def test_envelopes_as_published() -> None:
    for name in ("gb-get-request-authenticated", "gb-get-request-encrypted", "gb-initiate-request-ciphered"):
        vector = entry("vectors_ciphered_apdus", name)
        message = drive(bytes.fromhex(vector["apdu"]))
        assert isinstance(message, CipheredApdu)
        assert len(message.body) == vector["expected"]["length"]
    untitled = drive(bytes.fromhex(entry("vectors_ciphered_apdus", "general-glo-empty-system-title")["apdu"]))
    assert isinstance(untitled, GeneralGloCiphering)
    assert untitled.system_title == b""
    text = bytes.fromhex(entry("vectors_ciphered_apdus", "p1-luxembourg-authenticated")["hex"])
    assert len(decode_apdu(text).body) == 1502  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("e0 c1 0002 0001 02 abcd", GeneralBlockTransfer(True, True, 1, 2, 1, b"\xab\xcd")),
        ("e0 3f 0001 0000 00", GeneralBlockTransfer(False, False, 63, 1, 0, b"")),
        ("db 08 4d4d4d0000bc614e 02 3000", GeneralGloCiphering(TITLE, b"\x30\x00")),
        ("dc 08 4d4d4d0000bc614e 02 3000", GeneralDedCiphering(TITLE, b"\x30\x00")),
        ("dd 0101 00 00 00 00 00 01 30", GeneralCiphering(b"\x01", b"", b"", b"", b"", None, b"\x30")),
        (
            "dd 0101 00 00 00 00 01 00 01 01 30",
            GeneralCiphering(b"\x01", b"", b"", b"", b"", IdentifiedKey(1), b"\x30"),
        ),
        (
            "dd 00 00 00 00 00 01 01 00 01aa 01 30",
            GeneralCiphering(b"", b"", b"", b"", b"", WrappedKey(0, b"\xaa"), b"\x30"),
        ),
        (
            "dd 00 00 00 00 00 01 02 0101 01aa 01 30",
            GeneralCiphering(b"", b"", b"", b"", b"", AgreedKey(b"\x01", b"\xaa"), b"\x30"),
        ),
        ("df 0101 00 00 00 00 02 0f00 01 ff", GeneralSigning(b"\x01", b"", b"", b"", b"", b"\x0f\x00", b"\xff")),
        ("c8 03 300102", CipheredApdu(0xC8, b"\x30\x01\x02")),
    ],
)
def test_every_form_by_its_octets(octets: str, message: Apdu) -> None:
    assert drive(bytes.fromhex(octets)) == message
    assert message.encode() == bytes.fromhex(octets)


@pytest.mark.parametrize("window", [-1, 64])
def test_a_window_has_six_bits(window: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"a window of {window}"):
        GeneralBlockTransfer(True, False, window, 1, 0, b"").encode()


def test_what_is_no_envelope() -> None:
    with pytest.raises(DecodeError, match="c0 is no ciphered service"):
        CipheredApdu.decode(b"\xc0\x00")
    with pytest.raises(DecodeError, match="key-info 5 is not known"):
        GeneralCiphering.decode(bytes.fromhex("dd 00 00 00 00 00 01 05"))
