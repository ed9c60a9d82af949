"""What a capture file of `dlms-mqtt dump` holds: questions with answers, every value that was read, the sign-on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.errors import ConfigError, DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    DataBlockResult,
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
)
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.framing.sign_on import Identification, find_identification

FORMAT = "dlms-mqtt-capture-1"
Key = AttributeDescriptor | int
Value = Data | DataAccessResult | int

#: What stands before the joined blocks of an answer, by the question: they are then a whole answer.
_WHOLE: dict[type, bytes] = {
    GetRequestNormal: bytes.fromhex("c401c100"),
    GetRequestWithList: bytes.fromhex("c403c1"),
    ReadRequest: b"\x0c",
}


class Capture:
    """What a capture file says. ``exchanges``: question and answers; ``begin``: where the association does."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.connection: Mapping[str, Any] = document.get("connection") or {}
        self.facts: Mapping[str, Any] = document.get("facts") or {}
        try:
            self.exchanges = [tuple(map(bytes.fromhex, row)) for row in document["exchanges"]]
        except (KeyError, TypeError, ValueError):
            raise ConfigError("the capture has no readable exchanges") from None
        begin = document.get("begin", 0)
        self.begin = begin if isinstance(begin, int) and 0 <= begin <= len(self.exchanges) else 0
        self.values = dict(_values(self.exchanges))
        self.identification = _identification(document.get("frames") or ())

    @property
    def signs_on(self) -> bool:
        """Did the session begin with a sign-on?"""
        opening = self.connection.get("opening", "direct")
        return opening == "sign-on" or (opening == "auto" and self.identification is not None)

    @classmethod
    def load(cls, path: Path) -> Capture:
        """Read a capture file; ConfigError."""
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"the capture {path} cannot be read: {getattr(error, 'strerror', None) or 'it is none'}", file=str(path)
            ) from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ConfigError(f"{path} is no capture of `dlms-mqtt dump`", file=str(path))
        return cls(document)


def _identification(frames: Iterable[Sequence[Any]]) -> Identification | None:
    """What the meter said in its sign-on."""
    try:
        found = find_identification(b"".join(bytes.fromhex(octets) for _, way, octets in frames if way == "<"))
    except (TypeError, ValueError):
        raise ConfigError("the capture has no readable frames") from None
    return found[0] if found else None


def _values(exchanges: Iterable[Sequence[bytes]]) -> Iterator[tuple[Key, Value]]:
    """Every attribute (short names: variable) that was read, with its value or the refusal; blocks are joined."""
    first: Any = None
    body = b""
    for question, *answers in exchanges:
        try:
            request, response = decode_apdu(question), decode_apdu(answers[0])
            block = _block(response)
            if block is None:
                yield from _pairs(request, response)
                continue
            if block.block_number <= 1:
                first, body = request, b""
            body += block.data
            if block.last and type(first) in _WHOLE:
                yield from _pairs(first, decode_apdu(_WHOLE[type(first)] + body))
        except (DecodeError, IndexError):
            continue


def _block(response: Any) -> GetResponseBlock | DataBlockResult | None:
    if isinstance(response, GetResponseBlock):
        return response
    single = isinstance(response, ReadResponse) and len(response.results) == 1
    return response.results[0] if single and isinstance(response.results[0], DataBlockResult) else None


def _pairs(request: Any, response: Any) -> Iterator[tuple[Key, Value]]:
    if isinstance(request, GetRequestNormal) and isinstance(response, GetResponseNormal):
        yield request.attribute, response.value if response.error is None else response.error
    elif isinstance(request, GetRequestWithList) and isinstance(response, GetResponseWithList):
        yield from zip((item[0] for item in request.items), response.results, strict=False)
    elif isinstance(request, ReadRequest) and isinstance(response, ReadResponse):
        for variable, result in zip(request.variables, response.results, strict=False):
            if isinstance(variable, VariableName | ParameterisedAccess) and isinstance(result, Data | int):
                yield variable.name, result
