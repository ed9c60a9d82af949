"""Does every octet get through? Asked when a link stands but longer messages get no answer.

SNRM carries numbers of our choice, and meters answer it whatever they are: an octet that is lost on the way makes the
frame invalid, so silence names the octet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dlms_mqtt.client.line.opening import open_line as open_and_sign_on
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.meter.finder.line import Line
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import encode_parameters
from dlms_mqtt.protocol.framing.link import LinkParameters
from dlms_mqtt.protocol.framing.registry import link_class
from dlms_mqtt.transport.base import Transport

#: A largest information field whose number holds the octet -> what is wrong when that SNRM gets no answer.
_TESTS: tuple[tuple[int, str], ...] = (
    (0xFF, "swallows-ff"),
    (0x010A, "expands-lf"),
    (0x0111, "swallows-xon"),
    (0x0113, "swallows-xon"),
)
_HARMLESS = 0x40
_WAIT = 1.2
_TRIES = 2


async def check_path(
    open_line: Callable[[ConnectionSettings], Transport], settings: ConnectionSettings, link: dict[str, Any]
) -> set[str]:
    """The faults of the path, by name; empty where all octets pass or nothing can be told."""
    known = replace(settings, **link)
    if not link_class(known.link_framing).has_connection:
        return set()
    transport = open_line(known)
    try:
        await open_and_sign_on(transport, known)
        return await _check(Line(transport), known)
    except DlmsMqttError:
        return set()
    finally:
        await transport.close()


async def _check(line: Line, settings: ConnectionSettings) -> set[str]:
    if not await _passes(line, settings, _HARMLESS):
        return set()
    faults = set()
    for number, fault in _TESTS:
        if not await _passes(line, settings, number):
            faults.add(fault)
    await line.ask(_frame(Kind.DISC, settings, b""), _WAIT)
    return faults


async def _passes(line: Line, settings: ConnectionSettings, number: int) -> bool:
    information = encode_parameters(LinkParameters(number, number))
    for _ in range(_TRIES):
        seen = await line.ask(_frame(Kind.SNRM, settings, information), _WAIT)
        if seen.evidence is Evidence.UA:
            return True
    return False


def _frame(kind: Kind, settings: ConnectionSettings, information: bytes) -> bytes:
    server = encode_address(settings.server, settings.physical, settings.address_size)
    return encode_frame(kind | POLL, server, encode_address(settings.client), information)
