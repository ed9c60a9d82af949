"""The clients of the household meter: a public one, readers with each kind of authentication, ciphered managers."""

from __future__ import annotations

from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import MANUFACTURER_ALGORITHMS, Keys, Security
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.objects import MANAGER, PUBLIC, READER

PASSWORD = Secret(b"12345678")
HLS_SECRET = Secret(b"secret of meters")
# Test keys, printed by `simulate`: they protect nothing.
KEYS = Keys(
    encryption=Secret(bytes(range(0x10))),
    authentication=Secret(bytes(range(0xD0, 0xE0))),
    broadcast=Secret(bytes(range(0x0F, -1, -1))),
)
KEYS_256 = Keys(
    encryption=Secret(bytes(range(0x20))),
    authentication=Secret(bytes(range(0xC0, 0xE0))),
    broadcast=Secret(bytes(range(0x1F, -1, -1))),
)
M = Mechanism
# Client number, name, level, mechanism, and what else an Association has.
_ROWS: tuple[tuple[int, str, int, Mechanism, dict[str, object]], ...] = (
    (1, "management", MANAGER, M.HLS_GMAC, {"keys": KEYS, "policy": Security.BOTH}),
    (16, "public", PUBLIC, M.NONE, {}),
    (17, "open", MANAGER, M.NONE, {}),
    (18, "pre-established", READER, M.NONE, {"pre_established": True}),
    (32, "reader", READER, M.LLS, {"secret": PASSWORD}),
    (33, "installer", MANAGER, M.LLS, {"secret": Secret(b"87654321")}),
    (34, "maker", MANAGER, M.HLS, {"secret": HLS_SECRET, "algorithm": MANUFACTURER_ALGORITHMS["aes"]}),
    (35, "md5", MANAGER, M.HLS_MD5, {"secret": HLS_SECRET}),
    (36, "sha1", MANAGER, M.HLS_SHA1, {"secret": HLS_SECRET}),
    (37, "gmac", MANAGER, M.HLS_GMAC, {"keys": KEYS}),
    (38, "sha256", MANAGER, M.HLS_SHA256, {"secret": HLS_SECRET}),
    (39, "ciphered without a secret", MANAGER, M.NONE, {"keys": KEYS, "policy": Security.ENCRYPTION}),
    (40, "ciphered reader", READER, M.LLS, {"secret": PASSWORD, "keys": KEYS, "policy": Security.AUTHENTICATION}),
    (41, "suite 1", MANAGER, M.HLS_GMAC, {"keys": KEYS, "suite": 1, "policy": Security.BOTH}),
    (42, "suite 2", MANAGER, M.HLS_GMAC, {"keys": KEYS_256, "suite": 2, "policy": Security.BOTH}),
    (43, "ciphered sha256", MANAGER, M.HLS_SHA256, {"secret": HLS_SECRET, "keys": KEYS, "policy": Security.BOTH}),
    (
        48,
        "coded",
        MANAGER,
        M.HLS,
        {"secret": Secret(b"00000000"), "algorithm": MANUFACTURER_ALGORITHMS["landis-gyr"]},
    ),
)


# What anybody can read in this file may be shown to anybody.
PUBLISHED: frozenset[bytes] = frozenset(
    [b"", *(key for keys in (KEYS, KEYS_256) for key in (keys.encryption, keys.authentication))]
) | {bytes(row[4]["secret"]) for row in _ROWS if "secret" in row[4]}  # type: ignore[call-overload]


def household_associations(faults: Faults | None = None) -> tuple[Association, ...]:
    """One row per client number."""
    return tuple(
        Association(client, name, level, mechanism, faults=faults, **options)  # type: ignore[arg-type]
        for client, name, level, mechanism, options in _ROWS
    )
