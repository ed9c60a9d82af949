"""The secrets of one association at work: counters out of the store, a cipher per association, proofs of the secret."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from dlms_mqtt.client.association.association import Association
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError, SecurityError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import (
    MANUFACTURER_ALGORITHMS,
    MECHANISMS,
    SUITES,
    Cipher,
    HlsContext,
    Keys,
    ManufacturerAlgorithm,
    PeerCounters,
    answer_challenge,
    verify_answer,
)
from dlms_mqtt.protocol.security.suites import SECURITY_BY_WORD

if TYPE_CHECKING:
    from dlms_mqtt.client.state.store import Counter, Store

log = logging.getLogger("dlms_mqtt.client")

COUNTER_OBIS = Obis((0, 0, 43, 1, 0, 255))
PUBLIC_CLIENT = 16
_WITH_CHALLENGE = {row.word for row in MECHANISMS.values() if row.high}
# What an unauthenticated exception-response may move our counter by: a thousand years of polling is not needed.
ADOPTION_BOUND = 1_000_000
_TITLE_MAKER = b"DMQ"  # the first three octets name the maker of a system title; ours is not registered


def public_settings(settings: ConnectionSettings) -> ConnectionSettings:
    """The same line for the public client: no password, no key."""
    return replace(
        settings,
        client=PUBLIC_CLIENT,
        authentication="none",
        password=None,
        security="none",
        encryption_key=None,
        authentication_key=None,
        dedicated_key=None,
        broadcast_key=None,
        pre_established=False,
        gbt_window=0,
    )


class Ciphering:
    """Made once per client; a fresh cipher for each association."""

    def __init__(
        self,
        settings: ConnectionSettings,
        store: Store | None,
        random: Callable[[int], bytes],
        algorithm: ManufacturerAlgorithm | None,
        warn: Callable[[str], None] = log.warning,
        peer: str = "",
    ) -> None:
        """``peer``: the name under which ``store`` keeps what the meter counted; without it, it is forgotten."""
        self.settings = settings
        self.security = SECURITY_BY_WORD[settings.protection]
        self._random = random
        self._warn = warn
        self._algorithm = algorithm or MANUFACTURER_ALGORITHMS.get(settings.hls_algorithm or "")
        if settings.authentication == "hls" and self._algorithm is None:
            raise ConfigError(
                "authentication 'hls' (mechanism 2) needs the manufacturer's algorithm",
                key="hls_algorithm",
                hint=f"hls_algorithm is one of {', '.join(MANUFACTURER_ALGORITHMS)}; a wrong one may lock the meter.",
            )
        self._peer_counters = _history(store, peer) if store is not None and peer else PeerCounters()
        self.dedicated_key: Secret | None = None
        self._cipher: Cipher | None = None
        self._traffic: Counter | None = None
        self.active = bool(settings.encryption_key)
        needs_title = self.active or settings.authentication in ("sha256", "gmac")
        store = store or (_store_in_memory() if needs_title else None)
        self.title = settings.system_title or (_kept_title(store, random) if store is not None and needs_title else b"")
        self._store = store
        self.counter: Counter | None = None
        if self.active and store is not None and settings.encryption_key:
            start = settings.invocation_counter if isinstance(settings.invocation_counter, int) else None
            self.counter = store.counter(settings.encryption_key, self.title, start)

    @property
    def counter_unknown(self) -> bool:
        """Must the meter be asked for the counter before we cipher?"""
        return self.counter is not None and not self.counter.known

    @property
    def counter_attribute(self) -> AttributeDescriptor:
        """The meter's counter object."""
        wanted = self.settings.invocation_counter
        return AttributeDescriptor(1, wanted if isinstance(wanted, Obis) else COUNTER_OBIS, 2)

    def start(self, number: int) -> None:
        """Go on from the meter's own counter; another session with this key may have come further meanwhile."""
        if self.counter is not None:
            self.counter.raise_at_least_to(number)

    def adopt(self, number: int | None, *, traffic: bool = False) -> bool:
        """Take over the counter that a refusal names: only upwards and within a bound. True: ours is higher now.

        ``traffic``: what was refused is no AARQ, so a dedicated key may have protected it.
        """
        counter = self._traffic if traffic else self.counter
        if number is None or counter is None:
            return False
        before = counter.value
        counter.refresh()  # another process may have used higher numbers since, in an association of its own
        if number > counter.value:
            counter.adopt(number, ADOPTION_BOUND)
            log.info("invocation counter adopted from the meter's refusal: %d", number)
        return counter.value > before

    def new_cipher(self) -> Cipher | None:
        """The cipher of a new association; None where nothing is ciphered."""
        settings, counter = self.settings, self.counter
        if counter is None or settings.encryption_key is None:
            self._cipher = None
            return None
        counter.refresh()
        self._traffic = counter
        dedicated = settings.ciphering.endswith("dedicated") and self.security
        self.dedicated_key = self._dedicated(counter) if dedicated else None
        keys = Keys(
            settings.encryption_key,
            settings.authentication_key or Secret(),
            self.dedicated_key,
            settings.broadcast_key,
        )
        self._cipher = Cipher(
            suite=settings.suite,
            security=self.security,
            keys=keys,
            system_title=self.title,
            peer_title=settings.meter_system_title,
            next_counter=counter.next,
            next_dedicated=self._traffic.next,
            form=settings.ciphering,
            tells_title=not settings.omit_system_title,
            accept_unauthenticated=settings.accept_unauthenticated,
            peer_counters=self._memory(),
            warn=self._warn,
        )
        return self._cipher

    def _memory(self) -> PeerCounters:
        """Meters may count anew in each association. Only a fresh challenge tells that from an old one played back."""
        if self.settings.authentication in _WITH_CHALLENGE:
            return PeerCounters()
        self._peer_counters.begin()
        return self._peer_counters

    def _dedicated(self, counter: Counter) -> Secret:
        """A new key for each association may share the global key's numbers; a given one outlives them: its own."""
        given = self.settings.dedicated_key
        if not given or self._store is None:
            return Secret(self._random(SUITES[self.settings.suite].key_length))
        self._traffic = self._store.counter(given, self.title)
        self._traffic.refresh()
        if self._traffic.value < counter.value:  # where the global one was raised, so is this one
            self._traffic.raise_at_least_to(counter.value)
        return given

    @contextmanager
    def under_the_global_key(self) -> Iterator[None]:
        """For passes 3 and 4: many meters take the dedicated key only once the association is proved."""
        cipher = self._cipher
        if cipher is None:
            yield
            return
        form, cipher.form = cipher.form, cipher.form.replace("dedicated", "global")
        try:
            yield
        finally:
            cipher.form = form

    def answer(self, agreed: Association) -> bytes:
        """Pass 3: our answer to the meter's challenge."""
        return answer_challenge(agreed.mechanism, self._context(agreed))

    def verify(self, agreed: Association, answer: object) -> None:
        """Pass 4: SecurityError unless the meter proved that it knows the secret too."""
        if self._algorithm is not None and agreed.mechanism == Mechanism.HLS and not self._algorithm.mutual:
            return
        if not isinstance(answer, bytes):
            raise SecurityError(
                "the meter's answer to our challenge is no octet string",
                reason="authentication",
                hint="It proves nothing: try another --authentication; -vv shows what came.",
            )
        verify_answer(agreed.mechanism, self._context(agreed), answer)

    def _context(self, agreed: Association) -> HlsContext:
        return HlsContext(
            own_challenge=agreed.own_challenge,
            peer_challenge=agreed.peer_challenge,
            secret=self.settings.password or Secret(),
            own_title=self.title,
            peer_title=agreed.system_title,
            suite=self.settings.suite,
            key=self._cipher.key if self._cipher else None,
            next_counter=self.counter.next if self.counter else None,
            algorithm=self._algorithm,
        )


def _store_in_memory() -> Store:
    from dlms_mqtt.client.state.state_file import MEMORY
    from dlms_mqtt.client.state.store import Store

    return Store(MEMORY)


def _history(store: Store, peer: str) -> PeerCounters:
    from dlms_mqtt.client.state.peer_history import PeerHistory

    return PeerHistory(store, peer)


def _kept_title(store: Store, random: Callable[[int], bytes]) -> bytes:
    """Our system title: made once, because counters are kept under it."""
    kept = store.get("client", "system_title")  # nothing is written where nothing is new
    return bytes.fromhex(kept or store.agree("client", "system_title", (_TITLE_MAKER + random(5)).hex()))
