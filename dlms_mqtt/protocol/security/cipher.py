"""The ciphering of one association, for either side: APDU in, ciphered APDU out, and back.

One rule: nothing of a message is believed before its tag was verified. What carries no tag, or one that can't be
checked, passes only where the configuration says so, with one warning.

    c8   25      30   00 00 01 23   ....          ............      a GET request with the global key
    tag  length  SC   IC            ciphered APDU authentication tag, 12 octets

    db   08 + 8 octets   length  SC  IC  ....  ............     any APDU in the general form: the sender's system title
                                                                goes first (00: none, for peers that know it)

    key              the global encryption key, the one for broadcasts, or the dedicated one of an association
    nonce            system title of the sender (8 octets), invocation counter IC (4 octets)
    additional data  security control SC, authentication key; and the APDU itself where it is not encrypted

The authentication key is no key of the cipher: AES-GCM has one key, and this is a second secret mixed into what the tag
covers. Each direction counts for itself under its own title, so the two never use one nonce. What is outside of the
protection (tag, length, title) is not covered by the tag, except the title, which is in the nonce.

Source: IEC 62056-5-3:2017, clause 5; Green Book ed. 8, clause 9.2.7.2 (protecting xDLMS APDUs); NIST SP 800-38D.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.errors import ConfigError, DecodeError, LocalProtocolError, SecurityError
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security.counters import PeerCounters
from dlms_mqtt.protocol.security.gcm import KeyContext, Unprotected, check_control, check_title
from dlms_mqtt.protocol.security.suites import BROADCAST, SUITE_MASK, SUITES, Keys, Security

# The security control octet before each ciphered content: bits 0 to 3 the suite, bit 4 authentication, bit 5
# encryption, bit 6 the broadcast key, bit 7 compression, which nobody here uses (Green Book ed. 8, clause 9.2.7.2.4.2).
_SECURITY = {bits: Security(bits) for bits in (0x00, 0x10, 0x20, 0x30)}
_BITS = int(Security.BOTH)
_AUTHENTICATION = int(Security.AUTHENTICATION)

_CONFIRMED_SERVICE_ERROR = 0x0E
_EXCEPTION_RESPONSE = 0xD8
_GENERAL_GLO = 0xDB
_GENERAL_DED = 0xDC
# general-ciphering and general-signing need keys that only the public-key parts can agree on.
_LATER = {0xDD: "general-ciphering", 0xDF: "general-signing"}
# Refusals that a meter may send in plain, because it may have been unable to decipher the question.
_MAY_BE_PLAIN = frozenset({_CONFIRMED_SERVICE_ERROR, _EXCEPTION_RESPONSE})
_LONGEST_REFUSAL = 16  # octets: a longer one is a ciphered message whose tag was altered
# What general-glo and general-ded may carry besides the services with tags of their own: DataNotification and ACCESS.
_WITHOUT_OWN_TAG = frozenset({0x0F, 0xD9, 0xDA})
# A P1 telegram of Luxembourg is text in general-glo and starts with a slash.
_PLAUSIBLE = frozenset(GLO_TAGS) | _MAY_BE_PLAIN | _WITHOUT_OWN_TAG | {0xE0, ord("/")}


# Each service has ciphered tags of its own, one for the global and one for the dedicated key: a GET request c0 becomes
# c8 or d0. The general forms (db, dc) take any APDU and tell the sender's title, for those who do not know it.
class Form(NamedTuple):
    """Which tags a ciphered APDU gets: a table of service-specific ones (None: the general one), and which key."""

    dedicated: bool
    tags: dict[int, int]
    general: int


FORMS: dict[str, Form] = {
    "global": Form(False, GLO_TAGS, _GENERAL_GLO),
    "dedicated": Form(True, DED_TAGS, _GENERAL_DED),
    "general-global": Form(False, {}, _GENERAL_GLO),
    "general-dedicated": Form(True, {}, _GENERAL_DED),
}


class _Incoming(NamedTuple):
    """What a ciphered tag says: which APDU may be inside, which key, and whether a system title goes first."""

    inner: frozenset[int]
    dedicated: bool
    general: bool = False


_INCOMING: dict[int, _Incoming] = {
    **{outer: _Incoming(frozenset((inner,)), False) for inner, outer in GLO_TAGS.items()},
    **{outer: _Incoming(frozenset((inner,)), True) for inner, outer in DED_TAGS.items()},
    _GENERAL_GLO: _Incoming(_PLAUSIBLE, False, True),
    _GENERAL_DED: _Incoming(_PLAUSIBLE, True, True),
}


class Cipher:
    """One side of one association (or of one push source).

    ``next_counter`` gives the numbers for the key in use (the broadcast key when ``broadcast``); the dedicated key has
    its own with ``next_dedicated``, else it shares them, which is safe too. ``suite`` None takes any on receive.
    ``tells_title`` False leaves our title out of general messages, for peers that know it and want that field empty.
    ``minimum`` is the least protection a peer's message must have (default: what we send). A listener sends nothing:
    NONE, with AUTHENTICATION as the minimum.
    """

    def __init__(
        self,
        *,
        suite: int | None,
        security: Security,
        keys: Keys,
        system_title: bytes,
        next_counter: Callable[[], int],
        peer_title: bytes | None = None,
        form: str = "global",
        accept_unauthenticated: bool = False,
        minimum: Security | None = None,
        broadcast: bool = False,
        next_dedicated: Callable[[], int] | None = None,
        tells_title: bool = True,
        peer_counters: PeerCounters | None = None,
        warn: Callable[[str], None],
    ) -> None:
        self.suite = suite
        self.security = security
        self.keys = keys
        self.system_title = bytes(system_title)
        self.peer_title: bytes | None = None
        self.form = form
        self.accept_unauthenticated = accept_unauthenticated
        self.minimum = security if minimum is None else minimum
        self.broadcast = broadcast
        self._sent_title = self.system_title if tells_title else b""
        self.next_counter = next_counter
        self.next_dedicated = next_dedicated or next_counter
        self.peer_counters = PeerCounters() if peer_counters is None else peer_counters
        self._warn: Callable[[str], None] | None = warn
        # A key's schedule is made once: it costs more than a short message.
        self._contexts: dict[str, KeyContext] = {}
        self._receivers: dict[tuple[int, bool], KeyContext] = {}  # by security control and dedicated: judged once
        self._check()
        # Only now: a configured title is judged as one that the peer tells.
        if peer_title:
            self.learn_title(peer_title)

    def _check(self) -> None:
        # Before anything is sent: a key of the wrong length must not be found out by a meter that counts failures.
        if self.form not in FORMS:
            raise ConfigError(f"there is no ciphering '{self.form}'; there is {', '.join(FORMS)}", key="ciphering")
        if self.suite is not None:
            self.keys.check(self.suite)
        if self.security or self.system_title:
            check_title(self.system_title)
        for name in ("encryption", "broadcast", "dedicated"):
            self._use(name, getattr(self.keys, name))

    def _use(self, name: str, key: Secret | None) -> None:
        if key:
            self._contexts[name] = KeyContext(key, self.keys.authentication)
            self._receivers.clear()  # they hold the key that was

    def use_dedicated_key(self, key: Secret) -> None:
        """The dedicated key of this association, as the InitiateRequest carries it."""
        # It lives as long as the association and comes protected by the global key, which is used less for it.
        Keys(key).check(self.suite or 0)
        self._use("dedicated", key)

    @property
    def key(self) -> KeyContext:
        """The global key, as GMAC authentication needs it."""
        # HLS-GMAC is this same cipher with nothing to encrypt: the tag over a challenge is the proof.
        return self._sending("encryption")

    def learn_title(self, title: bytes) -> None:
        """The peer's system title, configured or told in the AARE; SecurityError when it is another than before."""
        # Nothing vouches for a title in an AARE, but nothing has to: with a wrong one no tag fits. Where one is known,
        # the answer of another meter on the line is told apart here, with a better sentence than "wrong key".
        if self.peer_title is not None and title != self.peer_title:
            raise SecurityError(
                f"the peer's system title is {title.hex()}, {self.peer_title.hex()} is expected", reason="title"
            )
        if len(title) != 8:
            raise SecurityError(f"a system title has 8 octets, the peer's has {len(title)}", reason="title")
        # With the same title on both sides their counters would make the same nonces under the same key.
        if title == self.system_title:
            raise SecurityError(
                "the peer calls itself by our own system title: our messages played back, or one title for two",
                reason="title",
                hint="Configure another system title for this program than the meter has.",
            )
        self.peer_title = bytes(title)

    # -- sending ------------------------------------------------------------------------------------------------------

    def protect_apdu(self, apdu: bytes, form: str | None = None) -> bytes:
        """The APDU as this association sends it; ``form`` overrides the association's. LocalProtocolError."""
        tag = apdu[0]
        # exception-response has no ciphered tag; it says that a question was not understood, often not deciphered.
        if not self.security or tag == _EXCEPTION_RESPONSE:
            return apdu
        row = FORMS[form or self.form]
        outer = row.tags.get(tag)
        if outer is not None:
            content = self._seal(apdu, row.dedicated)
            return bytes((outer,)) + encode_length(len(content)) + content
        # Into the general form goes what has no tag of its own, or all where the form is general: see FORMS.
        if tag not in GLO_TAGS and tag not in _WITHOUT_OWN_TAG:
            raise LocalProtocolError(f"an APDU with tag {tag:02x} can't be ciphered")
        content = self._seal(apdu, row.dedicated)
        title = self._sent_title
        return bytes((row.general, len(title))) + title + encode_length(len(content)) + content

    def protect_initiate(self, apdu: bytes) -> bytes:
        """The InitiateRequest or -Response for user-information: always glo-initiate, with the global key."""
        # AARQ and AARE go in the clear, so that the meter can read who calls and in which context; what they carry is
        # protected by itself. Not with the dedicated key: that is what the request brings.
        if not self.security and apdu[:2] == b"\x01\x01":
            raise LocalProtocolError("a dedicated key must not be sent without protection")
        return self.protect_apdu(apdu, "global")

    def _seal(self, apdu: bytes, dedicated: bool) -> bytes:
        name = "dedicated" if dedicated else "broadcast" if self.broadcast else "encryption"
        # The nonce of GCM is system title and counter, twelve octets: the same pair twice under one key gives away the
        # plain texts of both messages and the key of the tags. So the counter is drawn last, when nothing can fail any
        # more: one that is drawn and not sent is a gap, which peers allow.
        context = self._contexts.get(name) or self._sending(name)
        control = int(self.security) | (self.suite or 0) | (BROADCAST if name == "broadcast" else 0)
        if control & _AUTHENTICATION and not context.authenticates:
            raise ConfigError("authenticated messages need an authentication key", key="authentication_key")
        counter = self.next_dedicated() if dedicated else self.next_counter()
        return context.seal(control, self.system_title, counter, apdu)

    def _sending(self, name: str) -> KeyContext:
        context = self._contexts.get(name)
        if context is None:
            raise ConfigError(f"ciphering needs the {name} key", key=f"{name}_key")
        return context

    # -- receiving ----------------------------------------------------------------------------------------------------

    def unprotect_apdu(self, apdu: bytes) -> bytes:
        """The plain APDU that the peer sent; SecurityError says why a message is refused."""
        return self.open(apdu).plaintext

    def open(self, apdu: bytes) -> Unprotected:
        """As ``unprotect_apdu``, with all that is known: ``verified`` is None where nothing vouches for the content."""
        if not apdu:
            raise SecurityError("the message is empty", reason="cut")
        # The outer tag says which key and which form, the control octet which suite and protection. Both come from the
        # line and prove nothing: what they claim is compared with what was agreed before the text is used.
        row = _INCOMING.get(apdu[0])
        if row is None:
            return self._plain(apdu)
        title, content = self._take_apart(apdu, row.general)
        control = content[0] if content else 0
        context = self._receivers.get((control, row.dedicated)) or self._receiving(control, row.dedicated)
        text, control, counter, verified = context.open(title, content, row.inner)
        # From here on in this order: is it an APDU, was enough protected, may it pass without a tag, and only then its
        # counter. A message that is refused must not move the counter, or a forged one would lock the real peer out.
        if (text[0] if text else -1) not in row.inner and not (verified and row.general):
            raise _wrong_inside(row, verified)
        self._check_level(control, verified)
        if verified is None:
            self._accept_unauthenticated(control)
        self.peer_counters.take(context.id, title, counter, verified is True)
        return Unprotected(text, control, counter, _SECURITY[control & _BITS], verified, title)

    def _plain(self, apdu: bytes) -> Unprotected:
        tag = apdu[0]
        if tag in _LATER:
            raise SecurityError(f"{_LATER[tag]} is not supported yet", reason="unsupported")
        # A short refusal may come in the clear: who cannot decipher a question cannot cipher the answer either. It
        # carries no value, and whoever forges it could as well cut the line.
        refusal = tag in _MAY_BE_PLAIN and len(apdu) <= _LONGEST_REFUSAL
        if (self.security or self.minimum) and not refusal:
            raise SecurityError(
                f"the peer sent a plain message (tag {tag:02x}) where ciphered ones were agreed", reason="unprotected"
            )
        return Unprotected(apdu, None, None, Security.NONE, None, self.peer_title or b"")

    def _take_apart(self, apdu: bytes, general: bool) -> tuple[bytes, bytes]:
        """System title and content. Octets behind the content are ignored: no tag covers them."""
        if not general and self.peer_title and len(apdu) > 1 and apdu[1] == len(apdu) - 2 < 0x80:
            return self.peer_title, apdu[2:]  # nearly all, so it goes the shortest way
        try:
            reader = Reader(apdu, 1)
            title = reader.octets("system title") if general else b""
            content = reader.octets("ciphered content")
        except DecodeError as error:
            raise SecurityError(f"the ciphered message is cut: {error.message}", reason="cut") from None
        return self._title(title), content

    def _title(self, title: bytes) -> bytes:
        """A title in the message must be the peer's; a message without one is from the peer we know."""
        # A listener begins without one: who pushes to it introduces himself by the general form, and only there.
        expected = self.peer_title
        if not title:
            if expected is None:
                raise SecurityError(
                    "the peer's system title is not known, and the message does not tell it",
                    reason="title",
                    hint="Give it: meter_system_title of a connection, system_title of a push or of `decode`.",
                )
            return expected
        if len(title) != 8 or (expected is not None and title != expected):
            raise SecurityError(
                f"the message is from system title {title.hex()}, not from {expected.hex() if expected else 'one'}",
                reason="title",
            )
        return title

    def _receiving(self, control: int, dedicated: bool) -> KeyContext:
        # Judged once for each control octet; it is the same in all messages of an association.
        check_control(control, self.suite)
        broadcast = control & BROADCAST
        name = "dedicated" if dedicated else "broadcast" if broadcast else "encryption"
        # A dedicated key belongs to one association, a broadcast to all meters: no message can want both.
        context = None if dedicated and broadcast else self._contexts.get(name)
        if context is None:
            raise SecurityError(f"the message needs the {name} key, which is not known", reason="key")
        # A listener to pushes does not know the suite; suites 0 and 1 have keys of 16 octets, suite 2 of 32.
        if self.suite is None and len(getattr(self.keys, name) or b"") != SUITES[control & SUITE_MASK].key_length:
            raise SecurityError(
                f"the {name} key does not have the length of suite {control & SUITE_MASK}", reason="key"
            )
        self._receivers[control, dedicated] = context
        return context

    def _check_level(self, control: int, verified: bool | None) -> None:
        # Protection may be more than was agreed, never less: a peer on the way could strip it else. Encryption without
        # a tag hides a value and proves nothing: each bit of it can be turned over by somebody who cannot read it.
        wanted = int(self.minimum)
        if verified is None and self.accept_unauthenticated:
            wanted &= ~_AUTHENTICATION
        if wanted & ~control & _BITS or ((self.security or self.minimum) and not control & _BITS):
            raise SecurityError(
                f"the peer protects less than agreed: {_words(control)} instead of {_words(wanted)}",
                reason="security",
                hint="Set accept_unauthenticated if the meter never sends tags."
                if wanted & ~control & _BITS == _AUTHENTICATION
                else "",
            )

    def _accept_unauthenticated(self, control: int) -> None:
        """Let a message pass for which nothing vouches, or refuse it."""
        # A plain text in a ciphered frame was let through by ``_check_level`` only where plain ones are wanted.
        if not control & _BITS:
            return
        tagged = control & _AUTHENTICATION
        why = "there is no authentication key to check the tag" if tagged else "it carries no authentication tag"
        if not self.accept_unauthenticated:
            raise SecurityError(
                f"the message is not authenticated: {why}",
                reason="unauthenticated",
                hint="Give the authentication key, or set accept_unauthenticated if nobody knows it."
                if tagged
                else "Set accept_unauthenticated if the meter never sends tags.",
            )
        if self._warn is not None:
            warn, self._warn = self._warn, None  # one sentence for each association, not one for each message
            warn(f"Messages are accepted though nothing proves who sent them: {why}.")


def _wrong_inside(row: _Incoming, verified: bool | None) -> SecurityError:
    """The outer tag is outside of all protection, so it must agree with what is inside."""
    # It has chosen the key before anything was proved. Where no authentication tag can be checked this is also the only
    # sign of a wrong key, which turns a text into noise: of 256 first octets few are those of an APDU.
    if verified:
        return SecurityError(
            "the tag of the ciphered message is not that of the APDU in it: it was altered", reason="tag"
        )
    message = "deciphering gives no APDU: the encryption key or the system title is wrong, or the message was altered"
    return SecurityError(message, reason="key")


def _words(control: int) -> str:
    names = {0x00: "nothing", 0x10: "authentication", 0x20: "encryption", 0x30: "authentication and encryption"}
    return names[control & _BITS]
