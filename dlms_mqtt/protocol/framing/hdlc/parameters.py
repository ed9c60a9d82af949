"""The parameters that SNRM offers and UA answers: octets per information field and frames per window.

    81 80 12    05 01 80    06 01 80    07 04 00 00 00 01    08 04 00 00 00 01
    format,     128 sent    128         window of 1          window of 1
    group,      in a frame  received    sent                 received
    length

Sent and received are the sender's own words: what one side sends the other receives, so the two are crossed.

Source: IEC 62056-46:2002, clause 6.4.4.4.3.2 (negotiation of parameters); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlms_mqtt.protocol.framing.link import LinkParameters

#: What holds for whatever is not said: 128 octets and one frame, which every meter can do.
DEFAULTS = LinkParameters()
_FORMAT = 0x81
_GROUP = 0x80
_FIELDS = {
    5: "max_info_transmit",
    6: "max_info_receive",
    7: "window_transmit",
    8: "window_receive",
}
_WINDOW_FIELDS = (7, 8)


def encode_parameters(parameters: LinkParameters) -> bytes:
    """The information field of SNRM or UA, seen from the sender: windows in four octets, lengths in one or two."""
    body = b"".join(_encode_field(number, getattr(parameters, name)) for number, name in _FIELDS.items())
    return bytes((_FORMAT, _GROUP, len(body))) + body


def _encode_field(number: int, value: int) -> bytes:
    size = 4 if number in _WINDOW_FIELDS else 1 if value < 0x100 else 2
    return bytes((number, size)) + value.to_bytes(size, "big")


def decode_parameters(information: bytes) -> LinkParameters:
    """The parameters as their sender sees them. Tolerant: values of any length, missing, unknown or cut ones."""
    # Meters send windows in one octet, UAs without anything or with a field of their own. A value of 0 is no value.
    if information[:2] != bytes((_FORMAT, _GROUP)):
        return DEFAULTS
    found = {_FIELDS[number]: value for number, value in _fields(information[3:]) if number in _FIELDS and value}
    return LinkParameters(**found)


def _fields(body: bytes) -> Iterator[tuple[int, int]]:
    while len(body) >= 2:
        end = 2 + body[1]
        yield body[0], int.from_bytes(body[2:end], "big")
        body = body[end:]


def negotiate(own: LinkParameters, peer: LinkParameters) -> LinkParameters:
    """What both can do, seen from our side: each direction as the weaker end allows."""
    # Never more than 7 frames: of eight numbers one must be free, or a whole window lost looks like a whole window new.
    return LinkParameters(
        min(own.max_info_transmit, peer.max_info_receive),
        min(own.max_info_receive, peer.max_info_transmit),
        min(own.window_transmit, peer.window_receive, 7),
        min(own.window_receive, peer.window_transmit, 7),
    )
