"""A peer's counters rise; what is unchecked has a memory of its own, and a bounded one."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import SecurityError
from dlms_mqtt.protocol.security.counters import MOST_KEPT, PeerCounters

TITLE = b"KAM12345"


def test_counters_rise() -> None:
    counters = PeerCounters()
    counters.take("global", TITLE, 0)
    counters.take("global", TITLE, 5)
    for old in (5, 4, 0):
        with pytest.raises(SecurityError):
            counters.take("global", TITLE, old)
    counters.take("global", TITLE, 6)


def test_keys_and_titles_are_apart() -> None:
    counters = PeerCounters()
    counters.take("global", TITLE, 10)
    counters.take("broadcast", TITLE, 1)
    counters.take("global", b"KAM54321", 1)


def test_what_nobody_checked_silences_nobody() -> None:
    counters = PeerCounters()
    counters.take("global", TITLE, 0xFFFFFFFF, verified=False)
    counters.take("global", TITLE, 1)
    with pytest.raises(SecurityError):
        counters.take("global", TITLE, 2, verified=False)


def test_forged_titles_fill_no_memory_and_push_no_checked_one_out() -> None:
    counters = PeerCounters()
    counters.take("global", TITLE, 7)
    for number in range(3 * MOST_KEPT):
        counters.take("global", number.to_bytes(8, "big"), 1, verified=False)
    assert len(counters.keep()) == MOST_KEPT
    with pytest.raises(SecurityError):
        counters.take("global", TITLE, 7)


def test_the_memory_is_kept_and_taken_back() -> None:
    counters = PeerCounters()
    counters.take("global", TITLE, 7)
    counters.take("global", TITLE, 9, verified=False)
    again = PeerCounters(counters.keep())
    assert again.keep() == counters.keep()
    for verified, last in ((True, 7), (False, 9)):
        with pytest.raises(SecurityError):
            again.take("global", TITLE, last, verified=verified)
    ahead = PeerCounters(counters.keep(100))
    with pytest.raises(SecurityError):
        ahead.take("global", TITLE, 107)
    ahead.take("global", TITLE, 108)


@pytest.mark.parametrize("name", ["", "global", "global/zz/1", "global/00", "global/00/x/y"])
def test_a_damaged_memory_is_left_out(name: str) -> None:
    counters = PeerCounters({name: 5, f"global/{TITLE.hex()}/1": 3, "odd": "x"})  # type: ignore[dict-item]
    with pytest.raises(SecurityError):
        counters.take("global", TITLE, 3)
    assert len(counters.keep()) == 1


@pytest.mark.parametrize("number", [2**63, 2**34, -(2**40), "x", None, 1.5])
def test_a_number_that_no_counter_reaches_silences_no_meter(number: Any) -> None:
    counters = PeerCounters({f"global/{TITLE.hex()}/1": number})
    counters.take("global", TITLE, 3)
    assert counters.keep() == {f"global/{TITLE.hex()}/1": 3}
