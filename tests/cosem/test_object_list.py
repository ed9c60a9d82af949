from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem import object_list
from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.object_list import (
    ObjectInfo,
    add_access_rights_sn,
    decode_object_list,
    decode_object_list_sn,
    encode_access_rights_sn,
    encode_object_list,
    encode_object_list_sn,
)
from dlms_mqtt.errors import DecodeError, ProtocolError
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis

numbers = st.integers(-128, 127)
attribute_access = st.builds(
    AttributeAccess,
    st.integers(0, 255),
    st.just(False),
    st.none() | st.lists(numbers, max_size=5).map(tuple),
)
method_access = st.builds(MethodAccess, st.integers(0, 255), st.just(False))
objects = st.builds(
    ObjectInfo,
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.binary(min_size=6, max_size=6).map(Obis),
    st.dictionaries(numbers, attribute_access, max_size=20),
    st.dictionaries(numbers, method_access, max_size=12),
)
CURRENT = Obis.parse("0.0.40.0.0.255")


def view(count: int = 300) -> list[ObjectInfo]:
    """A long view with the classes of a household meter."""
    found = []
    for number in range(count):
        model = find((1, 3, 3, 4, 5, 7, 8, 15, 70)[number % 9])
        assert model is not None
        attributes = {item.index: AttributeAccess(1 + (number + item.index) % 3) for item in model.attributes}
        methods = {item.index: MethodAccess(number % 2) for item in model.methods}
        obis = Obis((1, 0, number % 250, number // 250, 0, 255))
        found.append(ObjectInfo(model.class_id, 0, obis, attributes, methods))
    return found


@given(st.lists(objects, max_size=8))
def test_round_trip(items: list[ObjectInfo]) -> None:
    assert list(decode_object_list(encode_object_list(items), 1)) == items


@given(st.lists(objects, max_size=8))
def test_both_ways_of_decoding_agree(items: list[ObjectInfo]) -> None:
    octets = encode_object_list(items)
    assert list(object_list._decode_slowly(octets, False)) == items


@given(st.lists(objects, max_size=5), st.data())
def test_any_change_decodes_or_is_refused(items: list[ObjectInfo], data: st.DataObject) -> None:
    octets = bytearray(encode_object_list(items))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_object_list(bytes(octets), 1)
    except ProtocolError:
        return
    assert all(isinstance(item, ObjectInfo) for item in found)


@given(st.binary(max_size=60))
def test_any_octets_decode_or_are_refused(octets: bytes) -> None:
    for decoder in (decode_object_list, decode_object_list_sn):
        try:
            decoder(b"\x01" + octets)
        except ProtocolError:
            continue


def test_long_view_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = encode_object_list(view())
    monkeypatch.delattr(object_list, "_decode_slowly")
    assert list(decode_object_list(octets, 0)) == view()
    assert list(decode_object_list(octets + b"\x00\x00", 0)) == view()  # stray octets are left alone


def test_unusual_spellings() -> None:
    """Unsigned indices, boolean method modes, no rights at all: all of it is met in meters."""
    rights = Data(DataType.STRUCTURE, (
        Data(DataType.ARRAY, (Data(DataType.STRUCTURE, (
            Data(DataType.UNSIGNED, 2), Data(DataType.ENUM, 1), Data(DataType.NULL_DATA, None))),)),
        Data(DataType.ARRAY, (Data(DataType.STRUCTURE, (Data(DataType.INTEGER, 1), Data(DataType.BOOLEAN, True))),)),
    ))  # fmt: skip
    no_rights = Data(DataType.STRUCTURE, (Data(DataType.NULL_DATA, None), Data(DataType.NULL_DATA, None)))
    head = (
        Data(DataType.LONG_UNSIGNED, 3),
        Data(DataType.UNSIGNED, 0),
        Data(DataType.OCTET_STRING, b"\1\0\1\x08\0\xff"),
    )
    elements = tuple(Data(DataType.STRUCTURE, (*head, item)) for item in (rights, no_rights))
    first, second = decode_object_list(encode(Data(DataType.ARRAY, elements)))
    assert first.attribute_access == {2: AttributeAccess(1)}
    assert first.method_access == {1: MethodAccess(1)}
    assert first.method_access[1].invoke
    assert second == ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"))


def test_counts_are_checked() -> None:
    octets = encode_object_list(view(1))
    one_more = octets.replace(b"\x01\x01\x02\x04", b"\x01\x02\x02\x04", 1)
    assert decode_object_list(one_more) == decode_object_list(octets)  # what is there is taken
    for octets in (b"", b"\x01", b"\x01\x01", b"\x09\x00", b"\x01\x01\x11\x00", b"\x01\x84\xff\xff\xff\xff"):
        with pytest.raises(DecodeError):
            decode_object_list(octets)


@pytest.mark.parametrize(("attributes", "methods"), [(b"\x00", b"\x01"), (b"\x02", b"\x01"), (b"\x01", b"\x02")])
def test_counts_of_rights_are_checked(attributes: bytes, methods: bytes) -> None:
    """One announced attribute that is not there must not turn the methods into attributes."""
    rights = {2: AttributeAccess(1)}, {1: MethodAccess(1)}
    octets = encode_object_list([ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"), *rights)])
    for right, count in ((b"\x02\x03\x0f\x02", attributes), (b"\x02\x02\x0f\x01", methods)):
        assert octets.count(b"\x01\x01" + right) == 1
        octets = octets.replace(b"\x01\x01" + right, b"\x01" + count + right)
    try:
        (found,) = decode_object_list(octets)
    except DecodeError:
        return
    assert found == ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"))  # the object, and no rights


def test_version_0_writes_booleans() -> None:
    items = [ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"), {2: AttributeAccess(1)}, {1: MethodAccess(1)})]
    octets = encode_object_list(items, 0)
    assert octets.endswith(bytes.fromhex("0202 0f01 0301"))
    assert list(decode_object_list(octets, 0)) == items


@pytest.mark.parametrize(("version", "bits"), [(0, False), (2, False), (3, True), (None, True)])
def test_version_decides_what_a_mode_is(version: int | None, bits: bool) -> None:
    items = [
        ObjectInfo(15, 3, CURRENT, {2: AttributeAccess(1)}, {}),
        ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"), {2: AttributeAccess(5)}, {1: MethodAccess(1)}),
    ]
    found = decode_object_list(encode_object_list(items), version)[1]
    assert found.attribute_access[2] == AttributeAccess(5, bits)
    assert found.readable(2) is bits
    assert found.writable(2) is not bits


ATTRIBUTE_WORDS = [
    (0, False, "no-access", False, False),
    (1, False, "read-only", True, False),
    (2, False, "write-only", False, True),
    (3, False, "read-and-write", True, True),
    (4, False, "authenticated-read-only", True, False),
    (5, False, "authenticated-write-only", False, True),
    (6, False, "authenticated-read-and-write", True, True),
    (9, False, "mode 9", True, True),
    (0, True, "no-access", False, False),
    (0x43, True, "read-access, write-access, encrypted-response", True, True),
    (0x15, True, "read-access, authenticated-request, digitally-signed-request", True, False),
]


@pytest.mark.parametrize(("mode", "bits", "text", "read", "write"), ATTRIBUTE_WORDS)
def test_words_of_attribute_modes(mode: int, bits: bool, text: str, read: bool, write: bool) -> None:
    access = AttributeAccess(mode, bits)
    assert (access.text, access.read, access.write) == (text, read, write)
    assert ", ".join(access.names) == text


@pytest.mark.parametrize(
    ("mode", "bits", "text", "invoke"),
    [
        (0, False, "no-access", False),
        (1, False, "access", True),
        (2, False, "authenticated-access", True),
        (7, False, "mode 7", True),
        (0x0D, True, "access, authenticated-request, encrypted-request", True),
        (0x04, True, "authenticated-request", False),
    ],
)
def test_words_of_method_modes(mode: int, bits: bool, text: str, invoke: bool) -> None:
    access = MethodAccess(mode, bits)
    assert (access.text, access.invoke, ", ".join(access.names)) == (text, invoke, text)


def test_what_the_list_does_not_mention_may_be_tried() -> None:
    info = ObjectInfo(3, 0, CURRENT)
    assert info.readable(2) and info.writable(2)


@given(st.lists(objects, max_size=5, unique_by=lambda item: item.obis))
def test_short_name_round_trip(items: list[ObjectInfo]) -> None:
    named = [
        ObjectInfo(item.class_id, item.version, item.obis, item.attribute_access, item.method_access, 0xF000 + 8 * n)
        for n, item in enumerate(items)
    ]
    bare = decode_object_list_sn(encode_object_list_sn(named))
    assert [item.short_name for item in bare] == [item.short_name for item in named]
    assert list(add_access_rights_sn(bare, encode_access_rights_sn(named))) == named
    assert not encode_object_list_sn(items)[2:]


def test_short_name_rights_as_bits() -> None:
    item = ObjectInfo(3, 0, CURRENT, {2: AttributeAccess(3)}, {}, 0xFA00)
    (found,) = add_access_rights_sn([item], encode_access_rights_sn([item]), association_version=4)
    assert found.attribute_access[2].text == "read-access, write-access"


def test_peer_reads_the_same_list() -> None:
    """dlms-cosem takes every mode as bits, so only what is common is compared."""
    parsers = pytest.importorskip("dlms_cosem.parsers")
    items = view(40)
    theirs = parsers.AssociationObjectListParser.parse_bytes(encode_object_list(items))
    assert len(theirs) == len(items)
    for ours, other in zip(items, theirs, strict=True):
        assert ours.class_id == other.interface
        assert ours.obis == other.logical_name.to_bytes()
        assert set(ours.attribute_access) == set(other.attribute_access_rights)
        assert set(ours.method_access) == set(other.method_access_rights)


def test_own_encoding_of_a_view_is_what_was_read() -> None:
    octets = encode_object_list(view(50))
    assert encode_object_list(decode_object_list(octets, 1)) == octets


ENTRY = "0204 120003 1100 0906 0100010800ff 0202 0100 0100"
ODD = {
    "null": "00",
    "no access rights": "0203 120003 1100 0906 0100020800ff",
    "null instead of rights": "0204 120003 1100 0906 0100020800ff 00",
    "rights of another shape": "0204 120003 1100 0906 0100020800ff 1101",
    "five octets of a name": "0204 120003 1100 0905 0100020800 0202 0100 0100",
    "an unknown class": "0204 12ffee 1100 0906 0100020800ff 0202 0100 0100",
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_odd_entries_do_not_cost_the_others(odd: str, place: int) -> None:
    entries = [ENTRY, ENTRY.replace("0108", "0109")]
    entries.insert(place, ODD[odd])
    found = decode_object_list(bytes.fromhex("0103" + "".join(entries)))
    names = [str(item.obis) for item in found]
    assert [name for name in names if ".2." not in name] == ["1.0.1.8.0.255", "1.0.1.9.0.255"]
    assert ("1.0.2.8.0.255" in names) == (odd not in ("null", "five octets of a name"))


@pytest.mark.parametrize("octets", ["0100", "00"])
def test_an_empty_list_is_a_list(octets: str) -> None:
    assert decode_object_list(bytes.fromhex(octets)) == () == decode_object_list_sn(bytes.fromhex(octets))


def test_short_names_with_an_odd_entry() -> None:
    good = "0204 10fd00 120003 1100 0906 0100010800ff"
    found = decode_object_list_sn(bytes.fromhex("0102" + "0204 10fd00 120003 1100 0905 0100010800" + good))
    assert [item.short_name for item in found] == [0xFD00]


def test_a_list_that_is_tagged_as_a_structure_is_one() -> None:
    octets = encode_object_list([ObjectInfo(3, 0, CURRENT)])
    assert decode_object_list(b"\x02" + octets[1:]) == decode_object_list(octets)


def test_what_no_question_can_name_is_left_out() -> None:
    """A class below 0; of rights with an attribute beyond an octet, the object stays."""
    octets = encode_object_list([ObjectInfo(3, 0, CURRENT), ObjectInfo(4, 0, CURRENT)])
    assert [row.class_id for row in decode_object_list(octets.replace(b"\x12\x00\x04", b"\x10\xff\xff"))] == [3]
    rights = "0202 0101 0203 {} 1601 00 0100"
    for index, numbers in (("0f02", [2]), ("11fe", [-2]), ("120002", [2]), ("12012c", []), ("10ff00", [])):
        entry = bytes.fromhex("0101 0204 120003 1100 0906 0100010800ff" + rights.format(index))
        assert [list(row.attribute_access) for row in decode_object_list(entry)] == [numbers], index
    short = encode_object_list_sn([ObjectInfo(3, 0, CURRENT, short_name=0x100)])
    with pytest.raises(DecodeError, match="there is no class -1"):
        decode_object_list_sn(short.replace(b"\x12\x00\x03", b"\x10\xff\xff"))
