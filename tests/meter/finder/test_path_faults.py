"""Faults of a path, proved by undoing them: the check sequence is right again."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dlms_mqtt.meter.finder.path_faults import changed_echo, explanations, path_fault
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame

UA, POLL = 0x73, 0x10


def frame(information: bytes) -> bytes:
    return encode_frame(UA, b"\x03", b"\x21", information)


@pytest.mark.parametrize(
    ("octet", "name"), [(0xFF, "swallows-ff"), (0x11, "swallows-xon"), (0x13, "swallows-xon"), (0x0A, "expands-lf")]
)
@given(st.binary(min_size=4, max_size=20))
def test_one_octet(octet: int, name: str, around: bytes) -> None:
    clean = bytes(value if value not in (0xFF, 0x11, 0x13, 0x0A, 0x0D, 0x7E) else 0x41 for value in around)
    sent = frame(clean[:2] + bytes((octet,)) + clean[2:])
    broken = sent.replace(b"\n", b"\r\n") if octet == 0x0A else sent.replace(bytes((octet,)), b"")
    # the check sequence may hold one too, or what looks like the end of the frame
    assume(len(sent) - len(broken) in (1, -1) and sent.count(b"\x7e") == 2)
    found = explanations(broken)
    assert name in found
    assert path_fault(b"\x00" + broken) == (name if found == {name} else None)


def test_what_two_faults_explain_is_not_proved() -> None:
    """Met by chance: an FF put back fits the check sequence as well."""
    broken = frame(b"\x00\x00\x11\x96R\xbe\x00\x00\x00").replace(b"\x11", b"")
    assert explanations(broken) == {"swallows-ff", "swallows-xon"}
    assert path_fault(broken) is None


@given(st.binary(max_size=40))
def test_a_good_frame_has_no_fault(information: bytes) -> None:
    assume(b"\r\n" not in frame(information))
    assert path_fault(frame(information)) is None


@pytest.mark.parametrize("octets", [b"", b"\x7e", b"\x7e\xa0", b"\x7e\xa0\x07\x03\x21\x73\x00\x00\x7e", b"rubbish\xff"])
def test_rubbish_proves_nothing(octets: bytes) -> None:
    assert path_fault(octets) is None


SENT = b"\x7e\xa0\x0a\xff\x11\x93"


@pytest.mark.parametrize(
    ("received", "name"),
    [
        (bytes(octet & 0x7F for octet in SENT), "seven-bits"),
        (SENT.replace(b"\n", b"\r\n"), "expands-lf"),
        (SENT.replace(b"\xff", b"") + b"behind", "swallows-ff"),
        (SENT.replace(b"\x11", b""), "swallows-xon"),
        (SENT, None),
        (b"", None),
        (SENT[::-1], None),
    ],
)
def test_a_changed_echo(received: bytes, name: str | None) -> None:
    assert changed_echo(SENT, received) == name


def test_nothing_is_no_copy() -> None:
    assert changed_echo(b"\xff", b"") is None
