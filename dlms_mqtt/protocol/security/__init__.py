"""Ciphering and authentication without I/O: suites, protected messages, counters of the peer, mechanisms.

suites.py     security suites as rows, keys           gcm.py      AES-GCM content, AES key wrap
cipher.py     one association's ciphering             counters.py what the peer sent last
hls.py        mechanisms 0 to 7 as rows

Source: IEC 62056-5-3:2017, clause 5 (information security); Green Book ed. 8, clause 9.2.
"""

from __future__ import annotations

from dlms_mqtt.protocol.security.cipher import FORMS, Cipher
from dlms_mqtt.protocol.security.counters import PeerCounters
from dlms_mqtt.protocol.security.gcm import KeyContext, Unprotected, protect, unprotect, unwrap_key, wrap_key
from dlms_mqtt.protocol.security.hls import (
    MANUFACTURER_ALGORITHMS,
    MECHANISMS,
    HlsContext,
    ManufacturerAlgorithm,
    answer_challenge,
    check_password,
    make_challenge,
    verify_answer,
)
from dlms_mqtt.protocol.security.suites import SUITES, Keys, Security, Suite, key_id

__all__ = [
    "FORMS",
    "MANUFACTURER_ALGORITHMS",
    "MECHANISMS",
    "SUITES",
    "Cipher",
    "HlsContext",
    "KeyContext",
    "Keys",
    "ManufacturerAlgorithm",
    "PeerCounters",
    "Security",
    "Suite",
    "Unprotected",
    "answer_challenge",
    "check_password",
    "key_id",
    "make_challenge",
    "protect",
    "unprotect",
    "unwrap_key",
    "verify_answer",
    "wrap_key",
]
