"""What the trace hides: known secrets wherever they come back, whole, in part, or in the frame that carried them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.line.masking import masked
from tests.client.our_meter import WAYS, OurMeter
from tests.client.test_client import NAME

SECRET = b"Zq7hunterX2w"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x01\x02", "0102"),
        (b"", ""),
        (b"\x01" + SECRET + b"\x02", "01" + "**" * 12 + "02"),
        (SECRET + SECRET, "**" * 24),
        (b"\x01" + SECRET[:5], "01" + "**" * 5),
        (SECRET[-4:] + b"\x01", "**" * 4 + "01"),
        (b"\x01" + SECRET[:2], "01" + SECRET[:2].hex()),
    ],
)
def test_masked(data: bytes, shown: str) -> None:
    assert masked(data, [SECRET, b""]) == shown


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=12), st.binary(max_size=40), st.integers(0, 92))
def test_nothing_of_a_secret_is_shown_however_it_is_cut(before: bytes, secret: bytes, after: bytes, cut: int) -> None:
    data = before + secret + after
    whole = masked(data, [secret])
    assert len(whole) == 2 * len(data)
    assert set(whole[2 * len(before) : 2 * (len(before) + len(secret))]) == {"*"}
    shown = masked(data[:cut], [secret]) + masked(data[cut:], [secret])
    left = shown[2 * len(before) : 2 * (len(before) + len(secret))].replace("*", "")
    assert len(left) <= 2 * 2 * 2, "at most two octets on either side of a cut"


async def test_a_late_echo_shows_no_password(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The line gives back what was sent, a question late."""
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    async with OurMeter() as meter, meter.client(**WAYS["low"]) as client:
        await client.get(NAME)
        trace = client._live._trace
        sent = [write for write in meter.line.sent if bytes(WAYS["low"]["password"]) in write]
        assert sent
        trace.show("<", b"\x7e\x7e" + sent[0])
        trace.show("<", sent[0][:-9])
    shown = "".join(caplog.messages)
    assert WAYS["low"]["password"].hex() not in shown and "****" in shown
