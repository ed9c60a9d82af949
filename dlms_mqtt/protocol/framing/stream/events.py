"""What comes out of a stream of unknown kind: messages, frames that belong to none, and rubbish."""

from __future__ import annotations

from dlms_mqtt.frozen import dataclass


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """One frame as it was seen. ``framing``: hdlc, wrapper, mbus or raw-apdu; ``reason``: why it is not used."""

    framing: str
    type: str
    source: str = ""
    destination: str = ""
    segmented: bool = False
    valid: bool = True
    reason: str = ""
    raw: bytes = b""
    proved: bool = True  # its framing is certain, even where its contents are damaged


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a general block transfer."""

    number: int
    acknowledged: int
    last: bool
    streaming: bool
    window: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What one message carried: ``apdu`` without LLC header, segments and general blocks joined.

    Several APDUs may follow one another in ``apdu``: meters put more than one into a frame.
    """

    framing: str
    apdu: bytes
    frames: tuple[FrameInfo, ...]
    source: str = ""
    destination: str = ""
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Octets that belong to nothing."""

    data: bytes


StreamEvent = Message | FrameInfo | Rubbish
