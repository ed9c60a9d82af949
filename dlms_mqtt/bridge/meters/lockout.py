"""Wrong passwords and keys are not repeated: meters lock, and then even the right password is refused.

Until an association has stood with these settings, every attempt that carries a secret counts as refused before it is
sent, and only an answer that lets us in takes that back: a kill, a full disk or a meter that refuses without a reason
repeats nothing. After that only plain refusals count, so that a damaged answer locks nobody out.

After a few refusals attempts pause, longer each time. Another password or key starts afresh; nothing else does, not
even a meter that is taken out of the configuration and put in again, or renamed with ``replaces``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.frozen import dataclass

SPACE = "lockout"  # namespace of the store
PAUSES = (900.0, 3600.0, 6 * 3600.0, 24 * 3600.0)  # s; the last one is repeated


@dataclass(frozen=True, slots=True)
class Lockout:
    """How often authentication was refused in a row with these secrets, and until when (Unix time) attempts pause.

    ``settings`` tells the secrets apart, ``worked`` the settings with which an association has stood.
    """

    settings: str = ""
    refusals: int = 0
    until: float = 0.0
    worked: str = ""

    def left(self, now: float) -> float:
        """Seconds of pause that are left: never more than the pause itself, whatever clock ``until`` was told by."""
        longest = PAUSES[min(max(self.refusals, 1), len(PAUSES)) - 1]
        return min(max(0.0, self.until - now), longest)

    def refused(self, now: float, attempts: int) -> Lockout:
        """After one more refusal; ``attempts`` of them are free."""
        refusals = self.refusals + 1
        step = refusals - attempts
        pause = PAUSES[min(step, len(PAUSES) - 1)] if step >= 0 else 0.0
        return replace(self, refusals=refusals, until=now + pause)

    def unheard(self, now: float, attempts: int) -> Lockout:
        """After a secret that was sent where no octet came back: it may have been heard, so the first pause is kept."""
        return replace(self, refusals=min(self.refusals, attempts - 1)).refused(now, attempts)

    def succeeded(self, worked: str) -> Lockout:
        """After an association that stood."""
        return replace(self, refusals=0, until=0.0, worked=worked)

    def dump(self) -> dict[str, Any]:
        """As JSON for the store."""
        return asdict(self)

    @classmethod
    def restore(cls, saved: object, settings: str) -> Lockout:
        """What the store holds, if it was about the same secrets (``settings`` is a fingerprint of them)."""
        if not isinstance(saved, Mapping):
            return cls(settings)
        old = "worked" not in saved  # before 0.2 the fingerprint was one of all settings: its refusals are kept
        if not old and saved.get("settings") != settings:
            return cls(settings)
        worked = saved.get("worked")
        return cls(
            settings,
            int(_number(saved.get("refusals"))),
            _number(saved.get("until")),
            worked if isinstance(worked, str) else "",
        )


def forget(store: Store, meter: str) -> None:
    """The meter is gone. What was refused stays: it may come back with the same password. StoreError."""
    saved = store.get(SPACE, meter)
    if not (isinstance(saved, Mapping) and _number(saved.get("refusals"))):
        store.forget(SPACE, meter)


def _number(value: object) -> float:
    return max(0.0, value) if isinstance(value, int | float) and value < 1e12 else 0.0
