"""The life of one association: ``async with`` opens the line, the link and the association, and closes them again.

Leaving the block, by error or Ctrl-C too, releases the association, disconnects and closes the line: a meter whose
association stays open refuses the next one for minutes.

    line     the port is opened, and signed on to (IEC 62056-21) where the meter wants that
    counter  only where ours is not known: link, association as public client, a read, release, and back to the line
    link     SNRM and UA; over TCP and UDP nothing
    AARQ     the association is asked for, AARE answers
    proof    passes 3 and 4 of high-level security: the association is ready
    ...      questions
    RLRQ     release, where it is wanted; DISC; the line is closed

One failed opening is repaired once, by starting over, where it cannot be about a secret:

    DM or FRMR instead of an AARE          the link of another client was still there
    a refusal that names a counter         ours was too low; the meter's is taken, and only upwards
    refused for now, or without password   an association that was left open, DISC ends it
    clear text, or silence after sign-on   the meter reads out instead (``opening: auto``)
    anything about a password or key       never: meters count, and lock
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from dlms_mqtt.client.association.association import ABOUT_THE_CALLER, Association, associate, release_request
from dlms_mqtt.client.association.ciphering import Ciphering, public_settings
from dlms_mqtt.client.association.counter_inquiry import (
    checked_counter,
    may_be_behind,
    refuse_lost_counter,
    through_public_client,
)
from dlms_mqtt.client.association.proof import prove
from dlms_mqtt.client.line.client_link import client_link
from dlms_mqtt.client.line.exchange import MOST_OCTETS, Exchange
from dlms_mqtt.client.line.opening import CLEAR_TEXT, STEP, open_line
from dlms_mqtt.client.line.silence import LinkLost
from dlms_mqtt.client.quality import SessionFigures
from dlms_mqtt.client.services.logical_names import LogicalNames
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.client.services.planner import Limits, limits
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    AccessRefused,
    AssociationRefused,
    AuthenticationRefused,
    ConnectionLost,
    DlmsMqttError,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    ServiceRefused,
    TransportError,
)
from dlms_mqtt.protocol.acse.messages import AssociationResult, Mechanism
from dlms_mqtt.protocol.axdr.data import decode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.link import LinkParameters, Side
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.security import ManufacturerAlgorithm
from dlms_mqtt.transport import Transport, transport_for

if TYPE_CHECKING:
    from dlms_mqtt.client.line.readout import Readout
    from dlms_mqtt.client.services.readouts import Readouts
    from dlms_mqtt.client.services.short_names import ShortNames
    from dlms_mqtt.client.state.store import Store

    Services = LogicalNames | ShortNames | Readouts

log = logging.getLogger("dlms_mqtt.client")
T = TypeVar("T")

_KEEPS_SPEED = (
    "the meter signs on, but nothing comes through after the change of speed, which a converter cannot follow"
)
_TWO_WAYS_OUT = (
    "Keep the first speed (max_baud: 300), or set the converter to the meter's own speed and 8N1 and leave the sign-on "
    "out (opening: direct); RFC 2217 (serial: rfc2217://HOST:PORT) follows by itself."
)
_ASKED = "the meter was asked for its counter"  # noted in the memory of what was warned: once for each process
_CLOSING = 8.0  # s: however the line behaves, leaving takes no longer
_RELEASING = 4.0  # s: so long an answer to the release is awaited before the link is taken down


class MeterSession:
    """One meter. ``store`` keeps invocation counters (to cipher), ``memory`` what was learned about the meter.

    Opened, closed and opened again with the same object: what belongs to one opening is in its ``Exchange``, what is
    true of the meter (scalers, oddities, where its association object is) in ``memory``, what must outlive the process
    in ``store``. Not for two tasks at once: a line carries one question at a time, and who shares it takes turns above.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        transport: Transport | None = None,
        store: Store | None = None,
        memory: Memory | None = None,
        random: Callable[[int], bytes] = os.urandom,
        on_notification: Callable[[Apdu], None] | None = None,
        algorithm: ManufacturerAlgorithm | None = None,
        peer: str = "",
    ) -> None:
        """``peer``: the name under which ``store`` keeps what a meter without a challenge has counted."""
        # ``random`` makes challenges, keys and titles: a parameter, so that tests meet the same octets again.
        self.settings = settings
        self.transport = transport or transport_for(settings)
        self.memory = memory if memory is not None else Memory()
        self.ciphering = Ciphering(settings, store, random, algorithm, self._warn_once, peer)
        # Neutral until something is agreed, so that whoever asks a closed session gets "nothing", not an error.
        self.association = Association(Conformance(0), 0)
        self.link_parameters: LinkParameters | None = None
        self._random, self._store = random, store
        self._on_notification = on_notification
        self._exchange: Exchange | None = None
        self._services: Services | None = None
        self._limits = Limits(0xFFFF, 0xFFFF)
        # Three facts that differ: ``_associated``: there is something to release (from the AARE on, proved or not);
        # ``ready``: questions may be asked; ``_has_received``: of this opening, kept when an exchange is replaced.
        self._associated = self._has_received = False
        self._identification: Identification | None = None
        self.reads_out = False  # it is a clear-text readout that answers, not an association
        self.before_secret: Callable[[], None] | None = None  # called before a password or key is used; may raise
        self.most_octets = MOST_OCTETS  # that one answer may have
        self.ready = False  # the association stands and is proved, as far as anybody knows
        self._lost: TransportError | None = None  # why it could not be opened again: the next question tries that first
        self._figures = SessionFigures()
        self.release_answered: bool | None = None  # None: no release was sent

    def _warn_once(self, sentence: str, kind: str = "") -> None:
        """Once for each meter, process and ``kind`` of fault (else the sentence), however often it is met."""
        if (kind or sentence) not in self.memory.warned:
            self.memory.warned.add(kind or sentence)
            log.warning("%s: %s", self.transport.name, sentence)

    # -- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An error inside the block goes on its way: leaving never replaces it by one of its own.
        await self.close()

    async def open(self) -> None:
        """Open line, link and association. DlmsMqttError of every kind; the line is closed again then."""
        # BaseException: a poll that is cancelled in the middle must leave neither the port nor the association open.
        self._has_received = self.reads_out = False
        self._lost = None
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        if self.settings.opening == "readout" or self.memory.reads_out:
            await self._open_readout()
            return
        # HDLC first: it is quicker and knows more than a readout. What the memory holds spares the try the next time.
        try:
            await self._open_association()
        except ResponseTimeout as error:
            if not self._may_read_out(error):
                raise
            await self._read_out_instead(error)

    def _may_read_out(self, error: ResponseTimeout) -> bool:
        """With ``opening: auto``: is there a meter that signs on, and says nothing in HDLC?"""
        # Silence without a sign-on is no reason: the line is dead, or the meter wants HDLC at once.
        return self.settings.opening == "auto" and (error.reason == CLEAR_TEXT or self._identification is not None)

    async def _read_out_instead(self, error: ResponseTimeout) -> None:
        # The first error is the one to tell when this fails as well: the user has asked for DLMS, not for a readout.
        log.debug("%s: %s; its readout is tried", self.transport.name, error.message)
        known = self._identification
        await self.close()
        try:
            await self._open_readout()
        except (TransportError, RemoteProtocolError):
            raise error from None
        # One that announces HDLC is asked for it again the next time.
        self.memory.reads_out = known is None or not known.offers_mode_e

    async def _open_readout(self) -> None:
        """The readout in the place of an association."""
        from dlms_mqtt.client.services.readouts import Readouts

        # It looks like an association that grants GET with lists and ranges: so all above is the same for both.
        self.reads_out, self._figures = True, SessionFigures()
        services = Conformance.GET | Conformance.MULTIPLE_REFERENCES | Conformance.SELECTIVE_ACCESS
        self.association = Association(services, 0)
        self._services = Readouts(await self._read_out(), self.memory, self._read_out, self._read_sets)

    async def _read_out(self) -> Readout:
        from dlms_mqtt.client.line.readout import Tally, read_out

        tally, self.ready = Tally(), False
        try:
            # A meter falls back by itself, and the port begins anew at its first speed: each readout is a sign-on of
            # its own. Nothing is kept open between two, so the figures of the line are taken here.
            await self.transport.close()
            found = await read_out(self.transport, self.settings, tally)
            self._has_received = self.ready = True
            return found
        finally:
            self._figures = self._figures + tally.figures()
            await self.transport.close()

    async def _read_sets(self, requests: Sequence[str], commands: Sequence[str]) -> list[str | AccessRefused]:
        """Registers or a load profile in programming mode."""
        # Another sign-on, with another choice at its end: meters do not change from readout to programming mode.
        from dlms_mqtt.client.line.programming import read_sets

        await self.transport.close()
        try:
            return await read_sets(self.transport, self.settings, requests, commands, self.before_secret)
        finally:
            await self.transport.close()

    async def _open_association(self) -> None:
        await self._open_line()
        # The counter before anything ciphered: one that was used before breaks AES-GCM, one that is too low is refused
        # and may count as a wrong key. Where the store was lost or restored, the meter's own is the only truth.
        refuse_lost_counter(self.settings, self._store)
        if self.ciphering.counter_unknown:
            await self._ask_counter()
            await self._back_to_the_start()
        elif _ASKED not in self.memory.warned and may_be_behind(self.settings, self._store):
            await self._ask_counter_if_it_tells()
        self._exchange = self._new_exchange(self.settings)
        await self._connect_link()
        try:
            await self._associate()
        # What another try can mend. Its own error is raised as it is, so there is no third. Everything else, silence
        # and a wrong password too, goes up at once: to the bridge, which knows when to ask again.
        except LinkLost as error:  # FRMR or DM to the AARQ: the link of another client was still there
            await self._open_again(error)
        except ServiceRefused as error:
            if not (self.ciphering.adopt(error.invocation_counter) or self._may_be_stuck(error)):
                raise
            await self._start_over()
        except AssociationRefused as error:
            if not self._may_be_stuck(error):
                raise
            await self._start_over()

    async def _start_over(self, *, line_lost: bool = False) -> None:
        """Disconnect and associate once more (an association was left open, a counter was learned, a link was lost)."""
        # No release before: what there would be to release is not ours, or lost. DISC ends it as well. Where the
        # connection itself is gone there is nobody to disconnect from, and the line is opened anew.
        self._associated = self.ready = False
        if self.reads_out:
            await self._open_readout()
            return
        if self._live.has_connection and not line_lost:
            # The meter may be where we think it is not: DISC brings both to the same place, in any state of either.
            await self._live.disconnect()
            await self._back_to_the_start()
        else:
            await self.transport.close()
            await self._open_line()
        self._exchange = self._new_exchange(self.settings)
        await self._connect_link()
        await self._associate()

    async def _back_to_the_start(self) -> None:
        """After DISC a meter that was signed on to waits for the next sign-on, at its first speed."""
        # With ``opening: direct`` it has no other speed, and the open port goes on.
        if self.settings.opening != "direct":
            await self.transport.close()
            await self._open_line()

    async def _open_line(self) -> None:
        # A failed sign-on is a figure of the line too: without a link there are no others to judge the head by.
        self._figures = SessionFigures()
        try:
            self._identification = None
            self._identification = await open_line(self.transport, self.settings)
        except ResponseTimeout:
            self._figures = SessionFigures(signed_on=False)
            raise

    def _may_be_stuck(self, error: AssociationRefused | ServiceRefused) -> bool:
        """A password is never sent a second time: only refusals that cannot be about one are worth another try."""
        # Starting over helps by its DISC, which ends the association that another client left. Without a link to take
        # down it would be the same question once more.
        if isinstance(error, AuthenticationRefused) or not self._live.has_connection or error.name in ABOUT_THE_CALLER:
            return False
        # service-not-allowed and no-reason-given are what meters say while one is open; where a password was sent they
        # may as well mean that. rejected-transient says of itself that it is about now, not about who asks.
        if isinstance(error, ServiceRefused):
            return self.settings.authentication == "none" and error.name.startswith("service-not-allowed")
        return self.settings.authentication == "none" or AssociationResult.REJECTED_TRANSIENT.text in error.message

    @property
    def _signed_on(self) -> bool:
        return self._identification is not None

    @property
    def has_received(self) -> bool:
        """Has any octet come since the client was last opened?"""
        # What tells a wrong cable from a wrong address: a meter that has signed on is there, whatever it says later.
        return self._has_received or self._signed_on or (self._exchange is not None and self._exchange.has_received)

    def _new_exchange(self, settings: ConnectionSettings) -> Exchange:
        # A new one for each link, never one used twice: numbers, cipher, blocks and what is owed belong to one link.
        self._has_received = self.has_received
        connection = Connection(Side.CLIENT, client_link(settings, self.transport.datagram))
        exchange = Exchange(connection, self.transport, settings, self._on_notification, self._warn_once)
        exchange.most_octets = self.most_octets  # a bridge on a small machine sets less
        return exchange

    async def _connect_link(self) -> None:
        # Signed on at 300 baud and silent at the new speed: where the port's speed is not ours to set (TCP to a serial
        # converter), the converter has stayed behind.
        try:
            parameters = await self._live.connect(signed_on=self._signed_on)
        except ResponseTimeout as error:
            if self._signed_on and self.transport.format is None and not self.settings.max_baud:
                raise ResponseTimeout(f"{self.transport.name}: {_KEEPS_SPEED}", hint=_TWO_WAYS_OUT) from error
            raise
        # None where nothing was negotiated: then only the APDU's own limit counts for lists and blocks.
        self.link_parameters = parameters if self._live.has_connection else None
        frames = f"frames of {parameters.max_info_transmit} octets" if self.link_parameters else "needs no frames"
        log.log(STEP, "%s: the link stands, %s", self.transport.name, frames)

    async def _associate(self) -> None:
        exchange, settings = self._live, self.settings
        # The bridge notes on disk that a secret goes out, before it does: a crash in between must not make a second try
        # look like the first.
        if settings.secrets and self.before_secret is not None:
            self.before_secret()
        cipher = self.ciphering.new_cipher()
        # Pre-established: the meter keeps this association open for ever, with services that papers tell. There is
        # nothing to ask for and nothing to prove; ciphered messages have the meter's title from the configuration.
        if settings.pre_established:
            exchange.connection.pre_establish()
        else:
            self.association = await associate(
                exchange,
                settings,
                self._random,
                title=self.ciphering.title,
                cipher=cipher,
                dedicated_key=self.ciphering.dedicated_key,
            )
        # The cipher only from here: AARQ and AARE go in the clear, and protect what they carry by themselves.
        self._associated = True
        exchange.connection.cipher = cipher
        self._negotiated()
        if self.association.high:
            await self._prove()
        self.ready = True
        largest = self.association.max_pdu
        log.log(STEP, "%s: associated as client %d, %d octets a message", self.transport.name, settings.client, largest)

    def _negotiated(self) -> None:
        # From what both agreed on follows how long a list, a SET and a block may be; asked for more, meters answer an
        # exception or nothing.
        exchange, agreed = self._live, self.association
        blocks = self.settings.pre_established and self.settings.gbt_window  # there nothing is negotiated
        if blocks or agreed.conformance & Conformance.GENERAL_BLOCK_TRANSFER:
            exchange.connection.blocks = BlockTransfer(max_pdu=agreed.max_pdu, window=self.settings.gbt_window)
        self._services = _services(self.settings, exchange, agreed, self.memory)
        self._limits = limits(self.link_parameters, agreed.max_pdu, self.settings.max_pdu, exchange.overhead)

    async def _prove(self) -> None:
        """Passes 3 and 4 of high-level security."""
        # A manufacturer's answer may be no more than the password and the challenge added up.
        self._live.hiding = self.association.mechanism == Mechanism.HLS
        # The object that took the proof the last time: where it is not the usual one, each search for it costs turns.
        known = self.memory.association or self.settings.association
        try:
            self.memory.association = await prove(self._live_services.invoke, self.ciphering, self.association, known)
        finally:
            self._live.hiding = False

    async def _ask_counter(self) -> None:
        """The invocation counter through the public client, in an association of its own."""
        # Client 16 without secrets reads little more than this. Its association ends before ours begins: many meters
        # have one at a time. A memory of its own, as what this client may not see says nothing about ours.
        public = public_settings(self.settings)
        self._exchange = self._new_exchange(public)
        try:
            with through_public_client():
                await self._exchange.connect(signed_on=self._signed_on)
                agreed = await associate(self._exchange, public, self._random)
                self._associated = True
                services = _services(public, self._exchange, agreed, Memory())
                counter = decode(await services.get((self.ciphering.counter_attribute, None)))[0].value
        finally:
            # Released whatever came of it, and forgotten: ``close`` must not release it once more in our own name.
            await self._release(public)
            self._has_received, self._exchange = self.has_received, None
        self.ciphering.start(checked_counter(counter) + 1)

    async def _ask_counter_if_it_tells(self) -> None:
        """Ours may be behind (a restored backup). Once; a meter that does not tell refuses what is too low."""
        # So the failure of this question is no failure of the opening: the line is opened again and life goes on.
        self.memory.warned.add(_ASKED)
        try:
            await self._ask_counter()
        except (MeterRefused, RemoteProtocolError, TransportError) as error:
            log.info("%s: the meter's own counter was not learned: %s", self.transport.name, error)
            await self.transport.close()
            await self._open_line()
        else:
            await self._back_to_the_start()

    async def close(self) -> None:
        """Release, disconnect, close the line. Never raises for a dead line and never hangs on one."""
        # Whatever the farewell does, the line is closed at last: another meter, or another program, waits for it.
        try:
            async with asyncio.timeout(_CLOSING):
                await self._release(self.settings)
        except TimeoutError:
            log.debug("%s: leaving took too long", self.transport.name)
        finally:
            self._figures, self._has_received = self.figures, self.has_received
            self._exchange = self._services = self._lost = None
            self._associated = self.ready = False
            await self.transport.close()

    async def _release(self, settings: ConnectionSettings) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        # First the association, then the link that carries it: the other way round the meter would not hear the RLRQ.
        if self._wants_release(settings, exchange):
            self._associated = False
            self.release_answered = await self._leave(
                lambda: exchange.ask(release_request(settings, exchange.connection.cipher))
            )
        if exchange.has_connection:
            await self._leave(exchange.disconnect)

    async def _leave(self, goodbye: Callable[[], Awaitable[object]]) -> bool:
        """Not all meters implement the release, and the line may be what brought us here: we go all the same.

        Was there an answer?
        """
        # A refusal is one: the meter has heard us and lives. Any other error is silence or rubbish, from which the
        # finder learns that this meter does better without (``no_release``).
        try:
            async with asyncio.timeout(_RELEASING):
                await goodbye()
        except (DlmsMqttError, TimeoutError) as error:
            log.debug("%s: leaving without ceremony: %s", self.transport.name, error)
            return isinstance(error, MeterRefused)
        return True

    def _wants_release(self, settings: ConnectionSettings, exchange: Exchange) -> bool:
        """Without ciphering, DISC alone ends an HDLC association: two turns of the line less."""
        # With ciphering it is sent all the same, as the widespread clients do: that is what meters were tried with.
        # Over UDP nothing else tells the meter, and over TCP it may notice late that the connection has gone.
        ciphered = exchange.connection.cipher is not None
        return self._associated and not settings.no_release and (ciphered or not exchange.has_connection)

    @property
    def _live(self) -> Exchange:
        if self._exchange is None:
            raise LocalProtocolError("the client is not open: use it with `async with`")
        return self._exchange

    @property
    def _live_services(self) -> Services:
        if self._services is None:
            raise LocalProtocolError("there is no association: use the client with `async with`")
        return self._services

    @property
    def statistics(self) -> Statistics | None:
        """What the link has counted: frames, errors, repeats. None while the client is closed."""
        # Counted by the link, which begins at 0 with each exchange.
        return self._exchange.connection.link.statistics if self._exchange else None

    @property
    def figures(self) -> SessionFigures:
        """What the line was like in this session or, after its end, in the last one."""
        # Kept over the end because the bridge judges a session when it is over: shorter frames, a hint about the head.
        if self._exchange is None or (statistics := self.statistics) is None:
            return self._figures
        turns = tuple(self._exchange.turn_rounds)
        return SessionFigures.of(statistics, signed_on=self._signed_on or None, turn_rounds=turns)

    @property
    def idle(self) -> float:
        """Seconds since the meter was last asked something; 0 while the session is closed."""
        # A link that was idle long may be gone on the meter's side alone; before a write that is tried out with a read.
        return asyncio.get_running_loop().time() - self._exchange.last_used if self._exchange else 0.0

    async def overhear(self, timeout: float) -> None:
        """Take what the meter pushes in the open association while nobody asks it anything.

        Meters send these to the client that is associated, over the connection that it has opened.

        ResponseTimeout where nothing comes within ``timeout`` seconds, ConnectionLost.
        """
        await self._live.overhear(timeout)

    async def _open_again(self, error: DlmsMqttError) -> None:
        # Between two polls meters hang up without a word, and the first question finds out. When this fails too, the
        # next question begins with it: it must not be asked into a session that is not there.
        log.debug("%s: %s; the association is opened again", self.transport.name, error)
        self._lost = None
        try:
            await self._start_over(line_lost=isinstance(error, ConnectionLost) and not isinstance(error, LinkLost))
        except TransportError as lost:
            self._lost = lost
            raise

    def left_over(self, octets: bytes, what: object) -> None:
        """Tell of octets behind a value that belong to nothing."""
        self._live.tell_left_over(octets, what)


def _services(settings: ConnectionSettings, exchange: Exchange, agreed: Association, memory: Memory) -> Services:
    # Short names are rare, so their half is loaded only where it is wanted: memory counts on a Raspberry Pi.
    if settings.referencing == "ln":
        return LogicalNames(exchange, agreed.max_pdu)
    from dlms_mqtt.client.services.short_names import ShortNames

    return ShortNames(exchange, agreed.max_pdu, memory, settings.association)
