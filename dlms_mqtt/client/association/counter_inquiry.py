"""Asking a meter for its invocation counter through the public client, which needs no key.

A counter below the meter's own is refused, and a counter that was used before with the same key breaks the cipher
(the nonce of AES-GCM is system title and counter). So it is asked for where it is not known; public client and counter
object are what the companion profiles (DSMR, IDIS) provide for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.facts import DOUBTFUL, LOST
from dlms_mqtt.errors import MeterRefused, RemoteProtocolError, StoreError
from dlms_mqtt.protocol.security.gcm import MAX_COUNTER

if TYPE_CHECKING:
    from dlms_mqtt.client.state.store import Store


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


def refuse_lost_counter(settings: ConnectionSettings, store: Store | None) -> None:
    """Under a system title of its own a key has been further than where the user lets it begin. StoreError then."""
    own = settings.encryption_key and settings.system_title and isinstance(settings.invocation_counter, int)
    if own and store and (lost := store.get(*LOST)):
        raise StoreError(
            f"the invocation counters were lost with {lost}",
            hint="Take invocation_counter out of the configuration, so that the meter is asked for its own.",
        )


def may_be_behind(settings: ConnectionSettings, store: Store | None) -> bool:
    """May the meter have seen higher numbers than ours (a restored backup), and is it there to be asked?"""
    fixed = isinstance(settings.invocation_counter, int)
    return bool(store is not None and settings.encryption_key and not fixed and store.get(*DOUBTFUL))
