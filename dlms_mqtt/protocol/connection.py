"""One association as bytes in, events out, bytes out; the same class for the client and for the meter.

    send(message)  ->  state table  ->  ciphering  ->  general blocks  ->  link  ->  data_to_send()
    receive(bytes) ->  link  ->  general blocks  ->  ciphering  ->  state table  ->  next_event()

Nothing here waits, knows the time or invents a number: counters come out of the cipher, challenges out of the caller.
"""

from __future__ import annotations

from typing import Any

from dlms_mqtt.errors import LocalProtocolError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.apdu import decode_apdu, decode_with_rest
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS, GeneralBlockTransfer
from dlms_mqtt.protocol.framing.link import PROGRESS, SIGN_OF_LIFE, Link, LinkDown, LinkEvent, LinkUp, Received, Side
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.security import Cipher
from dlms_mqtt.protocol.states import ANY_TIME, State, next_state

Event = Apdu | LinkEvent

# AARQ, AARE, RLRQ and RLRE carry their own protection in user-information.
_ACSE_TAGS = range(0x60, 0x64)
_GENERAL_TAGS = (0xDB, 0xDC)
# States in which an answer to an earlier question may come: it answers nothing and spoils nothing.
_BETWEEN = (State.READY, State.ASSOCIATING)
_BLOCK_TAG = GeneralBlockTransfer.TAG
# What a meter may push in the middle of an answer, plain and with service-specific ciphering.
_PUSHES = frozenset(
    bytes((tag,)) for tag in (0x0F, 0x18, 0xC2, GLO_TAGS[0x18], GLO_TAGS[0xC2], DED_TAGS[0x18], DED_TAGS[0xC2])
)


class Connection:
    """The protocol of one association over one link.

    ``cipher`` and ``blocks`` are set by whoever negotiates them. ``stale`` counts late answers that were dropped,
    ``dropped_pushes`` the pushes that could not be believed or read. ``unprotected``: the last answer came in plain
    though the association is ciphered, as a refusal may. ``left_over``: octets behind the last message that are none
    of its own. ``replayed``: an answer to this question was dropped because its counter had been there before, or was
    too low. ``unclaimed``: one without a number came that nobody awaited. ``constant`` is the number that all answers
    of the meter carry, where it does not give back ours.
    """

    def __init__(self, side: Side, link: Link) -> None:
        self.side = side
        self.link = link
        self.receive = link.receive  # bytes from the line
        self.data_to_send = link.data_to_send  # bytes for the line: all that is queued (of datagrams the next one)
        self.state = State.NO_LINK
        self.cipher: Cipher | None = None
        self.blocks: BlockTransfer | None = None
        self.stale = 0
        self.dropped_pushes = 0
        self.unprotected = False
        self.left_over = b""
        self.replayed: SecurityError | None = None
        self.unclaimed = False
        self.constant: int | None = None
        self._held: tuple[Any, bytes] | None = None  # an answer with another number, until it is clear whose it is
        self._invoke: int | None = None
        self._unanswered = False  # a question was given up on this link: its answer may still come

    def connect(self) -> None:
        """Set the link up (SNRM; at once where the framing has no connection)."""
        self.cipher = self.blocks = None
        self._unanswered = self.unclaimed = False
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
        self._unanswered = True
        if self.blocks:
            self.blocks.reset()

    def send(self, message: Apdu) -> None:
        """Queue a message; LocalProtocolError when it is illegal now."""
        state = next_state(self.state, message)
        if state is None:
            raise LocalProtocolError(f"{type(message).__name__} is not allowed now ({self.state.value})")
        self.send_apdu(message.encode())
        self.state, self.replayed = state, None
        if self.side is Side.CLIENT:
            self._invoke, self._held = _invoke_id(message), None

    def send_apdu(self, octets: bytes) -> None:
        """Queue an encoded APDU: protected where the association is, in general blocks where it must be."""
        if self.cipher is not None and octets[0] not in _ACSE_TAGS:
            octets = self.cipher.protect_apdu(octets)
        if self.blocks is not None and self.blocks.needed(octets):
            for block in self.blocks.start(octets):
                self.link.send(block.encode())
        else:
            if self.blocks is not None and self.side is Side.CLIENT:
                self.blocks.reset()
            self.link.send(octets)

    def repeat(self) -> bool:
        """The response timer ran out: queue again what may be repeated. False: nothing may."""
        again = self.blocks.repeat() if self.blocks is not None and self.link.drained else []
        for block in again:
            self.link.send(block.encode())
        return bool(again) or self.link.repeat()

    def next_event(self) -> Event | None:
        """The next message or link event; None: more bytes are needed. RemoteProtocolError."""
        event = self.link.next_event()
        if event is not None:
            kind = type(event)
            if kind is Received:
                return self._taken(event)  # type: ignore[arg-type]
            if kind is LinkUp:
                self.state = State.NO_ASSOCIATION
            elif kind is LinkDown:
                self.state = State.NO_LINK
        return event

    def _taken(self, received: Received) -> Event:
        """The message in what arrived. Whatever is not the awaited answer leaves the link waiting for that."""
        unasked = self.side is Side.CLIENT and (received.unnumbered or received.apdu[:1] in _PUSHES)
        message = (self._pushed if unasked else self._message)(received.apdu)
        if message is None or type(message) in ANY_TIME:
            self.link.expect()
        if message is None:
            grew = not unasked and self.blocks is not None and self.blocks.grew()
            return PROGRESS if grew else SIGN_OF_LIFE
        return message

    def _pushed(self, octets: bytes) -> Apdu | None:
        """Nobody asked for it: what is no push or cannot be believed must not touch the answer that is awaited."""
        try:
            message = decode_apdu(self._opened(octets))
        except RemoteProtocolError:
            message = None
        if type(message) in ANY_TIME:
            return message
        self.dropped_pushes += 1
        return None

    def _message(self, octets: bytes) -> Apdu | None:
        """None: a block that is not the last, or an answer that came too late."""
        if octets and octets[0] == _BLOCK_TAG:
            whole = self._block(octets)
            if whole is None:
                return None
            octets = whole
        try:
            message, rest = decode_with_rest(octets if self.cipher is None else self._opened(octets))
        except SecurityError as error:
            if self.side is Side.SERVER or error.reason != "counter":
                raise
            self.stale, self.replayed = self.stale + 1, error  # a datagram may come twice, and not in order
            return None
        if not self._accept(message):
            self._held = (message, rest)
            return None
        self.left_over = rest
        return message

    def _opened(self, octets: bytes) -> bytes:
        cipher = self.cipher
        if cipher is None or not octets or octets[0] in _ACSE_TAGS:
            return octets
        opened = cipher.open(octets)
        self.unprotected = opened.control is None and bool(cipher.security)
        return opened.plaintext

    def _block(self, octets: bytes) -> bytes | None:
        if self.blocks is None:
            # jDLMS puts its exceptions under D8 + 8 where it ciphers them, which is the tag of a block.
            hint = "It may be a ciphered refusal under a wrong tag: perhaps the meter does not know this service here."
            raise RemoteProtocolError(
                "general block transfer was not negotiated, but the peer uses it", hint=hint if self.cipher else ""
            )
        answers, whole = self.blocks.receive(GeneralBlockTransfer.decode(octets))
        for block in answers:
            self.link.send(block.encode())
        return whole

    def _accept(self, message: Any) -> bool:
        """Walk the table; False for an answer to a question that was given up (it came late)."""
        if type(message) in ANY_TIME:
            return True
        invoke = _invoke_id(message)
        mine = invoke == self._invoke or invoke is None or self.side is Side.SERVER
        mine = mine or (self.constant is not None and self._may_be_mine(message))
        state = next_state(self.state, message) if mine else None
        if state is not None:
            self.state = state
            return True
        # A late AARE or RLRE: over UDP the question was repeated and has been answered twice. An answer that comes
        # instead of an AARE is one to the association before.
        tag = getattr(type(message), "TAG", 0)
        late = self.state in _BETWEEN or tag in _ACSE_TAGS
        if self.side is Side.CLIENT and (not mine or late):
            self.stale += 1
            self.unclaimed |= self.state is State.READY and tag not in _ACSE_TAGS and invoke is None
            return False
        if self.side is Side.CLIENT and self.cipher is None and tag in _GENERAL_TAGS:
            self.dropped_pushes += 1  # a ciphered push: what was asked in plain is not answered so
            return False
        raise RemoteProtocolError(f"the peer sent {type(message).__name__}, not allowed now ({self.state.value})")

    def _may_be_mine(self, message: object) -> bool:
        """Where frames are numbered and every question so far has had its answer, it can only be the last one's."""
        constant = self.constant in (None, _invoke_id(message))
        return constant and self.link.numbered and not self._unanswered

    def take_held(self) -> Apdu | None:
        """The answer that came with the number of another question, now that the meter has nothing more to say.

        Tolerated: meters that answer with a number of their own. Where a link numbers nothing it may be a late one.
        """
        (message, rest), self._held = self._held or (None, b""), None
        if message is None or not self._may_be_mine(message):
            return None
        state = next_state(self.state, message)
        if state is None:
            return None
        self.state, self.left_over, self.constant = state, rest, _invoke_id(message)
        return message  # type: ignore[no-any-return]


def _invoke_id(message: object) -> int | None:
    """What pairs question and answer; None where the service has nothing (short names, association)."""
    invoke: int | None = getattr(message, "invoke", None)
    if invoke is not None:
        return invoke & 0x0F
    invoke = getattr(message, "long_invoke", None)
    return None if invoke is None else int(invoke) & 0xFFFFFF


__all__ = ["Connection", "Event", "Side"]
