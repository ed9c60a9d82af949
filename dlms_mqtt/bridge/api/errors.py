"""The errors that only the bridge knows, and the codes that the API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlms_mqtt.errors import DlmsMqttError

_CODES = """
bad-request unknown-request unknown-meter unknown-key unknown-action not-allowed confirmation-required invalid-value
busy paused timeout cancelled link-down no-answer association-refused authentication-refused locked-out access-denied
object-undefined type-unmatched temporary-failure meter-refused security-error not-supported internal
"""
CODES = frozenset(_CODES.split())


class RequestError(DlmsMqttError):
    """A request that the bridge itself turns down; ``code`` is the API's."""

    def __init__(self, code: str, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        assert code in CODES  # noqa: S101
        self.code = code
        self.detail = dict(detail or {})


class LockedOut(DlmsMqttError):
    """Attempts are paused until ``until`` (Unix time)."""

    def __init__(self, until: float) -> None:
        super().__init__(
            "The meter refused the password or key; attempts are paused so that it does not lock",
            hint="Correct the password or keys in the configuration; that ends the pause.",
        )
        self.until = until
