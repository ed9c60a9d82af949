"""The API's codes in Home Assistant's words: which sentence of the translations says what went wrong."""

from __future__ import annotations

import re
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.translation import async_get_translations
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
        "restarted",
        "already-read",
        "same-meter",
        "changed-meanwhile",
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

# The cause within the code decides what to try next.
CAUSES: dict[tuple[str, str], str] = {
    ("no-answer", "echo"): "echo_only",
    ("no-answer", "wrong-address"): "wrong_address",
    ("no-answer", "wrong-client"): "wrong_client",
    ("association-refused", "wrong-address"): "wrong_address",
    ("association-refused", "authentication-required"): "password_required",
    ("no-answer", "silent"): "no_sign_on",
    ("no-answer", "parity"): "parity",
    ("no-answer", "garbled"): "garbled",
    ("no-answer", "clear-text"): "clear_text",
    ("no-answer", "no-telegram"): "no_telegram",
    ("security-error", "unauthenticated"): "not_authenticated",
    ("security-error", "security"): "not_authenticated",
    ("security-error", "unprotected"): "not_encrypted",
    ("security-error", "counter"): "counter_refused",
    ("security-error", "key"): "key_wrong",
    ("security-error", "tag"): "key_wrong",
    ("security-error", "seal"): "not_sealed",
    ("invalid-value", "seal"): "not_sealed",
}

# Sentences that may mean the wrong line as well as the wrong access data.
LINE_FAULTS = frozenset({"no_answer", "link_down", "echo_only", "no_sign_on", "parity", "garbled", "clear_text"})


def sentence(error: ApiError) -> str:
    """The translation key of an error; a code of a newer bridge is an internal error."""
    code = error.code if error.code in CODES else "internal"
    return CAUSES.get((code, error.reason), code.replace("-", "_"))


def details(error: ApiError) -> dict[str, str]:
    """Placeholders for the sentence. The bridge speaks English only, so its words are an addition and no more."""
    message = error.message.rstrip(".")
    return {
        "detail": f" ({message})" if message else "",
        "name": str(error.detail.get("name") or error.message or "?"),  # the standard's own words
        "until": local_time(error.detail.get("until")),
    }


async def in_words(hass: HomeAssistant, path: str, fallback: str) -> str:
    """A text of our translations where a page shows what it is given; in the language of Home Assistant."""
    texts = await async_get_translations(hass, hass.config.language, path.partition(".")[0], {DOMAIN})
    return texts.get(f"component.{DOMAIN}.{path}", fallback)


async def stage_in_words(hass: HomeAssistant, stage: str) -> str:
    """What a search does now (``direct 9600 baud``), as a paragraph; empty where we have no words for it."""
    number = re.search(r"\d+(?: baud)?", stage)
    name = "-".join(re.sub(r"\d+(?: baud)?", "", stage).split())
    text = await in_words(hass, f"selector.find_stage.options.{name}", "") if name else ""
    detail = f" ({number.group().replace('baud', 'Bd')})" if number else ""
    return text and "\n\n" + text.replace("{detail}", detail)


async def in_sentence(hass: HomeAssistant, error: ApiError) -> str:
    """What went wrong and what to do, in the language of Home Assistant."""
    text = await in_words(hass, f"config_subentries.meter.error.{sentence(error)}", error.message)
    return text.format_map(details(error))


def local_time(value: Any) -> str:
    """A time of the bridge as people read it, in Home Assistant's zone."""
    moment = dt_util.parse_datetime(str(value))
    return f"{dt_util.as_local(moment):%Y-%m-%d %H:%M}" if moment else str(value or "?")


def to_exception(error: ApiError, meter: str) -> HomeAssistantError:
    """The exception for an action's caller."""
    kind = ServiceValidationError if error.code in USER_MISTAKES else HomeAssistantError
    return kind(
        translation_domain=DOMAIN,
        translation_key=sentence(error),
        translation_placeholders={"meter": meter, **details(error)},
    )
