"""No framing at all: every read (or datagram) is one APDU."""

from __future__ import annotations

from collections import deque

from dlms_mqtt.protocol.framing.link import (
    LinkDown,
    LinkEvent,
    LinkOptions,
    LinkParameters,
    LinkUp,
    Received,
    Side,
)
from dlms_mqtt.protocol.framing.statistics import Statistics


class BareLink:
    """One association over something that keeps APDUs apart by itself."""

    numbered = has_connection = False
    drained = True

    def __init__(self, side: Side, *, client: int = 16, server: int = 1) -> None:
        self.side = side
        self.statistics = Statistics()
        self._addresses = (server, client) if side is Side.CLIENT else (client, server)
        self._events: deque[LinkEvent] = deque()
        self._out: list[bytes] = []

    @classmethod
    def make(cls, side: Side, options: LinkOptions) -> BareLink:
        """One end; only the addresses are told."""
        return cls(side, client=options.client, server=options.server)

    @staticmethod
    def frame_parser() -> None:
        """Nothing is checked here."""

    def connect(self) -> None:
        """LinkUp at once."""
        self._events.append(LinkUp(LinkParameters(0xFFFF, 0xFFFF)))

    def disconnect(self) -> None:
        """LinkDown at once."""
        self._events.append(LinkDown("disc"))

    def send(self, apdu: bytes) -> None:
        """Queue one APDU."""
        self._out.append(apdu)

    def send_unnumbered(self, apdu: bytes, client: int | None = None) -> None:
        """Nothing is numbered here: the same as ``send``."""
        self.send(apdu)

    @property
    def is_up(self) -> bool:
        """Always."""
        return True

    def receive(self, data: bytes) -> None:
        """Hand in one APDU."""
        self.statistics.frames += 1
        self._events.append(Received(bytes(data), *self._addresses))

    def next_event(self) -> LinkEvent | None:
        """The next event; None: more bytes are needed."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Everything queued, once."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def repeat(self) -> bool:
        """Nothing is kept, so nothing can be repeated."""
        return False

    def expect(self) -> None:
        """Nothing to do: the peer sends without being asked."""

    def quiet(self) -> None:
        """Nothing to do: there are no partial APDUs."""
