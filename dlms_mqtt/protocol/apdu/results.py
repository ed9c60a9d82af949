"""The codes by which a meter says how a service went; numbers that the standard does not know stay plain numbers.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import DATA, U8, Code, Codec, choice, code_text, sequence


class DataAccessResult(Code):
    """Data-Access-Result: the answer to GET, SET, Read and Write."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_GET_ABORTED = 15
    NO_LONG_GET_IN_PROGRESS = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET_IN_PROGRESS = 18
    DATA_BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


class ActionResult(Code):
    """Action-Result: the answer to ACTION."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_ACTION_ABORTED = 15
    NO_LONG_ACTION_IN_PROGRESS = 16
    OTHER_REASON = 250


def code_codec(kind: type[Code]) -> Codec:
    """One octet that holds a code of this kind."""
    return Codec(lambda reader: kind.of(reader.u8("result")), U8.encode)


ACCESS_RESULT = code_codec(DataAccessResult)
ACTION_RESULT = code_codec(ActionResult)

# Get-Data-Result: CHOICE data [0], data-access-result [1].
GetDataResult = Data | DataAccessResult | int
GET_DATA_RESULT = choice({0: DATA, 1: ACCESS_RESULT}, lambda value: not isinstance(value, Data), "get-data-result")
RESULTS = sequence(GET_DATA_RESULT)
ACCESS_RESULTS = sequence(ACCESS_RESULT)


def decode_results(data: bytes) -> tuple[GetDataResult, ...]:
    """The answers of a GET with list whose blocks were joined; DecodeError."""
    return decode_results_with_rest(data)[0]


def decode_results_with_rest(data: bytes) -> tuple[tuple[GetDataResult, ...], bytes]:
    """The same, and what is left over behind them; DecodeError."""
    reader = Reader(data)
    results: tuple[GetDataResult, ...] = RESULTS.read(reader)
    return results, reader.rest()


def encode_results(results: tuple[GetDataResult, ...]) -> bytes:
    """The answers of a GET with list, ready to be cut into blocks."""
    return RESULTS.encode(results)


__all__ = [
    "ACCESS_RESULT",
    "ACCESS_RESULTS",
    "ACTION_RESULT",
    "GET_DATA_RESULT",
    "RESULTS",
    "ActionResult",
    "DataAccessResult",
    "GetDataResult",
    "code_text",
    "decode_results",
    "decode_results_with_rest",
    "encode_results",
]
