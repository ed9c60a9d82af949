"""What a place in a stream may be trusted with."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.framing.stream.place import Place


@pytest.mark.parametrize(
    ("fresh", "seen", "trusted"),
    [
        (True, set(), True),
        (True, {"wrapper"}, True),
        (True, {"hdlc"}, False),
        (True, {"wrapper", "hdlc"}, False),
        (False, set(), False),
    ],
)
def test_without_proof_only_what_the_stream_has_carried(fresh: bool, seen: set[str], trusted: bool) -> None:
    assert Place(b"", 0, fresh, final=False, seen=frozenset(seen)).trusts("wrapper") is trusted
