"""A secret is used as bytes and never shown."""

from __future__ import annotations

import copy
import pickle

from dlms_mqtt.protocol.secret import Secret

KEY = Secret(b"12345678")


def test_it_is_shown_nowhere() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}", f"{KEY!r:>8}", f"{[KEY]} { ({'key': KEY}) }"):
        assert "***" in text and "1234" not in text
    assert f"{KEY:>5}" == "  ***"


def test_it_is_bytes() -> None:
    assert KEY == b"12345678" and hash(KEY) == hash(b"12345678") and bytes(KEY) == b"12345678"
    assert not Secret() and len(KEY) == 8 and KEY.hex() == "3132333435363738"
    for copied in (copy.deepcopy(KEY), pickle.loads(pickle.dumps(KEY))):
        assert copied == KEY and isinstance(copied, Secret)
