"""What names a meter or opens it, replaced by something of the same length and kind, in all its clothes."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.capture.anonymiser import Anonymiser

SALT = b"salt of a test"
NAME, SERIAL = b"DMQ0000003399248", b"03399248"


def anonymiser(*names: bytes, secrets: tuple[bytes, ...] = ()) -> Anonymiser:
    return Anonymiser(names, secrets, SALT)


FORMS = [
    (3399248).to_bytes(4, "big"),
    (3399248).to_bytes(4, "little"),
    (3399248).to_bytes(8, "big"),
    bytes.fromhex("03399248"),
    bytes.fromhex("03399248")[::-1],
    SERIAL[::-1],
    SERIAL.hex().encode(),
]


def test_the_same_number_becomes_the_same_one_everywhere() -> None:
    cleaner = anonymiser(NAME, SERIAL)
    name, serial = cleaner.clean(NAME), cleaner.clean(SERIAL)
    assert name != NAME
    assert serial != SERIAL
    assert name.endswith(serial)
    assert name[:3] == b"DMQ"
    assert len(name) == len(NAME)
    assert cleaner.clean(b"<" + SERIAL + b">") == b"<" + serial + b">"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [False, True])
def test_numbers_in_other_clothes(form: bytes, secret: bool) -> None:
    cleaner = anonymiser(secrets=(SERIAL,)) if secret else anonymiser(NAME, SERIAL)
    cleaned = cleaner.clean(b"\x06" + form + b"\x00")
    assert form not in cleaned
    assert len(cleaned) == len(form) + 2


def test_a_number_stays_the_same_one_in_all_its_clothes() -> None:
    cleaner = anonymiser(NAME, SERIAL)
    number = int(cleaner.clean(SERIAL))
    assert cleaner.clean((3399248).to_bytes(4, "little")) == number.to_bytes(4, "little")
    assert cleaner.clean(bytes.fromhex("03399248")).hex() == f"{number:08}"


@pytest.mark.parametrize("name", [b"KFM12345678\0\0\0\0\0", b"KFM\x01\x9212345678\xf0\0", b"\xff" * 4 + b"12345678"])
@pytest.mark.parametrize("salt", range(40))
def test_numbers_in_names_that_are_no_text(name: bytes, salt: int) -> None:
    """Many meters fill their name up with zeros."""
    cleaned = Anonymiser((name, b"12345678"), (), bytes([salt])).clean(name + b"<12345678>")
    assert b"12345678" not in cleaned
    assert len(cleaned) == len(name) + 10
    assert cleaned.count(cleaned[-9:-1]) == 2
    assert cleaned[-9:-1].isdigit()


def test_keys_and_titles_written_in_hexadecimal() -> None:
    title, key = b"ISK\x67\x75\x13\xbf\x3b", bytes(range(0x10, 0x20))
    cleaner = anonymiser(title, secrets=(key,))
    for text in (title.hex(), key.hex()):
        assert text not in cleaner.clean_text(text)
        assert text.upper() not in cleaner.clean_text(text.upper())


def test_people_and_places_have_no_digits() -> None:
    cleaned = anonymiser(b"Mrs Miller").clean(b"Mrs Miller")
    assert cleaned[:4] == b"Mrs "
    assert b"Mill" not in cleaned
    assert cleaned[4:].isalpha()
    hidden = Anonymiser((), (), SALT, [b"Smith"]).clean(b"Mr Smith lives here")
    assert hidden.startswith(b"Mr ")
    assert hidden.endswith(b" lives here")
    assert b"Smi" not in hidden


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
