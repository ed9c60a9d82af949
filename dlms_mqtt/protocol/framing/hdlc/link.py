"""The HDLC link of IEC 62056-46, both sides: set up, numbered frames, windows, segments, and starting over.

One rule orders the line: who sent the last poll/final bit has given the turn away. With the turn everything that is not
acknowledged is sent again with its old N(S), followed by what is new and fits the window.

    client                                        meter
    SNRM P, what we can take                ->
                                            <-    UA F, what holds
    I N(S)=0 N(R)=0 P, a question           ->
                                            <-    I N(S)=0 N(R)=1 F, first segment of the answer
    RR N(R)=1 P                             ->                                   the next one, please
                                            <-    I N(S)=1 N(R)=1 F, last segment
    I N(S)=1 N(R)=2 P, the next question    ->                                   acknowledges the answer as well
    ... silence: the question or its answer was lost, nobody knows which
    I N(S)=1 N(R)=2 P, the same again       ->                                   with its old number
                                            <-    I N(S)=2 N(R)=2 F, the answer
    DISC P                                  ->
                                            <-    UA F

The numbers are what makes the repetition safe: a meter that has had N(S)=1 does not carry it out again, it says again
what it has said. An association lives inside the link: DISC, or a new SNRM, ends it without a release.

Source: IEC 62056-46:2002, clause 5 (LLC) and clause 6 (MAC, normal response mode); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from collections import deque
from typing import Self

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.framing.hdlc.address import decode_address, encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import (
    KINDS,
    MAX_INFO,
    POLL,
    Damaged,
    Frame,
    FrameParser,
    Kind,
    encode_frame,
)
from dlms_mqtt.protocol.framing.hdlc.parameters import DEFAULTS, decode_parameters, encode_parameters, negotiate
from dlms_mqtt.protocol.framing.hdlc.states import ACTIONS, Action, LinkState
from dlms_mqtt.protocol.framing.hdlc.stations import Stations, is_broadcast
from dlms_mqtt.protocol.framing.hdlc.window import Incoming, Outgoing, without_llc
from dlms_mqtt.protocol.framing.link import (
    PROGRESS,
    SIGN_OF_LIFE,
    Broken,
    LinkDown,
    LinkEvent,
    LinkOptions,
    LinkParameters,
    LinkUp,
    Received,
    Side,
)
from dlms_mqtt.protocol.framing.statistics import Statistics

# Destination and source LSAP and a quality octet, which is always 0: the source's lowest bit tells command (E6) from
# response (E7). It stands once before each APDU, not before each segment.
LLC = {Side.CLIENT: b"\xe6\xe6\x00", Side.SERVER: b"\xe6\xe7\x00"}
_LLC_HEADERS = tuple(LLC.values())
MAX_POLLS = 3  # answers without content in a row before the driver's timer decides when to ask again
MAX_STALLS = 10  # times the same frames are asked for again before the link is given up

# FRMR, third octet of the information: why the peer rejected a frame. Nothing can be repeated after one: the numbers of
# both sides may differ by then, and only SNRM sets them to 0.
FRMR_REASONS = {
    1: "control field not implemented",
    2: "information field not allowed",
    4: "information field too long",
    8: "invalid receive number",
}


class HdlcLink:
    """One HDLC link. ``server`` is the logical, ``physical`` the physical device; information lengths are in octets.

    ``send_parameters`` None: SNRM carries parameters only when they differ from 128 octets and window 1.
    A server link answers every client and takes its number from the SNRM.
    """

    numbered = has_connection = True

    def __init__(
        self,
        side: Side,
        *,
        client: int = 16,
        server: int = 1,
        physical: int | None = None,
        address_size: int = 0,
        max_info_transmit: int = 128,
        max_info_receive: int = 128,
        window_transmit: int = 1,
        window_receive: int = 1,
        send_parameters: bool | None = None,
    ) -> None:
        self.side = side
        self.statistics = Statistics()
        self.state = LinkState.DISCONNECTED
        self.offer = LinkParameters(
            min(max_info_transmit, MAX_INFO), min(max_info_receive, MAX_INFO), window_transmit, window_receive
        )
        self.parameters = DEFAULTS
        # Without parameters in the SNRM the defaults hold, so they are left out where they would say no more than that.
        self._send_parameters = self.offer != DEFAULTS if send_parameters is None else send_parameters
        self._stations = Stations(side, client, server, physical, address_size)
        self._parser = FrameParser(self.statistics)
        self._events: deque[LinkEvent] = deque()
        self._commands: list[bytes] = []
        self._last_command = b""
        self._actions = {
            Action.ACCEPT_ANSWER: self._accept_answer,
            Action.ACCEPT_END: self._accept_end,
            Action.ACCEPT_REQUEST: self._accept_request,
            Action.ANSWER_DM: self._answer_dm,
            Action.ANSWER_FRMR: self._answer_frmr,
            Action.LINK_ENDED: self._link_ended,
            Action.LINK_REFUSED: self._link_refused,
            Action.LINK_REJECTED: self._link_rejected,
            Action.TAKE_INFORMATION: self._take_information,
            Action.TAKE_NOT_READY: self._take_not_ready,
            Action.TAKE_READY: self._take_ready,
            Action.TAKE_UNNUMBERED: self._take_unnumbered,
        }
        self._reset()

    @classmethod
    def make(cls, side: Side, options: LinkOptions) -> Self:
        """One end; HDLC takes all there is but ``datagram``."""
        return cls(
            side,
            client=options.client,
            server=options.server,
            physical=options.physical,
            address_size=options.address_size,
            max_info_transmit=options.max_info_transmit,
            max_info_receive=options.max_info_receive,
            window_transmit=options.window_transmit,
            window_receive=options.window_receive,
        )

    @staticmethod
    def frame_parser() -> FrameParser:
        """Frames between flags, with FCS and HCS."""
        return FrameParser(Statistics())

    def _reset(self) -> None:
        """Numbers and queues as they are when a link begins."""
        self._rules = {kind: self._actions[action] for kind, action in ACTIONS[self.side][self.state].items()}
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        # Normal response mode: one side speaks at a time. The client gives its turn away with the poll bit, the meter
        # gives it back with the final bit, which is the same bit of the control field. Both number their frames from 0
        # to 7, and each frame tells which number is expected next: that acknowledges all before it.
        self._expected = 0  # N(S) that must come next
        # The client begins. ``_answer_due``: it was asked and has said nothing whole; ``_missed``: a frame of theirs
        # may be missing; ``_polls`` and ``_stalls``: turns without progress, bounded; ``_timed_out``: the response
        # timer ran out in this turn; ``_polled_again``: it did so with nothing of ours to repeat; ``drained``: the
        # peer has said since that it has nothing more either, so that what is missing was lost above the link.
        self._turn = self.side is Side.CLIENT
        self._answer_due = False
        self._missed = False
        self._peer_busy = False
        self._polls = 0
        self._stalls = 0
        self._timed_out = False
        self._polled_again = self.drained = False

    def _enter(self, state: LinkState) -> None:
        self.state = state
        self._reset()

    # What the driver asks for

    def connect(self) -> None:
        """Queue SNRM (client) and forget everything of an earlier link."""
        if self.side is Side.SERVER:
            raise LocalProtocolError("only a client sets an HDLC link up")
        # SNRM resets the numbers of both sides, whatever state the meter was in: it is the way out of every confusion.
        self._enter(LinkState.CONNECTING)
        self._command(Kind.SNRM, encode_parameters(self.offer) if self._send_parameters else b"")

    def disconnect(self) -> None:
        """Queue DISC (client, in any state); a server forgets the link and answers DM from now on."""
        # In any state, because the meter may be in another one than we: it answers UA where there was a link, DM where
        # there was none, and both mean that there is none now.
        if self.side is Side.SERVER:
            self._go_down("disc")
            return
        self._enter(LinkState.DISCONNECTING)
        self._command(Kind.DISC)

    def send(self, apdu: bytes) -> None:
        """Queue one APDU, cut into segments. LocalProtocolError while the link is down."""
        if self.state is not LinkState.CONNECTED:
            raise LocalProtocolError(f"the HDLC link is {self.state.value}")
        # Tolerated: meters whose N(R) never moves. The question before has its answer, so it is not sent again.
        if self.side is Side.CLIENT and not self._answer_due:
            self._outgoing.answered()
        self._outgoing.queue(LLC[self.side] + apdu, self.parameters.max_info_transmit)
        self._answer_due = self.side is Side.CLIENT
        self._polls = 0
        self._polled_again = self.drained = False

    def send_unnumbered(self, apdu: bytes, client: int | None = None) -> None:
        """Queue one APDU as a UI frame, outside turn and link state; to ``client`` where given (push)."""
        # UI has no number: it is not acknowledged and not repeated. What is lost of a push is lost.
        destination = self._stations.peer if client is None else encode_address(client)
        self._commands.append(encode_frame(Kind.UI | POLL, destination, self._stations.own, LLC[self.side] + apdu))

    def receive(self, data: bytes) -> None:
        """Hand in what the line gave, cut anywhere."""
        self._parser.feed(data)
        self._drain()

    def _drain(self) -> None:
        while (frame := self._parser.next()) is not None:
            if isinstance(frame, Damaged):
                self.statistics.bad_check += 1
                self._events.append(Broken(frame.reason))
            elif self._is_for_us(frame):
                self.statistics.frames += 1
                action = self._rules.get(KINDS[frame.control])
                if action is not None:
                    action(frame)
            elif (wrong := self._stations.wrong_address(frame)) is not None:
                self._events.append(Broken(wrong))

    def next_event(self) -> LinkEvent | None:
        """The next event; None: more bytes are needed."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Everything that may be sent now, once. A server that was asked and has no answer queued says RR."""
        frames, self._commands = self._commands, []
        if self._turn and self.state is LinkState.CONNECTED:
            self._take_turn(frames)
        return b"".join(frames)

    def repeat(self) -> bool:
        """The response timer ran out: the same frames again, or RR to be told what the meter holds."""
        # The rest of a frame will not come any more, and its beginning would swallow what comes next.
        self.quiet()
        if self.side is Side.SERVER or self.state is LinkState.DISCONNECTED:
            return False
        self.statistics.repeats += 1
        # What is not acknowledged goes out again with its old N(S), by which the meter knows a question whose answer
        # alone was lost, and does not carry it out twice. Where all is acknowledged, RR asks for what the meter still
        # has. SNRM and DISC have no number and are just repeated: twice done they mean the same as once.
        if self.state is LinkState.CONNECTED:
            self._turn = self._timed_out = True
            self._missed = True
            self._polls = 0
            self._polled_again, self.drained = not self._outgoing, False
        else:
            self._commands.append(self._last_command)
        return True

    def expect(self) -> None:
        """The APDU that came is not (all of) the answer: the meter is asked for the rest."""
        # For instance a block of a general block transfer, or a push that a meter sends in the place of the answer.
        self._answer_due = self.side is Side.CLIENT
        self._polls = 0

    def quiet(self) -> None:
        """The line fell silent inside a frame: what has come of it is dropped, whole frames in it are taken."""
        if self._parser.pending:
            self._parser.finish()
            self._drain()

    @property
    def is_up(self) -> bool:
        """Has the SNRM been answered?"""
        return self.state is LinkState.CONNECTED

    # Addresses

    @property
    def client(self) -> int:
        """The number of the client; on the server's side that of the last one that called."""
        return self._stations.client

    @property
    def server(self) -> int:
        """The number of the logical device."""
        return self._stations.server

    def _is_for_us(self, frame: Frame) -> bool:
        stations = self._stations
        if frame.source == stations.peer and frame.destination == stations.own:
            return not self._is_reflection(frame)
        if not stations.hears(frame):
            return False
        return self.side is Side.CLIENT or is_broadcast(frame) or self._admits(frame)

    def _admits(self, frame: Frame) -> bool:
        """Server: a client other than the one before. While a link stands it must begin with SNRM."""
        # One client at a time: another one that speaks into a link is told that it has none (DM), and the link goes on.
        if self.state is LinkState.CONNECTED and frame.kind is not Kind.SNRM:
            self._commands.append(encode_frame(Kind.DM | POLL, frame.source, frame.destination))
            return False
        self._stations.adopt(frame)
        return True

    def _is_reflection(self, frame: Frame) -> bool:
        """Where both ends have the same number only the contents can tell a reflection from an answer."""
        # Optical heads see their own light, and of two wires both ends hear everything. Mostly the addresses tell: ours
        # go out the other way round than those of an answer.
        return self._stations.own == self._stations.peer and self._reflected(frame)

    def _reflected(self, frame: Frame) -> bool:
        if KINDS[frame.control] in (Kind.SNRM, Kind.DISC):
            return self.side is Side.CLIENT
        return self._outgoing.sent(frame.information, frame.segmented)

    # Unnumbered frames

    def _frame(self, control: int, information: bytes = b"", segmented: bool = False) -> bytes:
        return encode_frame(control, self._stations.peer, self._stations.own, information, segmented)

    def _command(self, kind: Kind, information: bytes = b"") -> None:
        self._last_command = self._frame(kind | POLL, information)
        self._commands = [self._last_command]

    def _reply(self, kind: Kind, information: bytes = b"") -> None:
        self._commands.append(self._frame(kind | POLL, information))

    def _accept_answer(self, frame: Frame) -> None:
        """UA to our SNRM."""
        # Each side tells what it can take; what holds is the smaller of both, for each direction by itself.
        self.parameters = negotiate(self.offer, decode_parameters(frame.information))
        self._enter(LinkState.CONNECTED)
        self._events.append(LinkUp(self.parameters))

    def _accept_request(self, frame: Frame) -> None:
        """SNRM: a link begins, whatever was before."""
        # The client may have been restarted, or has lost our UA; its old association is over in both cases.
        if self.state is LinkState.CONNECTED:
            self._go_down("snrm", "the client began a new link")
        self.parameters = negotiate(self.offer, decode_parameters(frame.information))
        self._enter(LinkState.CONNECTED)
        self._reply(Kind.UA, encode_parameters(self.parameters))
        self._events.append(LinkUp(self.parameters))

    def _accept_end(self, frame: Frame) -> None:
        self._reply(Kind.UA)
        self._go_down("disc")

    def _link_ended(self, frame: Frame) -> None:
        self._go_down("disc")

    def _link_refused(self, frame: Frame) -> None:
        # In answer to SNRM: not now. In answer to anything else: the meter's inactivity timer has ended the link, which
        # it does without a word.
        self._go_down("dm", "the meter is in disconnected mode")

    def _link_rejected(self, frame: Frame) -> None:
        self._go_down("frmr", _frmr_reason(frame.information))

    def _answer_dm(self, frame: Frame) -> None:
        # Only who was given the turn may speak: an answer to a frame without P would fall into the client's next one.
        if frame.control & POLL:
            self._reply(Kind.DM)

    def _answer_frmr(self, frame: Frame) -> None:
        # FRMR: the control field that was not understood, our N(R) and N(S) as they stand, and the reason.
        state = self._expected << 5 | self._outgoing.next_number << 1
        self._reply(Kind.FRMR, bytes((frame.control, state, 1)))
        self._go_down("frmr", f"unknown control field {frame.control:02x}")

    def _go_down(self, reason: str, detail: str = "") -> None:
        self._enter(LinkState.DISCONNECTED)
        self._events.append(LinkDown(reason, detail))

    def _take_unnumbered(self, frame: Frame) -> None:
        source, destination = decode_address(frame.source).upper, decode_address(frame.destination).upper
        self._events.append(
            Received(without_llc(frame.information, _LLC_HEADERS), source, destination, unnumbered=True)
        )

    # Numbered frames

    def _take_information(self, frame: Frame) -> None:
        control = frame.control
        number = control >> 1 & 7
        # The frame that is due, one ahead of it (a frame between was lost), or one that came before and is repeated.
        if number == self._expected:
            self._acknowledge(control >> 5)
            self._expected = number + 1 & 7
            self._polls = self._stalls = 0
            self._polled_again = self.drained = False
            self._collect(frame)
        elif 0 < (number - self._expected & 7) < self.parameters.window_receive:
            self._acknowledge(control >> 5)  # one before it was lost; it will be sent again
            self._missed = True
            self._events.append(SIGN_OF_LIFE)
        elif self.side is Side.CLIENT:
            return  # an answer we have had; the question that is out now is not answered by it
        else:
            # A question we have had: our answer was lost. As its number is not confirmed, it goes out again by itself.
            self._acknowledge(control >> 5)
        # Tolerated: a final bit that was forgotten, where the window allows no further frame anyway.
        self._turn = self._turn or control & POLL != 0 or self._window_used_up()

    def _window_used_up(self) -> bool:
        # With a wider window a frame without F may be one of several: then only the timer tells that F was forgotten.
        return self.side is Side.CLIENT and self.parameters.window_receive == 1

    def _collect(self, frame: Frame) -> None:
        # The segment bit says that the APDU goes on; LLC stands before the first segment only. A peer that never ends
        # one is stopped before the memory is.
        if not self._incoming.add(frame.information):
            self._go_down("frmr", "a segmented message without end")
            return
        if frame.segmented:
            self._events.append(PROGRESS if frame.information else SIGN_OF_LIFE)
            return
        apdu = self._incoming.take(_LLC_HEADERS)
        self._answer_due = self._missed = False
        addresses = (self.server, self.client) if self.side is Side.CLIENT else (self.client, self.server)
        self._events.append(Received(apdu, *addresses))

    def _take_ready(self, frame: Frame) -> None:
        self._peer_busy = False
        self._take_supervisory(frame)

    def _take_not_ready(self, frame: Frame) -> None:
        self._peer_busy = True
        self._take_supervisory(frame)

    def _take_supervisory(self, frame: Frame) -> None:
        # RR says that all before N(R) has come, RNR the same and to wait, REJ that N(R) and what follows it is to be
        # sent again. What N(R) leaves unconfirmed goes out again with the turn anyway, so they need no different
        # treatment.
        self._acknowledge(frame.receive_number)
        self.drained = self._polled_again and not self._peer_busy
        self._turn = self._turn or frame.poll
        self._events.append(SIGN_OF_LIFE)

    def _acknowledge(self, number: int) -> None:
        if self._outgoing.acknowledge(number):
            self._stalls = self._polls = 0

    # Our turn

    def _take_turn(self, frames: list[bytes]) -> None:
        """Append what we say now; a turn that says something ends with the poll/final bit and is over."""
        # A client with nothing to say and nothing owed keeps its turn in silence. A meter must give it back, with RR
        # where it has no answer: else the client waits for its whole timeout.
        if self._outgoing and not self._peer_busy:
            self._send_window(frames)
        elif self._must_poll() if self.side is Side.CLIENT else not self._has_request():
            frames.append(self._frame(Kind.RR | POLL | self._expected << 5))
            self._polls += 1
            self._turn = False
        self._missed = self._timed_out = False

    def _must_poll(self) -> bool:
        """Whether the meter still owes us something and may be asked for it without a pause."""
        # RR in place of a question: the meter has more segments, or a frame of either side is missing.
        owed = self._answer_due or self._missed or self._incoming or self._outgoing
        return bool(owed) and self._polls < MAX_POLLS

    def _has_request(self) -> bool:
        """A request that nobody has looked at yet: its answer will be what we say."""
        # An RR now would be taken for "no answer", and the client would ask for it with RR once more.
        return any(isinstance(event, Received) for event in self._events)

    def _send_window(self, frames: list[bytes]) -> None:
        # Only the last frame has P/F: those before it keep the turn. Each carries N(R), which acknowledges for nothing.
        outgoing = self._outgoing
        if outgoing.unacknowledged and self.side is Side.CLIENT and not self._may_send_again():
            return
        for number, information, segmented, last in outgoing.frames(self.parameters.window_transmit):
            control = self._expected << 5 | number << 1 | (POLL if last else 0)
            frames.append(self._frame(control, information, segmented))
        self._turn = False

    def _may_send_again(self) -> bool:
        """Frames go out again without progress in between; False: that was once too often.

        What the response timer repeats is bounded by whoever has that timer: a line that loses is not a peer that
        answers and never acknowledges.
        """
        timed_out, self._timed_out = self._timed_out, False
        if timed_out:
            return True
        self._stalls += 1
        if self._stalls <= MAX_STALLS:
            return True
        self._go_down("stuck", "the meter never acknowledges what it is sent")
        return False


def _frmr_reason(information: bytes) -> str:
    if len(information) < 3:
        return "the meter rejected a frame"
    words = [text for bit, text in FRMR_REASONS.items() if information[2] & bit]
    return f"the meter rejected control field {information[0]:02x}: {', '.join(words) or 'no reason given'}"
