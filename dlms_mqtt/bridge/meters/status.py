"""What is known of how a meter does: kept by whoever talks to it, told by ``health``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Wellbeing:
    """How a meter does, for ``health``."""

    status: str = "waiting"
    last_success: datetime | None = None
    error: dict[str, Any] | None = None
    failures: int = 0
    failing_since: float = 0.0
    read_duration: float | None = None
    clock_drift: float | None = None
    next_try: datetime | None = None
    refused: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
