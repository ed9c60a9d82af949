"""The sign-on of optical ports (IEC 62056-21), from the request at 300 baud to HDLC or clear text at full speed.

Both sides. Nothing here waits or touches a port: the machine says what to do next, and is told what came. The reader's
loop is ``while True: action = sign_on.next_action()``, carry it out, and after Listen call ``receive`` or ``timeout``.

    reader                      meter
    /?! CR LF            ->                              request, at 300 baud 7E1 (6.3.1)
                         <-     /LGZ5\\2ZMD410 CR LF      identification (6.3.2): maker LGZ, speed 5, \\2 offers HDLC
    ACK 2 5 2 CR LF      ->                              option select (6.3.3): HDLC, 9600 baud, binary
                         <-     ACK 2 5 2 CR LF          confirmation: the same line; not every meter sends it
    both change to 9600 baud 8N1
    SNRM                 ->                              the HDLC link begins

In mode C the reader selects 0 Z 0 instead, and a data block in clear text follows at the new speed in 7E1, or 0 Z 1
(programming mode). In mode B the meter changes its speed by itself after the identification, in mode A nothing changes.

What makes this hard is that one side's time is the other's speed: an octet sent before the peer has changed is lost,
one sent too long after finds it gone back to 300 baud. So each step has its own wait, and a failed one ends in a break
and a pause in which the meter falls back.

Source: IEC 62056-21:2002, clauses 6.3 (messages) and 6.4 (modes A to E).
"""

from __future__ import annotations

from collections import deque
from dataclasses import field, replace
from enum import Enum

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.echo import EchoFilter
from dlms_mqtt.protocol.framing.seven_bit import add_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import (
    BAUD_RATES,
    BREAK,
    HDLC_PROTOCOL,
    NORMAL_PROTOCOL,
    PROGRAMMING_MODE,
    READOUT_MODE,
    Identification,
    OptionSelect,
    baud_character,
    begins_readout,
    encode_readout,
    encode_request,
    find_identification,
    find_option_select,
    find_request,
)

_MAX_BUFFER = 1024
_MAX_CONFIRMATION = 64  # more octets than a confirmation and some noise: a readout at a speed we do not have


@dataclass(frozen=True, slots=True)
class Send:
    """Send these octets and wait until they have left the port.

    Written is not sent: a change of speed while they are still in the port's buffer garbles them.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Change the open port; ``parity`` is none or even, always one stop bit."""

    baud: int
    data_bits: int
    parity: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discard:
    """Throw away what the port has received."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Read: hand what comes to ``receive``; when nothing came for so many seconds, call ``timeout``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """The port is ready for what was wanted. ``identification`` None (meter side): not known there.

    ``notes``: what was odd on the way: noise-before-identification, unconfirmed, confirmation-cut. ``rest``: octets
    behind the identification, which may be the beginning of the data. ``programming`` (meter side): the reader chose
    programming mode.
    """

    identification: Identification | None
    baud: int
    notes: frozenset[str] = field(default=frozenset(), compare=False)
    rest: bytes = field(default=b"", compare=False)
    programming: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """It was tried often enough. ``reason``: silent, garbled, clear-text; ``received``: the last octets that came.

    Silent: nothing came, the head or the wake-up is to be looked at. Garbled: something did, so look at speed and
    parity. Clear-text: the meter is there and does not change to HDLC; it may be read out instead.
    """

    reason: str
    message: str
    received: bytes = b""


Action = Send | SetSpeed | Wait | Discard | Listen | Done | Failed


class Goal(Enum):
    """What a reader signs on for."""

    HDLC = "mode E"
    READOUT = "the data block of modes A, B and C"
    PROGRAMMING = "single registers in programming mode (mode C)"


@dataclass(frozen=True, slots=True)
class SignOnSettings:
    """How to sign on; times in seconds.

    ``opening_delay``: after the port was opened, for heads that take their power from it. ``switch_delay``: between the
    acknowledgement and the new speed. ``settle_delay``: after it. ``software_parity``: the port can do 8N1 only.
    ``goal``: what follows the sign-on. ``response_timeout`` has to be above 1.5 s, which the standard leaves a meter
    before its first octet; ``retry_delay`` is what a meter takes to fall back. ``initial_baud`` is 300 in the standard,
    which not every meter keeps to.
    """

    address: str = ""
    initial_baud: int = 300
    max_baud: int = 0
    attempts: int = 3
    wake_up: bytes = b""
    opening_delay: float = 0.0
    response_timeout: float = 2.0
    switch_delay: float = 0.3
    settle_delay: float = 0.1
    retry_delay: float = 1.5
    software_parity: bool = False
    echo: bool = True
    goal: Goal = Goal.HDLC


class Phase(Enum):
    """Where the sign-on stands."""

    IDENTIFYING = "waiting for the identification"
    CONFIRMING = "waiting for the confirmation of the acknowledgement, which may not come"
    OVER = "done or failed"


class SignOn:
    """The reader's side."""

    def __init__(self, settings: SignOnSettings) -> None:
        self.settings = settings
        self.identification: Identification | None = None
        self._phase = Phase.IDENTIFYING
        self._parity = settings.software_parity  # are our lines sent with the parity bit made by us?
        self._attempts = 0
        self._actions: deque[Action] = deque()
        self._echo = EchoFilter()
        self._received = b""  # since the request; since the identification, once that has come
        self._choice = OptionSelect(HDLC_PROTOCOL, "0", HDLC_PROTOCOL)
        self._notes: set[str] = set()
        self._begin()

    def next_action(self) -> Action:
        """What to do now; the last one (Done or Failed) stays."""
        return self._actions.popleft() if len(self._actions) > 1 else self._actions[0]

    def receive(self, data: bytes) -> None:
        """These octets came."""
        # A head that sees its own light gives back our request first. That is no line of a meter, though it begins with
        # a slash too; it is taken away as it comes, in pieces or cut.
        data = self._echo.strip(data) if self.settings.echo else data
        self._received = (self._received + data)[-_MAX_BUFFER:]
        _ON_OCTETS[self._phase](self)

    def timeout(self) -> None:
        """Nothing (more) came in time."""
        # What was held back as the beginning of a reflection did not become one: it is the meter's.
        self._received += self._echo.flush()
        _ON_TIMEOUT[self._phase](self)

    @property
    def within_confirmation(self) -> bool:
        """Has the confirmation of our acknowledgement begun to come?"""
        return self._phase is Phase.CONFIRMING and bool(self._received)

    def _do(self, *actions: Action) -> None:
        # In the place of what was planned: a Listen that was satisfied, or a pause that is not needed any more.
        self._actions = deque(actions)

    def _line(self, data: bytes) -> Send:
        octets = add_parity(data) if self._parity else data
        self._echo.sent(octets)
        return Send(octets)

    def _port(self) -> SetSpeed:
        return self._clear_text(self.settings.initial_baud)

    def _clear_text(self, baud: int) -> SetSpeed:
        return SetSpeed(baud, 8, "none") if self.settings.software_parity else SetSpeed(baud, 7, "even")

    def _begin(self) -> None:
        # First the port, then the pause: heads without a battery take their power from the open port's lines. Wake-up
        # octets (annex B) are for meters with a battery, which sleep until they come.
        wake_up = (Send(self.settings.wake_up), Wait(self.settings.retry_delay)) if self.settings.wake_up else ()
        self._do(self._port(), Wait(self.settings.opening_delay), *wake_up, *self._ask())

    def _ask(self) -> tuple[Action, ...]:
        # Without Discard the end of an earlier answer, or what the head makes of light when it gets power, would lead.
        self._phase = Phase.IDENTIFYING
        self._attempts += 1
        self._received = b""
        return Discard(), self._line(encode_request(self.settings.address)), Listen(self.settings.response_timeout)

    def _stay(self) -> None:
        """It is over: what comes now is not ours."""

    def _look_for_identification(self) -> None:
        found = find_identification(self._received)
        if found is None:
            # A meter that talks without end and without a line of this form never gives us silence to give up in.
            if len(self._received) == _MAX_BUFFER:
                self._not_identified()
            return
        self.identification, end = found
        octets = strip_parity(self._received[:end])
        if octets[: octets.rfind(b"/")].strip(b"\0"):
            self._notes.add("noise-before-identification")
        self._received = self._received[end:]
        # The port was set to 7E1 and we see the eighth bit all the same: the converter reads and sends 8N1. Then the
        # parity of what we send is made by us as well, or the meter would not take our option select.
        self._parity = self._parity or self.identification.parity_seen
        self._identified(self.identification)

    def _identified(self, identification: Identification) -> None:
        if self.settings.goal is Goal.HDLC:
            self._acknowledge(identification)
        else:
            self._await_clear_text(identification)

    def _await_clear_text(self, identification: Identification) -> None:
        """In mode C we choose speed and mode; in mode B the meter changes its speed, in mode A nothing does."""
        self._phase = Phase.OVER
        baud = identification.readout_rate or self.settings.initial_baud
        select: tuple[Action, ...] = ()
        if identification.mode == "C":
            mode = READOUT_MODE if self.settings.goal is Goal.READOUT else PROGRAMMING_MODE
            character = baud_character(identification.baud_character, self.settings.max_baud)
            baud = BAUD_RATES[character]
            choice = OptionSelect(NORMAL_PROTOCOL, character, mode)
            select = (Wait(identification.reaction_time), self._line(choice.encode()))
        done = Done(identification, baud, frozenset(self._notes), rest=self._received)
        self._do(*select, self._clear_text(baud), done)

    def _acknowledge(self, identification: Identification) -> None:
        # Sent whether or not the meter has offered mode E: some do HDLC without announcing it. Who does not, takes it
        # for a choice of the readout, which is seen below. Asked for 2 Z 2 and not 0 Z 2: with 0 it surely reads out.
        self._phase = Phase.CONFIRMING
        character = baud_character(identification.baud_character, self.settings.max_baud)
        self._choice = replace(self._choice, baud_character=character)
        reflects = self._echo.reflects
        line = self._line(self._choice.encode())
        if not reflects:  # the request did not come back, so what looks like our line is the meter's confirmation
            self._echo.sent(b"")
        self._do(Wait(identification.reaction_time), line, Listen(self.settings.switch_delay))

    def _look_for_confirmation(self) -> None:
        """Some meters confirm, whole or in pieces, some do not; a readout shows that ours was not understood."""
        if self._reads_out():
            self._not_switched()
        elif find_option_select(self._received):
            self._switch()

    def _reads_out(self) -> bool:
        # A readout has already changed its speed, so its STX may be unreadable here; its length is not.
        return begins_readout(self._received) or len(self._received) > _MAX_CONFIRMATION

    def _not_switched(self) -> None:
        self._try_again("clear-text", "the meter sends clear text instead of changing to HDLC (mode E)")

    def _go_by_time(self) -> None:
        # Meters that do not confirm change their speed after our line, and those that confirm do it at the old speed or
        # already at the new one, where it is not readable for us. For all of them the time is up now.
        if self._reads_out():  # it came in one piece with the identification, as a telegram that nobody asked for does
            self._not_switched()
            return
        self._notes.add("confirmation-cut" if self._received else "unconfirmed")
        self._switch()

    def _switch(self) -> None:
        self._phase = Phase.OVER
        baud = BAUD_RATES[self._choice.baud_character]
        done = Done(self.identification, baud, frozenset(self._notes))
        # Discarded last: a port that changes its speed in the middle of a line makes octets of it that nobody sent.
        self._do(SetSpeed(baud, 8, "none"), Wait(self.settings.settle_delay), Discard(), done)

    def _not_identified(self) -> None:
        # What came without its line end may still be one, for meters that leave it out.
        found = find_identification(self._received + b"\r\n")
        if found:
            self.identification, self._received = found[0], b""
            self._identified(found[0])
        elif strip_parity(self._received).strip(b"\0"):
            self._try_again("garbled", "something answers the sign-on, but not with an identification")
        else:
            self._try_again("silent", "nothing answers the sign-on")

    def _try_again(self, reason: str, message: str) -> None:
        """Break off whatever the meter does, leave it the time to fall back, and ask anew."""
        if self._attempts >= self.settings.attempts:
            self._phase = Phase.OVER
            self._do(Failed(reason, message, self._received))
            return
        self._do(self._port(), self._line(BREAK), Wait(self.settings.retry_delay), *self._ask())


_ON_OCTETS = {
    Phase.IDENTIFYING: SignOn._look_for_identification,
    Phase.CONFIRMING: SignOn._look_for_confirmation,
    Phase.OVER: SignOn._stay,
}
_ON_TIMEOUT = {
    Phase.IDENTIFYING: SignOn._not_identified,
    Phase.CONFIRMING: SignOn._go_by_time,
    Phase.OVER: SignOn._stay,
}


@dataclass(slots=True)
class SignOnServer:
    """The meter's side: ``receive`` gives the actions that answer; Done means that HDLC or programming mode follows.

    ``confirm``: whether the acknowledgement is sent back; ``readout``: lines of the clear-text readout; ``hdlc``: it
    knows mode E, else it reads out in its place; ``programming``: it has a programming mode, else it breaks off.

    There is no timer in it: who drives it calls ``reset`` where a meter would have fallen back, and goes to ``start``.
    """

    identification: Identification
    address: str = ""
    readout: bytes = b""
    confirm: bool = True
    software_parity: bool = False
    initial_baud: int = 300
    hdlc: bool = True
    programming: bool = False
    _received: bytes = field(default=b"", repr=False)

    def reset(self) -> None:
        """Begin anew (the HDLC link was closed, or silence)."""
        self._received = b""

    def start(self) -> SetSpeed:
        """The speed at which requests are awaited."""
        return self._speed(self.initial_baud)

    def receive(self, data: bytes) -> list[Action]:
        """What to do about these octets, in order; nothing while a message is not whole."""
        self._received = (self._received + strip_parity(data))[-_MAX_BUFFER:]
        # A request is met in every state: a reader that has lost our line asks anew. One with another meter's address
        # is not answered, as several may hang on one current loop.
        request = find_request(self._received)
        if request:
            self._received = self._received[request[1] :]
            return self._introduced() if request[0] in ("", self.address) else []
        choice = find_option_select(self._received)
        if choice:
            self.reset()
            return self._follow(choice[0])
        return []

    def _introduced(self) -> list[Action]:
        """The identification; in modes A and B the readout follows by itself."""
        line = self._line(self.identification.encode())
        if self.identification.mode == "C":
            return [line]
        return [line, *self._read_out(self.identification.readout_rate or self.initial_baud)]

    def _read_out(self, baud: int) -> list[Action]:
        # The pause after the change of speed is the reader's time to follow; behind the block we wait at the first one.
        pause = Wait(self.identification.reaction_time)
        return [self._speed(baud), pause, self._line(encode_readout(self.readout)), self.start()]

    def _follow(self, choice: OptionSelect) -> list[Action]:
        baud = BAUD_RATES.get(choice.baud_character, self.initial_baud)
        if choice.mode_e and self.hdlc:
            # Confirmed at the old speed, then changed: the reader may do the same as soon as it has read this.
            confirmation = [self._line(choice.encode())] if self.confirm else []
            return [*confirmation, SetSpeed(baud, 8, "none"), Done(None, baud)]
        if choice.mode == READOUT_MODE or choice.mode_e:
            return self._read_out(baud)
        return [self._speed(baud), Wait(self.identification.reaction_time), *self._programming(baud)]

    def _programming(self, baud: int) -> list[Action]:
        return [Done(None, baud, programming=True)] if self.programming else [self._line(BREAK), self.start()]

    def _speed(self, baud: int) -> SetSpeed:
        return SetSpeed(baud, 8, "none") if self.software_parity else SetSpeed(baud, 7, "even")

    def _line(self, data: bytes) -> Send:
        return Send(add_parity(data) if self.software_parity else data)
