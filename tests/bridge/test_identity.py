"""Who the meter is: nothing that is missing, empty or zero makes another one of it."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.reading.identity import Identity, is_nothing

ZEROS = ("", "0", "00000000", "0000000000", "   ", "ffffffff", "\x00\x00", "0x00", "00-00", "????????", "****")


@pytest.fixture
def identity():
    identity = Identity()
    assert identity.seen({"serial_number": "12345", "logical_device_name": "XXX0001"}, 0) is None
    return identity


@pytest.mark.parametrize(
    "found", [{}, {"logical_device_name": "XXX0001"}, {"electricity_id": "77"}, *({"serial_number": z} for z in ZEROS)]
)
def test_what_is_missing_or_nothing_changes_nothing(identity, found):
    for now in range(5):
        assert identity.seen(found, now) is None
    assert identity.seen({"serial_number": "12345"}, 9) is None


def test_a_value_must_be_seen_twice_in_a_row(identity):
    for serial in ("2", "3", "12345", "2", "12345", "2"):
        assert identity.seen({"serial_number": serial}, 0) is None
    assert identity.seen({}, 0) is None  # a read without it neither counts nor forgets
    assert identity.seen({"serial_number": "2"}, 5) == ("serial_number", "12345", "2", 5)


def test_both_keys_of_a_new_meter_are_one_change(identity):
    new = {"serial_number": "9", "logical_device_name": "YYY0001"}
    assert identity.seen(new, 0) is None
    assert identity.seen(new, 1)
    assert identity.seen(new, 2) is None
    assert identity.seen({"logical_device_name": "YYY0001"}, 3) is None


def test_a_device_name_of_nothing_but_its_maker_is_nothing(identity):
    for now in range(3):
        assert identity.seen({"logical_device_name": "XXX0000000000000"}, now) is None
    assert identity.seen({"logical_device_name": "XXX0001"}, 3) is None and not identity.in_doubt


def test_the_first_read_of_another_meter_is_in_doubt_and_no_later_one(identity):
    doubts = []
    for serial in ("12345", "9", "12345", "9", "8", "7", "7", "7"):
        identity.seen({"serial_number": serial}, 0)
        doubts.append(identity.in_doubt)
    assert doubts == [False, True, False, True, False, False, False, False]


def test_the_surest_key_tells_the_change(identity):
    for now in (0, 1):
        changed = identity.seen({"logical_device_name": "YYY0001", "serial_number": "9"}, now)
    assert changed and changed.key == "serial_number"


@pytest.mark.parametrize(
    ("raw", "nothing"),
    [(b"", True), (b"    ", True), (b"\0\0", True), (b"\xff\xff ", True), (b" 1", False), (b"0", False), (0, False)],
)
def test_octets_of_spaces_are_nothing_though_their_text_is_hexadecimal(raw, nothing):
    assert is_nothing(raw) is nothing


def test_what_was_not_read_with_the_change_is_learned_anew(identity):
    for now in (0, 1):
        changed = identity.seen({"serial_number": "9"}, now)
    assert changed
    for now in (2, 3, 4):
        assert identity.seen({"logical_device_name": "YYY0001", "serial_number": "9"}, now) is None
    assert identity.dump() == {"serial_number": "9", "logical_device_name": "YYY0001"}


def test_the_number_of_a_p1_telegram_counts_where_nothing_surer_was_ever_seen(identity):
    for now in range(4):  # what else a meter has under this code, its owner may write
        assert identity.seen({"device_id_1": str(now)}, now) is None
        assert identity.seen({"serial_number": "12345", "device_id_1": "9"}, now) is None
    telegrams = Identity()
    assert [telegrams.seen({"device_id_1": number}, 7) for number in ("E1", "E1", "E2")] == [None] * 3
    assert telegrams.seen({"device_id_1": "E2"}, 8) == ("device_id_1", "E1", "E2", 8)


def test_a_restart_does_not_forget(identity):
    again = Identity()
    again.restore(identity.dump())
    assert again.landmarks == identity.landmarks
    assert again.seen({"serial_number": "9"}, 0) is None
    assert again.seen({"serial_number": "9"}, 0)
