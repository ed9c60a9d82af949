"""How many pushes of one meter are taken: what pours out must not keep the values of others waiting.

Meters push once a second at most; after an outage some send what they have kept, and a listener may find thousands.
So many are taken as fast as they come, and after that a few each second. The next one has newer values anyway.
"""

from __future__ import annotations

import math

AT_ONCE = 3000
A_SECOND = 50


class PushRate:
    """A store of turns that fills again with time (s, of any clock that never goes back)."""

    def __init__(self) -> None:
        self._left = float(AT_ONCE)
        self._at = -math.inf

    def admits(self, now: float) -> bool:
        """Is one more taken now?"""
        self._left = min(AT_ONCE, self._left + (now - self._at) * A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def calm(self) -> bool:
        """Have none been left out for a while?"""
        return self._left > AT_ONCE / 2
