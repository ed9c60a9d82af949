"""The conversation with one meter: opened when needed, kept or closed by policy, shared fairly with the line's others.

Authentication trouble is counted here and nowhere else, so no path can repeat a wrong password.

    may it be tried now?   not before the clock is set, not while paused for another program, not while locked out
    a turn of the line     by priority; another meter that left its association open there closes it first
    is it open still?      checked first where what follows must not be done twice and the meter was silent for long
    the work               a read whose association proves dead is done once more in a new one; nothing else is
    kept or closed         kept if the next cycle is near; closed after any error that may be the association's

Before a secret is sent that has not worked yet, it is counted as refused, on the disk. An association that stands takes
that back; so does, for the most part, a line on which not one octet came. A crash, a cut cable or a meter that refuses
without a reason leave it counted: the mistake is to wait too long, never to send a wrong password once more.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from dlms_mqtt.bridge.api.errors import LockedOut, RequestError
from dlms_mqtt.bridge.meters.lockout import SPACE, Lockout
from dlms_mqtt.bridge.meters.shared_line import Line, Priority
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.quality import FrameSize, LineQuality, SessionFigures
from dlms_mqtt.client.refusals import about_secrets
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    DlmsMqttError,
    MeterRefused,
    SecurityError,
    ServiceRefused,
    StoreError,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import mark_of
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[DlmsClient], Awaitable[T]]
NewClient = Callable[[ConnectionSettings], DlmsClient]
_SALT = b"dlms-mqtt lockout"
CLOCK_SET = datetime(2025, 1, 1, tzinfo=UTC).timestamp()  # before this the system's clock has not been set
_ABSENT = 3  # errors in a row that may be the line's
_FRESH = 15.0  # s of silence after which an open association is checked before something that must not be repeated


def fingerprint(settings: ConnectionSettings) -> str:
    """Of its secrets: tells whether they are the same as before."""
    return mark_of(settings.secrets, _SALT) if settings.secrets else _of_no_secrets()


@cache
def _of_no_secrets() -> str:
    return mark_of((), _SALT)


def _access(settings: ConnectionSettings) -> str:
    """Tells whether settings are the same as before, their secrets aside."""
    # Secrets print as asterisks, so they are not in it. Another address or mechanism has to prove itself anew: the same
    # password may be wrong there.
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:24]


def _place(settings: ConnectionSettings) -> str:
    return f"{settings.line}/{settings.physical}/{settings.server}"


class Session:
    """One meter's association. ``errors`` counts what went wrong on the line, ``exchanges`` what was tried."""

    def __init__(
        self,
        meter: str,
        settings: ConnectionSettings,
        line: Line,
        new_client: NewClient,
        store: Store,
        clock: Clock,
        attempts: int,
        *,
        trial: bool = False,
    ) -> None:
        """``trial``: somebody tries settings out, so silence, which a wrong address explains, costs no pause."""
        # What outlives one association of this meter: figures of the line, scalers, what its secrets have met.
        self.meter, self.settings, self.line = meter, settings, line
        self._trial = trial
        # Somebody may try the same password under ever new names.
        self._kept_as = (meter, f"{_place(settings)} (trial)") if trial else (meter,)
        self._new_client, self._store, self._clock, self._attempts = new_client, store, clock, attempts
        self._client: DlmsClient | None = None  # while an association is open
        self._used = 0.0  # when it last answered, by the monotonic clock
        self._keep = False  # is it left open after the work that is under way?
        self.paused_until = 0.0  # Unix time, to be shown; what counts is the monotonic clock
        self._resumes = 0.0
        self.errors = self.exchanges = self.opened = 0
        self._in_a_row = self.absent = 0  # errors; and those of a meter that was not there, whatever its line is like
        self.quality, self._frames = LineQuality(), FrameSize(settings.info_length)
        self.scalers: dict[AttributeDescriptor | Obis, ScalerUnit] = {}  # by OBIS code, for pushes that tell none
        self._access = _access(settings)
        own, *others = self._stored()
        self.lockout = own if own.worked == self._access else max([own, *others], key=lambda kept: kept.refusals)
        self._before: Lockout | None = None  # what stood before a secret was sent in this opening
        self._barred = self._clock.monotonic() + self.lockout.left(self._clock.time())

    def _stored(self) -> list[Lockout]:
        # A store that cannot be read tells of no success either, so a secret is counted anew before it is sent.
        secrets = fingerprint(self.settings)
        try:
            return [Lockout.restore(self._store.get(SPACE, name), secrets) for name in self._kept_as]
        except StoreError as error:
            _LOG.warning("%s: %s", self.meter, error.message)
            return [Lockout(secrets)]

    def _store_lockout(self, lockout: Lockout) -> None:
        for name in self._kept_as:
            self._store.set(SPACE, name, lockout.dump())

    async def run(self, priority: Priority, work: Work[T], *, keep: bool, repeat: bool = True) -> T:
        """One exchange. ``keep``: leave the association open after; ``repeat``: may be done twice (a read)."""
        # Before the turn, so that nobody waits for a line in vain, and in it: what was before us on the line may have
        # been the attempt that locks. ``close`` is what the line calls when another meter wants it.
        self._check()
        async with self.line.turn(self.meter, priority, self.close):
            self._check()
            self._keep = keep
            return await self._attempt(work, repeat)

    def _check(self) -> None:
        now = self._clock.time()
        if now < CLOCK_SET:
            raise RequestError("temporary-failure", "The system's clock is not set yet, so no reading could be stamped")
        if self.pause_left:
            raise RequestError(
                "paused", "Reading is paused, another program has the line", hint="Send resume to end it."
            )
        self._check_lockout()

    def _check_lockout(self) -> None:
        """LockedOut while attempts pause; by the monotonic clock, so that no set clock ends or prolongs the pause."""
        # Meters lock for hours after a few wrong passwords, and then refuse the right one too.
        left = self._barred - self._clock.monotonic()
        if left > 0:
            raise LockedOut(self._clock.time() + left)

    async def _attempt(self, work: Work[T], repeat: bool) -> T:
        # Meters hang up in silence, and an association that was left open is found dead by the first question. So what
        # failed in a reused one may be done again in a new one, once; in a fresh one a failure is a failure.
        self.exchanges += 1
        reused = self._client is not None
        try:
            if reused and not repeat:
                await self._prove_open()
            return await self._work(work)
        except DlmsMqttError as error:
            if not (reused and repeat) or isinstance(error, AuthenticationRefused):
                raise
            _LOG.debug("%s: the open association is gone (%s); opened again", self.meter, error)
            # A refusal that left the association standing is the meter's answer to the question, not its silence.
            if isinstance(error, MeterRefused) and self._client is not None:
                raise
        return await self._work(work)

    def _count_error(self) -> None:
        """The fourth in a row is no bad line any more: there is no meter."""
        self.errors += 1
        self._in_a_row += 1
        self.absent += self._in_a_row > _ABSENT

    async def _prove_open(self) -> None:
        # Costs one question where the meter was silent for long, and spares the doubt whether a write was carried out.
        client = self._client
        if client is None or self._clock.monotonic() - self._used < _FRESH:
            return
        try:
            await client.keep_alive()
        except DlmsMqttError:
            await self.close()

    async def _work(self, work: Work[T]) -> T:
        try:
            result = await work(await self._open())
        except MeterRefused as error:
            if isinstance(error, AuthenticationRefused) and self._client is not None:
                self.judge(error)  # it was opened anew in the middle of the work
            # The association may be what is wrong, or there is none any more. A refusal of one value leaves it open.
            if isinstance(error, ServiceRefused | AssociationRefused) or not self._keep:
                await self.close()
            raise
        except BaseException:
            # Cancelled too: the answer that was on its way would be taken for that of the next question.
            self._count_error()
            await self.close()
            raise
        self._in_a_row = 0
        if self._before is not None:  # the secret was sent within the work (programming mode), and was taken
            self._before = None
            self._keep_lockout(self.lockout.succeeded(self._access))
        self._used = self._clock.monotonic()
        self._learn()
        # An association that stays open would keep frames that are too long for this line.
        if not self._keep or (self._client is not None and self._frames.too_long(self._client.figures)):
            await self.close()
        return result

    async def _open(self) -> DlmsClient:
        if self._client is not None:
            return self._client
        # The frame size is what the last sessions on this line could do. The client calls ``before_secret`` just before
        # the AARQ: an opening that fails before it (no line, no link) has cost the meter nothing and counts nothing.
        client = self._new_client(replace(self.settings, max_info=self._frames.max_info))
        client.before_secret, self._before = self._count_first, None
        try:
            await client.open()
        except BaseException as error:
            self._note(client.figures)
            self._opening_failed(client, error)
            raise
        self._client, self.opened = client, self.opened + 1
        # It stands, so the secret is right: what was counted is taken back, together with older refusals. A readout
        # needs no secret, so it proves none; nor does an acceptance that says "authentication-failure" in one breath,
        # before something was read.
        doubtful = client.reads_out or (client.association.in_doubt and not self.proved)
        if not doubtful and (self.lockout.refusals or self._before is not None):
            self._keep_lockout(self.lockout.succeeded(self._access))
            self._before = None
        return client

    @property
    def proved(self) -> bool:
        """Has the meter let us in with these settings, or is there nothing to prove?"""
        return self.lockout.worked == self._access or not self.settings.secrets

    def _count_first(self) -> None:
        """A secret is about to be sent. Until it has worked, that counts as refused, on the disk; else StoreError."""
        if self.proved:
            return
        self._check_lockout()  # one opening may send it twice
        # Written first and remembered after: where the disk is full the secret is not sent at all, because a restart
        # would then begin to count from 0 each time.
        before, counted = self.lockout, self.lockout.refused(self._clock.time(), self._attempts)
        self._store_lockout(counted)
        self._before = before
        self._set_lockout(counted)

    def _opening_failed(self, client: DlmsClient, error: BaseException) -> None:
        # No secret was counted: it has worked before (a plain refusal counts then) or was not reached. Counted, and not
        # one octet heard: the line is dead, so only the first pause is kept. Counted and heard: that stays.
        if self._before is None:
            if self.proved and isinstance(error, DlmsMqttError):
                self.judge(error)
        elif not client.has_received:
            before, now = self._before, self._clock.time()
            self._keep_lockout(before if self._trial else before.unheard(now, self._attempts))

    def judge(self, error: DlmsMqttError) -> None:
        """Count a refused password or key that has worked before, whoever sent it for this meter."""
        # Somebody may have changed it in the meter. A wrong tag is not enough: with a key that has worked before it is
        # more likely that the line has altered the answer.
        if (
            self.proved and about_secrets(error) and not isinstance(error, SecurityError)
        ):  # which may come of a damaged answer
            self._keep_lockout(self.lockout.refused(self._clock.time(), self._attempts))

    @property
    def line_quality(self) -> LineQuality:
        """Of the last sessions and of the one that is open."""
        return LineQuality([*self.quality, *([self._client.figures] if self._client is not None else [])])

    def _note(self, figures: SessionFigures) -> None:
        # Of failed openings too: those tell most about a line.
        self.quality.add(figures)
        self._frames.session_ended(figures)

    def _set_lockout(self, lockout: Lockout) -> None:
        # Kept as Unix time, because it outlives the process; counted down by the monotonic clock, which nobody sets.
        self.lockout = lockout
        self._barred = self._clock.monotonic() + lockout.left(self._clock.time())

    def _keep_lockout(self, lockout: Lockout) -> None:
        self._set_lockout(lockout)
        try:
            self._store_lockout(lockout)
        except StoreError as error:
            _LOG.warning("%s: the pause after refused passwords is not kept: %s", self.meter, error.message)

    async def close(self) -> None:
        """End the association, if one is open; never raises for a dead line."""
        # Forgotten before it is closed: whoever comes meanwhile opens a new one instead of using half a one.
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await client.close()
        except DlmsMqttError as error:
            _LOG.debug("%s: closing failed: %s", self.meter, error)
        self._note(client.figures)

    def _learn(self) -> None:
        # Scalers read once serve pushes as well, which mostly tell none.
        known = self._client.memory.scalers if self._client is not None else {}
        if len(known) != len(self.scalers):
            self.scalers = {attribute.obis: scaler for attribute, scaler in known.items() if scaler is not None}

    async def alone(self, work: Callable[[ConnectionSettings], Awaitable[T]], worked: Callable[[T], bool]) -> T:
        """The line without any association of ours, for something that opens its own; ``worked``: was it let in?"""
        # For what captures a whole session, from the line's opening on. Only a secret that nothing speaks against, and
        # counted first like any other.
        self._check()
        if self.lockout.refusals:
            raise RequestError("locked-out", "The password or key has not worked yet; it is not sent again now")
        async with self.line.turn(self.meter, Priority.PROFILE, self.close):
            await self.close()
            self._before = None
            self._count_first()
            result = await work(self.settings)
            if self._before is not None and worked(result):
                self._keep_lockout(self.lockout.succeeded(self._access))
            return result

    async def pause(self, seconds: float) -> None:
        """Free the line for another program."""
        # First the mark, then the turn: what waits for the line sees the pause when it gets it, and gives up at once.
        self.paused_until = self._clock.time() + seconds
        self._resumes = self._clock.monotonic() + seconds
        async with self.line.turn(self.meter, Priority.COMMAND, self.close):
            await self.close()

    @property
    def pause_left(self) -> float:
        """Seconds until the line is ours again; 0 when it is."""
        # Not kept over a restart: who starts the bridge wants it to read.
        return max(0.0, self._resumes - self._clock.monotonic())

    @property
    def invocation_counter(self) -> int | None:
        """The next number of this meter's key; None where nothing is ciphered, or before the first message."""
        # Shown, not used: the client draws its numbers from the store itself.
        counter = self._client.ciphering.counter if self._client is not None else None
        return counter.value if counter is not None else None

    @property
    def client(self) -> DlmsClient | None:
        """The client while an association is open."""
        return self._client
