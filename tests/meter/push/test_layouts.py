"""Layouts of notifications where no capture shows the edge: what is no code, what is no unit, what is cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.meter.push.layouts import PushValue, plain_tree, push_values
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis

ENERGY = Obis((1, 0, 1, 8, 0, 255))
POWER = Obis((1, 0, 1, 7, 0, 255))


def code(obis: bytes) -> Data:
    return Data(DataType.OCTET_STRING, bytes(obis))


def u32(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


def structure(*items: Data) -> Data:
    return Data(DataType.STRUCTURE, items)


UNIT = structure(Data(DataType.INTEGER, -3), Data(DataType.ENUM, 30))


def notification(body: bytes) -> DataNotification:
    return DataNotification(0, None, body)


def values(*items: Data) -> list[PushValue]:
    return push_values(notification(encode(structure(*items))))


def test_flat_with_and_without_units() -> None:
    first, second, rest = values(code(ENERGY), u32(5), UNIT, code(POWER), u32(7), u32(9))
    assert (first.obis, first.data.value, first.scaler_unit) == (ENERGY, 5, ScalerUnit(-3, 30))
    assert (second.obis, second.data.value, second.scaler_unit) == (POWER, 7, None)
    assert (rest.obis, rest.place, rest.data.value) == (None, 5, 9)


def test_a_code_without_a_value_is_a_value() -> None:
    found = values(code(ENERGY), code(POWER), u32(1))
    assert [(value.obis, value.place) for value in found] == [(None, 0), (POWER, None)]
    assert [(value.obis, value.place) for value in values(u32(1), code(ENERGY))] == [(None, 0), (None, 1)]


def test_pairs_among_flat_values() -> None:
    found = values(u32(1), structure(code(ENERGY), u32(2), UNIT), code(POWER), u32(3))
    assert [(value.obis, value.data.value) for value in found] == [(None, 1), (ENERGY, 2), (POWER, 3)]
    assert found[1].scaler_unit == ScalerUnit(-3, 30)


def test_pairs_alone() -> None:
    found = values(structure(code(ENERGY), u32(2)), structure(code(POWER), u32(3), UNIT))
    assert [(value.obis, value.scaler_unit) for value in found] == [(ENERGY, None), (POWER, ScalerUnit(-3, 30))]


def definition(class_id: int, obis: bytes, attribute: int) -> Data:
    return structure(
        Data(DataType.LONG_UNSIGNED, class_id),
        code(obis),
        Data(DataType.INTEGER, attribute),
        Data(DataType.LONG_UNSIGNED, 0),
    )


def test_described_by_its_first_element() -> None:
    head = Data(DataType.ARRAY, (definition(40, Obis((0, 0, 25, 9, 0, 255)), 2), definition(3, ENERGY, 2)))
    _, energy = values(head, u32(8))
    assert (energy.class_id, energy.obis, energy.attribute, energy.data.value) == (3, ENERGY, 2, 8)
    # A list of another length describes something else.
    assert [value.place for value in values(head, u32(8), u32(9))] == [0, 1, 2]


@pytest.mark.parametrize("count", [2, 3, 8, 17])
def test_a_list_of_no_known_length(count: int) -> None:
    name = Data(DataType.OCTET_STRING, b"KFM_001")
    found = values(name, *[u32(1)] * (count - 1))
    assert [value.place for value in found] == list(range(count))


def test_single_values_have_no_layout() -> None:
    assert push_values(notification(encode(u32(1)))) == []
    assert values() == []


def test_cut_off() -> None:
    whole = encode(structure(code(ENERGY), u32(5)))
    for length in range(len(whole)):
        with pytest.raises(DecodeError):
            push_values(notification(whole[:length]))
        assert plain_tree(notification(whole[:length])) is None


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    try:
        push_values(notification(data))
    except DecodeError:
        assert plain_tree(notification(data)) is None


def untagged(*rows: bytes) -> bytes:
    return b"\x02\x02\x16\x07\x01%c" % len(rows) + b"".join(rows)


ROW = b"\x02\x02\x00\x03" + bytes(ENERGY) + b"\x02" + encode(u32(5))


def test_descriptors_without_tags() -> None:
    """A structure of two: the descriptor's nine octets as they are, and the value."""
    (energy,) = push_values(notification(untagged(ROW)))
    assert (energy.class_id, energy.obis, energy.attribute, energy.data.value) == (3, ENERGY, 2, 5)
    assert plain_tree(notification(untagged(ROW))) is None


@pytest.mark.parametrize("body", [untagged(ROW, b"\x02\x03" + ROW[2:]), untagged(ROW)[:-1], untagged(ROW) + b"\x00"])
def test_what_is_not_exactly_that_is_read_as_anything_else(body: bytes) -> None:
    assert [value.obis for value in push_values(notification(body))] == [None, None]


def test_a_head_that_describes_nothing() -> None:
    odd = Data(DataType.ARRAY, (definition(40, Obis((0, 0, 25, 9, 0, 255)), 2), u32(1)))
    assert [value.place for value in values(odd, u32(8))] == [0, 1]


def test_a_structure_of_two_that_is_no_scaler_and_unit() -> None:
    found = values(code(ENERGY), u32(5), structure(u32(1), u32(2)), structure(u32(1), u32(2), u32(3)))
    assert [value.scaler_unit for value in found] == [None, None, None]
