"""Wrong passwords and keys are not repeated: meters lock, and then even the right password is refused.

After a few refusals attempts pause, longer each time; the pause is kept in the store before the next attempt could be
made, so a restart does not shorten it. A line fault never counts. Other settings (a new password) start afresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dlms_mqtt.bridge.api.errors import LockedOut

PAUSES = (900.0, 3600.0, 6 * 3600.0, 24 * 3600.0)  # s; the last one is repeated


@dataclass(frozen=True, slots=True)
class Lockout:
    """How often authentication was refused in a row with these settings, and until when (Unix time) attempts pause."""

    settings: str = ""
    refusals: int = 0
    until: float = 0.0

    def check(self, now: float) -> None:
        """LockedOut while attempts pause. A time that no pause can reach was told by a clock that was wrong."""
        if now < self.until < now + 2 * PAUSES[-1]:
            raise LockedOut(self.until)

    def refused(self, now: float, attempts: int) -> Lockout:
        """After one more refusal; ``attempts`` of them are free."""
        refusals = self.refusals + 1
        step = refusals - attempts
        pause = PAUSES[min(step, len(PAUSES) - 1)] if step >= 0 else 0.0
        return replace(self, refusals=refusals, until=now + pause)

    def succeeded(self) -> Lockout:
        """After an association that stood."""
        return replace(self, refusals=0, until=0.0)

    def dump(self) -> dict[str, Any]:
        """As JSON for the store."""
        return asdict(self)

    @classmethod
    def restore(cls, saved: Mapping[str, Any] | None, settings: str) -> Lockout:
        """What the store holds, if it was about the same settings (``settings`` is a fingerprint of them)."""
        return cls(**saved) if saved and saved.get("settings") == settings else cls(settings)
