"""The bridge's health: a verdict with its reasons, and how each meter does; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.reading.energy_guard import Reason

_LOOKS = 100  # meters that are looked at in a second: of a thousand it would take a fifth of a core otherwise
_LONGEST = 30.0  # s between two looks: "online" is renewed in time
_POOR = 20.0  # per cent of exchanges with an error
_HEAD = "many exchanges fail; the optical head has moved, the light is bad, or the line is noisy"
_WELL = ("ok", "paused", "waiting")


def meter_health(meter: MeterTask) -> dict[str, Any]:
    """One meter's part."""
    known, session = meter.status, meter.session
    paused = meter.is_paused
    held = meter.output.guard.held
    figures = session.line_quality.figures()
    status = "paused" if paused else known.verdict
    errors = session.errors + figures.check_errors + figures.retries
    quality = _quality(session.errors - session.absent, session.exchanges - session.absent, figures.quality)
    return {
        "status": status,
        "last_success": _time(known.last_success),
        "error": known.error,
        "hint": (known.error or {}).get("hint") or None,
        "next_try": _time(known.next_try) if status != "ok" else None,
        "consecutive_failures": known.failures,
        "read_duration": known.read_duration,
        "line_errors": errors,
        "line_quality": quality,
        "retries": figures.retries,
        "check_errors": figures.check_errors,
        "sign_on_success": _per_cent(figures.sign_on_success),
        "turn_round": None if figures.turn_round is None else round(figures.turn_round, 3),
        "clock_drift": known.clock_drift,
        "invocation_counter": meter.invocation_counter,
        "paused": paused,
        "paused_until": _time(datetime.fromtimestamp(session.paused_until, meter.zone)) if paused else None,
        "held": {key: {"value": row.value, "last": row.last, "reason": row.reason.value} for key, row in held.items()},
        "held_value": next((row.value for row in held.values() if row.reason is not Reason.BEYOND), None),
        "meter_changed": _change(meter),
        "refused": known.refused,
        "reasons": [
            *known.reasons.values(),
            *filter(None, (figures.hint, meter.overdue_poll, _head(status, quality, errors - session.absent))),
        ],
    }


def _head(status: str, quality: float | None, errors: int) -> str:
    """A sentence where so much fails that the line is to blame, of a meter that is there all the same."""
    return _HEAD if status in _WELL and quality is not None and quality < 100 - _POOR and errors > 5 else ""


def _change(meter: MeterTask) -> dict[str, Any] | None:
    """The meter was replaced by another one, and nobody has accepted that yet."""
    change = meter.output.guard.change
    if change is None:
        return None
    time = datetime.fromtimestamp(change.time, meter.zone)
    offsets = {key: float(offset) for key, offset in meter.output.guard.offsets.items()}
    return {"key": change.key, "old": change.old, "new": change.new, "time": _time(time), "offsets": offsets}


def _changed(row: Mapping[str, Any]) -> str:
    change = row["meter_changed"]
    return (
        f"this is another meter since {change['time']}: {change['key']} was {change['old']} and is {change['new']}; "
        "its counters are a new start (accept_energy confirms it)"
    )


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _quality(errors: int, exchanges: int, frames: float | None) -> float | None:
    """Per cent: the worse of exchanges that ended well and frames that came whole."""
    shares = [1 - errors / exchanges] if exchanges else []
    return (
        round(100 * min([*shares, *([] if frames is None else [frames])]), 1) if shares or frames is not None else None
    )


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def bridge_health(
    meters: Mapping[str, dict[str, Any]], troubles: Iterable[str], counters: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole message. Failing: every meter fails; degraded: something does."""
    reasons = [text for text in troubles if text]
    bad = {name: row for name, row in meters.items() if row["status"] not in _WELL}
    reasons += [f"{name}: {_why(row)}" for name, row in bad.items()]
    reasons += [f"{name}: {text}" for name, row in meters.items() for text in row["reasons"]]
    reasons += [f"{name}: values are held back" for name, row in meters.items() if row["held"]]
    reasons += [f"{name}: {_changed(row)}" for name, row in meters.items() if row.get("meter_changed")]
    status = "failing" if bad and len(bad) == len(meters) else "degraded" if reasons else "ok"
    return {"status": status, "reasons": reasons, "counters": counters, "meters": meters}


def _why(row: Mapping[str, Any]) -> str:
    return (row["error"] or {}).get("message") or str(row["status"])


def pause_between_looks(meters: int) -> float:
    """Seconds from one look at so many meters to the next: each costs some tenth of a millisecond."""
    return min(max(1.0, meters / _LOOKS), _LONGEST)


def signature(health: Mapping[str, Any]) -> Any:
    """What makes a new message worth sending at once: verdicts and errors, not figures."""
    rows = {
        name: (
            row["status"],
            (row["error"] or {}).get("code"),
            row["paused_until"],
            tuple(row["held"]),
            row["next_try"],
        )
        for name, row in health["meters"].items()
    }
    return health["status"], tuple(health["reasons"]), rows
