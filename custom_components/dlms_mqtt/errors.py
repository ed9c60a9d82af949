"""The API's codes in Home Assistant's words: which sentence of the translations says what went wrong."""

from __future__ import annotations

from typing import Any

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .api import ApiError
from .const import DOMAIN

CODES = frozenset(
    {
        "bad-request",
        "unknown-request",
        "unknown-meter",
        "unknown-key",
        "unknown-action",
        "not-allowed",
        "confirmation-required",
        "invalid-value",
        "busy",
        "paused",
        "timeout",
        "cancelled",
        "link-down",
        "no-answer",
        "association-refused",
        "authentication-refused",
        "locked-out",
        "access-denied",
        "object-undefined",
        "type-unmatched",
        "temporary-failure",
        "meter-refused",
        "security-error",
        "not-supported",
        "internal",
        # Ours:
        "no-reply",
        "broker-unavailable",
    }
)

# The person who called can mend these.
USER_MISTAKES = frozenset(
    {
        "bad-request",
        "unknown-key",
        "unknown-action",
        "not-allowed",
        "confirmation-required",
        "invalid-value",
        "object-undefined",
        "type-unmatched",
    }
)

# While a meter is being set up the cause within the code decides what to try next.
SETUP_CAUSES: dict[tuple[str, str], str] = {
    ("no-answer", "echo"): "echo_only",
    ("no-answer", "address"): "wrong_address",
    ("association-refused", "address"): "wrong_address",
    ("security-error", "counter"): "counter_refused",
    ("security-error", "key"): "key_wrong",
    ("security-error", "tag"): "key_wrong",
}


def sentence(code: str) -> str:
    """The translation key of a code; a code of a newer bridge is an internal error."""
    return (code if code in CODES else "internal").replace("-", "_")


def setup_error(error: ApiError) -> str:
    """The form error for a failed test."""
    return SETUP_CAUSES.get((error.code, error.reason), sentence(error.code))


def details(error: ApiError) -> dict[str, str]:
    """Placeholders for the sentence."""
    until = error.detail.get("until") or error.detail.get("next_try")
    return {
        "message": _whole(error.message),
        "hint": _whole(error.hint),
        "name": str(error.detail.get("name") or error.message or "?"),  # the standard's own words
        "until": local_time(until),
    }


def _whole(text: str) -> str:
    """A sentence that another may follow."""
    text = text[:1].upper() + text[1:]
    return f"{text}." if text and text[-1].isalnum() else text


def local_time(value: Any) -> str:
    """A time of the bridge as people read it, in Home Assistant's zone."""
    moment = dt_util.parse_datetime(str(value))
    return f"{dt_util.as_local(moment):%Y-%m-%d %H:%M}" if moment else str(value or "?")


def to_exception(error: ApiError, meter: str) -> HomeAssistantError:
    """The exception for an action's caller."""
    kind = ServiceValidationError if error.code in USER_MISTAKES else HomeAssistantError
    return kind(
        translation_domain=DOMAIN,
        translation_key=sentence(error.code),
        translation_placeholders={"meter": meter, **details(error)},
    )
