"""When a meter that gave no object list is asked for it again: ever more seldom, for many never learn it."""

from __future__ import annotations

import math

_PAUSES = (60.0, 600.0, 3600.0, 21600.0)  # s
_WITHOUT_LIST = "name others in read.also, or try another client address"


class ListRetries:
    """All times are seconds on the monotonic clock."""

    def __init__(self) -> None:
        self.tries = 0  # in vain, one after the other
        self._again = math.inf

    def is_due(self, now: float) -> bool:
        """Is it time to ask again?"""
        return now >= self._again

    def judge(self, now: float, *, given: bool) -> None:
        """The meter was asked: did it give its list?"""
        if given:
            self.tries, self._again = 0, math.inf
            return
        self._again = now + _PAUSES[min(self.tries, len(_PAUSES) - 1)]
        self.tries += 1


def without_list(why: str) -> str:
    """A sentence for health where a meter gives no list; "" where there is no ``why``."""
    if not why:
        return ""
    return f"the meter does not give its object list: {why}; well-known objects are tried; {_WITHOUT_LIST}"
