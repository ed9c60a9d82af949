"""The receiving side's memory: counters of a peer must rise, or somebody is sending old messages again.

One object per association or push source. A counter is remembered only after its message was judged, never before.

Source: IEC 62056-5-3:2017, clause 5; Green Book ed. 8, clause 9.2.3.3.7.3 (invocation counter).
"""

from __future__ import annotations

from collections.abc import Mapping

from dlms_mqtt.errors import SecurityError
from dlms_mqtt.protocol.security.gcm import MAX_COUNTER

_Key = tuple[str, bytes, bool]
MOST_KEPT = 256  # anybody can send under ever new titles where no tag is checked


_HINT = (
    "If the meter was reset: a new association counts anew, a bridge when the meter was taken out of its configuration "
    "and put in again, `listen` with --forget."
)


class PeerCounters:
    """The last counter per key id and system title; messages without a checked tag have a memory of their own.

    Otherwise one forged message with a high counter would silence the real meter.
    """

    def __init__(self, kept: Mapping[str, int] | None = None) -> None:
        parsed = ((_parse(name), counter) for name, counter in (kept or {}).items() if _is_counter(counter))
        self._last: dict[_Key, int] = {place: counter for place, counter in parsed if place is not None}

    def begin(self) -> None:
        """A new association begins."""

    def take(self, key_id: str, title: bytes, counter: int, verified: bool = True) -> None:
        """Remember the counter of a good message; SecurityError unless it is above the last (the first may be 0)."""
        place = (key_id, title, verified)
        last = self._last.get(place, -1)
        if counter <= last:
            raise _not_above(counter, last)
        if not verified and last < 0 and len(self._last) >= MOST_KEPT:
            self._last.pop(next((known for known in self._last if not known[2]), place), None)
        self._last[place] = counter

    def keep(self, ahead: int = 0) -> dict[str, int]:
        """The memory as plain values (``ahead`` of what was taken), for a store; the constructor takes it back."""
        return {f"{key}/{title.hex()}/{int(verified)}": n + ahead for (key, title, verified), n in self._last.items()}


def _is_counter(number: object) -> bool:
    """May it have been kept? What is kept ahead may be beyond the last number there is; more is damage."""
    return isinstance(number, int) and 0 <= number <= 2 * MAX_COUNTER


def _not_above(counter: int, last: int) -> SecurityError:
    if counter == last:
        message = f"this message was received before: its counter is {counter} again (a replay)"
    else:
        message = f"the peer's counter fell from {last} to {counter}: an old message, or the meter was reset"
    return SecurityError(message, reason="counter", hint=_HINT)


def _parse(name: str) -> _Key | None:
    """None for what was never written like this: a damaged store costs no more than its own rows."""
    try:
        key, title, verified = name.split("/")
        return key, bytes.fromhex(title), verified == "1"
    except ValueError:
        return None
