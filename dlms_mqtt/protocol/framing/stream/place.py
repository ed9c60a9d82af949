"""Where in a stream a recogniser looks, and what it may say of the place."""

from __future__ import annotations

from enum import Enum

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.stream.events import FrameInfo


class Wait(Enum):
    """Something may begin here; more octets will tell. CERTAIN: a header proved it."""

    POSSIBLE = "possible"
    CERTAIN = "certain"


@dataclass(frozen=True, slots=True)
class Found:
    """A frame, up to offset ``end``; ``data`` None: it carries nothing. ``number``, ``last``: M-Bus segments."""

    frame: FrameInfo
    end: int
    data: bytes | None = None
    number: int = 0
    last: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look. ``fresh``: a message may begin here; ``seen``: kinds so far; ``final``: nothing more comes."""

    buffer: bytes
    at: int
    fresh: bool
    final: bool
    seen: frozenset[str] = frozenset()
    ended: bool = False  # final, and not only because the line was silent

    def trusts(self, kind: str) -> bool:
        """Whether this kind may begin here without proof: the stream has carried nothing else."""
        return self.fresh and self.seen <= {kind}


Result = Found | Wait | None
