"""How a meter does: kept by whoever talks to it, told by ``health``; failures, pauses between tries, and their end."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dlms_mqtt.bridge.api import replies
from dlms_mqtt.bridge.api.errors import LockedOut

_LOG = logging.getLogger(__name__)
_FAILURES, _FAILING_FOR = 3, 60.0  # cycles, and s: then the meter is offline
_QUIET = 3600.0  # s: a fault that comes and goes is told once in these, unless the meter is offline over it
_RETRY = (5.0, 10.0, 20.0, 40.0, 60.0)  # s after failed cycles, at most the shortest interval
_VERDICTS = {
    "link-down": "link_down",
    "no-answer": "no_answer",
    "timeout": "no_answer",
    "association-refused": "association_refused",
    "authentication-refused": "password_refused",
    "locked-out": "locked_out",
    "security-error": "security_error",
    "paused": "paused",
    "internal": "error",
}


@dataclass
class MeterStatus:
    """How a meter does. ``verdict`` in a word, ``refused`` values with why, ``reasons`` for less than well by topic."""

    meter: str
    verdict: str = "waiting"
    last_success: datetime | None = None
    error: dict[str, Any] | None = None
    failures: int = 0
    failing_since: float = 0.0
    read_duration: float | None = None
    clock_drift: float | None = None
    next_try: datetime | None = None
    poll_since: float | None = None  # on the monotonic clock, while a poll is under way
    refused: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    _logged_at: dict[str, float] = field(default_factory=dict)  # when a fault of this code was last told (monotonic)
    _unlogged: int = 0  # faults since that were not
    _is_logged: bool = False  # was the fault that there is told?

    def judge(self, topic: str, sentence: str) -> None:
        """Say why something is less than well; an empty sentence ends it."""
        if sentence:
            self.reasons[topic] = sentence
        else:
            self.reasons.pop(topic, None)

    def succeeded(self, now: datetime, duration: float | None) -> None:
        """Values came; ``duration`` (s) of the reading, None for a push."""
        if self.failures:
            level = logging.WARNING if self._is_logged else logging.DEBUG
            _LOG.log(level, "%s: reading works again after %d failures", self.meter, self.failures)
            self._is_logged = False
        elif self.last_success is None:
            _LOG.info("%s: the meter is there", self.meter)
        self.failures, self.error, self.next_try = 0, None, None
        self.verdict, self.last_success = "ok", now
        if duration is not None:
            self.read_duration = round(duration, 3)

    def wait_after(self, error: Exception, unix: float, pause_left: float, every: float) -> float:
        """Seconds until the next try: a lock-out or a pause has its end, everything else a growing one."""
        if isinstance(error, LockedOut):
            return max(1.0, error.until - unix)
        if replies.code_of(error) == "paused":
            return max(1.0, pause_left)
        return min(_RETRY[min(self.failures, len(_RETRY) - 1)], max(every, 1.0))

    def failed(self, error: Exception, monotonic: float, next_try: datetime) -> bool:
        """Note it; whether that is reason enough to be offline. ``next_try`` is in the meter's zone."""
        reply = replies.error_of(error)
        self.next_try = next_try
        self.verdict = _VERDICTS.get(reply["code"], "meter_refused")
        if self.verdict == "paused":
            return False
        self._tell(reply, monotonic)
        if isinstance(error, LockedOut):
            until = datetime.fromtimestamp(error.until, next_try.tzinfo)
            reply["detail"] = {**reply["detail"], "until": until.isoformat()}
        self.error = reply
        self.failing_since = self.failing_since if self.failures else monotonic
        self.failures += 1
        is_offline = self.failures >= _FAILURES and monotonic - self.failing_since >= _FAILING_FOR
        if is_offline and not self._is_logged:
            self._warn(reply, monotonic)
        return is_offline

    def _tell(self, reply: dict[str, Any], now: float) -> None:
        """A line that loses every third answer is no news each time."""
        code = reply["code"]
        if self.failures and self.error is not None and self.error["code"] == code:
            return
        if now - self._logged_at.get(code, -_QUIET) >= _QUIET:
            self._warn(reply, now)
        else:
            self._unlogged += 1

    def _warn(self, reply: dict[str, Any], now: float) -> None:
        words = ". ".join(filter(None, (reply["message"], reply.get("hint"))))
        more = f" (it came and went {self._unlogged} times more since this was told last)" if self._unlogged else ""
        _LOG.warning("%s: %s%s", self.meter, words, more)
        self._logged_at[reply["code"]], self._unlogged, self._is_logged = now, 0, True
