"""Security suites as rows, the bits of the security control byte, and the keys of one association.

A key of the wrong length is the user's mistake and told by its length alone: no error of this room shows a key.

Source: IEC 62056-5-3:2017, clause 5; Green Book ed. 8, clauses 9.2.3.7 (suites), 9.2.7.2.4.2 (security control).
"""

from __future__ import annotations

import hmac
from enum import IntFlag

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.secret import Secret


class Security(IntFlag):
    """How a message is protected: bits 4 and 5 of the security control byte."""

    NONE = 0x00
    AUTHENTICATION = 0x10
    ENCRYPTION = 0x20
    BOTH = 0x30


#: By the settings' word.
SECURITY_BY_WORD = {
    "none": Security.NONE,
    "authentication": Security.AUTHENTICATION,
    "encryption": Security.ENCRYPTION,
    "both": Security.BOTH,
}

# The rest of the security control byte.
SUITE_MASK = 0x0F
BROADCAST = 0x40
COMPRESSION = 0x80

LATER = "later"
NO_KEY = Secret()


@dataclass(frozen=True, slots=True)
class Suite:
    """One security suite. Parts that say "later" are in the standard and not yet here."""

    number: int
    key_length: int
    signature: str | None = None
    key_agreement: str | None = None
    public_key: str | None = None


SUITES: dict[int, Suite] = {
    suite.number: suite
    for suite in (
        Suite(0, 16),
        Suite(1, 16, "ECDSA P-256", "ECDH P-256", LATER),
        Suite(2, 32, "ECDSA P-384", "ECDH P-384", LATER),
    )
}


@dataclass(frozen=True, slots=True)
class Keys:
    """The symmetric keys of one association. An empty authentication key means that no tag can be made or checked."""

    encryption: Secret
    authentication: Secret = NO_KEY
    dedicated: Secret | None = None
    broadcast: Secret | None = None

    def check(self, suite: int) -> None:
        """ConfigError unless every key has the length that the suite needs."""
        needed = SUITES[suite].key_length
        for name in ("encryption", "authentication", "dedicated", "broadcast"):
            key = getattr(self, name)
            if key and len(key) != needed:
                raise ConfigError(
                    f"the {name} key has {len(key)} octets, suite {suite} needs {needed}",
                    key=f"{name}_key",
                    hint="Was hex meant where text was given, or the other way round? Write hex:... or text:...",
                )


def key_id(key: bytes) -> str:
    """A one-way name for a key: counters are kept under it, and the key can't be found from it."""
    return hmac.digest(key, b"dlms-mqtt key id", "sha256")[:16].hex()
