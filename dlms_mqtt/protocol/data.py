"""The door to A-XDR values. Behind it: values, decoding, encoding, rows (profile buffers), text (what people write)."""

from __future__ import annotations

from dlms_mqtt.protocol.decoding import MAX_DEPTH, decode, decode_whole
from dlms_mqtt.protocol.encoding import encode
from dlms_mqtt.protocol.rows import Rows, decode_rows, fill_nulls
from dlms_mqtt.protocol.text import from_tree, parse_value, to_data
from dlms_mqtt.protocol.values import CONTAINERS, NUMBERS, CompactArray, Data, DataType

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
