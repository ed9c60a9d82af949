"""What begins at an offset of a stream of unknown kind: one function for each framing, tried in the order of the table.

HDLC and M-Bus prove themselves by check sequences. The wrapper and bare APDUs have none, so they must look right in
every octet that can be judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import TABLE, decode_prefix
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.framing import mbus
from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import FLAG, NO_FRAME, Damaged, Kind, read_frame
from dlms_mqtt.protocol.framing.hdlc.link import LLC
from dlms_mqtt.protocol.framing.stream.events import FrameInfo
from dlms_mqtt.protocol.framing.stream.place import Found, Place, Result, Wait
from dlms_mqtt.protocol.framing.stream.plausibility import TAGS, begins_apdu, plausible, plausible_head, pushed
from dlms_mqtt.protocol.framing.stream.text import TELEGRAM, recognise_telegram
from dlms_mqtt.protocol.framing.wrapper import HEADER_SIZE, VERSION, WrapperHeader

HDLC, MBUS, WRAPPER, RAW = "hdlc", "mbus", "wrapper", "raw-apdu"
APDU, CONTAINER = "apdu", "container"  # types of what comes without framing
LLC_HEADERS = tuple(LLC.values())
_GENERAL_CIPHERING = (0xDB, 0xDC)  # the containers of customer ports: tag, 08, system title, length, ...
_TITLE_LENGTH = 8
_MAX_RAW = 0x10000
_BEGINNINGS = (FLAG, bytes((mbus.START,)), b"\x00", b"/", b"\xe6")  # of frames, telegrams and LLC octets
_MBUS_HEAD = re.compile(rb"\x68(.)\1\x68[%b]" % mbus.CONTROLS, re.DOTALL)
_CHECKED_BEGINNINGS = re.compile(rb"\x7e[\xa0-\xaf]|\x68(.)\1\x68[%b]" % mbus.CONTROLS, re.DOTALL)

_DAMAGE = {
    "header": "the header check sequence is wrong",
    "check": "the frame check sequence is wrong",
    "cut": "the frame ends too early",
}


def recognise_hdlc(place: Place) -> Result:
    """A frame between flags."""
    buffer, at = place.buffer, place.at
    if buffer[at] != 0x7E:
        return None
    frame = read_frame(buffer, at, place.final)
    if frame is NO_FRAME:
        return None
    if frame is None:
        return _wait_for_hdlc(buffer, at)
    if isinstance(frame, Damaged):
        # Only the flag is taken: what looks like contents may hold the next valid frame.
        raw = buffer[at : at + 1] + frame.raw
        proved = frame.reason != "header"
        return Found(FrameInfo(HDLC, "", valid=False, reason=_DAMAGE[frame.reason], raw=raw, proved=proved), at + 1)
    end = at + 1 + frame.length
    info = FrameInfo(
        HDLC,
        frame.kind.name,
        str(decode_address(frame.source)),
        str(decode_address(frame.destination)),
        frame.segmented,
        raw=buffer[at : end + 1],
    )
    # The closing flag is left: it may be the opening flag of the next frame.
    return Found(info, end, frame.information or None if frame.kind in (Kind.I, Kind.UI) else None)


def _wait_for_hdlc(buffer: bytes, at: int) -> Wait:
    # Twelve octets hold every header; read_frame has checked it if it is there.
    return Wait.CERTAIN if len(buffer) - at > 13 else Wait.POSSIBLE


def recognise_mbus(place: Place) -> Result:
    """A long frame of the wired M-Bus."""
    buffer, at = place.buffer, place.at
    if buffer[at] != mbus.START:
        return None
    frame = mbus.read_frame(buffer, at, place.final)
    if frame is True:
        return Wait.POSSIBLE
    if frame is False:
        return _damaged_mbus(buffer, at)
    info = FrameInfo(
        MBUS,
        "long",
        str(frame.source),
        str(frame.destination),
        not (frame.final and frame.segment == 0),
        raw=buffer[at : at + frame.size],
    )
    return Found(info, at + frame.size, frame.data, frame.segment, frame.final)


def _damaged_mbus(buffer: bytes, at: int) -> Found | None:
    head = buffer[at : at + mbus.MIN_LENGTH]
    if len(head) < mbus.MIN_LENGTH or not mbus.is_head(head):
        return None
    raw = buffer[at : at + mbus.least_length(head) + mbus.OVERHEAD]
    return Found(FrameInfo(MBUS, "long", valid=False, reason="the checksum is wrong", raw=raw), at + 1)


def recognise_wrapper(place: Place) -> Result:
    """A wrapper frame: version 1, small port numbers (any at the start of a message), a known APDU tag."""
    head = place.buffer[place.at : place.at + HEADER_SIZE + 1]
    if not _may_be_wrapper(head, any_port=place.trusts(WRAPPER)):
        return None
    if len(head) <= HEADER_SIZE:
        return None if place.final else Wait.POSSIBLE
    header = WrapperHeader.decode(head)
    end = place.at + HEADER_SIZE + header.length
    if end > len(place.buffer):
        return None if place.final else Wait.CERTAIN
    content = place.buffer[place.at + HEADER_SIZE : end]
    if max(header.source, header.destination) > 0xFF and not begins_apdu(content, whole=True):
        return None
    info = FrameInfo(WRAPPER, "wrapper", str(header.source), str(header.destination), raw=place.buffer[place.at : end])
    return Found(info, end, content)


def _may_be_wrapper(head: bytes, any_port: bool) -> bool:
    if not VERSION.to_bytes(2, "big").startswith(head[:2]):
        return False
    high_octets = head[2:3] + head[4:5]
    tag = head[HEADER_SIZE:]
    length = int.from_bytes(head[6:HEADER_SIZE], "big") if len(head) >= HEADER_SIZE else 1
    return (any_port or not any(high_octets)) and length > 0 and (not tag or tag[0] in TAGS)


def recognise_raw(place: Place) -> Result:
    """A bare APDU: a ciphered container anywhere, anything else only where a message may begin."""
    buffer, start = place.buffer, place.at
    if place.seen <= {APDU, CONTAINER} and _is_container(buffer, start):
        end = _end_of_apdu(place, start)
        return None if end is None or _frame_begins(buffer, start, end) else _raw(place, start, end, CONTAINER)
    if not place.trusts(APDU):
        return None
    start += _llc_length(buffer, start)
    if not _may_be_apdu(buffer, start):
        return None
    end = _end_of_apdu(place, start)
    if end is None:
        return None if place.final else Wait.POSSIBLE
    if place.final:
        if not end and not place.ended and not _may_be_push(buffer[start:]):
            return None
        # Where it has no usable length (some bodies are no A-XDR) it is everything up to what proves to be a frame.
        end = next_checked(buffer, start + 1, end or len(buffer))
    elif _frame_begins(buffer, start, end) or not _goes_on(buffer, end):
        return Wait.POSSIBLE
    return _raw(place, start, end, APDU)


def _raw(place: Place, start: int, end: int, kind: str) -> Result:
    if end:
        info = FrameInfo(RAW, kind, raw=place.buffer[place.at : end])
        return Found(info, end, place.buffer[start:end])
    return None if place.final or len(place.buffer) - start > _MAX_RAW else Wait.POSSIBLE


def _llc_length(buffer: bytes, start: int) -> int:
    """Octets of an LLC header (or of its beginning, at the end of the buffer)."""
    head = buffer[start : start + 3]
    return len(head) if head and any(header.startswith(head) for header in LLC_HEADERS) else 0


def _is_container(buffer: bytes, start: int) -> bool:
    head = buffer[start : start + 2]
    return head[:1] != b"" and head[0] in _GENERAL_CIPHERING and head[1:] in (b"", bytes((_TITLE_LENGTH,)))


def _may_be_apdu(buffer: bytes, start: int) -> bool:
    head = buffer[start : start + 2]
    return not head or any(known.startswith(head[: len(known)]) for known in TABLE)


def _end_of_apdu(place: Place, start: int) -> int | None:
    """Where the APDU ends by its own lengths; 0: it is not whole, or is not as the standard has it; None: it is none.

    The first of a stream must be of a kind that meters push. If no frame is in all that there is, it may be any.
    """
    buffer = place.buffer
    try:
        message, end = decode_prefix(buffer, start)
    except DecodeError:
        return 0
    sound = plausible(message)
    if sound and (place.seen or pushed(message)):
        return end
    alone = place.ended and place.at == 0 and next_checked(buffer, end) == len(buffer)
    return end if alone and (sound or end == len(buffer)) else None


def _may_be_push(data: bytes) -> bool:
    return data[:1] == DataNotification.HEAD and plausible_head(data)


def _goes_on(buffer: bytes, end: int) -> bool:
    """Whether nothing follows, or something that can be the beginning of a message."""
    return not end or end == len(buffer) or buffer[end] in TAGS or buffer[end : end + 1] in _BEGINNINGS


def next_checked(buffer: bytes, start: int, end: int | None = None) -> int:
    """Where the next frame begins that is whole and proves itself; ``end``, or that of the buffer, without one."""
    end = len(buffer) if end is None else end
    for beginning in _CHECKED_BEGINNINGS.finditer(buffer, start, end):
        place = Place(buffer, beginning.start(), fresh=False, final=True)
        results = (recognise_hdlc(place), recognise_mbus(place))
        if any(isinstance(result, Found) and result.frame.valid for result in results):
            return place.at
    return end


def _frame_begins(buffer: bytes, start: int, end: int) -> bool:
    """Whether the header of a frame stands between these offsets: then they are no APDU."""
    if _MBUS_HEAD.search(buffer, start, end):
        return True
    for beginning in re.finditer(FLAG, buffer[start:end]):
        result = recognise_hdlc(Place(buffer, start + beginning.start(), fresh=False, final=False))
        if result is Wait.CERTAIN or (isinstance(result, Found) and result.frame.valid):
            return True
    return False


RECOGNISERS: dict[str, Callable[[Place], Result]] = {
    HDLC: recognise_hdlc,
    MBUS: recognise_mbus,
    WRAPPER: recognise_wrapper,
    TELEGRAM: recognise_telegram,
    RAW: recognise_raw,
}
