"""``decode``: bytes that were captured, explained."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from dlms_mqtt.client.push import PushOpener, PushReader, PushSource
from dlms_mqtt.library.connection import value_errors, zone_named
from dlms_mqtt.library.pushes import Pushes, keys_of, octets_of
from dlms_mqtt.library.results import JsonResult, Reading
from dlms_mqtt.meter.json_text import plain
from dlms_mqtt.protocol.security import Keys


class Decoded(JsonResult):
    """What bytes say.

    ``readings``: the values of the pushes in them, as ``Meter.read`` would give them. The rest is worked out when it
    is first asked for.
    """

    __slots__ = ("_document", "_explain", "readings")

    def __init__(self, readings: list[Reading], explain: Callable[[], dict[str, Any]]) -> None:
        self.readings = readings
        self._explain = explain
        self._document: dict[str, Any] | None = None

    def _explained(self) -> dict[str, Any]:
        if self._document is None:
            self._document = self._explain()
        return self._document

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Each message with its frames, protection, APDU and values, as of ``dlms-mqtt decode --json``."""
        return list(self._explained()["messages"])

    @property
    def errors(self) -> list[str]:
        """What could not be understood or believed, in words."""
        return [f"{error['message']}. {error['hint']}".rstrip(". ") for error in self._explained()["errors"]]

    @property
    def rest(self) -> bytes:
        """Octets that belong to nothing."""
        return bytes.fromhex(self._explained()["rest"])

    def as_dict(self) -> dict[str, Any]:
        """The document of ``dlms-mqtt decode --json``, with ``readings``."""
        return self._explained() | {"readings": [item.as_dict() for item in self.readings]}

    def __repr__(self) -> str:
        return f"Decoded(readings={self.readings!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decoded) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Explained first: the keys stay where they are."""
        return _decoded, (self.readings, self._explained())


def _decoded(readings: list[Reading], document: dict[str, Any]) -> Decoded:
    return Decoded(readings, lambda: document)


def decode(
    data: bytes | str,
    *,
    encryption_key: bytes | str | None = None,
    authentication_key: bytes | str | None = None,
    dedicated_key: bytes | str | None = None,
    broadcast_key: bytes | str | None = None,
    system_title: bytes | str = b"",
    timezone: str | tzinfo | None = None,
) -> Decoded:
    """Explain captured bytes (or their hexadecimal text): frames, APDUs, pushes, P1 telegrams, bare values.

    Keys are ``bytes`` or hexadecimal text; ``system_title``: of the sender, where its messages do not tell it;
    ``timezone``: of the meter's clock. What is wrong with the bytes is in ``errors``; ValueError names a wrong
    argument.
    """
    with value_errors():
        octets = octets_of(data, "data")
        keys = keys_of(
            encryption=encryption_key,
            authentication=authentication_key,
            dedicated=dedicated_key,
            broadcast=broadcast_key,
        )
        title = octets_of(system_title, "system_title")
    sources = [PushSource("", keys, title, accept_unauthenticated=True), *([PushSource("plain")] if keys else [])]
    reader = PushReader("", opener=PushOpener(sources))
    found = Pushes(sources, zone_named(timezone), captured=True)
    pushes = [found.made(event) for event in (*reader.feed(octets, 0.0), *reader.finish())]
    return Decoded([item for push in pushes for item in push.readings], lambda: _document(octets, keys, title))


def _document(octets: bytes, keys: Keys | None, title: bytes) -> dict[str, Any]:
    from dlms_mqtt.meter.explain.explain import explain

    document: dict[str, Any] = plain(explain(octets, keys, title))
    return document
