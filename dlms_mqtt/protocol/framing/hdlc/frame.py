"""HDLC frames of format type 3 (IEC 62056-46): one frame as bytes, and finding frames in whatever the line gave.

A frame is found by its length field and believed by its check sequences. A 7E inside it means nothing, and nothing is
unstuffed: the length field makes that unnecessary.

    flag  format  destination  source   control  HCS     information  FCS    flag
    7E    A0 0D   03           21       52       24 0A   E6 E6 00 C0  EB 11  7E     I frame, client 16 to server 1
    7E    A0 07   03           21       93               (none)       0F 01  7E     SNRM: one check sequence only

The format field is the type (1010), the segmentation bit and eleven bits of length: everything between the flags. The
header check sequence (HCS) ends the header; the frame check sequence (FCS) covers header, HCS and information, and is
left out where there is no information. The control field says what the frame does:

    I     N(R) N(R) N(R)  P/F  N(S) N(S) N(S)  0      numbered information; N(R) is the N(S) that is expected next
    S     N(R) N(R) N(R)  P/F  x    x     0    1      RR, RNR, REJ: supervisory, the acknowledgement alone
    U     m    m    m     P/F  m    m     1    1      SNRM, DISC, UA, DM, FRMR, UI: unnumbered

Source: frame format type 3 of ISO/IEC 13239; IEC 62056-46:2002, clause 6.4; Green Book ed. 8, clause 8.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from enum import IntEnum
from typing import NamedTuple

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.framing.hdlc.fcs import RESIDUE, REVERSED, START, turned
from dlms_mqtt.protocol.framing.statistics import Statistics

FLAG = b"\x7e"
_FLAGS = re.compile(b"\x7e+")  # flags between frames may be repeated
_BEGINNINGS = re.compile(b"\x7e(?=[\xa0-\xaf])")
_SEGMENTED = 0x08
_EIGHT_BITS = 0x100
MAX_LENGTH = 0x7FF  # eleven bits: everything between the flags
MIN_LENGTH = 7  # format, two addresses of one octet, control, one check sequence
MAX_INFO = 2030  # what fits with four-octet addresses


class Kind(IntEnum):
    """What a control field says; U frames by their value without the poll bit."""

    I = 0x00  # noqa: E741 - the standard's name
    RR = 0x01
    RNR = 0x05
    REJ = 0x09
    SREJ = 0x0D
    UI = 0x03
    DM = 0x0F
    DISC = 0x43
    UA = 0x63
    SNRM = 0x83
    FRMR = 0x87
    UNKNOWN = 0xFF


POLL = 0x10


def _kind(control: int) -> Kind:
    # The lowest bits tell the three formats apart; what is left without numbers and P/F bit names the frame.
    if not control & 1:
        return Kind.I
    value = control & (0x0F if control & 3 == 1 else 0xEF)
    return Kind(value) if value in Kind.__members__.values() else Kind.UNKNOWN


KINDS = tuple(_kind(control) for control in range(256))


class Frame(NamedTuple):
    """A valid frame; addresses as sent."""

    control: int
    destination: bytes
    source: bytes
    information: bytes
    segmented: bool

    @property
    def kind(self) -> Kind:
        """I, RR, UA, ..."""
        return KINDS[self.control]

    @property
    def poll(self) -> bool:
        """The poll/final bit."""
        return bool(self.control & POLL)

    @property
    def receive_number(self) -> int:
        """N(R) of an I or S frame."""
        return self.control >> 5

    @property
    def length(self) -> int:
        """Octets between the flags."""
        return 5 + len(self.destination) + len(self.source) + (len(self.information) + 2 if self.information else 0)

    def encode(self) -> bytes:
        """The frame with both flags."""
        return encode_frame(*self)


class Damaged(NamedTuple):
    """A frame that must not be believed: ``reason`` is header, check or cut.

    It is told, not skipped: checks that fail mean a bad line, which shorter frames help; silence means something else.
    """

    reason: str
    raw: bytes


def encode_frame(
    control: int, destination: bytes, source: bytes, information: bytes = b"", segmented: bool = False
) -> bytes:
    """One frame with both flags. LocalProtocolError when it is too long for the length field."""
    length = 5 + len(destination) + len(source) + (len(information) + 2 if information else 0)
    if length > MAX_LENGTH:
        raise LocalProtocolError(f"{len(information)} octets do not fit one HDLC frame")
    head = b"%c%c%b%b%c" % (0xA0 | segmented << 3 | length >> 8, length & 0xFF, destination, source, control)
    register = crc_hqx(head.translate(REVERSED), START)
    if not information:
        return b"~%b%b~" % (head, turned(register))
    # The register after any right check sequence is the residue: the frame check goes on from there.
    frame_check = turned(crc_hqx(information.translate(REVERSED), RESIDUE))
    return b"~%b%b%b%b~" % (head, turned(register), information, frame_check)


class FrameParser:
    """Finds frames in a stream that is cut anywhere and has rubbish in it; what it skips is counted."""

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics
        self._buffer = b""
        self._position = 0
        self._final = False

    @property
    def pending(self) -> bytes:
        """What has come of a frame that is not yet whole (a lone flag is nothing)."""
        rest = self._buffer[self._position :]
        return b"" if rest == FLAG else rest

    @staticmethod
    def begins_in(data: bytes) -> bool:
        """May a frame begin among these octets?"""
        return FLAG in data

    def feed(self, data: bytes) -> None:
        """More bytes of the stream."""
        self._buffer = self._buffer[self._position :] + data
        self._position = 0
        self._final = False

    def finish(self) -> None:
        """No more will come: ``next`` gives what is whole and drops the rest."""
        self._final = True

    def next(self) -> Frame | Damaged | None:
        """The next frame or damaged frame; None: more bytes are needed."""
        if self._position + 1 == len(self._buffer) and self._buffer.endswith(FLAG) and not self._final:
            return None  # nearly always all that is left is the flag that has closed a frame
        while self._find_flag():
            result = read_frame(self._buffer, self._position, self._final)
            if result is None:
                return None
            if isinstance(result, Frame):
                # The closing flag may open the next frame.
                self._position += 1 + result.length
                return result
            # The length of a frame that is damaged is not to be believed either, so the search goes on right behind
            # its flag: a bit turned in the length costs this frame, not those that it seems to reach over.
            self.statistics.add_noise(FLAG)
            self._position += 1
            if result is not NO_FRAME:
                return result
        return None

    def _find_flag(self) -> bool:
        """Move to the next flag that begins something; what lies before it is rubbish."""
        found = _FLAGS.search(self._buffer, self._position)
        start = found.start() if found else len(self._buffer)
        if start > self._position:
            self.statistics.add_noise(self._buffer[self._position : start])
        self._position = found.end() - 1 if found else start
        return found is not None


def read_frame(buffer: bytes, flag: int, final: bool = False) -> Frame | Damaged | None:
    """The frame whose opening flag is at ``flag``; None: it is not yet whole; NO_FRAME: nothing begins there.

    ``final``: nothing more will come. A closing flag that was lost is forgiven, the check sequences suffice.
    """
    # From the sure to the unsure: type and addresses, then the header by its own check sequence, then the rest. A
    # header that is right is what makes its length worth waiting for.
    start = flag + 1
    try:
        form = buffer[start]
        if form & 0xF0 != 0xA0:
            return NO_FRAME
        length = (form & 7) << 8 | buffer[start + 1]
        source_at = _address_end(buffer, start + 2)
        control_at = _address_end(buffer, source_at) if source_at else 0
        control = buffer[control_at]
    except IndexError:
        return NO_FRAME if final else None
    header = control_at + 3 - start  # with its check sequence
    if not control_at or header > length:
        return NO_FRAME
    end = start + length
    if end >= len(buffer) and (result := _not_whole(buffer, start, length, header, final)) is not _WHOLE:
        return result
    mirrored = buffer[start:end].translate(REVERSED)
    if crc_hqx(mirrored[:header], START) != RESIDUE:
        return Damaged("header", buffer[start : start + header])
    # Behind a right HCS the register is the residue, so the FCS is counted on from there and no octet twice.
    wrong = length > header and crc_hqx(mirrored[header:], RESIDUE) != RESIDUE
    if wrong or (length == header and _is_cut_short(buffer, end)):
        longer = _longer_than_stated(buffer, start, header, final) if length < _EIGHT_BITS else 0
        if longer is None:
            return None
        if wrong and not longer:
            return Damaged("check", buffer[start:end])
        end = start + (longer or length)
        length = longer or length
    return Frame(
        control,
        buffer[start + 2 : source_at],
        buffer[source_at:control_at],
        buffer[control_at + 3 : end - 2] if length > header else b"",
        form & _SEGMENTED != 0,
    )


def _not_whole(buffer: bytes, start: int, length: int, header: int, final: bool) -> Damaged | None:
    """A frame whose end has not come: wait for it, unless its header is wrong or nothing more will come."""
    # Asked at once, because a wrong length may claim two kilooctets: whole frames would be waited away as its contents.
    head = buffer[start : start + header]
    if len(head) == header and crc_hqx(head.translate(REVERSED), START) != RESIDUE:
        return Damaged("header", head)
    if not final:
        return None
    return _WHOLE if start + length == len(buffer) else Damaged("cut", buffer[start:])


def _is_cut_short(buffer: bytes, end: int) -> bool:
    """An I or UI frame that seems to carry nothing, though no flag ends it there."""
    # That is a true length of 256 octets more of which only the lower eight bits were written: they are the header's.
    control = buffer[end - 3]
    return KINDS[control] in (Kind.I, Kind.UI) and buffer[end : end + 1] not in (FLAG, b"")


def _longer_than_stated(buffer: bytes, start: int, header: int, final: bool) -> int | None:
    """The true length of a frame of a meter that writes only the lower eight bits of it; 0: it is none of those.

    None: more octets will tell. Tolerated because such meters are read by clients that go by the flags; the frame check
    sequence proves it. Where another frame begins behind it, octets were lost, and nothing is waited for.
    """
    stated = buffer[start + 1]
    if buffer[start + stated : start + stated + 1] == FLAG:
        return 0
    for length in range(stated + _EIGHT_BITS, MAX_LENGTH + 1, _EIGHT_BITS):
        end = start + length
        if end >= len(buffer):
            return 0 if final or _another_begins(buffer, start + header) else None
        if buffer[end] == FLAG[0] and crc_hqx(buffer[start + header : end].translate(REVERSED), RESIDUE) == RESIDUE:
            return length
    return 0


def _another_begins(buffer: bytes, at: int) -> bool:
    """Whether a header with a right check sequence, or the beginning of one, is in what follows."""
    for found in _BEGINNINGS.finditer(buffer, at):
        flag = found.start()
        result = read_frame(buffer, flag, final=True)
        if result is not NO_FRAME and not (isinstance(result, Damaged) and result.reason == "header"):
            return True
    return False


NO_FRAME = Damaged("", b"")
_WHOLE = Damaged("", b"")


def _address_end(buffer: bytes, start: int) -> int:
    """Where the address that begins at ``start`` ends; 0: it has no legal size. IndexError: not yet there.

    The lowest bit of an octet says that the address ends with it; there are addresses of one, two and four octets.
    """
    if buffer[start] & 1:
        return start + 1
    if buffer[start + 1] & 1:
        return start + 2
    if not buffer[start + 2] & 1 and buffer[start + 3] & 1:
        return start + 4
    return 0
