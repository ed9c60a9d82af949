"""Any DLMS value, for property tests."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from dlms_mqtt.protocol.axdr.data import NUMBERS, CompactArray, Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time

T = DataType


def _number(kind):
    code = NUMBERS[kind]
    if kind in (T.FLOAT32, T.FLOAT64):
        return st.floats(width=32 if kind == T.FLOAT32 else 64, allow_nan=False, allow_infinity=False)
    bits = 8 * struct.calcsize(">" + code)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if code.islower() else st.integers(0, 2**bits - 1)


def _octets(size):
    return st.binary(min_size=size, max_size=size)


ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
LEAVES = {
    **{kind: _number(kind) for kind in NUMBERS},
    T.NULL_DATA: st.none(),
    T.DONT_CARE: st.none(),
    T.BOOLEAN: st.booleans(),
    T.BIT_STRING: st.text("01", max_size=200),
    T.OCTET_STRING: st.binary(max_size=300),
    T.VISIBLE_STRING: ASCII,
    T.UTF8_STRING: st.text(max_size=100),
    T.BCD: _octets(1),
    T.DATE_TIME: _octets(12).map(DateTime),
    T.DATE: _octets(5).map(Date),
    T.TIME: _octets(4).map(Time),
}
LEAF = st.one_of([st.builds(Data, st.just(kind), values) for kind, values in LEAVES.items()])


def _container(children):
    return st.builds(
        Data, st.sampled_from([T.ARRAY, T.STRUCTURE]), st.lists(children, max_size=5).map(tuple)
    )  # fmt: skip


@st.composite
def compact_arrays(draw):
    """Elements alike, as a compact-array wants them."""
    kinds = draw(st.lists(st.sampled_from(sorted(set(LEAVES) - {T.NULL_DATA, T.DONT_CARE})), min_size=1, max_size=4))
    element = st.tuples(*(st.builds(Data, st.just(kind), LEAVES[kind]) for kind in kinds))
    if len(kinds) == 1:
        element = element.map(lambda items: items[0])
    else:
        element = element.map(lambda items: Data(T.STRUCTURE, items))
    return Data(T.COMPACT_ARRAY, CompactArray(draw(st.lists(element, max_size=5))))


VALUES = st.one_of(LEAF, compact_arrays(), st.recursive(LEAF, _container, max_leaves=20))
