"""The second half of a search: from a station that answers to an association, and what the meter then tells of itself.

The rule of passwords: one is sent only if the user gave it, only after the link is proved, only to the client that
asked for one (or that the user named), and only once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.sign_on import SignOnFailed
from dlms_mqtt.client.settings import CALLED_LINES, ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    ServiceRefused,
    TransportError,
)
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.finder.evidence import judge
from dlms_mqtt.meter.finder.learning import learn
from dlms_mqtt.meter.finder.path_faults import path_fault
from dlms_mqtt.meter.finder.results import LOST, Facts
from dlms_mqtt.protocol.acse.names import ServiceUserDiagnostic as D
from dlms_mqtt.protocol.framing.registry import link_class
from dlms_mqtt.protocol.secret import mark_of
from dlms_mqtt.transport.base import Transport

Options = dict[str, Any]

REFUSED = "finder refused"
"""Namespace of the store: line and client -> a mark of the password or keys that were refused there."""

_TIMEOUT = 2.5  # s for one answer: a search has no time for the five of daily life
_RETRIES = 2  # the first frame after a sign-on may be lost on deaf ears, the second on a bad line
_EXCHANGE = 30.0  # s for one question with all its blocks
_BRIEF = 1.0
_SILENT = 3  # clients that are asked again after silence
_SHORTER = (64, 32)
_ACCESS = {"": "open", "password": "password"}
_FEW_DAMAGED = 3  # frames of one session: any line may lose that many
_BAD = 0.05  # share of them that is worth a word
_REFUSALS: dict[int, str] = {
    D.AUTHENTICATION_FAILURE: "password",
    D.AUTHENTICATION_REQUIRED: "password",
    D.AUTHENTICATION_MECHANISM_NAME_REQUIRED: "password",
    D.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED: "password",
    D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: "context",
}
_MODEST = ("get", "set", "action", "selective-access", "block-transfer-with-get-or-read")

#: What else to propose when an AARQ without password is refused for this reason, in order.
_VARIATIONS: dict[str, tuple[Options, ...]] = {
    "context": ({"referencing": "sn"},),
    "password": (),
    "proposal": ({"max_pdu": 0}, {"conformance": _MODEST}, {"referencing": "sn"}),
    "other": ({"max_pdu": 0}, {"referencing": "sn"}, {"conformance": _MODEST}),
    "silence": ({"max_pdu": 0x0400}, {"referencing": "sn"}),
    # It let us in, then fell silent: some do at a question for several attributes at once.
    "lists": ({"conformance": _MODEST},),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One AARQ: what it was, and why it was refused ("" when it was not)."""

    options: Options
    reason: str = ""
    error: DlmsMqttError | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Entering:
    """Opens associations at a station that was found."""

    settings: ConnectionSettings
    open_line: Callable[[ConnectionSettings], Transport]
    facts: Facts
    store: Store | None
    credentials: Mapping[str, Any]
    stage: Callable[[float, float, str], None]
    clients: Mapping[int, float]
    max_clients: int
    patience: float
    attempts: list[Attempt] = field(default_factory=list)
    _let_in: bool = False

    async def run(self, link: Options) -> Attempt:
        """The best association there is: the user's own, else one without a password, else the last refusal."""
        named = self.credentials.get("client")
        opened = None
        if not (self._has_secret and named is not None):
            opened = await self._without_password(link if named is None else link | {"client": named})
            if opened.reason:
                opened = await self._other_clients(link) or opened
        if self._has_secret and (own := await self._with_credentials(link, opened)) is not None:
            return own
        if opened is not None and opened.reason in ("other", "silence", "lists") and self.patience:
            opened = await self._after_a_pause(opened)
        return opened or self.attempts[-1]

    @property
    def _has_secret(self) -> bool:
        return bool(set(self.credentials) - {"client"})

    async def _without_password(self, options: Options) -> Attempt:
        attempt = await self.attempt(options)
        if attempt.reason == "line":  # something broke on the way: that says nothing about the options
            attempt = await self.attempt(options)
        tried = [options]
        for _ in range(len(_VARIATIONS["other"])):
            if not attempt.reason or self.facts.path_faults:
                break
            following = next((v for v in _varied(options, attempt.reason) if v not in tried), None)
            if following is None:
                break
            tried.append(following)
            reason, attempt = attempt.reason, await self.attempt(following)
            if not attempt.reason:
                self.facts.oddities |= {"lists"} if reason == "lists" else _changed(options, following)
        if not attempt.reason and attempt.learned.get("long_frames") is False:
            attempt = await self._with_short_frames(attempt)
        if attempt.reason == "password" or any(a.reason == "password" for a in self.attempts[-len(tried) :]):
            return next(a for a in reversed(self.attempts) if a.reason == "password")
        return attempt

    async def _with_short_frames(self, attempt: Attempt) -> Attempt:
        """Long frames do not get through; if shorter ones do, the line is bad."""
        for octets in _SHORTER:
            shorter = await self.attempt(attempt.options | {"max_info": octets})
            if not shorter.reason and shorter.learned.get("long_frames"):
                self.facts.oddities.add("max_info")
                return shorter
        return attempt

    async def survey(self, link: Options, most: int) -> list[dict[str, Any]]:
        """Which clients this meter lets in, and which want a secret; the likeliest ``most`` are asked."""
        known = []
        for client in list(self.clients)[:most]:
            made = next((a for a in self.attempts if a.options["client"] == client), None)
            if made is None:
                self.stage(0.97, 1.0, f"client {client}")
                made = await self.attempt(link | {"client": client}, briefly=True)
            if made.reason in _ACCESS:
                known.append({"client": client, "access": _ACCESS[made.reason]})
        return known

    async def first_with_energy(self, link: Options, known: Iterable[Mapping[str, Any]]) -> Attempt | None:
        """The first open client that is shown energy."""
        for row in known:
            if row["access"] == _ACCESS[""] and row["client"] != link.get("client"):
                self.stage(0.98, 1.0, f"client {row['client']}")
                attempt = await self.attempt(link | {"client": row["client"]})
                if not attempt.reason and attempt.learned.get("energy"):
                    return attempt
        return None

    async def _other_clients(self, link: Options) -> Attempt | None:
        """Who else may come in? Who was met with silence is asked once more; nobody ever with a password."""
        tried = {attempt.options["client"] for attempt in self.attempts}
        others = [client for client in list(self.clients)[: self.max_clients] if client not in tried]
        opened = await self._first_open(link, others) or await self._first_open(link, self._silent_ones())
        return opened or next((attempt for attempt in self.attempts if attempt.reason == "password"), None)

    def _silent_ones(self) -> list[int]:
        """Clients that were asked once and got no answer: the frame may have been lost."""
        times = Counter(attempt.options["client"] for attempt in self.attempts)
        silent = [a.options["client"] for a in self.attempts if a.reason in LOST]
        return [client for client in silent if times[client] == 1][:_SILENT]

    async def _first_open(self, link: Options, clients: Iterable[int]) -> Attempt | None:
        for client in clients:
            self.stage(0.9, 1.0, f"client {client}")
            attempt = await self.attempt(link | {"client": client})
            if not attempt.reason:
                return attempt
        return None

    async def _with_credentials(self, link: Options, opened: Attempt | None) -> Attempt | None:
        """The one attempt with the user's own secret; None: nobody can be told to whom it belongs."""
        client = self.credentials.get("client")
        if client is None:
            if not self.facts.wants_password:
                await self.survey(link, self.max_clients)
            asking = self.facts.wants_password
            client = asking[0] if len(asking) == 1 else None
        if client is None:
            return None
        base = opened.options if opened is not None else link
        return await self._sent_once(base | {"client": client} | dict(self.credentials))

    async def _sent_once(self, options: Options) -> Attempt:
        """What this meter has refused is not sent again, in another run neither; only a mark of it is kept."""
        key = f"{self.settings.line} {options['client']}"
        mark = mark_of(self._settings(options).secrets, key.encode())
        if self.store is not None and self.store.get(REFUSED, key) == mark:
            self.facts.refusals.append("refused")
            self.facts.oddities.add("refused-before")
            return Attempt(options, "refused")
        made = await self.attempt(options, secret=True)
        if made.reason == "context" and self._settings(options).protection != "none":
            # The meter names the context without ciphering; authentication alone gives no secret away.
            made = await self.attempt(options | {"security": "none"}, secret=True)
        if made.reason == "refused" and self.store is not None:
            self.store.set(REFUSED, key, mark)
        return made

    async def _after_a_pause(self, refused: Attempt) -> Attempt:
        """An association that was never released blocks the next one until the meter's inactivity time is over."""
        self.stage(0.95, 1.0, "waiting for the meter to forget an earlier association")
        await asyncio.sleep(self.patience)
        first = next((a for a in self.attempts if a.reason in ("other", "silence")), refused)
        attempt = await self.attempt(first.options)
        if not attempt.reason:
            self.facts.oddities.add("association-stuck")
        return refused if attempt.reason else attempt

    async def attempt(self, options: Options, *, secret: bool = False, briefly: bool = False) -> Attempt:
        """Open the line, the link and an association with these options, learn what the meter says, leave."""
        settings = self._settings(options)
        self._let_in = False
        try:
            learned = await (self._briefly(settings) if briefly else self._patiently(settings, options))
        except DlmsMqttError as error:
            # Who has let us in has accepted the secret, whatever fails after that.
            answered = "unanswered" if isinstance(error, TransportError) or self._let_in else "refused"
            reason = reason_of(error)
            reason = "lists" if self._let_in and reason == "silence" else reason
            about = secret and reason != "context" and _was_sent(settings, error)
            made = Attempt(options, answered if about else reason, error)
            self._note(made)
        else:
            self.facts.associated = True
            made = Attempt(options, learned=learned)
        self.attempts.append(made)
        return made

    def _note(self, made: Attempt) -> None:
        error = made.error
        self.facts.refusals.append(made.reason)
        self.facts.failure = error.message if error else ""
        self.facts.linked = self.facts.linked or isinstance(error, MeterRefused)  # who refuses is there
        if isinstance(error, ResponseTimeout):
            self.facts.seen[judge(b"", error.received).evidence] += 1
            self.facts.path_faults |= {fault for fault in (path_fault(error.received),) if fault}
        client = made.options["client"]
        if made.reason == "password" and client not in self.facts.wants_password:
            self.facts.wants_password.append(client)

    def _settings(self, options: Options) -> ConnectionSettings:
        line = {name: getattr(self.settings, name) for name in CALLED_LINES}
        limits: Options = {
            "timeout": min(self.settings.timeout, _TIMEOUT),
            "retries": _RETRIES,
            "exchange_timeout": _EXCHANGE,
        }
        base = replace(self.settings, **line, **limits)
        return replace(base, **options)

    async def _briefly(self, settings: ConnectionSettings) -> dict[str, Any]:
        short = replace(settings, timeout=_BRIEF, retries=0)
        async with DlmsClient(short, transport=self.open_line(short), store=self.store):
            return {}

    async def _patiently(self, settings: ConnectionSettings, options: Options) -> dict[str, Any]:
        try:
            return await self._converse(settings, options)
        except SignOnFailed:
            if self.facts.identification is None or not self.patience:
                raise
            # It has signed on before: it still waits for HDLC, and falls back when nothing comes.
            await asyncio.sleep(self.patience)
            return await self._converse(settings, options)

    async def _converse(self, settings: ConnectionSettings, options: Options) -> dict[str, Any]:
        client = DlmsClient(settings, transport=self.open_line(settings), store=self.store)
        try:
            async with client:
                self.facts.linked = self._let_in = True
                learned = await self._learn(client)
        finally:
            figures = client.figures
            if figures.bad_check >= _FEW_DAMAGED and figures.damaged > _BAD:
                self.facts.oddities.add("damaged-frames")
        if client.memory.max_list == 1 and learned.get("lists"):  # announced, and not answered as they should be
            self.facts.oddities.add("lists")
            options["conformance"] = _MODEST
        if client.release_answered is False and "timeout" not in options:  # the slowest get no time to answer it
            self.facts.oddities.add("release-unanswered")
            if not link_class(settings.link_framing).has_connection:
                options["no_release"] = True
        return learned

    async def _learn(self, client: DlmsClient) -> dict[str, Any]:
        """What the meter tells of itself; one that has let us in and answers oddly is found all the same."""
        try:
            return await learn(client)
        except (MeterRefused, RemoteProtocolError) as error:
            self.facts.failure = error.message
            return {"referencing": client.settings.referencing, "max_pdu": client.association.max_pdu}


def _was_sent(settings: ConnectionSettings, error: DlmsMqttError) -> bool:
    """Was the secret used in what failed? An AARQ without ciphering that asks for a challenge gives nothing away."""
    challenge = settings.authentication not in ("none", "low") and settings.protection == "none"
    return not challenge or isinstance(error, AuthenticationRefused | TransportError)


def _varied(options: Options, reason: str) -> Iterator[Options]:
    for variation in _VARIATIONS.get(reason, ()):
        yield options | variation


def _changed(options: Options, following: Options) -> set[str]:
    return {key for key, value in following.items() if options.get(key) != value}


def reason_of(error: DlmsMqttError) -> str:
    """Why an association failed, as a word: password, context, proposal, other, silence or line."""
    if isinstance(error, AuthenticationRefused):
        return "password"
    if isinstance(error, AssociationRefused) and error.reason == "context":
        return "context"
    if isinstance(error, AssociationRefused) and error.code is not None:
        return _REFUSALS.get(error.code, "other")
    if isinstance(error, ServiceRefused) and ("initiate" in error.name or "pdu" in error.name):
        return "proposal"
    if isinstance(error, MeterRefused):
        return "other"
    return "silence" if isinstance(error, ResponseTimeout) else "line"
