"""A push as a program sees it, and how it is made of the bytes of a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import UTC, datetime, tzinfo
from typing import Any

from dlms_mqtt.client.push import Notification, PushReaders, PushSource, Refused
from dlms_mqtt.client.push import Push as RawPush
from dlms_mqtt.errors import ConfigError, DecodeError, DlmsMqttError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.library.connection import secret
from dlms_mqtt.library.results import JsonResult, Reading, reading
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys

_KEY_LENGTHS = (16, 32)


@dataclass(frozen=True, slots=True)
class Push(JsonResult):
    """One message of a meter. ``origin``: where it came from; ``time``: when its values were taken (aware).

    ``system_title``: of the sender, where it is told; ``verified``: was its tag checked (None: it has none).
    ``error``: why it is not believed or not understood; then there are no readings.
    """

    origin: str
    time: datetime
    readings: list[Reading] = field(default_factory=list)
    system_title: bytes = b""
    verified: bool | None = None
    error: DlmsMqttError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "origin": self.origin,
            "time": self.time.isoformat(timespec="seconds"),
            "readings": [item.as_dict() for item in self.readings],
            "system_title": self.system_title.hex() or None,
            "verified": self.verified,
        } | ({"error": self.error.told} if self.error else {})


class Pushes:
    """Bytes in, pushes out. ``captured``: long ago, perhaps, so that the time they tell is believed."""

    def __init__(self, sources: Sequence[PushSource], zone: tzinfo, *, captured: bool = False) -> None:
        self._readers, self._zone, self._captured = PushReaders(sources), zone, captured

    def feed(self, origin: str, data: bytes, whole: bool, now: float) -> list[Push]:
        """Bytes from somewhere, at a time in seconds; none at all: that connection ended."""
        return [self.made(event) for event in self._readers.feed(origin, data, now, whole=whole)]

    def tick(self, now: float) -> list[Push]:
        """Time has passed."""
        return [self.made(event) for event in self._readers.tick(now)]

    def made(self, event: RawPush | Refused) -> Push:
        """A message as the program sees it."""
        if isinstance(event, Refused):
            return Push(event.origin, datetime.now(UTC), error=event.error)
        title, verified = event.system_title, event.opened.verified
        try:
            time, readings = self._readings(event.notification)
        except DecodeError as error:
            return Push(event.origin, datetime.now(UTC), [], title, verified, error)
        return Push(event.origin, time, readings, title, verified)

    def _readings(self, notification: Notification) -> tuple[datetime, list[Reading]]:
        from dlms_mqtt.meter.push.readings import PushedValues

        values = PushedValues(notification)
        stated = getattr(notification, "time", None) if self._captured else None
        moment = stated.to_datetime(self._zone) if isinstance(stated, DateTime) else None
        time = moment or values.taken_at(datetime.now(UTC), self._zone)
        return time, [reading(row, time, self._zone) for row in values.measured()]


def octets_of(data: bytes | str, name: str) -> bytes:
    """Bytes as they are, or of hexadecimal text. ConfigError names the argument."""
    try:
        return bytes.fromhex(data) if isinstance(data, str) else bytes(data)
    except (ValueError, TypeError):
        raise ConfigError("expected bytes, or pairs of hexadecimal digits", key=name) from None


def keys_of(**given: bytes | str | None) -> Keys | None:
    """The keys that were given. ConfigError."""
    secrets = {kind: secret(f"{kind}_key", key) for kind, key in given.items() if key}
    for kind, key in secrets.items():
        if len(key) not in _KEY_LENGTHS:
            raise ConfigError(f"a key has 16 or 32 octets, this one {len(key)}", key=f"{kind}_key")
    return Keys(**({"encryption": Secret()} | secrets)) if secrets else None
