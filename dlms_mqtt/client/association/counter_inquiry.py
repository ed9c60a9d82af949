"""Asking a meter for its invocation counter through the public client, which needs no key.

A counter below the meter's own is refused, and a counter that was used before with the same key breaks the cipher
(the nonce of AES-GCM is system title and counter). So it is asked for where it is not known; public client and counter
object are what the companion profiles (DSMR, IDIS) provide for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlms_mqtt.errors import MeterRefused, RemoteProtocolError
from dlms_mqtt.protocol.security.gcm import MAX_COUNTER


@contextmanager
def through_public_client() -> Iterator[None]:
    """A refusal in here says for what the meter was asked, and what to do instead."""
    try:
        yield
    except MeterRefused as error:
        raise type(error)(
            f"the invocation counter could not be read through the public client: {error.message}",
            code=error.code,
            name=error.name,
            hint="Give invocation_counter a number, or the OBIS code of the meter's counter object.",
        ) from error


def checked_counter(value: Any) -> int:
    """The last counter that the meter has seen, with room for ours above it. RemoteProtocolError."""
    if not isinstance(value, int) or not 0 <= value < MAX_COUNTER - 1:
        raise RemoteProtocolError(f"the meter's invocation counter is no number that can be counted on: {value!r}")
    return value
