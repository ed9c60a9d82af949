"""A secret is used as bytes and never shown."""

from __future__ import annotations

import copy
import pickle

from dlms_mqtt.protocol.secret import Secret, mark_of

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


def test_a_mark_is_the_same_for_the_same_secrets_in_the_same_place_only() -> None:
    """It lies in state files: were it another one, a refused password would be sent again after an update."""
    assert mark_of([KEY, b"k"], b"here") == mark_of((Secret(b"12345678"), Secret(b"k")), b"here")
    marks = {mark_of(*row) for row in (([KEY], b"here"), ([KEY], b"there"), ([KEY, KEY], b"here"), ([], b"here"))}
    assert len(marks) == 4 and all(len(mark) == 24 for mark in marks)
    assert mark_of([KEY], b"dlms-mqtt lockout") == "a7401ee00edb2e4a59d66112"
