"""The door to A-XDR values. Behind it: values, decoding, encoding, rows (profile buffers), text (what people write)."""

from __future__ import annotations

from dlms_mqtt.protocol.axdr.decoding import MAX_DEPTH, decode, decode_whole
from dlms_mqtt.protocol.axdr.encoding import encode
from dlms_mqtt.protocol.axdr.profile_buffer import Rows, decode_rows, fill_nulls
from dlms_mqtt.protocol.axdr.text import from_tree, parse_value, to_data
from dlms_mqtt.protocol.axdr.values import CONTAINERS, NUMBERS, CompactArray, Data, DataType

__all__ = [
    "CONTAINERS",
    "MAX_DEPTH",
    "NUMBERS",
    "CompactArray",
    "Data",
    "DataType",
    "Rows",
    "decode",
    "decode_rows",
    "decode_whole",
    "encode",
    "fill_nulls",
    "from_tree",
    "parse_value",
    "to_data",
]
