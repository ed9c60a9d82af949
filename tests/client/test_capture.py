from __future__ import annotations

import pytest

from dlms_mqtt.client.anonymiser import Anonymiser

SALT = b"salt of a test"
NAME, SERIAL = b"DMQ0000003399248", b"03399248"


def anonymiser(*names: bytes, secrets: tuple[bytes, ...] = ()) -> Anonymiser:
    return Anonymiser(names, secrets, SALT)


def test_the_same_number_becomes_the_same_one_everywhere() -> None:
    cleaner = anonymiser(NAME, SERIAL)
    name, serial = cleaner.clean(NAME), cleaner.clean(SERIAL)
    assert name != NAME
    assert serial != SERIAL
    assert name.endswith(serial)
    assert name[:3] == b"DMQ"
    assert len(name) == len(NAME)
    assert cleaner.clean(b"<" + SERIAL + b">") == b"<" + serial + b">"


@pytest.mark.parametrize("form", [(3399248).to_bytes(4, "big"), bytes.fromhex("03399248")])
def test_numbers_in_other_clothes(form: bytes) -> None:
    assert form not in anonymiser(SERIAL).clean(b"\x06" + form + b"\x00")


def test_a_title_keeps_its_maker() -> None:
    title = b"ISK\x67\x75\x13\xbf\x3b"
    cleaned = anonymiser(title).clean(title)
    assert cleaned[:3] == b"ISK"
    assert cleaned[3:] != title[3:]


def test_secrets_are_crossed_out() -> None:
    assert anonymiser(secrets=(b"12345678",)).clean(b"\xac\x0a\x80\x0812345678") == b"\xac\x0a\x80\x08xxxxxxxx"


@pytest.mark.parametrize("cut", range(4, len(NAME) - 3))
def test_a_name_that_a_frame_cuts_in_two(cut: int) -> None:
    cleaner = anonymiser(b"XYZ1846273950482")
    token = b"XYZ1846273950482"
    joined = cleaner.clean(b"..." + token[:cut]) + cleaner.clean(token[cut:] + b"...")
    assert joined == b"..." + cleaner.clean(token) + b"..."


def test_other_octets_stay() -> None:
    data = bytes(range(256))
    assert anonymiser(NAME, secrets=(b"password",)).clean(data) == data


def test_nothing_to_hide() -> None:
    assert anonymiser().clean(b"abc") == b"abc"
    assert anonymiser(b"ab").clean(b"ab") == b"ab"
