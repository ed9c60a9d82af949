"""How every APDU is driven (whole, again from its fields, cut at each octet, with octets behind), and told as data."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu, decode_prefix, split_apdus
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, FrameParser
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.layout import Apdu

# Messages whose end peers leave out, and the lengths that are no error: the presence flag of an action-response, the
# counter of an exception-response.
SHORT_FORMS = {b"\xc7\x01": range(4, 5), b"\xd8\x01": range(3, 7)}


def drive(data: bytes) -> Apdu:
    """Decode and check all forms."""
    message = decode_apdu(data)
    assert message.encode() == data
    assert type(message).decode(data) == message
    assert decode_prefix(data) == (message, len(data))
    for length in set(range(len(data))) - set(SHORT_FORMS.get(data[:2], ())):
        with pytest.raises(DecodeError):
            decode_prefix(data[:length])
    assert decode_prefix(b"\xaa" + data + b"\xff\xff", 1)[1] == len(data) + 1
    parts = split_apdus(data + data)
    assert [part.octets for part in parts] == [data, data]
    assert [part.decoded() for part in parts] == [message, message]
    return message


def frames(hex_text: str) -> list[Frame]:
    """The valid HDLC frames in a piece of line traffic."""
    parser = FrameParser(Statistics())
    parser.feed(bytes.fromhex(hex_text))
    parser.finish()
    found = []
    while (frame := parser.next()) is not None:
        if isinstance(frame, Frame):
            found.append(frame)
    return found


def classic(obis: bytes) -> str:
    return "{}-{}:{}.{}.{}.{}".format(*obis)


def value_shape(value: Any) -> dict[str, Any]:
    """A value or the error in its place, as the published entries tell it."""
    return {"data": value.tree()} if isinstance(value, Data) else {"error": value.text}


def _attribute(descriptor: Any, access: Any = None) -> dict[str, Any]:
    target = {"class": descriptor.class_id, "obis": classic(descriptor.obis), "attribute": descriptor.attribute}
    return target | ({"selector": access[0], "selection": access[1].tree()} if access else {})


def _method(descriptor: Any) -> dict[str, Any]:
    return {"class": descriptor.class_id, "obis": classic(descriptor.obis), "method": descriptor.method}


def _invoke(value: int) -> dict[str, Any]:
    flags = {"confirmed": bool(value & 0x40), "high_priority": bool(value & 0x80)}
    return {"invoke_id": value & 0x0F, "raw": f"{value:02x}"} | flags


def _targets(message: Any, has: tuple[str, ...]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if "attribute" in has:
        facts["attribute"] = _attribute(message.attribute, message.access)
    if "items" in has:
        facts["attributes"] = [_attribute(*item) for item in message.items]
    if "method" in has:
        facts["method"] = _method(message.method)
    return facts


def _results(message: Any, has: tuple[str, ...]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if "result" in has:
        facts["result"] = message.result.text
    if "results" in has:
        facts["results"] = [value_shape(value) if message.NAME[0] == "g" else value.text for value in message.results]
    if getattr(message, "error", None) is not None:
        facts["return_error" if "result" in has else "error"] = message.error.text
    return facts


def describe(message: Any) -> dict[str, Any]:
    """A GET, SET or ACTION message in the words of the published entries."""
    has = message.__match_args__
    facts = {"service": message.NAME, "invoke": _invoke(message.invoke)}
    facts |= _targets(message, has) | _results(message, has)
    if "values" in has:
        facts["values"] = [value.tree() for value in message.values]
    if "block_number" in has:
        facts["block_number"] = message.block_number
    if "last" in has:
        facts |= {"last_block": message.last, "raw_data": message.data.hex()}
    elif "data" in has and message.data:
        facts["data"] = message.value.tree()
    return facts
