"""What a path does to octets: which simple damage turns a frame that fails its check into a valid one.

Bluetooth probes swallow 0xFF, telnet-like paths turn LF into CR LF, software flow control eats XON and XOFF. Each of
these is proved by undoing it: the check sequence is right then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlms_mqtt.protocol.framing.hdlc.frame import FLAG, Frame, read_frame

LF, CRLF = b"\n", b"\r\n"
#: Octet that is lost -> the name of the fault.
SWALLOWED = {0xFF: "swallows-ff", 0x11: "swallows-xon", 0x13: "swallows-xon"}
_MAX_LOST = 2  # octets of one kind that are put back
_MAX_FRAME = 160


def path_fault(received: bytes) -> str | None:
    """The one fault that explains these octets, proved by a check sequence; None: no known one does, or several do."""
    for start in (at for at, octet in enumerate(received) if octet == FLAG[0]):
        if found := explanations(received[start : start + _MAX_FRAME]):
            return found.pop() if len(found) == 1 else None
    return None


def explanations(raw: bytes) -> set[str]:
    """Every fault of which undoing makes a valid frame: of 65,536 wrong octets one fits a check sequence by chance."""
    return {name for name, undo in _UNDO if any(_valid(candidate) for candidate in undo(raw))}


def _valid(raw: bytes) -> bool:
    return type(read_frame(raw, 0, final=True)) is Frame


def _unexpanded(raw: bytes) -> Iterator[bytes]:
    if CRLF in raw:
        yield raw.replace(CRLF, LF)


def _put_back(octet: int) -> Callable[[bytes], Iterator[bytes]]:
    """Candidates with one or two octets put back where they may have been lost."""

    def undo(raw: bytes) -> Iterator[bytes]:
        end = raw.find(FLAG, 1)
        frame = raw[: end + 1] if end > 0 else raw
        missing = _missing(frame)
        if not 0 < missing <= _MAX_LOST:
            return
        for first in range(3, len(frame)):
            once = frame[:first] + bytes((octet,)) + frame[first:]
            if missing == 1:
                yield once
            else:
                yield from (once[:at] + bytes((octet,)) + once[at:] for at in range(first + 1, len(once)))

    return undo


def _missing(frame: bytes) -> int:
    """How many octets shorter a frame is than its length field says."""
    if len(frame) < 5 or frame[1] & 0xF0 != 0xA0 or not frame.endswith(FLAG):
        return 0
    return ((frame[1] & 7) << 8 | frame[2]) + 2 - len(frame)


_UNDO: tuple[tuple[str, Callable[[bytes], Iterator[bytes]]], ...] = (
    ("expands-lf", _unexpanded),
    *((name, _put_back(octet)) for octet, name in SWALLOWED.items()),
)


def changed_echo(sent: bytes, received: bytes) -> str | None:
    """The fault that turns what was sent into the copy that came back; None: none of the known ones does."""
    for name, change in _CHANGES:
        copy = change(sent)
        if copy != sent and copy and received.startswith(copy):
            return name
    return None


_CHANGES: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("seven-bits", lambda sent: bytes(octet & 0x7F for octet in sent)),
    ("expands-lf", lambda sent: sent.replace(LF, CRLF)),
    ("swallows-ff", lambda sent: sent.replace(b"\xff", b"")),
    ("swallows-xon", lambda sent: sent.replace(b"\x11", b"").replace(b"\x13", b"")),
)
