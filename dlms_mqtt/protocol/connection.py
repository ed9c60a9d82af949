"""One association as bytes in, events out, bytes out; the same class for the client and for the meter.

    send(message)  ->  state table  ->  ciphering  ->  general blocks  ->  link  ->  data_to_send()
    receive(bytes) ->  link  ->  general blocks  ->  ciphering  ->  state table  ->  next_event()

Nothing here waits, knows the time or invents a number: counters come out of the cipher, challenges out of the caller.
"""

from __future__ import annotations

from typing import Any

from dlms_mqtt.errors import LocalProtocolError, RemoteProtocolError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.framing.link import Activity, Link, LinkDown, LinkEvent, LinkUp, Received, Side
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.security import Cipher
from dlms_mqtt.protocol.states import ANY_TIME, State, next_state

Event = Apdu | LinkEvent

# AARQ, AARE, RLRQ and RLRE carry their own protection in user-information.
_ACSE_TAGS = range(0x60, 0x64)
_BLOCK_TAG = GeneralBlockTransfer.TAG


class Connection:
    """The protocol of one association over one link.

    ``cipher`` and ``blocks`` are set by whoever negotiates them; ``stale`` counts late answers that were dropped.
    """

    def __init__(self, side: Side, link: Link) -> None:
        self.side = side
        self.link = link
        self.state = State.NO_LINK
        self.cipher: Cipher | None = None
        self.blocks: BlockTransfer | None = None
        self.stale = 0
        self._invoke: int | None = None

    def connect(self) -> None:
        """Set the link up (SNRM; at once where the framing has no connection)."""
        self.cipher = self.blocks = None
        self.state = State.NO_LINK
        self.link.connect()

    def disconnect(self) -> None:
        """Take the link down (DISC)."""
        self.link.disconnect()

    def pre_establish(self) -> None:
        """Take the association as made (pre-established: no AARQ)."""
        self.state = State.READY

    def abandon(self) -> None:
        """Forget the question that was not answered; a late answer to it will be dropped."""
        if self.state not in (State.NO_LINK, State.NO_ASSOCIATION, State.ASSOCIATING):
            self.state = State.READY
        if self.blocks:
            self.blocks.reset()

    def send(self, message: Apdu) -> None:
        """Queue a message; LocalProtocolError when it is illegal now."""
        state = next_state(self.state, message)
        if state is None:
            raise LocalProtocolError(f"{type(message).__name__} is not allowed now ({self.state.value})")
        self.send_apdu(message.encode())
        self.state = state
        if self.side is Side.CLIENT:
            self._invoke = getattr(message, "invoke", None)

    def send_apdu(self, octets: bytes) -> None:
        """Queue an encoded APDU: protected where the association is, in general blocks where it must be."""
        if self.cipher is not None and octets[0] not in _ACSE_TAGS:
            octets = self.cipher.protect_apdu(octets)
        if self.blocks is not None and self.blocks.needed(octets):
            for block in self.blocks.start(octets):
                self.link.send(block.encode())
        else:
            self.link.send(octets)

    def receive(self, data: bytes) -> None:
        """Bytes from the line."""
        self.link.receive(data)

    def data_to_send(self) -> bytes:
        """Bytes for the line: everything that is queued."""
        return self.link.data_to_send()

    def repeat(self) -> bool:
        """The response timer ran out: queue again what may be repeated. False: nothing may."""
        if self.blocks is not None and (again := self.blocks.repeat()):
            for block in again:
                self.link.send(block.encode())
            return True
        return self.link.repeat()

    def next_event(self) -> Event | None:
        """The next message or link event; None: more bytes are needed. RemoteProtocolError."""
        while (event := self.link.next_event()) is not None:
            kind = type(event)
            if kind is Received:
                message = self._received(event.apdu)  # type: ignore[union-attr]
                if message is not None:
                    return message
                continue
            if kind is LinkUp:
                self.state = State.NO_ASSOCIATION
            elif kind is LinkDown:
                self.state = State.NO_LINK
            return event
        return None

    def _received(self, octets: bytes) -> Event | None:
        if octets and octets[0] == _BLOCK_TAG:
            whole = self._block(octets)
            if whole is None:
                return Activity()
            octets = whole
        if self.cipher is not None and octets and octets[0] not in _ACSE_TAGS:
            octets = self.cipher.unprotect_apdu(octets)
        message = decode_apdu(octets)
        return message if self._accept(message) else None

    def _block(self, octets: bytes) -> bytes | None:
        if self.blocks is None:
            raise RemoteProtocolError("general block transfer was not negotiated, but the peer uses it")
        answers, whole = self.blocks.receive(GeneralBlockTransfer.decode(octets))
        for block in answers:
            self.link.send(block.encode())
        return whole

    def _accept(self, message: Any) -> bool:
        """Walk the table; False for an answer to a question that was given up (it came late)."""
        if type(message) in ANY_TIME:
            return True
        invoke = getattr(message, "invoke", None)
        mine = self.side is Side.SERVER or invoke is None or self._invoke is None or not (invoke ^ self._invoke) & 0x0F
        state = next_state(self.state, message) if mine else None
        if state is not None:
            self.state = state
            return True
        if self.side is Side.CLIENT and (not mine or self.state is State.READY):
            self.stale += 1
            return False
        raise RemoteProtocolError(f"the peer sent {type(message).__name__}, not allowed now ({self.state.value})")


__all__ = ["Connection", "Event", "Side"]
